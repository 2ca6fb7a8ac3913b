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
mod certificate;
mod codec;
mod counters;
mod credential;
mod csds;
mod features;
mod fetch;
mod guard;
mod hub;
mod identity;
mod line;
mod load;
mod lrs;
mod method;
mod pace;
mod peer;
mod poll;
mod private;
mod pulse;
mod refusal;
mod registry;
mod rest;
mod server;
mod session;
mod standing;
mod status;
mod stream;
mod tls;
mod views;
mod words;

pub use counters::{HubCounters, Lags};
pub use credential::{Credential, Credentials};
pub use csds::{Csds, MayLook, client_status};
pub use guard::Guard;
pub use hub::{Hub, Report};
pub use line::Release;
pub use load::{ClusterLoad, Load};
pub use method::services;
pub use private::{Private, listen_private};
use refusal::Refusal;
pub use server::{XdsError, serve};
pub use status::{Doubt, Nack, NodeStatus, ResourceState, ResourceStatus, Tally, TypeStatus};
pub use tls::{Tls, TlsError, TlsFiles};
