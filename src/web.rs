//! HTTP: API, console, hooks.
pub mod hooks;
