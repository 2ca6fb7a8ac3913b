//! The promotion state machine and its policy.
//!
//! Pure: no clock, no IO, no randomness; `now` is an argument. [`step`] takes
//! the state and one event and answers with a [`Decision`]: documents to
//! record in one commit, and effects to fire once they are durable. Who calls
//! it, and makes decisions durable, is `reconcile`. Guards are one function,
//! [`gate::evaluate`], behind Slack, console, API and CLI alike.

mod gate;
mod record;
mod step;

pub use gate::{Gate, GateKind};
pub use record::{
    Approval, BundleRecord, BundleStatus, DiffStat, Ending, Hold, Kind, Plan, Promotion, StageSlot,
    State, Status,
};
pub use step::{Decision, Document, Effect, Event, Refusal, RefusalKind, step};
