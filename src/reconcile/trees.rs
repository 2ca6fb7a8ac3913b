//! The files that were read last, so that reading the next revision of a large
//! repository costs by what differs. A memo: nothing depends on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{CommitId, RepoName, Revision};
use crate::store::{Store, StoreError, TreeAt};

/// How many repositories' files are kept, and what they may have in bytes each.
const TREES_MAX: usize = 8;
const BYTES_MAX: usize = 32 << 20;

/// One revision of each of a few repositories, the newest first; cheap to
/// clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Trees(Arc<Mutex<VecDeque<Tree>>>);

#[derive(Debug, Clone)]
struct Tree {
    repo: RepoName,
    /// Its revision and commit: a repository that was purged and made anew
    /// counts from one again.
    at: (Revision, CommitId),
    tree: Arc<TreeAt>,
}

impl Trees {
    /// All files of a revision.
    pub(super) fn read(
        &self,
        store: &Store,
        repo: &RepoName,
        revision: Revision,
    ) -> Result<Arc<TreeAt>, StoreError> {
        let commit = store.info(repo, revision)?.commit;
        let known = self.trees().iter().find(|one| one.repo == *repo).cloned();
        let is_there =
            |(revision, commit)| store.info(repo, revision).is_ok_and(|info| info.commit == commit);
        let tree = match known.filter(|known| is_there(known.at)) {
            Some(known) => store.tree_on(repo, revision, (known.at.0, &known.tree))?,
            None => store.tree(repo, revision)?,
        };
        let tree = Tree { repo: repo.clone(), at: (revision, commit), tree: Arc::new(tree) };
        self.keep(tree.clone());
        Ok(tree.tree)
    }

    fn keep(&self, tree: Tree) {
        let bytes: usize = tree.tree.source.files.values().map(bytes::Bytes::len).sum();
        let mut trees = self.trees();
        trees.retain(|one| one.repo != tree.repo);
        if bytes <= BYTES_MAX {
            trees.push_front(tree);
            trees.truncate(TREES_MAX);
        }
    }

    fn trees(&self) -> MutexGuard<'_, VecDeque<Tree>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
