//! What changes would come to, without writing anything: the commit's own
//! code on a revision that may be older than the head.

use bytes::Bytes;

use super::edit::{self, Editor, Touch};
use super::entries::Leaf;
use super::error::StoreError;
use super::object::Mode;
use super::open::Shared;
use crate::model::{Change, Effect, RepoName, Revision};

/// What the contents before and after may have in bytes together.
const EFFECT_BYTES_MAX: usize = 256 << 20;

/// The effects of `changes` on top of `base`, sorted by path.
pub(crate) fn preview(
    shared: &Shared,
    repo: &RepoName,
    base: Revision,
    changes: &[Change],
) -> Result<Vec<Effect>, StoreError> {
    let repo = shared.repository(repo)?;
    let root = match base {
        Revision(0) => None,
        base => Some(shared.reader(&repo).root(repo.commit(base)?)?),
    };
    let edits = edit::hash(shared, changes, false)?;
    let mut editor = Editor::new(shared, &repo, root)?;
    edits.into_iter().try_for_each(|edit| editor.apply(edit))?;
    let mut left = EFFECT_BYTES_MAX;
    let mut effects = Vec::new();
    for Touch { path, before, after } in editor.touched() {
        let before = content(&mut editor, before, &mut left)?;
        let after = content(&mut editor, after, &mut left)?;
        if before != after {
            effects.push(Effect { path, before, after });
        }
    }
    Ok(effects)
}

fn content(
    editor: &mut Editor<'_>,
    leaf: Option<Leaf>,
    left: &mut usize,
) -> Result<Option<Bytes>, StoreError> {
    // A submodule's commit is in another repository.
    let Some(leaf) = leaf.filter(|leaf| leaf.mode != Mode::Submodule) else { return Ok(None) };
    let content = editor.content(&leaf)?;
    *left = left.checked_sub(content.len()).ok_or_else(|| {
        StoreError::Limit(format!(
            "the changes touch more than {EFFECT_BYTES_MAX} bytes of files; preview fewer at once"
        ))
    })?;
    Ok(Some(content))
}
