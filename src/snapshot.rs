//! Snapshots: what one stage × node group is served.
//!
//! Pure: resources in, immutable snapshots, problems and differences out. It
//! knows no stream, no file and no clock. `reconcile` builds and compares
//! snapshots, `store` keeps their stored form, `xds` serves them.

mod batch;
mod build;
mod changes;
mod cohort;
mod diff;
mod index;
mod mask;
mod mentioned;
pub mod parts;
mod references;
mod routing;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod view;
pub mod wire;

pub use batch::{Batch, PART_BYTES};
pub use build::{Served, Snapshot, TypeSnapshot, build, build_on, version_of};
pub use changes::Difference;
pub use cohort::Cohort;
pub use diff::{FieldChange, Impact, ResourceChange, ResourceDiff, diff};
pub use mask::{Masked, masked_any, masked_diff, masked_sentences};
pub use mentioned::mentioned;
pub use references::check;
pub use routing::{Route, Routing, Trial};
pub use summary::{Change, Sides, Summary, summarize};
pub use wire::WireError;
