//! Who we are at a remote.
