//! What stands around the tests: real outsiders on loopback, ended with the
//! test that started them.
#![allow(dead_code, reason = "not every test uses all of it")]

pub(crate) mod api;
pub(crate) mod convoy;
pub(crate) mod envoy;
pub(crate) mod github;
pub(crate) mod oneshot;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod slack;
pub(crate) mod sshd;
pub(crate) mod upstream;
