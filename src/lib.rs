//! Convoy.
pub mod chat;
pub mod lint;
pub mod mirror;
pub mod model;
pub mod promote;
pub mod reconcile;
pub mod render;
pub mod retry;
pub mod schema;
pub mod smoke;
pub mod snapshot;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod web;
pub mod xds;
