//! What people mean: by a bundle its id, a stage, a commit or a revision; by a
//! command an event.

use super::handle::Command;
use crate::model::{Actor, BundleId, RepoName, Stage};
use crate::promote::{BundleRecord, Event, Refusal, RefusalKind, State};

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

/// The event that a command means in `state`.
///
/// # Errors
/// It names a bundle that is not known, or could be several.
pub(super) fn event_of(state: &State, by: Actor, command: Command) -> Result<Event, Refusal> {
    Ok(match command {
        Command::Promote { repo, stage, bundle, reason } => {
            let bundle = find_bundle(state, &repo, &bundle)?;
            Event::Request { repo, stage, bundle, by, reason, after: None }
        }
        Command::Approve { id, plan, note } => Event::Approve { id, by, plan, note },
        Command::Reject { id, reason } => Event::Reject { id, by, reason },
        Command::Cancel { id, reason } => Event::Cancel { id, by, reason },
        Command::Rollback { repo, stage, to, reason } => {
            let find = |text: String| find_bundle(state, &repo, &text);
            let to = to.map(find).transpose()?;
            Event::Rollback { repo, stage, to, by, reason }
        }
        Command::Act(act) => act.event(state, by)?,
        Command::Adopt { repo } => {
            let message = format!("adopting the upstream of {repo} is no decision about a stage");
            let hint = "it can't be tried out; `status` shows how the mirror stands";
            return Err(Refusal::new(RefusalKind::Invalid, message, hint));
        }
    })
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
