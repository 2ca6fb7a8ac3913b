//! Metrics as a judge: asks Prometheus, and says whether a candidate is as good
//! as it must be.
//!
//! Knows `/api/v1/query` and nothing of promotions; `reconcile` says what to ask
//! and what follows. A server that does not answer says nothing about a
//! candidate: *unreachable* and *inconclusive* are not *failed*.
//!
//! - `client` asks: bounded in time and bytes, by a token that may be replaced,
//!   on a private certificate.
//! - `reading` reads the answer: one number, or why there is none.
//! - `question` fills in what a query says of the stage and its nodes.
//! - `verdict` compares with thresholds, and with what the others give.

mod client;
mod question;
mod reading;
mod verdict;

pub use client::{Metrics, MetricsError, MetricsSettings};
pub use question::{Names, UnknownName, fill};
pub use reading::Reading;
pub use verdict::{Judgement, Limits, judge};
