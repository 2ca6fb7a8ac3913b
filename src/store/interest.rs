//! Who is interested in what, found by what changed. A file is looked up by
//! its path, by its name and by the folders it lies in; a pattern that many
//! wait for is matched once. Nobody goes through all who wait.
//!
//! Used for everybody who waits for a repository (`hub`), and for the
//! subscriptions of one follower (`watchers`).

use std::collections::HashMap;

use crate::content::{Pattern, Patterns};
use crate::model::FilePath;

/// Those who wait for the same, by their number.
type Waiting<T> = HashMap<u64, T>;

/// Those who wait for patterns, each pattern once.
type Globs<T> = HashMap<Pattern, Waiting<T>>;

/// Who is interested in what.
#[derive(Debug)]
pub(crate) struct Interest<T> {
    /// By the one file that is meant.
    files: HashMap<FilePath, Waiting<T>>,
    /// By a file's name, where the pattern's last part has no star.
    names: HashMap<Box<str>, Globs<T>>,
    /// By the folder that everything matched lies in.
    folders: HashMap<Box<str>, Globs<T>>,
}

impl<T> Default for Interest<T> {
    fn default() -> Self {
        Self { files: HashMap::new(), names: HashMap::new(), folders: HashMap::new() }
    }
}

impl<T: Clone> Interest<T> {
    /// Adds somebody.
    pub(crate) fn add(&mut self, number: u64, patterns: &Patterns, who: &T) {
        for pattern in patterns.alternatives() {
            let waiting = match pattern.literal() {
                Some(path) => self.files.entry(path).or_default(),
                None => self.globs(pattern).entry(pattern.clone()).or_default(),
            };
            waiting.insert(number, who.clone());
        }
    }

    fn globs(&mut self, pattern: &Pattern) -> &mut Globs<T> {
        match pattern.file_name() {
            Some(name) => self.names.entry(name.into()).or_default(),
            None => self.folders.entry(pattern.folder().into()).or_default(),
        }
    }

    /// Removes somebody who was added with these patterns.
    pub(crate) fn remove(&mut self, number: u64, patterns: &Patterns) {
        for pattern in patterns.alternatives() {
            if let Some(path) = pattern.literal() {
                leave(&mut self.files, &path, |waiting| {
                    waiting.remove(&number);
                    waiting.is_empty()
                });
                continue;
            }
            let (all, key) = match pattern.file_name() {
                Some(name) => (&mut self.names, name),
                None => (&mut self.folders, pattern.folder()),
            };
            leave(all, key, |globs| {
                leave(globs, pattern, |waiting| {
                    waiting.remove(&number);
                    waiting.is_empty()
                });
                globs.is_empty()
            });
        }
    }

    /// Tells everybody who is interested in a path; who gave several patterns
    /// that match it is told several times.
    pub(crate) fn find(&self, path: &FilePath, tell: &mut dyn FnMut(&T)) {
        if let Some(waiting) = self.files.get(path) {
            waiting.values().for_each(&mut *tell);
        }
        let mut matched = |globs: &Globs<T>| {
            let matching = globs.iter().filter(|(pattern, _)| pattern.matches(path));
            matching.for_each(|(_, waiting)| waiting.values().for_each(&mut *tell));
        };
        if let Some(globs) = self.names.get(path.file_name()) {
            matched(globs);
        }
        if self.folders.is_empty() {
            return;
        }
        let text = path.as_str();
        let ends = text.match_indices('/').map(|(at, _)| at);
        for end in std::iter::once(0).chain(ends) {
            if let Some(globs) = self.folders.get(&text[..end]) {
                matched(globs);
            }
        }
    }

    /// Tells everybody.
    pub(crate) fn all(&self, tell: &mut dyn FnMut(&T)) {
        self.files.values().for_each(|waiting| waiting.values().for_each(&mut *tell));
        for globs in self.names.values().chain(self.folders.values()) {
            globs.values().for_each(|waiting| waiting.values().for_each(&mut *tell));
        }
    }

    /// Whether nobody is left.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.names.is_empty() && self.folders.is_empty()
    }
}

/// Removes a key whose value says that it is empty now.
fn leave<K, Q, V>(map: &mut HashMap<K, V>, key: &Q, empties: impl FnOnce(&mut V) -> bool)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if map.get_mut(key).is_some_and(empties) {
        map.remove(key);
    }
}
