//! The xDS protocol: the latest snapshots in, streams of encoded bytes out,
//! and what each Envoy said of them.
//!
//! ```text
//! reconcile → Hub (latest snapshot per key, rules, who is connected)
//!               ↓ watch                      ↑ answers
//!             stream (one per gRPC stream) ⇄ Session (pure)
//!               ↓ Outgoing: shared bytes + short tail
//!             server (tonic)
//! ```
//!
//! It knows nothing of YAML, Git, stages in order or promotion. A slow stream
//! holds one pointer to the latest snapshot, never a queue.

mod blame;
mod codec;
mod counters;
mod features;
mod hub;
mod identity;
mod line;
mod method;
mod pace;
mod private;
mod pulse;
mod refusal;
mod registry;
mod server;
mod session;
mod standing;
mod status;
mod stream;
mod tokens;
mod words;

pub use counters::{HubCounters, Lags};
pub use hub::{Hub, Report};
pub use line::Release;
pub use method::services;
pub use private::{Private, listen_private};
use refusal::Refusal;
pub use server::{XdsError, serve};
pub use status::{Doubt, Nack, NodeStatus, ResourceState, ResourceStatus, Tally, TypeStatus};
