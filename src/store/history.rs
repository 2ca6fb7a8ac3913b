//! Commits as people see them: one revision, or the newest that changed a
//! file. Reads only.

use super::HistoryQuery;
use super::commit::COMMITTER;
use super::error::StoreError;
use super::object::{Commit, Oid};
use super::open::Shared;
use super::repository::Reader;
use crate::model::{CommitId, CommitInfo, FilePath, Markup, RepoName, Revision};

/// The commit of a revision.
pub(crate) fn info(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
) -> Result<CommitInfo, StoreError> {
    let repo = shared.repository(repo)?;
    let id = repo.commit(revision)?;
    let commit = shared.reader(&repo).commit(id)?;
    Ok(describe(revision, id, commit))
}

/// The newest `limit` revisions up to `from`, newest first.
pub(crate) fn history(
    shared: &Shared,
    repo: &RepoName,
    from: Option<Revision>,
    path: Option<&FilePath>,
    limit: usize,
) -> Result<Vec<CommitInfo>, StoreError> {
    let repo = shared.repository(repo)?;
    let head = repo.head().revision;
    let from = from.unwrap_or(head);
    if from > head {
        return Err(StoreError::NoRevision { repo: repo.name.clone(), revision: from });
    }
    let mut reader = shared.reader(&repo);
    let mut seen = None;
    let mut infos = Vec::new();
    for revision in (1..=from.0).rev().map(Revision) {
        if infos.len() >= limit {
            break;
        }
        let id = repo.commit(revision)?;
        let commit = reader.commit(id)?;
        let changed = match path {
            Some(path) => touches(&mut reader, id, &commit, path, &mut seen)?,
            None => true,
        };
        if changed {
            infos.push(describe(revision, id, commit));
        }
    }
    Ok(infos)
}

/// What is at the path in a commit that was looked at last.
type Seen = Option<(CommitId, Option<Oid>)>;

/// Whether a commit changed what is at `path` against its first parent.
/// `seen` spares looking at each commit twice along a line.
fn touches(
    reader: &mut Reader<'_>,
    id: CommitId,
    commit: &Commit,
    path: &FilePath,
    seen: &mut Seen,
) -> Result<bool, StoreError> {
    let mut at = |tree: &Oid| -> Result<Option<Oid>, StoreError> {
        Ok(reader.entry(tree, path.as_str())?.map(|entry| entry.id))
    };
    let here = match seen.take() {
        Some((of, found)) if of == id => found,
        _ => at(&commit.tree)?,
    };
    let Some(parent) = commit.parents.first() else { return Ok(here.is_some()) };
    let tree = reader.commit(*parent)?.tree;
    let before = if tree == commit.tree {
        here
    } else {
        reader.entry(&tree, path.as_str())?.map(|entry| entry.id)
    };
    *seen = Some((*parent, before));
    Ok(here != before)
}

fn describe(revision: Revision, id: CommitId, commit: Commit) -> CommitInfo {
    let co_authors = co_authors(&commit);
    CommitInfo {
        markup: Markup::default(),
        origin: None,
        revision,
        commit: id,
        author_name: commit.author.name,
        author_email: commit.author.email,
        co_authors,
        time: commit.author.time,
        message: commit.message,
    }
}

/// Everybody else who made the commit: a committer who is a person, and the
/// `Co-authored-by` trailers.
fn co_authors(commit: &Commit) -> Vec<String> {
    let trailers = commit.message.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        let is_trailer = key.trim().eq_ignore_ascii_case("co-authored-by");
        let (_, rest) = value.split_once('<').filter(|_| is_trailer)?;
        Some(rest.split_once('>')?.0.trim().to_owned())
    });
    let committer = Some(commit.committer.email.clone()).filter(|email| email != COMMITTER.1);
    let mut emails: Vec<String> = Vec::new();
    for email in committer.into_iter().chain(trailers) {
        let known = |have: &String| have.eq_ignore_ascii_case(&email);
        if !email.is_empty()
            && !email.eq_ignore_ascii_case(&commit.author.email)
            && !emails.iter().any(known)
        {
            emails.push(email);
        }
    }
    emails
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::Signature;

    #[test]
    fn everybody_else_who_made_a_commit_is_named_once() {
        let who = |email: &str| Signature { email: email.into(), ..Signature::default() };
        let check = |committer: &str, message: &str, expect: &[&str]| {
            let commit = Commit {
                author: who("ada@x"),
                committer: who(committer),
                message: message.into(),
                ..Commit::default()
            };
            assert_eq!(co_authors(&commit), expect, "{message}");
        };
        check("ada@x", "one", &[]);
        check("convoy@localhost", "one", &[]);
        check("bob@x", "one", &["bob@x"]);
        check(
            "bob@x",
            "one\n\nCo-authored-by: Bob <BOB@x>\nco-authored-by: C <c@x>",
            &["bob@x", "c@x"],
        );
        check("ada@x", "Co-authored-by: Ada <Ada@X>\nSigned-off-by: D <d@x>", &[]);
    }
}

/// Revisions that changed what a pattern matches, newest first.
pub(crate) fn history_of(
    shared: &Shared,
    repo: &RepoName,
    query: &HistoryQuery,
) -> Result<Vec<CommitInfo>, StoreError> {
    let _ = (shared, repo, query);
    todo!()
}
