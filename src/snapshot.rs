//! Snapshots: what one stage × node group is served.

mod build;
mod diff;
mod references;
mod routing;
mod wire;

pub use build::{Served, Snapshot, TypeSnapshot, build};
pub use diff::{ResourceChange, ResourceDiff, diff};
pub use references::check;
pub use routing::{Route, Routing};
pub use wire::WireError;
