//! What changed between two states of one type, worked out once and shared.
//!
//! A thousand streams that wait at the same state need the same difference
//! and the same bytes. Each state remembers the differences that lead to it;
//! so the first stream pays for the walk over all resources, the others for a
//! look-up. Pure: the memory changes how long an answer takes, never what it
//! is.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Batch, Served, TypeSnapshot};
use crate::model::{ContentHash, ResourceName};

/// How many differences, and how many extended states, a state remembers.
/// Streams that keep up are at one or two earlier states; each is a few names.
const REMEMBERED: usize = 32;

/// What leads from one state of a type to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is new or has new content, by name.
    pub changed: Batch,
    /// What is there no more, by name.
    pub gone: Vec<ResourceName>,
}

/// What a state worked out about itself. It is no part of what the state is:
/// all memories are equal, and a copy begins with an empty one.
#[derive(Debug, Default)]
pub(super) struct Memory {
    all: OnceLock<Batch>,
    since: Mutex<VecDeque<(Arc<str>, Arc<Difference>)>>,
    with: Mutex<VecDeque<(ContentHash, Arc<TypeSnapshot>)>>,
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memory {}

impl TypeSnapshot {
    /// Every resource, by name.
    pub fn all(&self) -> Batch {
        self.memory.all.get_or_init(|| self.resources.values().cloned().collect()).clone()
    }

    /// Whether it is the same state as `other`.
    pub fn is(&self, other: &Self) -> bool {
        self.version == other.version
    }

    /// What leads from `from` to this state. Equal versions are equal content,
    /// so the version alone tells which state `from` is.
    pub fn since(&self, from: &Self) -> Arc<Difference> {
        let mut known = lock(&self.memory.since);
        if let Some((_, found)) = known.iter().find(|(version, _)| *version == from.version) {
            return found.clone();
        }
        let found = Arc::new(difference(from, self));
        remember(&mut known, (from.version.clone(), found.clone()));
        found
    }

    /// This state and, beside it, `kept`: what a client holds on to although
    /// the state has it no more. Where both have a name, the state's counts.
    pub fn with(&self, kept: &BTreeMap<ResourceName, Arc<Served>>) -> Arc<Self> {
        let id = ContentHash::of_parts(
            kept.iter().flat_map(|(name, one)| [name.0.as_bytes(), &one.hash.0]),
        );
        let mut known = lock(&self.memory.with);
        if let Some((_, found)) = known.iter().find(|(of, _)| *of == id) {
            return found.clone();
        }
        let own = self.resources.iter();
        let both = kept.iter().chain(own).map(|(name, one)| (name.clone(), one.clone()));
        let found = Arc::new(Self::new(both.collect()));
        remember(&mut known, (id, found.clone()));
        found
    }
}

/// Keeps what is newest.
fn remember<T>(known: &mut VecDeque<T>, one: T) {
    if known.len() == REMEMBERED {
        known.pop_front();
    }
    known.push_back(one);
}

fn lock<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    // A list of finished answers is whole after every statement.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Walks both states side by side, in the order of names.
fn difference(from: &TypeSnapshot, to: &TypeSnapshot) -> Difference {
    let (mut old, mut new) = (from.resources.iter().peekable(), to.resources.iter().peekable());
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Difference { changed: changed.into(), gone },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        match (before, after) {
            (Some((_, a)), Some((_, b))) if Arc::ptr_eq(a, b) || a.hash == b.hash => {}
            (_, Some((_, one))) => changed.push(one.clone()),
            (Some((name, _)), None) => gone.push(name.clone()),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key};

    /// Clusters given as `name version` pairs.
    fn state(clusters: &[(&str, i64)]) -> Arc<TypeSnapshot> {
        let resources: Vec<_> = clusters.iter().map(|(name, at)| cluster(name, *at)).collect();
        let snapshot = build(key("beta"), &resources);
        snapshot.types.values().next().cloned().unwrap_or_default()
    }

    fn check(from: &[(&str, i64)], to: &[(&str, i64)], changed: &[&str], gone: &[&str]) {
        let (from, to) = (state(from), state(to));
        let found = to.since(&from);
        let names: Vec<_> = found.changed.iter().map(|one| one.name.0.as_ref()).collect();
        assert_eq!(names, changed);
        assert_eq!(found.gone.iter().map(|name| name.0.as_ref()).collect::<Vec<_>>(), gone);
        assert!(Arc::ptr_eq(&found, &to.since(&from)), "the second time it is remembered");
    }

    #[test]
    fn a_difference_names_what_changed_and_what_went() {
        check(&[("a", 1), ("b", 1)], &[("a", 1), ("b", 1)], &[], &[]);
        check(&[("a", 1), ("b", 1)], &[("a", 2), ("c", 1)], &["a", "c"], &["b"]);
        check(&[], &[("a", 1)], &["a"], &[]);
        check(&[("a", 1), ("z", 1)], &[], &[], &["a", "z"]);
    }

    #[test]
    fn a_state_forgets_the_oldest_difference_and_still_answers() {
        let to = state(&[("a", 0)]);
        for version in 1..100 {
            assert_eq!(to.since(&state(&[("a", version)])).changed.len(), 1);
        }
        assert_eq!(lock(&to.memory.since).len(), REMEMBERED);
        assert_eq!(to.since(&state(&[("a", 1)])).changed.len(), 1);
    }

    #[test]
    fn what_is_kept_beside_a_state_makes_a_state_of_its_own() {
        let now = state(&[("a", 2)]);
        let kept = state(&[("a", 1), ("b", 1)]).resources.clone();
        let both = now.with(&kept);
        assert_eq!(*both, *state(&[("a", 2), ("b", 1)]));
        assert!(Arc::ptr_eq(&both, &now.with(&kept)));
        assert_ne!(both.version, now.version);
    }
}
