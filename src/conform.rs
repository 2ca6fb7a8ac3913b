//! Whether an xDS server keeps the protocol, seen from outside.
//!
//! ```text
//! Rule (id, sentence, source, a function)  × Transport  =  a case
//!    ↓ runs on a Bench: Lines (raw streams), what the server holds, a Driver
//! Verdict: passed ∣ failed, with the exchange ∣ skipped, and why
//! ```
//!
//! It is a client like any other and knows nothing of how a server is made:
//! only an address, and perhaps a [`Driver`] that gives the server other
//! resources. It is not Envoy either: it refuses, repeats and falls silent
//! where no client should. Called by `cli` and by the conformance tests.

mod answer;
mod bench;
mod client;
mod document;
mod driver;
mod exchange;
pub mod item;
mod known;
mod line;
mod message;
mod obstacle;
mod report;
mod rule;
mod rules;
mod run;
mod say;
mod survey;
mod target;
mod tls;
mod transport;
mod wait;

pub use document::document;
pub use driver::{Abilities, Change, Driver};
pub use item::Item;
pub use obstacle::Obstacle;
pub use report::{Count, Outcome, Report, Verdict};
pub use rule::{Basis, Rule};
pub use rules::all as rules;
pub use run::{Case, cases, run};
pub use target::{NodeShape, Target};
pub use tls::Tls;
pub use transport::Transport;
