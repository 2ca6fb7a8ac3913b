//! The promotion state machine and its policy.
//!
//! Pure: no clock, no IO, no randomness; `now` is an argument. [`step`] takes
//! the state and one event and answers with a [`Decision`]: documents to
//! record in one commit, and effects to fire once they are durable. Who calls
//! it, and makes decisions durable, is `reconcile`. The conditions are one
//! function, [`evaluate`], and what people may do is another, [`allowed`],
//! behind Slack, console, API, command line and dry runs alike; what something
//! waits for is told by [`why_promotion`] and [`why_stage`].
//!
//! ```text
//!             request                all gates open        nodes took it, step by step
//!   (nothing) ───────▶ gated, ready ───────────────▶ applying ─ observing ─▶ verifying ─▶ succeeded
//!                │       │ reject, cancel,               │   paused          │
//!                │       │ newer request, time           ▼ refused, slow,    ▼ out of bounds, aborted
//!                ▼       ▼                            rolling back ──▶ rolled back
//!              no-op   rejected, cancelled,              │
//!                      superseded, expired               ▼ refused again
//!                                                      stuck
//! ```
//!
//! What begins goes by `course`; what keeps promotions away is in `blocks` and
//! `conditions`; who may do what in `guards`.
//!
//! A commit can't lower the bar for itself: of the policy in the candidate and
//! the policy in what the stage serves now, the stricter part holds.

mod advance;
mod answer;
mod ask;
mod blocks;
mod breakglass;
mod bundle;
mod conditions;
mod course;
mod event;
mod expiry;
mod facts;
mod gate;
mod guards;
mod health;
mod hold;
mod keep;
mod owners;
mod people;
mod policy;
mod promotion;
mod quorum;
mod rollback;
mod slot;
mod state;
mod steer;
mod step;
mod steps;
mod urgent;
mod vote;
mod why;
mod window;

pub use breakglass::{BreakGlass, Review};
pub use bundle::{BundleRecord, BundleStatus};
pub use event::Event;
pub use gate::{Gate, GateKind, evaluate};
pub use guards::{Allowed, allowed, options};
pub use health::{Measured, MetricValue, asks};
pub use hold::{Freeze, Hold, Lock, Pin, Veto};
pub use people::{FleetFacts, People};
pub use policy::{Asked, Policy};
pub use promotion::{Approval, DiffStat, Ending, Kind, Plan, Promotion, Status};
pub use slot::{Candidate, StageSlot};
pub use state::State;
pub use step::{Decision, Document, Effect, Refusal, RefusalKind, step};
pub use steps::{Course, Pause, PauseCause, StepState};
pub use why::{Blocker, why_promotion, why_stage};

#[cfg(test)]
mod tests;
