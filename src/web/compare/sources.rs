//! The files that differ between the revisions of two bundles.

use serde::Serialize;
use similar::TextDiff;

use super::cut;
use crate::content::Patterns;
use crate::model::{BlobId, Changed, FilePath, RepoName, Revision};
use crate::store::{Store, StoreError};

/// Files whose text is compared; the others are only named.
const FILES_SHOWN_MAX: usize = 100;
/// A larger file is only named.
const FILE_BYTES_MAX: usize = 256 << 10;

/// What differs in the source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sources {
    pub(crate) from: Revision,
    pub(crate) to: Revision,
    pub(crate) files: Vec<SourceFile>,
    /// How many more differ.
    pub(crate) more: usize,
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SourceFile {
    pub(crate) path: FilePath,
    /// A unified diff; `None` where it is no text, or too large.
    pub(crate) text: Option<String>,
}

/// Compares two revisions, whichever is newer.
pub(super) fn between(
    store: &Store,
    repo: &RepoName,
    from: Revision,
    to: Revision,
) -> Result<Sources, StoreError> {
    let changed = store.changed(repo, from, to, &Patterns::all())?;
    let more = changed.len().saturating_sub(FILES_SHOWN_MAX);
    let shown = changed.into_iter().take(FILES_SHOWN_MAX);
    let files = shown.map(|one| file(store, repo, one)).collect();
    Ok(Sources { from, to, files, more })
}

fn file(store: &Store, repo: &RepoName, changed: Changed) -> SourceFile {
    let (old, new) = (text(store, repo, changed.before), text(store, repo, changed.after));
    let text = old.zip(new).map(|(old, new)| {
        let difference =
            TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).to_string();
        cut(difference)
    });
    SourceFile { path: changed.path, text }
}

/// What is not there is empty; what can't be shown is `None`.
fn text(store: &Store, repo: &RepoName, blob: Option<BlobId>) -> Option<String> {
    let Some(blob) = blob else { return Some(String::new()) };
    let bytes = store.blob(repo, &blob).ok().filter(|bytes| bytes.len() <= FILE_BYTES_MAX)?;
    String::from_utf8(bytes.to_vec()).ok()
}
