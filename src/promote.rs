//! The promotion state machine and its policy.
//!
//! Pure: no clock, no IO, no randomness; `now` is an argument. [`step`] takes
//! the state and one event and answers with a [`Decision`]: documents to
//! record in one commit, and effects to fire once they are durable. Who calls
//! it, and makes decisions durable, is `reconcile`. The conditions are one
//! function, [`evaluate`], behind Slack, console, API and CLI alike.
//!
//! ```text
//!             request                     all gates open            every node took it
//!   (nothing) ───────▶ gated ──────────────────▶ applying ───────────────▶ succeeded
//!                │       │ reject, cancel,          │ a node refused it
//!                ▼       ▼ newer request            ▼
//!              no-op   rejected, cancelled,       failed, the stage goes
//!                      superseded                 back to what was good
//! ```
//!
//! A commit can't lower the bar for itself: of the policy in the candidate and
//! the policy in what the stage serves now, the stricter part holds.

mod advance;
mod answer;
mod gate;
mod record;
mod step;

pub use gate::{Gate, GateKind, Policy, evaluate};
pub use record::{
    Approval, BundleRecord, BundleStatus, DiffStat, Ending, Hold, Kind, Plan, Promotion, StageSlot,
    State, Status,
};
pub use step::{Decision, Document, Effect, Event, Refusal, RefusalKind, step};

#[cfg(test)]
mod tests;
