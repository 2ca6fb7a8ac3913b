//! Commit: several changes, atomic together.

use serde_json::Value;
use tonic::{Request, Status};

use super::{Service, messages, proto, status, who};
use crate::access::{Missing, Principal, Reach, Right};
use crate::model::{At, Change, FilePath, FileState, Markup, Precondition, RepoName, Revision};
use crate::store::{NewCommit, StoreError};
use crate::telemetry::clock;
use proto::change::Kind;
use proto::precondition::State;

/// One commit changes no more files than these.
const CHANGES_MAX: usize = 1000;
/// The longest commit message.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// How often a commit whose paths were checked at a head that moved is tried.
const TRIES_MAX: usize = 5;

pub(super) async fn commit(
    service: &Service,
    request: Request<proto::CommitRequest>,
) -> Result<proto::CommitResponse, Status> {
    let who = who::caller(&service.rpc, request.metadata())?;
    let asked = request.into_inner();
    let (repo, reach) = who::reach(&service.rpc, &who, Right::Write, &asked.repository)?;
    if service.rpc.mirrored.contains(&repo) {
        return Err(status::mirrored(&repo));
    }
    let expected = match asked.expected_revision {
        0 => None,
        given => Some(who::revision(&service.rpc, &repo, given)?),
    };
    let new = NewCommit {
        expected,
        require: requirements(service, &repo, asked.require)?,
        merge: asked.merge,
        markup: Markup::default(),
        ..NewCommit::new(
            who::origin(&who),
            author(service, &who),
            clock::now(),
            message(asked.message)?,
            changes(asked.changes)?,
        )
    };
    let head = match reach {
        Reach::All => service.rpc.store.commit(&repo, new).await.map_err(status::of_store)?,
        reach => commit_within(service, &who, &repo, &reach, new).await?,
    };
    service.rpc.handle.nudge(&repo);
    let commit = head.commit.map(|commit| commit.to_string()).unwrap_or_default();
    Ok(proto::CommitResponse { revision: messages::number(head.revision), commit })
}

/// Commits for somebody who may write some paths only: what each change comes
/// to is looked at, and it must still come to that when it is made.
async fn commit_within(
    service: &Service,
    who: &Principal,
    repo: &RepoName,
    reach: &Reach,
    new: NewCommit,
) -> Result<crate::store::Head, Status> {
    let store = &service.rpc.store;
    let refuse = |path: &FilePath| {
        let (who, place) = (who.name.clone(), format!("{repo}:/{path}"));
        status::denied(&Missing { who, right: Right::Write, place })
    };
    // Named paths first, so that a refusal tells nothing of what is there.
    if let Some(path) = new.changes.iter().flat_map(Change::paths).find(|path| !reach.covers(path))
    {
        return Err(refuse(path));
    }
    for _ in 0..TRIES_MAX {
        let head = store.head(repo).map_err(status::of_store)?.revision;
        let base = new.expected.unwrap_or(head);
        let effects = store.preview(repo, base, &new.changes).map_err(status::of_store)?;
        if let Some(effect) = effects.iter().find(|effect| !reach.covers(&effect.path)) {
            return Err(refuse(&effect.path));
        }
        let pinned = NewCommit { expected: Some(base), ..new.clone() };
        match store.commit(repo, pinned).await {
            Err(StoreError::Conflict { .. }) if new.expected.is_none() => {}
            done => return done.map_err(status::of_store),
        }
    }
    let head = store.head(repo).map_err(status::of_store)?.revision;
    let (expected, actual) = (head, head.next());
    Err(status::of_store(StoreError::Conflict { repo: repo.clone(), expected, actual }))
}

fn author(service: &Service, who: &Principal) -> (String, String) {
    let known = who.person.as_ref().and_then(|person| service.rpc.authors.get(person)).cloned();
    known.unwrap_or_else(|| (who.name.clone(), format!("{}@convoy.invalid", who.name)))
}

fn message(message: String) -> Result<String, Status> {
    if message.trim().is_empty() || message.len() > MESSAGE_BYTES_MAX {
        return Err(status::invalid("message", &"say in 1 to 8,192 bytes what changes and why"));
    }
    Ok(message)
}

fn changes(changes: Vec<proto::Change>) -> Result<Vec<Change>, Status> {
    if changes.is_empty() || changes.len() > CHANGES_MAX {
        let rule = format!("send 1 to {CHANGES_MAX} changes, not {}", changes.len());
        return Err(status::invalid("changes", &rule));
    }
    changes.into_iter().enumerate().map(|(index, one)| change(index, one)).collect()
}

fn change(index: usize, change: proto::Change) -> Result<Change, Status> {
    let field = |name: &str| format!("changes[{index}].{name}");
    let path = |name: &str, text: &str| messages::path(&field(name), text);
    let kind = change.kind.ok_or_else(|| {
        let rule = "say upsert, remove, rename, json_patch or text_patch";
        status::invalid(&format!("changes[{index}]"), &rule)
    })?;
    Ok(match kind {
        Kind::Upsert(one) => Change::Upsert(path("upsert.path", &one.path)?, one.content),
        Kind::Remove(text) => Change::Remove(path("remove", &text)?),
        Kind::Rename(one) => Change::Rename {
            from: path("rename.from", &one.from)?,
            to: path("rename.to", &one.to)?,
        },
        Kind::JsonPatch(one) => {
            let patch: Value = serde_json::from_str(&one.patch)
                .map_err(|error| status::invalid(&field("json_patch.patch"), &error))?;
            Change::PatchJson(path("json_patch.path", &one.path)?, patch)
        }
        Kind::TextPatch(one) => Change::PatchText(path("text_patch.path", &one.path)?, one.patch),
    })
}

fn requirements(
    service: &Service,
    repo: &RepoName,
    require: Vec<proto::Precondition>,
) -> Result<Vec<Precondition>, Status> {
    if require.len() > CHANGES_MAX {
        let rule = format!("send at most {CHANGES_MAX}, not {}", require.len());
        return Err(status::invalid("require", &rule));
    }
    let head = service.rpc.store.head(repo).map_err(status::of_store)?.revision;
    let one = |(index, one): (usize, proto::Precondition)| {
        let path: FilePath = messages::path(&format!("require[{index}].path"), &one.path)?;
        let field = format!("require[{index}]");
        let state = match one.state {
            Some(State::AsOf(given)) => FileState::AsOf(as_of(repo, given, head)?),
            Some(State::Blob(text)) => {
                let blob = text.parse().map_err(|error| status::invalid(&field, &error))?;
                FileState::Content(blob)
            }
            Some(State::Absent(true)) => FileState::Absent,
            _ => return Err(status::invalid(&field, &"say as_of, blob, or absent: true")),
        };
        Ok(Precondition { path, state })
    };
    require.into_iter().enumerate().map(one).collect()
}

fn as_of(repo: &RepoName, given: i64, head: Revision) -> Result<Revision, Status> {
    At(given).of(head).ok_or_else(|| status::before_the_first(repo, At(given), head))
}
