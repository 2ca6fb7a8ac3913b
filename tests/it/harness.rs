//! What stands around the tests: real outsiders on loopback, ended with the
//! test that started them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    reason = "a harness that can't start fails the test, and not every test uses all of it"
)]

pub(crate) mod process;
pub(crate) mod sshd;
pub(crate) mod upstream;
