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

/// A type's turn in sending order; types that are not Envoy's own come last,
/// by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// One of Envoy's own.
    Of(ResourceKind),
    /// Any other.
    Other(TypeUrl),
}

impl Turn {
    /// The turn of `type_url`.
    pub(super) fn at(type_url: &TypeUrl) -> Self {
        type_url.kind().map_or_else(|| Self::Other(type_url.clone()), Self::Of)
    }

    /// Who waits for the type, and for whom it waits.
    pub(super) fn role(&self) -> Role {
        use ResourceKind as Kind;
        let Self::Of(kind) = self else { return Role::Alone };
        match kind {
            Kind::Clusters | Kind::Endpoints | Kind::Secrets | Kind::ExtensionConfigs => {
                Role::Supplier
            }
            Kind::Listeners | Kind::ScopedRoutes | Kind::Routes | Kind::VirtualHosts => Role::User,
            Kind::Runtime => Role::Alone,
        }
    }
}
