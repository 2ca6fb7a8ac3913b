//! What people mean by a bundle: its id, a stage, a commit, a revision.

use crate::model::{BundleId, RepoName, Stage};
use crate::promote::{BundleRecord, Refusal, RefusalKind, State};

/// The shortest beginning of an id or commit that is looked up.
const PREFIX_MIN: usize = 4;

/// Finds the bundle of `repo` that `text` means: `latest`, a bundle id or its
/// unique beginning, a stage (whose current bundle is meant), `r<N>`, or the
/// beginning of a commit.
///
/// # Errors
/// Nothing or more than one thing is meant.
pub fn find_bundle(state: &State, repo: &RepoName, text: &str) -> Result<BundleId, Refusal> {
    let text = text.trim();
    if text == "latest" {
        return state.newest_eligible(repo).map(|b| b.id.clone()).ok_or_else(|| missing(text));
    }
    if let Ok(stage) = Stage::new(text) {
        if let Some(current) = state.slot(repo, &stage).current {
            return Ok(current);
        }
        if state.newest(repo).is_some_and(|bundle| bundle.manifest.stage(&stage).is_some()) {
            let message = format!("{stage} serves nothing so far");
            return Err(Refusal::new(RefusalKind::NotFound, message, "name a bundle"));
        }
    }
    let mut found = state.bundles.values().filter(|b| &b.repo == repo && is_meant(b, text));
    match (found.next(), found.next()) {
        (Some(bundle), None) => Ok(bundle.id.clone()),
        (None, _) => Err(missing(text)),
        (Some(one), Some(two)) => {
            let message = format!("`{text}` could be {} or {}", one.id, two.id);
            Err(Refusal::new(RefusalKind::Invalid, message, "write more of it"))
        }
    }
}

fn is_meant(bundle: &BundleRecord, text: &str) -> bool {
    if text.strip_prefix('r').is_some_and(|n| n == bundle.commit.revision.to_string()) {
        return true;
    }
    let id = bundle.id.as_str();
    let of_id = text.starts_with("b-") && text.len() >= PREFIX_MIN && id.starts_with(text);
    let of_commit = text.len() >= PREFIX_MIN && bundle.commit.commit.to_string().starts_with(text);
    of_id || of_commit
}

fn missing(text: &str) -> Refusal {
    let message = format!("`{text}` is no bundle that is known");
    let hint = "name a bundle (b-…), a stage, a commit, r<N> or latest; `status` lists them";
    Refusal::new(RefusalKind::NotFound, message, hint)
}
