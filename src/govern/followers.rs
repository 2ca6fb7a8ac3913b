//! Who must know of a write before it is acknowledged.
//!
//! A token that was issued is used at once, and one that was revoked must not
//! be good any more: whoever lets people or nodes in by the documents is told
//! while the write is still under way, not some time after it. Who only shows
//! them follows the watch.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::Registry;

type Tell = Box<dyn Fn(&Registry) + Send>;

/// Those who are told, one write after the other.
#[derive(Default)]
pub(super) struct Followers(Mutex<Vec<Tell>>);

impl fmt::Debug for Followers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Followers")
    }
}

impl Followers {
    /// Tells `tell` of the registry as it is, and of every one after it.
    pub(super) fn add(&self, registry: impl FnOnce() -> Arc<Registry>, tell: Tell) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&registry());
        all.push(tell);
    }

    /// Tells everybody. What is newest is read in turn, so that nobody is told
    /// of an older one last.
    pub(super) fn tell(&self, registry: impl FnOnce() -> Arc<Registry>) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = registry();
        all.iter().for_each(|tell| tell(&newest));
    }
}
