//! The one integration binary: the real thing, over real parts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows test functions, but not the helpers that only they call"
)]

mod harness;
mod install;
<<<<<<< HEAD
mod journey;
mod lint;
mod mirror;
mod sample;
mod slack;
=======
mod matrix;
>>>>>>> h-smoke
mod smoke;
