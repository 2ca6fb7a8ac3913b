//! Remembers what files rendered to, by everything that went in.
//!
//! A memo and nothing more: dropping it, or any part of it, changes no
//! result. Two generations bound it: what was not asked for during a whole
//! generation is forgotten with the next.
//!
//! Beside single renderings it remembers whole runs: of ten thousand files a
//! commit changes one, and to see that a file is what it was in the last run
//! costs less than to hash it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::rendered::RenderedFile;
use crate::model::{ContentHash, FilePath, NodeGroup, Problem, Resource};

/// How many entries one generation holds: a file × stage × group each. A
/// pipeline of four stages and ten thousand files fits.
const GENERATION_MAX: usize = 50_000;

/// How many runs are remembered: the stages of a few pipelines.
const RUNS_MAX: usize = 16;
/// What the files of all remembered runs may have in bytes, counted for each.
const RUNS_BYTES_MAX: usize = 96 << 20;

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

/// What one file rendered to, each with the groups that it is for.
pub(crate) type Parts = Arc<[(Arc<Rendering>, Vec<NodeGroup>)]>;

/// What the files of a stage rendered to, with the content that they had, in
/// the order in which they were rendered.
#[derive(Debug, Default)]
pub(crate) struct Run(Vec<(FilePath, Bytes, Parts)>);

impl Run {
    /// A run over so many files.
    pub(crate) fn with_capacity(files: usize) -> Self {
        Self(Vec::with_capacity(files))
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(_, content, _)| content.len()).sum()
    }

    /// Notes what a file rendered to.
    pub(crate) fn put(&mut self, path: &FilePath, content: &Bytes, parts: Parts) {
        self.0.push((path.clone(), content.clone(), parts));
    }
}

/// A run beside the next one: both mostly come to the same files in turn.
#[derive(Debug)]
pub(crate) struct Beside<'r> {
    run: &'r Run,
    at: usize,
    /// Made when a file came or went.
    by_path: Option<HashMap<&'r FilePath, usize>>,
}

impl<'r> Beside<'r> {
    pub(crate) fn new(run: &'r Run) -> Self {
        Self { run, at: 0, by_path: None }
    }

    /// What the file rendered to, if it was the same.
    pub(crate) fn get(&mut self, path: &FilePath, content: &Bytes) -> Option<&'r Parts> {
        let all = &self.run.0;
        if all.get(self.at).is_none_or(|(next, ..)| next != path) {
            let index = || all.iter().enumerate().map(|(at, (path, ..))| (path, at)).collect();
            self.at = *self.by_path.get_or_insert_with(index).get(path)?;
        }
        let (_, before, parts) = all.get(self.at)?;
        self.at += 1;
        // What was read once is the same bytes, not just equal ones.
        let same = before.as_ptr() == content.as_ptr() && before.len() == content.len();
        (same || before == content).then_some(parts)
    }
}

/// Renderings by the hash of their inputs.
#[derive(Debug)]
pub(crate) struct Memo {
    generations: Mutex<Generations>,
    generation_max: usize,
    /// The newest first, each by the hash of what is the same for all files.
    runs: Mutex<VecDeque<(ContentHash, Arc<Run>)>>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<ContentHash, Arc<Rendering>>,
    old: HashMap<ContentHash, Arc<Rendering>>,
}

impl Default for Memo {
    fn default() -> Self {
        let (generations, runs) = (Mutex::default(), Mutex::default());
        Self { generations, generation_max: GENERATION_MAX, runs }
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

    /// The last run with the inputs behind `key`; an empty one where none is
    /// known.
    pub(crate) fn last_run(&self, key: ContentHash) -> Arc<Run> {
        let runs = self.runs();
        let known = runs.iter().find(|(of, _)| *of == key).map(|(_, run)| run.clone());
        known.unwrap_or_default()
    }

    /// Remembers a run instead of the one before it.
    pub(crate) fn keep_run(&self, key: ContentHash, run: Run) {
        let mut runs = self.runs();
        runs.retain(|(of, _)| *of != key);
        runs.push_front((key, Arc::new(run)));
        let mut bytes = 0;
        let fits = runs.iter().take(RUNS_MAX).take_while(|(_, run)| {
            bytes += run.bytes();
            bytes <= RUNS_BYTES_MAX
        });
        let fits = fits.count();
        runs.truncate(fits);
    }

    fn runs(&self) -> MutexGuard<'_, VecDeque<(ContentHash, Arc<Run>)>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn path(name: &str) -> FilePath {
        FilePath::new(name).unwrap()
    }

    #[test]
    fn a_run_gives_what_a_file_rendered_to_while_it_is_the_same() {
        let parts: Vec<Parts> =
            (0..4).map(|_| [(Arc::new(rendering()), Vec::new())].into()).collect();
        let mut run = Run::default();
        for (name, parts) in ["a", "b", "c", "d"].into_iter().zip(&parts) {
            run.put(&path(name), &Bytes::copy_from_slice(name.as_bytes()), parts.clone());
        }
        let mut beside = Beside::new(&run);
        let mut get = |name: &str, content: &'static str| {
            let known = beside.get(&path(name), &Bytes::from(content))?;
            parts.iter().position(|one| Arc::ptr_eq(one, known))
        };
        assert_eq!(get("a", "a"), Some(0));
        assert_eq!(get("b", "other"), None, "it changed");
        assert_eq!(get("b2", "b"), None, "it is new");
        // One went.
        assert_eq!(get("d", "d"), Some(3));
        assert_eq!(get("c", "c"), Some(2), "in another order");
    }

    #[test]
    fn runs_are_kept_by_their_inputs_and_the_oldest_forgotten() {
        let (memo, one) = (Memo::default(), Bytes::from_static(b"1"));
        let mut run = Run::with_capacity(1);
        run.put(&path("a"), &one, [(Arc::new(rendering()), Vec::new())].into());
        memo.keep_run(key(1), run);
        let knows =
            |number| Beside::new(&memo.last_run(key(number))).get(&path("a"), &one).is_some();
        assert!(knows(1));
        assert!(!knows(2), "other inputs");
        for number in 2..2 + RUNS_MAX as u64 {
            memo.keep_run(key(number), Run::default());
        }
        assert!(!knows(1), "long ago");
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
