//! Commits as people see them: one revision, the newest, or those that
//! changed a file. Reads only.

use super::HistoryQuery;
use super::commit::COMMITTER;
use super::error::StoreError;
use super::object::{self, Commit};
use super::open::Shared;
use super::repository::{Reader, Repository};
use super::touched::Want;
use crate::content::Patterns;
use crate::model::{CommitId, CommitInfo, FilePath, Markup, RepoName, Revision};

/// The commit of a revision.
pub(crate) fn info(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
) -> Result<CommitInfo, StoreError> {
    info_in(shared, &*shared.repository(repo)?, revision)
}

/// As [`info`], of a repository that is at hand.
pub(crate) fn info_in(
    shared: &Shared,
    repo: &Repository,
    revision: Revision,
) -> Result<CommitInfo, StoreError> {
    read(&mut shared.reader(repo), revision)
}

/// The newest `limit` revisions up to `from`, newest first; with `path`, only
/// those that changed the file, or something in the folder, of that path.
pub(crate) fn history(
    shared: &Shared,
    repo: &RepoName,
    from: Option<Revision>,
    path: Option<&FilePath>,
    limit: usize,
) -> Result<Vec<CommitInfo>, StoreError> {
    let repo = shared.repository(repo)?;
    let newest = newest(&repo, from)?;
    select(shared, &repo, path.map(Want::Below), (Revision(1), newest), limit)
}

/// Revisions that changed what a pattern matches, newest first. Every path
/// there is takes every revision, also one that changed no file.
pub(crate) fn history_of(
    shared: &Shared,
    repo: &RepoName,
    query: &HistoryQuery,
) -> Result<Vec<CommitInfo>, StoreError> {
    let repo = shared.repository(repo)?;
    let newest = newest(&repo, query.newest)?;
    let oldest = query.oldest.unwrap_or(Revision(1)).max(Revision(1));
    let is_all = query.patterns == Patterns::all();
    let want = (!is_all).then_some(Want::Matching(&query.patterns));
    select(shared, &repo, want, (oldest, newest), query.limit)
}

fn newest(repo: &Repository, asked: Option<Revision>) -> Result<Revision, StoreError> {
    let head = repo.head().revision;
    match asked {
        Some(revision) if revision > head => {
            Err(StoreError::NoRevision { repo: repo.name.clone(), revision })
        }
        asked => Ok(asked.unwrap_or(head)),
    }
}

fn select(
    shared: &Shared,
    repo: &Repository,
    want: Option<Want<'_>>,
    (oldest, newest): (Revision, Revision),
    limit: usize,
) -> Result<Vec<CommitInfo>, StoreError> {
    let mut reader = shared.reader(repo);
    if let Some(want) = want {
        let range = (oldest.0, newest.0);
        let look = |whole: &super::touched::Whole| whole.revisions(want, range, limit);
        let revisions = repo.touched.with(shared, repo, newest, look)?;
        return revisions.into_iter().map(|revision| read(&mut reader, revision)).collect();
    }
    let revisions = (oldest.0..=newest.0).rev().take(limit).map(Revision);
    revisions.map(|revision| read(&mut reader, revision)).collect()
}

fn read(reader: &mut Reader<'_>, revision: Revision) -> Result<CommitInfo, StoreError> {
    let id = reader.repo.commit(revision)?;
    let commit = reader.commit(id)?;
    let info = describe(revision, id, commit);
    // Whoever writes a commit elsewhere can put any header into it.
    let is_ours = reader.repo.with_line(|line| line.is_ours(revision));
    Ok(CommitInfo { origin: info.origin.filter(|_| is_ours), ..info })
}

fn describe(revision: Revision, id: CommitId, commit: Commit) -> CommitInfo {
    let co_authors = co_authors(&commit);
    let header = |name: &str| {
        commit.extra.iter().find(|(found, _)| found == name).map(|(_, line)| line.as_str())
    };
    let markup = header(object::MARKUP).filter(|line| *line == "MARKDOWN");
    CommitInfo {
        markup: markup.map_or(Markup::Plaintext, |_| Markup::Markdown),
        origin: header(object::ORIGIN).and_then(|line| serde_json::from_str(line).ok()),
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
