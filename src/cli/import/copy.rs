//! One repository: what is here already is held against the source, and what
//! comes after it is committed, revision by revision.

use super::source::{Commit, Line, Project, Repository, Source};
use super::{by, stored};
use crate::cli::Failure;
use crate::cli::output::Output;
use crate::model::{RepoName, Revision};
use crate::store::{NewCommit, Store};

/// Revisions between two words about how far it is.
const PROGRESS: u64 = 1000;

/// What came of it.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) revisions: u64,
    pub(super) brought: u64,
    pub(super) left_out: Vec<String>,
}

pub(super) async fn copy(
    store: &Store,
    source: &Source,
    project: &Project,
    repo: &Repository,
    name: &RepoName,
    output: &Output,
) -> Result<Copied, Failure> {
    let line = source.line(project, repo).await?;
    store.create_by(name, &by()).await.map_err(stored)?;
    let here = store.head(name).map_err(stored)?.revision.0;
    compare(store, &line, name, here).await?;
    let mut copied = Copied { revisions: line.len(), brought: 0, left_out: Vec::new() };
    for revision in here + 1..=line.len() {
        let (changes, left_out) = line.changes(store, name, revision).await?;
        copied.left_out.extend(left_out);
        let Commit { author, time, message, markup } = line.commit(revision)?;
        let new = NewCommit {
            expected: Some(Revision(revision - 1)),
            // The first is empty everywhere.
            allow_empty: true,
            markup,
            ..NewCommit::new(by(), author, time, message, changes)
        };
        store.commit(name, new).await.map_err(stored)?;
        copied.brought += 1;
        if copied.brought.is_multiple_of(PROGRESS) {
            output.message(&format!("{name}: revision {revision} of {}", line.len()));
        }
    }
    if copied.brought > 0 {
        same_files(store, &line, name, line.len(), &copied.left_out).await?;
    }
    Ok(copied)
}

/// Holds what is here against the source.
async fn compare(
    store: &Store,
    line: &Line<'_>,
    name: &RepoName,
    here: u64,
) -> Result<(), Failure> {
    if here > line.len() {
        let text = format!("it has {here} revisions here and {} there", line.len());
        return Err(differs(&text));
    }
    for revision in 1..=here {
        let info = store.info(name, Revision(revision)).map_err(stored)?;
        let ours = Commit {
            author: (info.author_name, info.author_email),
            time: info.time,
            message: info.message,
            markup: info.markup,
        };
        let theirs = line.commit(revision)?;
        if !is_same(&ours, &theirs) {
            return Err(differs(&format!("revision {revision} is another commit here than there")));
        }
    }
    if here > 0 { same_files(store, line, name, here, &[]).await } else { Ok(()) }
}

/// Git drops white space around names, and the line's end of a message.
fn is_same(ours: &Commit, theirs: &Commit) -> bool {
    let name = |commit: &Commit| commit.author.0.trim().to_owned();
    let email = |commit: &Commit| commit.author.1.trim().to_owned();
    name(ours) == name(theirs)
        && email(ours) == email(theirs)
        && ours.time.as_second() == theirs.time.as_second()
        && ours.message.trim_end() == theirs.message.trim_end()
        && ours.markup == theirs.markup
}

async fn same_files(
    store: &Store,
    line: &Line<'_>,
    name: &RepoName,
    revision: u64,
    left_out: &[String],
) -> Result<(), Failure> {
    match line.differing(store, name, revision).await? {
        Some(path) if left_out.is_empty() => {
            Err(differs(&format!("`{path}` in revision {revision} is not the same here and there")))
        }
        _ => Ok(()),
    }
}

fn differs(why: &str) -> Failure {
    Failure::new(Failure::CONFLICT, format!("{why}; nothing of it was overwritten"))
        .with_hint("import into another data folder, or remove and purge the repository here")
}
