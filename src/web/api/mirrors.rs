//! Mirrors that are documents, and the credentials they use.
//!
//! | method and path, below `/api/v1` | needs | answer |
//! | --- | --- | --- |
//! | `GET /mirrors` | login | `mirrors: [{project, mirror, state}]` of what the caller sees |
//! | `GET /mirrors/{project}` | the project | the same of one project |
//! | `GET /mirrors/{project}/{id}` | the project | one of them |
//! | `PUT /mirrors/{project}/{id}` `{repo, folder?, direction, url, branch, remote_folder?, ignore?, credential?, every_s?, enabled?}` | owner | it is made or replaced; `?new=true`: only made |
//! | `DELETE /mirrors/{project}/{id}` | owner | 204 |
//! | `POST /mirrors/{project}/{id}/run` | owner | `run`, when it is over |
//! | `GET /credentials/{project}` | owner | `credentials`, without secrets |
//! | `PUT /credentials/{project}/{id}` `{type, …, secret?}` | owner | as for mirrors; without `secret` the old one stays |
//! | `DELETE /credentials/{project}/{id}` | owner | 204; one that a mirror uses stays |

mod credentials;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::govern::{MirrorDirection, MirrorDocument, Stamp};
use crate::mirroring::{MirrorState, Run};
use crate::model::RepoName;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::access::{Access, Entry};
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Answer, By, JsonBody, Path, Query};

/// The routes.
pub(crate) fn routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get("/api/v1/mirrors", Access::Login, all),
        Entry::get("/api/v1/mirrors/{project}", Access::Project, of_project),
        Entry::get("/api/v1/mirrors/{project}/{id}", Access::Project, one),
        Entry::on(Method::PUT, "/api/v1/mirrors/{project}/{id}", Access::Owner, put),
        Entry::on(Method::DELETE, "/api/v1/mirrors/{project}/{id}", Access::Owner, remove),
        Entry::post("/api/v1/mirrors/{project}/{id}/run", Access::Owner, run),
    ];
    routes.extend(credentials::routes());
    routes
}

#[derive(Serialize)]
struct Mirrors {
    mirrors: Vec<MirrorCard>,
}

/// One mirror.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MirrorCard {
    pub(crate) project: String,
    pub(crate) mirror: MirrorDocument,
    /// `None`: it was written this moment.
    pub(crate) state: Option<MirrorState>,
}

/// What a caller sees, by project and id.
pub(crate) fn cards(site: &Site, caller: &Caller) -> Vec<MirrorCard> {
    let (registry, states) = (site.web.govern.registry(), site.web.mirroring.states());
    let who = caller.principal();
    let seen = registry.mirrors.iter().filter(|((project, _), mirror)| {
        registry.policy.sees(&who, project) && registry.repository(&mirror.local).is_some()
    });
    let card = |((project, id), mirror): (&(String, String), &MirrorDocument)| MirrorCard {
        project: project.clone(),
        mirror: mirror.clone(),
        state: states.iter().find(|s| s.project == *project && s.id == *id).cloned(),
    };
    seen.map(card).collect()
}

async fn all(State(site): State<Site>, caller: Caller) -> Answer<Mirrors> {
    Answer(Mirrors { mirrors: cards(&site, &caller) })
}

async fn of_project(
    State(site): State<Site>,
    Path(project): Path<String>,
    caller: Caller,
) -> Answer<Mirrors> {
    let mirrors = cards(&site, &caller).into_iter().filter(|card| card.project == project);
    Answer(Mirrors { mirrors: mirrors.collect() })
}

async fn one(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
    caller: Caller,
) -> Result<Answer<MirrorCard>, Fault> {
    let mut cards = cards(&site, &caller).into_iter();
    let found = cards.find(|card| card.project == project && card.mirror.id == id);
    found.map(Answer).ok_or_else(|| missing(&project, &id))
}

fn missing(project: &str, id: &str) -> Fault {
    let hint = format!("GET /api/v1/mirrors/{project} lists them");
    Fault::not_found(format!("there is no mirror `{id}` in `{project}`"), hint)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MirrorIn {
    /// The repository, without its project.
    repo: String,
    #[serde(default)]
    folder: String,
    direction: MirrorDirection,
    url: String,
    branch: String,
    #[serde(default)]
    remote_folder: String,
    #[serde(default)]
    ignore: String,
    credential: Option<String>,
    every_s: Option<u64>,
    schedule: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// Whether it must not be there yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutQuery {
    #[serde(default)]
    new: bool,
}

async fn put(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
    Query(query): Query<PutQuery>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<MirrorIn>,
) -> Result<Answer<MirrorCard>, Fault> {
    let by = caller.origin(&headers);
    let created = Stamp { by: by.name.clone(), at: clock::now() };
    let mirror = document(&project, &id, body, created)?;
    let registry = site.web.govern.registry();
    let credential = mirror.credential.as_ref();
    let credential =
        credential.and_then(|one| registry.credentials.get(&(project.clone(), one.clone())));
    site.web.mirroring.check(&mirror, credential).map_err(|why| Fault::invalid(why, ""))?;
    site.web.govern.put_mirror(&by, mirror, query.new).await?;
    one(State(site), Path((project, id)), caller).await
}

fn document(
    project: &str,
    id: &str,
    body: MirrorIn,
    created: Stamp,
) -> Result<MirrorDocument, Fault> {
    if body.every_s == Some(0) {
        return Err(Fault::invalid(
            "`every_s` is 0",
            "give the seconds between two looks, or leave it out for runs on demand only",
        ));
    }
    let folder = |text: &str| text.trim_matches('/').to_owned();
    Ok(MirrorDocument {
        id: id.to_owned(),
        local: RepoName::new(&format!("{project}/{}", body.repo))?,
        local_folder: folder(&body.folder),
        direction: body.direction,
        url: body.url,
        branch: body.branch,
        remote_folder: folder(&body.remote_folder),
        ignore: body.ignore,
        credential: body.credential,
        every_s: body.every_s,
        schedule: body.schedule,
        enabled: body.enabled,
        created,
    })
}

async fn remove(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
    By(by): By,
) -> Result<StatusCode, Fault> {
    site.web.govern.remove_mirror(&by, &project, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Ran {
    run: Run,
}

async fn run(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
) -> Result<Answer<Ran>, Fault> {
    let run = site.web.mirroring.run(&project, &id).await;
    run.map(|run| Answer(Ran { run })).ok_or_else(|| missing(&project, &id))
}
