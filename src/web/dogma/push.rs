//! Push, preview and revert: commits by Central Dogma's clients.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::changes::{self, Message, Push};
use super::fault;
use super::names;
use super::request::{Json, Params};
use super::revision::{self, Asked};
use crate::access::{Reach, Right};
use crate::govern::RepositoryStatus;
use crate::model::{Change, Effect, RepoName, Revision};
use crate::store::{NewCommit, StoreError};
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// How often a push on the newest revision begins again because somebody was
/// faster while its outcome was looked at.
const TRIES_MAX: usize = 16;

type Whole = Path<(String, String)>;

pub(super) async fn push(
    State(site): State<Site>,
    Path((project, name)): Whole,
    RawQuery(query): RawQuery,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let params = Params::parse(query.as_deref());
    let Push { message, changes } = Push::parse(&body)?;
    let base = base(&site, &repo, &params)?;
    let new = new(&site, &caller, &headers, message, changes);
    commit(&site, &caller, &repo, base, new).await
}

pub(super) async fn revert(
    State(site): State<Site>,
    Path((project, name)): Whole,
    RawQuery(query): RawQuery,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let params = Params::parse(query.as_deref());
    let target = match body.get("targetRevision") {
        Some(Value::Number(number)) => Asked::parse(&number.to_string())?,
        Some(Value::String(text)) => Asked::parse(text)?,
        _ => return Err(fault::illegal("`targetRevision` is missing")),
    };
    let target = target.normalise(&repo, revision::head(&site, &repo)?)?;
    let default = Some(format!("Revert to revision {target}"));
    let message = Message::parse(body.get("commitMessage"), default)?;
    let changes = vec![Change::Restore(target)];
    let base = base(&site, &repo, &params)?;
    let new = new(&site, &caller, &headers, message, changes);
    commit(&site, &caller, &repo, base, new).await
}

pub(super) async fn preview(
    State(site): State<Site>,
    Path((project, name)): Whole,
    RawQuery(query): RawQuery,
    caller: Caller,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let params = Params::parse(query.as_deref());
    let at = revision::find(&site, &repo, params.get("revision"))?;
    let changes = changes::changes(&body)?;
    let reach = caller.reach(&site, Right::Read, &repo);
    let covered = |effects: &[Effect]| effects.iter().all(|one| reach.covers(&one.path));
    let effects = super::blocking({
        let (site, repo) = (site.clone(), repo.clone());
        move || {
            let done = site.web.store.preview(&repo, at, &changes);
            done.map_err(|error| fault::push(error, &changes))
        }
    })
    .await?;
    if !covered(&effects) {
        caller.may(&site, Right::Read, &repo, None)?;
    }
    changes::check_effects(&effects)?;
    told(&effects)
}

/// Effects as a list of changes, leaving out what this API can't carry.
pub(super) fn told(effects: &[Effect]) -> Reply {
    let carried = effects.iter().filter(|effect| names::is_carried(&effect.path));
    let told: Vec<Value> = carried.filter_map(changes::told).collect();
    let left_out = effects.len() - told.len();
    Ok(answer::left_out(answer::list(&told)?, left_out))
}

/// Checks that the repository may be written at all.
fn writable(site: &Site, repo: &RepoName) -> Result<(), Fault> {
    if site.web.upstreams.contains_key(repo) {
        return Err(fault::invalid_push(format!(
            "`{repo}` follows an upstream: commit there, or propose a branch in the console"
        )));
    }
    let registry = site.web.govern.registry();
    match registry.repository(repo).map(|found| found.status) {
        Some(RepositoryStatus::ReadOnly) => {
            Err(fault::read_only(format!("`{repo}` is read-only; an administrator can change it")))
        }
        _ => Ok(()),
    }
}

/// The head that a push must find; `None`: whatever it is.
fn base(site: &Site, repo: &RepoName, params: &Params<'_>) -> Result<Option<Revision>, Fault> {
    let asked = params.get("revision").map_or(Ok(Asked::HEAD), Asked::parse)?;
    if asked == Asked::HEAD {
        return Ok(None);
    }
    asked.normalise(repo, revision::head(site, repo)?).map(Some)
}

fn new(
    site: &Site,
    caller: &Caller,
    headers: &HeaderMap,
    message: Message,
    changes: Vec<Change>,
) -> NewCommit {
    let now = clock::now();
    let time = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let author = super::author(site, caller);
    NewCommit {
        markup: message.markup,
        ..NewCommit::new(caller.origin(headers), author, time, message.text, changes)
    }
}

async fn commit(
    site: &Site,
    caller: &Caller,
    repo: &RepoName,
    base: Option<Revision>,
    new: NewCommit,
) -> Reply {
    writable(site, repo)?;
    let all = caller.reach(site, Right::Write, repo) == Reach::All;
    let (time, mut tries) = (new.time, 0);
    let head = loop {
        // What a change comes to is looked at first where that matters, and
        // then it is made on exactly the revision that was looked at.
        let expected = match !all || changes::needs_look(&new.changes) {
            true => Some(look(site, caller, repo, base, &new.changes).await?),
            false => base,
        };
        let attempt = NewCommit { expected, ..new.clone() };
        tries += 1;
        match site.web.store.commit(repo, attempt).await {
            Ok(head) => break head,
            Err(StoreError::Conflict { .. }) if base.is_none() && tries < TRIES_MAX => {}
            Err(error) => return Err(fault::push(error, &new.changes)),
        }
    };
    site.web.handle.nudge(repo);
    answer::value(&json!({ "revision": head.revision, "pushedAt": answer::instant(time) }))
}

/// Checks that what changes come to is what the files' names say, and that the
/// caller may write all of it; gives the revision that this holds for.
async fn look(
    site: &Site,
    caller: &Caller,
    repo: &RepoName,
    base: Option<Revision>,
    changes: &[Change],
) -> Result<Revision, Fault> {
    let head = revision::head(site, repo)?;
    let expected = base.unwrap_or(head);
    if expected != head {
        let (repo, actual) = (repo.clone(), head);
        return Err(fault::store(StoreError::Conflict { repo, expected, actual }));
    }
    let effects = super::blocking({
        let (site, repo, changes) = (site.clone(), repo.clone(), changes.to_vec());
        move || {
            let effects = site.web.store.preview(&repo, head, &changes);
            effects.map_err(|error| fault::push(error, &changes))
        }
    })
    .await?;
    for effect in &effects {
        caller.may(site, Right::Write, repo, Some(&effect.path))?;
    }
    changes::check_effects(&effects)?;
    Ok(head)
}
