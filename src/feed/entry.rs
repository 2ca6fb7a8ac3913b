//! Changed files with their content, within bounds: a follower of a large
//! commit is told of every file, and reads the large ones by themselves.

use bytes::Bytes;

use crate::model::{BlobId, Changed, FilePath, RepoName};
use crate::store::Store;

/// A file above this many bytes comes without content.
const CONTENT_BYTES_MAX: usize = 256 << 10;
/// The contents of one event together; what comes behind is left out.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// A file that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub path: FilePath,
    /// Git's name of its content before; `None`: it was not there.
    pub before: Option<BlobId>,
    /// Git's name of its content after; `None`: it is not there any more.
    pub after: Option<BlobId>,
    /// Its size, where it was looked at.
    pub size: Option<u64>,
    /// Its content after, unless it is large, gone or unreadable.
    pub content: Option<Bytes>,
}

/// The entries of what changed.
pub fn entries(store: &Store, repo: &RepoName, changed: Vec<Changed>) -> Vec<Entry> {
    let mut left = EVENT_BYTES_MAX;
    let entry = |Changed { path, before, after }| {
        let read = after.filter(|_| left > 0).and_then(|blob| store.blob(repo, &blob).ok());
        let size = read.as_ref().map(|content| content.len() as u64);
        let content = read.filter(|content| content.len() <= CONTENT_BYTES_MAX.min(left));
        // Looking costs also where nothing is sent.
        let looked = size.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
        left = left.saturating_sub(looked.max(1));
        Entry { path, before, after, size, content }
    };
    changed.into_iter().map(entry).collect()
}
