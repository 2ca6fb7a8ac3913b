//! The xDS protocol.

mod hub;
mod server;
mod status;

pub use hub::{Hub, Report};
pub use server::{XdsError, serve};
pub use status::{Nack, NodeStatus, TypeStatus};
