//! Snapshots: what one stage × node group is served.
//!
//! Pure: resources in, immutable snapshots, problems and differences out. It
//! knows no stream, no file and no clock. `reconcile` builds and compares
//! snapshots, `store` keeps their stored form, `xds` serves them.

mod build;
mod diff;
mod references;
mod routing;
#[cfg(test)]
pub(crate) mod testing;
mod view;
pub mod wire;

pub use build::{Served, Snapshot, TypeSnapshot, build, version_of};
pub use diff::{ResourceChange, ResourceDiff, diff};
pub use references::check;
pub use routing::{Route, Routing};
pub use wire::WireError;
