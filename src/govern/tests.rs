//! Governing over a real store.
