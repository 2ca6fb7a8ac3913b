//! The one integration binary: the real thing, over real parts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows test functions, but not the helpers that only they call"
)]

mod access;
mod audit;
mod backup;
mod bad_input;
mod chatops;
mod ci;
mod cli;
mod conform;
mod contents;
mod deciding;
mod dogma;
mod faults;
mod fleet;
mod git_serve;
mod github;
mod harness;
mod install;
mod journey;
mod lint;
mod matrix;
mod metrics;
mod mirror;
mod mirroring;
mod oidc;
mod reading;
mod rollout;
mod rpc;
mod sample;
mod slack;
mod smoke;
mod store;
mod watch_api;
mod watching;
mod web;
mod writing;
mod xds;
mod xds_auth;
