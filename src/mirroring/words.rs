//! The messages of mirrored commits, and what a later run reads out of them.
//!
//! The trailers let a run after a restart see that nothing changed without
//! fetching, and keep two mirrors between the same places from undoing each
//! other's work. There is no state file in anybody's tree.

use crate::govern::MirrorDocument;
use crate::model::{Actor, CommitId, CommitInfo, ContentHash, Origin, RepoName, Revision, Via};

/// Who stands in mirrored commits.
pub(super) const AUTHOR: (&str, &str) = ("Convoy mirror", "mirror@convoy.invalid");

/// A list in a message is cut behind so many lines.
const LINES_MAX: usize = 20;

/// Whom the record names for what a mirror commits.
pub(super) fn origin(mirror: &MirrorDocument) -> Origin {
    Origin {
        actor: Actor { person: None, via: Via::Git },
        name: format!("mirror {}/{}", mirror.local.project(), mirror.id),
        request: None,
    }
}

/// The message of a commit that came from a remote.
pub(super) fn inward(
    mirror: &MirrorDocument,
    commit: CommitId,
    replaced: &[String],
    skipped: &[String],
) -> String {
    let short: String = commit.to_string().chars().take(10).collect();
    let mut text = format!("Mirror {} ({}) at {short}\n\n", mirror.url, mirror.branch);
    list(&mut text, "Replaced here:", replaced);
    list(&mut text, "Skipped:", skipped);
    text.push_str(&format!(
        "Mirror-Id: {}/{}\nMirror-Url: {}\nMirror-Branch: {}\nMirror-Folder: /{}\n\
         Mirror-Rules: {}\nMirror-Commit: {commit}\n",
        mirror.local.project(),
        mirror.id,
        mirror.url,
        mirror.branch,
        mirror.remote_folder,
        digest(mirror),
    ));
    text
}

/// The message of a commit that goes to a remote.
pub(super) fn outward(mirror: &MirrorDocument, revision: Revision, commit: CommitId) -> String {
    let (local, folder) = (&mirror.local, &mirror.local_folder);
    format!(
        "Mirror {local} at revision {revision}\n\nConvoy-Repository: {local}\n\
         Convoy-Folder: /{folder}\nConvoy-Revision: {revision}\nConvoy-Commit: {commit}\n"
    )
}

/// The remote's commit that a commit of ours brought, where it is one of this
/// mirror's, by the rules that it has now. The origin can't be forged by
/// whoever may commit here, nor by whoever wrote a commit that was taken over;
/// the words alone could.
pub(super) fn brought(info: &CommitInfo, mirror: &MirrorDocument) -> Option<CommitId> {
    if info.origin.as_ref() != Some(&origin(mirror)) {
        return None;
    }
    if trailer(&info.message, "Mirror-Rules")? != digest(mirror) {
        return None;
    }
    trailer(&info.message, "Mirror-Commit")?.parse().ok()
}

/// Whether a mirror's commit of ours brought this commit of the remote.
pub(super) fn names(info: &CommitInfo, commit: CommitId) -> bool {
    is_mirrors(info) && trailer(&info.message, "Mirror-Commit") == Some(commit.to_string().as_str())
}

/// Whether a mirror made a commit of ours.
pub(super) fn is_mirrors(info: &CommitInfo) -> bool {
    info.origin.as_ref().is_some_and(|origin| origin.actor == Actor { person: None, via: Via::Git })
}

/// Our revision that a remote's commit holds, where a mirror made it.
pub(super) fn pushed(message: &str, repo: &RepoName, folder: &str) -> Option<Revision> {
    if trailer(message, "Convoy-Repository")? != repo.as_str()
        || trailer(message, "Convoy-Folder")? != format!("/{folder}")
    {
        return None;
    }
    trailer(message, "Convoy-Revision")?.parse().ok().map(Revision)
}

/// What a mirror's copies depend on beside the remote.
fn digest(mirror: &MirrorDocument) -> String {
    let parts =
        [&mirror.url, &mirror.branch, &mirror.remote_folder, &mirror.local_folder, &mirror.ignore];
    ContentHash::of_parts(parts.map(|part| part.as_bytes())).short()
}

fn list(text: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(head);
    text.push('\n');
    for line in lines.iter().take(LINES_MAX) {
        text.push_str(&format!("- {line}\n"));
    }
    if lines.len() > LINES_MAX {
        text.push_str(&format!("- and {} more\n", lines.len() - LINES_MAX));
    }
    text.push('\n');
}

/// The value of a trailer: of the last paragraph, where nobody else writes.
fn trailer<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let last = message.trim_end().rsplit("\n\n").next()?;
    last.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::govern::{MirrorDirection, Stamp};
    use crate::model::Markup;

    fn mirror() -> MirrorDocument {
        MirrorDocument {
            id: "up".into(),
            local: RepoName::new("mesh/config").unwrap(),
            local_folder: "a".into(),
            direction: MirrorDirection::RemoteToLocal,
            url: "https://git.example.com/conf.git".into(),
            branch: "main".into(),
            remote_folder: "b".into(),
            ignore: String::new(),
            credential: None,
            every_s: Some(60),
            schedule: None,
            enabled: true,
            created: Stamp { by: "ann".into(), at: jiff::Timestamp::UNIX_EPOCH },
        }
    }

    fn info(message: String, origin: Option<Origin>) -> CommitInfo {
        CommitInfo {
            revision: Revision(7),
            commit: CommitId([1; 20]),
            author_name: AUTHOR.0.into(),
            author_email: AUTHOR.1.into(),
            co_authors: Vec::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
            message,
            markup: Markup::default(),
            origin,
        }
    }

    #[test]
    fn what_was_brought_is_read_back_while_the_rules_are_the_same() {
        let (mirror, commit) = (mirror(), CommitId([9; 20]));
        let replaced: Vec<_> = (0..25).map(|n| format!("file {n}")).collect();
        let message = inward(&mirror, commit, &replaced, &["x (symbolic link)".into()]);
        assert!(message.contains("- and 5 more\n"), "{message}");
        let made = info(message.clone(), Some(origin(&mirror)));
        assert_eq!(brought(&made, &mirror), Some(commit));
        let other = MirrorDocument { ignore: "*.tmp".into(), ..mirror.clone() };
        assert_eq!(brought(&made, &other), None);
        for origin in [None, Some(Origin::system())] {
            assert_eq!(brought(&info(message.clone(), origin), &mirror), None);
        }
    }

    #[test]
    fn only_the_last_paragraph_is_believed() {
        let mirror = mirror();
        let message = outward(&mirror, Revision(12), CommitId([3; 20]));
        assert_eq!(pushed(&message, &mirror.local, "a"), Some(Revision(12)));
        assert_eq!(pushed(&message, &mirror.local, ""), None);
        let quoted = format!("{message}\nReverts that.\n");
        assert_eq!(pushed(&quoted, &mirror.local, "a"), None);
    }
}
