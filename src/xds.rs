//! The xDS protocol: the latest snapshots in, streams of encoded bytes out,
//! and what each Envoy said of them.
//!
//! ```text
//! reconcile → Hub (a line of publications per key, rules, who is connected)
//!               ↓ watch, through the caller's view   ↑ answers
//!             stream (one per gRPC stream) ⇄ Session (pure)
//!               ↓ frames, shared by streams in the same position
//!             server: guard → streams, poll (REST, Fetch), csds, lrs
//! ```
//!
//! - `session` is the protocol: subscriptions, nonces, order, removals, times
//!   to live; what one type needs is `session/channel`.
//! - `guard` lets callers in by token or certificate, and `views` cuts what
//!   they see; a session knows of neither.
//! - `line` decides what a node gets that joins while others refuse the newest,
//!   and which nodes get a candidate that is tried on a part of them.
//! - `standing` and `registry` show who is connected; `blame` finds the
//!   resource that a refusal is about.
//!
//! It knows nothing of YAML, Git, stages in order or promotion. A slow stream
//! holds one pointer to the latest snapshot, never a queue. What is newly
//! published is encoded once, whoever takes it.

mod bell;
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
pub use line::{Issue, Offer, Release};
pub use load::{ClusterLoad, Load};
pub use method::services;
pub use private::{Private, listen_private};
use refusal::Refusal;
pub use server::{XdsError, listen, serve};
pub use status::{Doubt, Nack, NodeStatus, ResourceState, ResourceStatus, Tally, TypeStatus};
pub use tls::{Tls, TlsError, TlsFiles};
