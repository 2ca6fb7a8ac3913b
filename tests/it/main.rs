//! The one integration binary: the real thing, over real parts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

mod harness;
mod install;
mod matrix;
mod smoke;
