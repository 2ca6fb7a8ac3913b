//! Mirrors of a project, in Central Dogma's words.

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::request::{self, Json};
use super::schedule;
use crate::govern::{MirrorDirection, MirrorDocument, Stamp};
use crate::mirroring::Outcome;
use crate::model::{FilePath, RepoName};
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

type Whole = Path<(String, String)>;
type Named = Path<(String, String, String)>;

pub(super) async fn of_project(State(site): State<Site>, Path(project): Path<String>) -> Reply {
    let registry = site.web.govern.registry();
    let ours = registry.mirrors.values().filter(|mirror| mirror.local.project() == project);
    answer::list(&ours.map(told).collect::<Vec<_>>())
}

pub(super) async fn of_repository(State(site): State<Site>, Path((project, name)): Whole) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let registry = site.web.govern.registry();
    let ours = registry.mirrors.values().filter(|mirror| mirror.local == repo);
    answer::list(&ours.map(told).collect::<Vec<_>>())
}

pub(super) async fn one(State(site): State<Site>, Path((project, name, id)): Named) -> Reply {
    answer::value(&told(&find(&site, &names::repo(&site, &project, &name)?, &id)?))
}

pub(super) async fn create(
    State(site): State<Site>,
    Path((project, name)): Whole,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let by = caller.origin(&headers);
    let created = Stamp { by: by.name.clone(), at: clock::now() };
    let mirror = parse(&repo, request::required(&body, "id")?, &body, created)?;
    let id = mirror.id.clone();
    known_credential(&site, &mirror)?;
    site.web.govern.put_mirror(&by, mirror, true).await.map_err(fault::govern)?;
    let url = format!("/api/v1/projects/{project}/repos/{name}/mirrors/{id}");
    answer::created(told(&find(&site, &repo, &id)?), Some(url))
}

pub(super) async fn update(
    State(site): State<Site>,
    Path((project, name, id)): Named,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let old = find(&site, &repo, &id)?;
    if request::text(&body, "id")?.is_some_and(|sent| sent != id) {
        return Err(fault::illegal("a mirror's `id` can't be changed; make another"));
    }
    let mirror = parse(&repo, &id, &body, old.created)?;
    known_credential(&site, &mirror)?;
    let by = caller.origin(&headers);
    site.web.govern.put_mirror(&by, mirror, false).await.map_err(fault::govern)?;
    answer::value(&told(&find(&site, &repo, &id)?))
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path((project, name, id)): Named,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    find(&site, &names::repo(&site, &project, &name)?, &id)?;
    let by = caller.origin(&headers);
    site.web.govern.remove_mirror(&by, &project, &id).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

pub(super) async fn run(State(site): State<Site>, Path((project, name, id)): Named) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    find(&site, &repo, &id)?;
    let missing = || fault::no_entry(format!("no mirror `{id}` in the project `{project}`"));
    let run = site.web.mirroring.run(&project, &id).await.ok_or_else(missing)?;
    let (status, description) = match &run.outcome {
        Outcome::UpToDate => ("UP_TO_DATE", "nothing had changed".to_owned()),
        Outcome::Brought { revision, commit, files } => {
            ("SUCCESS", format!("revision {revision} is commit {commit}; {files} files changed"))
        }
        Outcome::Failed { error } => return Err(fault::mirror_failed(error)),
    };
    answer::value(&json!({
        "projectName": project,
        "repoName": name,
        "mirrorId": id,
        "mirrorStatus": status,
        "description": description,
        "triggeredTime": answer::instant(run.began),
        "completedTime": answer::instant(run.ended),
    }))
}

fn find(site: &Site, repo: &RepoName, id: &str) -> Result<MirrorDocument, Fault> {
    let registry = site.web.govern.registry();
    let found = registry.mirrors.get(&(repo.project().to_owned(), id.to_owned()));
    let found = found.filter(|mirror| mirror.local == *repo);
    found.cloned().ok_or_else(|| fault::no_entry(format!("no mirror `{id}` of `{repo}`")))
}

fn known_credential(site: &Site, mirror: &MirrorDocument) -> Result<(), Fault> {
    let Some(id) = &mirror.credential else { return Ok(()) };
    let project = mirror.local.project();
    let registry = site.web.govern.registry();
    match registry.credentials.contains_key(&(project.to_owned(), id.clone())) {
        true => Ok(()),
        false => Err(fault::illegal(format!("the project `{project}` has no credential `{id}`"))),
    }
}

fn parse(repo: &RepoName, id: &str, body: &Value, created: Stamp) -> Result<MirrorDocument, Fault> {
    names::check_name("mirror", id)?;
    let text = |field| Ok::<_, Fault>(request::text(body, field)?.unwrap_or("").to_owned());
    let local = text("localRepo")?;
    if !local.is_empty() && local != repo.repository() {
        return Err(fault::illegal("`localRepo` is not the repository of the address"));
    }
    let direction = match request::required(body, "direction")? {
        "REMOTE_TO_LOCAL" => MirrorDirection::RemoteToLocal,
        "LOCAL_TO_REMOTE" => MirrorDirection::LocalToRemote,
        other => {
            let other = other.escape_debug();
            let text = format!("direction: `{other}`: write REMOTE_TO_LOCAL or LOCAL_TO_REMOTE");
            return Err(fault::illegal(text));
        }
    };
    if !text("zone")?.is_empty() {
        return Err(fault::unsupported("Convoy has no zones; leave `zone` out"));
    }
    let schedule = Some(text("schedule")?).filter(|text| !text.is_empty());
    let credential = text("credentialName")?;
    let credential = credential.rsplit('/').next().filter(|id| !id.is_empty());
    Ok(MirrorDocument {
        id: id.to_owned(),
        local: repo.clone(),
        local_folder: folder("localPath", &text("localPath")?)?,
        direction,
        url: url(request::required(body, "remoteScheme")?, request::required(body, "remoteUrl")?)?,
        branch: Some(text("remoteBranch")?)
            .filter(|name| !name.is_empty())
            .unwrap_or("main".into()),
        remote_folder: folder("remotePath", &text("remotePath")?)?,
        ignore: text("gitignore")?,
        credential: credential.map(str::to_owned),
        every_s: schedule.as_deref().map(schedule::every).transpose()?,
        schedule,
        enabled: body.get("enabled").is_none_or(|value| *value != Value::Bool(false)),
        created,
    })
}

fn folder(field: &str, text: &str) -> Result<String, Fault> {
    match text.trim_matches('/') {
        "" => Ok(String::new()),
        folder => match FilePath::new(folder) {
            Ok(path) => Ok(path.to_string()),
            Err(error) => Err(fault::illegal(format!("{field}: {error}"))),
        },
    }
}

/// `git+https` and `host/path` as one URL.
fn url(scheme: &str, rest: &str) -> Result<String, Fault> {
    let plain = scheme.strip_prefix("git+").ok_or_else(|| {
        fault::illegal(format!(
            "remoteScheme: `{}`: write git+https, git+ssh, git+http or git+file",
            scheme.escape_debug()
        ))
    })?;
    Ok(format!("{plain}://{}", rest.trim_start_matches("//")))
}

fn told(mirror: &MirrorDocument) -> Value {
    let (project, repo) = (mirror.local.project(), mirror.local.repository());
    let (scheme, rest) = mirror.url.split_once("://").unwrap_or(("ssh", &mirror.url));
    let slashed = |folder: &str| match folder {
        "" => "/".to_owned(),
        folder => format!("/{folder}/"),
    };
    let mut told = json!({
        "id": mirror.id,
        "enabled": mirror.enabled,
        "projectName": project,
        "schedule": mirror.schedule,
        "direction": mirror.direction,
        "localRepo": repo,
        "localPath": slashed(&mirror.local_folder),
        "remoteScheme": format!("git+{scheme}"),
        "remoteUrl": rest,
        "remotePath": slashed(&mirror.remote_folder),
        "remoteBranch": mirror.branch,
        "gitignore": Some(&mirror.ignore).filter(|text| !text.is_empty()),
        "credentialName":
            mirror.credential.as_ref().map(|id| format!("projects/{project}/credentials/{id}")),
        "allow": true,
    });
    if let Some(fields) = told.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_reads_back_as_it_was_written() {
        let body = json!({
            "id": "m", "enabled": true, "projectName": "p", "schedule": "0 */5 * * * ?",
            "direction": "REMOTE_TO_LOCAL", "localRepo": "r", "localPath": "/a/",
            "remoteScheme": "git+https", "remoteUrl": "git.example.com/x.git", "remotePath": "/",
            "remoteBranch": "main", "gitignore": "*.log",
            "credentialName": "projects/p/credentials/c", "allow": true,
        });
        let repo = RepoName::new("p/r").expect("a name");
        let stamp = Stamp { by: "ann".into(), at: jiff::Timestamp::UNIX_EPOCH };
        let mirror = parse(&repo, "m", &body, stamp.clone()).expect("a mirror");
        assert_eq!(
            (mirror.every_s, mirror.url.as_str()),
            (Some(300), "https://git.example.com/x.git")
        );
        assert_eq!(told(&mirror), body);
        for (field, value) in [
            ("direction", json!("UP")),
            ("remoteScheme", json!("dogma")),
            ("localRepo", json!("other")),
            ("localPath", json!("/../x")),
            ("zone", json!("z")),
            ("schedule", json!("often")),
            ("remoteUrl", Value::Null),
        ] {
            let mut bad = body.clone();
            bad[field] = value;
            assert!(parse(&repo, "m", &bad, stamp.clone()).is_err(), "{field}");
        }
    }
}
