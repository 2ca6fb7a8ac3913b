//! Steering what is under way, keeping promotions away, emergencies: the last
//! part of the path is the verb, the body its arguments.

use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Acted, act};
use crate::model::{PromotionId, RepoName, Stage};
use crate::promote::{self, Blocker, GateKind};
use crate::reconcile::{Act, Command};
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Answer, InRepo, JsonBody, Path, repo_name};

/// What any verb may be told; each takes what it knows.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::web::api) struct ActIn {
    reason: String,
    note: String,
    to: Option<u32>,
    bundle: Option<String>,
    stage: Option<Stage>,
    until: Option<String>,
    steal: Option<String>,
    incident: String,
    skip: Vec<String>,
    typed: String,
    envoy: Option<String>,
    dry_run: bool,
}

/// What something waits for.
#[derive(Serialize)]
pub(in crate::web::api) struct Why {
    blockers: Vec<Blocker>,
    /// What the caller may do about the promotion now.
    options: Vec<&'static str>,
}

fn no_verb(verb: &str, known: &str) -> Fault {
    let message = format!("`{verb}` is nothing that can be done here");
    Fault::not_found(message, format!("the verbs are: {known}"))
}

/// A time, or how long from now: `2026-12-24T09:00:00+09:00`, `2h`, `3d`.
fn time(text: &str) -> Result<Timestamp, Fault> {
    let now = clock::now();
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ahead = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let at = ahead.and_then(|span| now.to_zoned(TimeZone::UTC).checked_add(span).ok());
    at.map(|at| at.timestamp()).ok_or_else(|| {
        let message = format!("`{}` is not a time", text.escape_debug());
        Fault::invalid(message, "write `2026-12-24T09:00:00+09:00`, or how long: `2h`, `3d`")
    })
}

impl ActIn {
    fn until(&self) -> Result<Option<Timestamp>, Fault> {
        self.until.as_deref().map(time).transpose()
    }

    fn bundle(&self) -> Result<String, Fault> {
        let hint = "add `bundle`: its id, a stage, a commit, r<N> or latest";
        self.bundle.clone().ok_or_else(|| Fault::invalid("a bundle is needed", hint))
    }

    fn skip(&self) -> Result<Vec<GateKind>, Fault> {
        let kind = |text: &String| {
            GateKind::from_word(text).ok_or_else(|| {
                let all = GateKind::ALL.iter().filter(|kind| kind.can_be_skipped());
                let words: Vec<_> = all.map(|kind| format!("{kind:?}").to_lowercase()).collect();
                let message = format!("`{}` is not a gate", text.escape_debug());
                Fault::invalid(message, format!("those that can be skipped: {}", words.join(", ")))
            })
        };
        self.skip.iter().map(kind).collect()
    }
}

pub(in crate::web::api) async fn on_promotion(
    State(site): State<Site>,
    Path((id, verb)): Path<(String, String)>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ActIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    let (reason, dry_run) = (body.reason.clone(), body.dry_run);
    let wanted = match verb.as_str() {
        "retract" => Act::Retract { id },
        "abort" => Act::Abort { id, reason },
        "pause" => Act::Pause { id, reason },
        "resume" => Act::Resume { id },
        "advance" => Act::Advance { id, to: body.to },
        "review" => Act::Review { id, note: body.note },
        other => {
            let known = "approve, reject, cancel, retract, abort, pause, resume, advance, review";
            return Err(no_verb(other, known));
        }
    };
    act(&site, &caller, &headers, Command::Act(wanted), dry_run).await
}

/// Who asks for what, about a stage or a bundle of a repository.
pub(in crate::web::api) struct Asked {
    repo: RepoName,
    about: String,
    verb: String,
    caller: Caller,
    headers: HeaderMap,
}

impl FromRequestParts<Site> for Asked {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Fault> {
        type Names = (String, String, String, String);
        let Path((project, repo, about, verb)) =
            Path::<Names>::from_request_parts(parts, site).await?;
        let repo = repo_name(&project, &repo)?;
        let caller = Caller::from_request_parts(parts, site).await?;
        Ok(Self { repo, about, verb, caller, headers: parts.headers.clone() })
    }
}

pub(in crate::web::api) async fn on_stage(
    State(site): State<Site>,
    asked: Asked,
    JsonBody(body): JsonBody<ActIn>,
) -> Acted {
    let Asked { repo, about, verb, caller, headers } = asked;
    let stage = Stage::new(&about)?;
    let (reason, until, dry_run) = (body.reason.clone(), body.until()?, body.dry_run);
    let wanted = match verb.as_str() {
        "pin" => Act::Pin { repo, stage, bundle: body.bundle, until, reason },
        "unpin" => Act::Unpin { repo, stage },
        "lock" => Act::Lock { repo, stage, until, reason },
        "unlock" => Act::Unlock { repo, stage, steal: body.steal },
        "freeze" => Act::Freeze { repo, stage: Some(stage), until, reason },
        "thaw" => Act::Thaw { repo, stage: Some(stage) },
        "breakglass" => Act::BreakGlass {
            repo,
            stage,
            bundle: body.bundle()?,
            skip: body.skip()?,
            incident: body.incident,
            reason,
            typed: body.typed,
        },
        other => {
            let known = "rollback, pin, unpin, lock, unlock, freeze, thaw, breakglass";
            return Err(no_verb(other, known));
        }
    };
    act(&site, &caller, &headers, Command::Act(wanted), dry_run).await
}

pub(in crate::web::api) async fn on_bundle(
    State(site): State<Site>,
    asked: Asked,
    JsonBody(body): JsonBody<ActIn>,
) -> Acted {
    let Asked { repo, about: bundle, verb, caller, headers } = asked;
    let (reason, stage, dry_run) = (body.reason, body.stage, body.dry_run);
    let wanted = match verb.as_str() {
        "veto" => Act::Veto { repo, bundle, stage, reason },
        "unveto" => Act::Unveto { repo, bundle, stage },
        "retest" => Act::Retest { repo, bundle, stage, version: body.envoy },
        other => return Err(no_verb(other, "veto, unveto, retest")),
    };
    act(&site, &caller, &headers, Command::Act(wanted), dry_run).await
}

pub(in crate::web::api) async fn freeze_all(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ActIn>,
) -> Acted {
    let until = body.until()?;
    let wanted = Act::Freeze { repo, stage: None, until, reason: body.reason };
    act(&site, &caller, &headers, Command::Act(wanted), body.dry_run).await
}

pub(in crate::web::api) async fn thaw_all(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ActIn>,
) -> Acted {
    let wanted = Act::Thaw { repo, stage: None };
    act(&site, &caller, &headers, Command::Act(wanted), body.dry_run).await
}

/// The promotion of a time: as `POST R/promotions` with `after`.
pub(super) fn scheduled(
    (repo, stage): (RepoName, Stage),
    (bundle, reason): (String, String),
    after: &str,
) -> Result<Command, Fault> {
    let after = time(after)?;
    Ok(Command::Act(Act::Schedule { repo, stage, bundle, reason, after }))
}

pub(in crate::web::api) async fn why_promotion(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<Why>, Fault> {
    let (id, view) = (PromotionId::new(&id)?, site.web.handle.view());
    let found = view.state.promotions.get(&id);
    let promotion = found.ok_or_else(|| crate::web::api::no_promotion(&id))?;
    let now = clock::now();
    let blockers = promote::why_promotion(&view.state, promotion, now);
    let options = match caller.actor(&headers) {
        Ok(actor) => promote::options(&view.state, &id, &actor, now),
        Err(_) => Vec::new(),
    };
    Ok(Answer(Why { blockers, options }))
}

pub(in crate::web::api) async fn why_stage(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
) -> Result<Answer<Why>, Fault> {
    let (repo, stage) = (repo_name(&project, &repo)?, Stage::new(&stage)?);
    let view = site.web.handle.view();
    let known = view.manifests.get(&repo).is_some_and(|manifest| manifest.stage(&stage).is_some());
    if !known && !view.state.slots.contains_key(&(repo.clone(), stage.clone())) {
        let message = format!("{repo} has no stage {stage}");
        return Err(Fault::not_found(message, "GET R/board lists the stages"));
    }
    let blockers = promote::why_stage(&view.state, &repo, &stage, clock::now());
    Ok(Answer(Why { blockers, options: Vec::new() }))
}
