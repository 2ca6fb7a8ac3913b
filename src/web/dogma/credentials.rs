//! A project's credentials. Their secrets come in and never go out.

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::request::{self, Json};
use crate::govern::{CredentialDocument, CredentialKind, Stamp};
use crate::model::Secret;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// Shown in place of a secret, and understood as "as it was".
const MASK: &str = "****";
/// Central Dogma's credentials name no user for these; Git hosts take this one.
const SSH_USER: &str = "git";

type Named = Path<(String, String)>;

pub(super) async fn list(State(site): State<Site>, Path(project): Path<String>) -> Reply {
    let registry = site.web.govern.registry();
    let ours = registry.credentials.values().filter(|one| one.project == project);
    answer::list(&ours.map(told).collect::<Vec<_>>())
}

pub(super) async fn one(State(site): State<Site>, Path((project, id)): Named) -> Reply {
    answer::value(&told(&find(&site, &project, &id)?))
}

pub(super) async fn create(
    State(site): State<Site>,
    Path(project): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let id = id_of(&body)?;
    put(&site, &caller, &headers, &project, &id, &body, true).await?;
    let url = format!("/api/v1/projects/{project}/credentials/{id}");
    answer::created(told(&find(&site, &project, &id)?), Some(url))
}

pub(super) async fn update(
    State(site): State<Site>,
    Path((project, id)): Named,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    find(&site, &project, &id)?;
    put(&site, &caller, &headers, &project, &id, &body, false).await?;
    answer::value(&told(&find(&site, &project, &id)?))
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path((project, id)): Named,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    find(&site, &project, &id)?;
    let by = caller.origin(&headers);
    site.web.govern.remove_credential(&by, &project, &id).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

/// Repositories have none of their own.
pub(super) async fn of_repository() -> Reply {
    Err(fault::unsupported(
        "credentials belong to a project: use /api/v1/projects/PROJECT/credentials",
    ))
}

fn find(site: &Site, project: &str, id: &str) -> Result<CredentialDocument, Fault> {
    let registry = site.web.govern.registry();
    let found = registry.credentials.get(&(project.to_owned(), id.to_owned()));
    let missing = || fault::no_entry(format!("no credential `{id}` in the project `{project}`"));
    found.cloned().ok_or_else(missing)
}

/// The id of a credential: as it is, or the end of a whole name.
fn id_of(body: &Value) -> Result<String, Fault> {
    let id = match request::text(body, "id")? {
        Some(id) => id,
        None => request::required(body, "name")?.rsplit('/').next().unwrap_or(""),
    };
    names::check_name("credential", id)?;
    Ok(id.to_owned())
}

async fn put(
    site: &Site,
    caller: &Caller,
    headers: &HeaderMap,
    project: &str,
    id: &str,
    body: &Value,
    must_be_new: bool,
) -> Result<(), Fault> {
    let (kind, secret) = parse(body)?;
    if must_be_new && secret.is_none() && kind != CredentialKind::None {
        return Err(fault::illegal("the credential's secret is missing"));
    }
    let by = caller.origin(headers);
    let created = Stamp { by: by.name.clone(), at: clock::now() };
    let document =
        CredentialDocument { project: project.to_owned(), id: id.to_owned(), kind, created };
    let done = site.web.govern.put_credential(&by, document, secret, must_be_new).await;
    done.map_err(fault::govern)
}

/// What a credential is, and its secret where one was sent.
fn parse(body: &Value) -> Result<(CredentialKind, Option<Secret>), Fault> {
    let secret = |field: &str| {
        let sent = request::text(body, field)?.filter(|text| !text.is_empty() && *text != MASK);
        Ok::<_, Fault>(sent.map(Secret::new))
    };
    match request::required(body, "type")?.to_ascii_uppercase().as_str() {
        "NONE" => Ok((CredentialKind::None, None)),
        "ACCESS_TOKEN" => Ok((CredentialKind::AccessToken, secret("accessToken")?)),
        "PASSWORD" => {
            let user = request::required(body, "username")?.to_owned();
            Ok((CredentialKind::Password { user }, secret("password")?))
        }
        "SSH_KEY" | "PUBLIC_KEY" => {
            if request::text(body, "passphrase")?.is_some_and(|text| !text.is_empty()) {
                return Err(fault::unsupported("Convoy takes SSH keys without a passphrase"));
            }
            let user = request::text(body, "username")?.unwrap_or(SSH_USER).to_owned();
            let pinned = request::text(body, "knownHosts")?.filter(|text| !text.is_empty());
            let known_hosts = pinned.map(str::to_owned).ok_or_else(|| {
                fault::illegal(
                    "`knownHosts` is missing: Convoy pins a host's keys; send the lines that \
                     `ssh-keyscan HOST` prints, after you compared them",
                )
            })?;
            Ok((CredentialKind::SshKey { user, known_hosts }, secret("privateKey")?))
        }
        other => {
            let text = format!(
                "type: `{}`: write NONE, ACCESS_TOKEN, PASSWORD or SSH_KEY",
                other.escape_debug()
            );
            Err(fault::illegal(text))
        }
    }
}

fn told(credential: &CredentialDocument) -> Value {
    let CredentialDocument { project, id, kind, created } = credential;
    let mut told = json!({
        "id": id,
        "name": format!("projects/{project}/credentials/{id}"),
        "creation": answer::stamp(created),
    });
    let own = match kind {
        CredentialKind::None => json!({ "type": "NONE" }),
        CredentialKind::AccessToken => json!({ "type": "ACCESS_TOKEN", "accessToken": MASK }),
        CredentialKind::Password { user } => {
            json!({ "type": "PASSWORD", "username": user, "password": MASK })
        }
        CredentialKind::SshKey { user, known_hosts } => json!({
            "type": "SSH_KEY", "username": user, "privateKey": MASK, "knownHosts": known_hosts,
        }),
        CredentialKind::GithubApp { app_id, installation_id, api_url } => json!({
            "type": "GITHUB_APP",
            "appId": app_id, "installationId": installation_id, "apiUrl": api_url,
        }),
    };
    if let (Some(fields), Value::Object(own)) = (told.as_object_mut(), own) {
        fields.extend(own);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_in_and_not_out() {
        let body = json!({ "type": "access_token", "accessToken": "t0k3n" });
        let (kind, secret) = parse(&body).expect("a credential");
        assert_eq!(secret, Some(Secret::new("t0k3n")));
        let created = Stamp { by: "ann".into(), at: jiff::Timestamp::UNIX_EPOCH };
        let document = CredentialDocument { project: "p".into(), id: "c".into(), kind, created };
        assert!(!told(&document).to_string().contains("t0k3n"));
        let masked = json!({ "type": "ACCESS_TOKEN", "accessToken": MASK });
        assert_eq!(parse(&masked).expect("a credential").1, None);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (bad, word) in [
            (json!({}), "type"),
            (json!({ "type": "X" }), "type"),
            (json!({ "type": "PASSWORD" }), "username"),
            (json!({ "type": "SSH_KEY", "privateKey": "k" }), "knownHosts"),
            (json!({ "type": "SSH_KEY", "privateKey": "k", "passphrase": "p" }), "passphrase"),
        ] {
            let fault = parse(&bad).expect_err(word);
            assert!(fault.message.contains(word), "{}", fault.message);
        }
    }
}
