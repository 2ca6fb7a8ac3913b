//! Remembers what files rendered to, by everything that went in.
//!
//! A memo and nothing more: dropping it, or any part of it, changes no
//! result. Two generations bound it: what was not asked for during a whole
//! generation is forgotten with the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::rendered::RenderedFile;
use crate::model::{ContentHash, Problem, Resource};

/// How many entries one generation holds: a file × stage × group each. A
/// pipeline of four stages and ten thousand files fits.
const GENERATION_MAX: usize = 50_000;

/// What one file rendered to for one set of values.
#[derive(Debug)]
pub(crate) struct Rendering {
    /// The text; `None` where the template stopped.
    pub(crate) file: Option<Arc<RenderedFile>>,
    /// The resources that have no mistake.
    pub(crate) resources: Vec<Arc<Resource>>,
    /// The mistakes.
    pub(crate) problems: Vec<Problem>,
    /// What has no effect on an Envoy of the stage.
    pub(crate) warnings: Vec<Problem>,
}

impl Rendering {
    /// Whether every resource that the file means was made.
    pub(crate) fn is_whole(&self) -> bool {
        self.file.is_some() && self.problems.is_empty()
    }
}

/// Renderings by the hash of their inputs.
#[derive(Debug)]
pub(crate) struct Memo {
    generations: Mutex<Generations>,
    generation_max: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<ContentHash, Arc<Rendering>>,
    old: HashMap<ContentHash, Arc<Rendering>>,
}

impl Default for Memo {
    fn default() -> Self {
        Self { generations: Mutex::default(), generation_max: GENERATION_MAX }
    }
}

impl Memo {
    /// The rendering behind `key`, made by `make` where it is not known. The
    /// lock is not held while it is made: two threads may make the same one.
    pub(crate) fn get(&self, key: ContentHash, make: impl FnOnce() -> Rendering) -> Arc<Rendering> {
        if let Some(known) = self.lock(|generations| generations.find(&key)) {
            return known;
        }
        let made = Arc::new(make());
        self.lock(|generations| generations.put(key, Arc::clone(&made), self.generation_max));
        made
    }

    fn lock<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.generations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generations {
    fn find(&mut self, key: &ContentHash) -> Option<Arc<Rendering>> {
        if let Some(known) = self.young.get(key) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(key)?;
        self.young.insert(*key, Arc::clone(&known));
        Some(known)
    }

    fn put(&mut self, key: ContentHash, made: Arc<Rendering>, generation_max: usize) {
        if self.young.len() >= generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendering() -> Rendering {
        Rendering { file: None, resources: Vec::new(), problems: Vec::new(), warnings: Vec::new() }
    }

    fn key(number: u64) -> ContentHash {
        ContentHash::of(&number.to_be_bytes())
    }

    #[test]
    fn a_known_rendering_is_not_made_again() {
        let memo = Memo::default();
        let first = memo.get(key(1), rendering);
        let second = memo.get(key(1), || panic!("it is known"));
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn what_is_not_asked_for_is_forgotten_and_what_is_stays() {
        let memo = Memo { generation_max: 4, ..Memo::default() };
        let kept = memo.get(key(0), rendering);
        for number in 1..100 {
            memo.get(key(number), rendering);
            assert!(Arc::ptr_eq(&kept, &memo.get(key(0), rendering)), "{number}");
        }
        let held = memo.lock(|g| g.young.len() + g.old.len());
        assert!(held <= 10, "{held} entries");
    }
}
