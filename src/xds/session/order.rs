//! The order in which types are sent on an aggregated stream, and who waits
//! for whom.
//!
//! ```text
//! CDS → EDS → SDS → ECDS     suppliers: what others name
//!        ↓ wait for ACKs (make)   ↑ wait for ACKs (break: removals)
//! LDS → SRDS → RDS → VHDS    users: what names them
//! RTDS, anything else        on their own
//! ```
//!
//! The order holds within one stream. A client that asks for each type on a
//! stream of its own can't be given one: nothing tells which streams are one
//! client's, and their messages overtake one another anyway.

use crate::model::{ResourceKind, TypeUrl};

/// Where a type stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Others name its resources: sent first, removed last.
    Supplier,
    /// Names resources of suppliers: sent after they were taken.
    User,
    /// Neither.
    Alone,
}

/// The place of `type_url` in sending order; types that are not Envoy's own
/// come last, by name.
pub(super) fn place(type_url: &TypeUrl) -> (Option<ResourceKind>, TypeUrl) {
    (type_url.kind(), type_url.clone())
}

/// The role of a kind.
pub(super) fn role(kind: Option<ResourceKind>) -> Role {
    use ResourceKind as Kind;
    match kind {
        Some(Kind::Clusters | Kind::Endpoints | Kind::Secrets | Kind::ExtensionConfigs) => {
            Role::Supplier
        }
        Some(Kind::Listeners | Kind::ScopedRoutes | Kind::Routes | Kind::VirtualHosts) => {
            Role::User
        }
        Some(Kind::Runtime) | None => Role::Alone,
    }
}
