//! The one integration binary: the real thing, over real parts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows test functions, but not the helpers that only they call"
)]

mod harness;
mod lint;
mod mirror;
mod sample;
mod slack;
mod web;
