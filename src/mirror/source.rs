//! A fetched commit's files as they would be read once it were a revision, and
//! what it stands on. For heads that shall never become one: pull requests.
//!
//! What is left out is what the store leaves out, by the same rules.

use std::collections::{HashSet, VecDeque};

use gix::objs::FindExt as _;
use gix::{ObjectId, odb};

use super::MirrorError;
use super::tree::{Objects, unreadable};
use crate::model::{CommitId, FilePath, Place, Problem, Revision, SourceTree};

/// What the files of one head may have in bytes together.
const TREE_BYTES_MAX: u64 = 256 << 20;
/// Commits that a pull request may bring.
const COMMITS_MAX: usize = 10_000;

/// The files of a commit.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// All that are read.
    pub tree: SourceTree,
    /// What was left out, one problem each.
    pub skipped: Vec<Problem>,
}

impl Objects {
    /// Reads every file of a commit; those above `file_bytes_max` are told of.
    ///
    /// # Errors
    /// The commit is not there or not whole, or has too much in it.
    pub fn source(&self, commit: CommitId, file_bytes_max: u64) -> Result<Source, MirrorError> {
        let listing = self.list(commit, "")?.unwrap_or_default();
        let mut source = Source::default();
        source.skipped.extend(listing.skipped.iter().filter_map(|entry| left_out(entry)));
        let mut left = TREE_BYTES_MAX;
        for (path, file) in listing.files {
            let id = ObjectId::from(file.blob.0);
            let header = odb::Header::try_header(&self.odb, &id).map_err(unreadable)?;
            let bytes = header.map_or(0, |header| header.size());
            if bytes > file_bytes_max {
                source.skipped.push(too_large(&path, bytes, file_bytes_max));
                continue;
            }
            left = left.checked_sub(bytes).ok_or_else(|| {
                let what = format!("commit {commit} has more than {TREE_BYTES_MAX} bytes of files");
                MirrorError::failed(what, "it is not read")
            })?;
            if file.executable {
                source.tree.executables.insert(path.clone());
            }
            source.tree.files.insert(path, self.blob(&file.blob)?);
        }
        Ok(source)
    }

    /// The newest revision that a commit contains, by what `revision_of`
    /// knows: what a pull request stands on. `None` where it contains none,
    /// or only behind too many commits.
    ///
    /// # Errors
    /// A commit can't be read.
    pub fn stands_on(
        &self,
        head: CommitId,
        revision_of: &dyn Fn(&CommitId) -> Option<Revision>,
    ) -> Result<Option<(Revision, CommitId)>, MirrorError> {
        let (mut seen, mut open) = (HashSet::from([head]), VecDeque::from([head]));
        let (mut newest, mut buffer) = (None, Vec::new());
        while let Some(commit) = open.pop_front() {
            if let Some(revision) = revision_of(&commit) {
                newest = newest.max(Some((revision, commit)));
                continue;
            }
            let found = self.odb.find_commit(&ObjectId::from(commit.0), &mut buffer);
            for parent in found.map_err(unreadable)?.parents() {
                let mut bytes = [0; 20];
                bytes.copy_from_slice(parent.as_bytes());
                if seen.insert(CommitId(bytes)) {
                    open.push_back(CommitId(bytes));
                }
            }
            if seen.len() > COMMITS_MAX {
                return Ok(None);
            }
        }
        Ok(newest)
    }
}

/// A listing's words for what is no file, as the store's problem.
fn left_out(entry: &str) -> Option<Problem> {
    let (path, kind) = entry.rsplit_once(" (").unwrap_or((entry, ""));
    let rule = match kind.trim_end_matches(')') {
        "symbolic link" => "skipped-symlink",
        "submodule" => "skipped-submodule",
        _ => "skipped-name",
    };
    // The nearest path that can be shown: with a `_` before what is none.
    let place = FilePath::new(path).or_else(|_| FilePath::new(&format!("_{path}"))).ok()?;
    let message = format!("`{entry}` was skipped: it is no file that is read");
    let hint = "commit the files themselves, under names in UTF-8";
    Some(Problem::new(Place::file(place), rule, message).with_hint(hint))
}

fn too_large(path: &FilePath, bytes: u64, bytes_max: u64) -> Problem {
    let message = format!("`{path}` has {bytes} bytes and was skipped: files may have {bytes_max}");
    Problem::new(Place::file(path.clone()), "file-too-large", message)
        .with_hint("split the file, or keep it outside the configuration repository")
}
