//! Credentials of mirrors: written, listed and removed, never read back.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::PutQuery;
use crate::govern::{CredentialDocument, CredentialKind, Stamp};
use crate::model::Secret;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::access::{Access, Entry};
use crate::web::error::Fault;
use crate::web::extract::{Answer, By, JsonBody, Path, Query};

pub(super) fn routes() -> Vec<Entry> {
    let one = "/api/v1/credentials/{project}/{id}";
    vec![
        Entry::get("/api/v1/credentials/{project}", Access::Owner, list),
        Entry::on(Method::PUT, one, Access::Owner, put),
        Entry::on(Method::DELETE, one, Access::Owner, remove),
    ]
}

#[derive(Serialize)]
struct Credentials {
    credentials: Vec<CredentialDocument>,
}

async fn list(State(site): State<Site>, Path(project): Path<String>) -> Answer<Credentials> {
    let registry = site.web.govern.registry();
    let ours = registry.credentials.values().filter(|one| one.project == project);
    Answer(Credentials { credentials: ours.cloned().collect() })
}

/// One list of fields, so that an unknown one is refused whatever the type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialIn {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
    known_hosts: Option<String>,
    app_id: Option<String>,
    installation_id: Option<String>,
    api_url: Option<String>,
    /// The token, password or private key.
    secret: Option<String>,
}

impl CredentialIn {
    fn parse(&mut self) -> Result<CredentialKind, Fault> {
        let kind = self.kind.clone();
        let parsed = match kind.as_str() {
            "NONE" => CredentialKind::None,
            "ACCESS_TOKEN" => CredentialKind::AccessToken,
            "PASSWORD" => CredentialKind::Password { user: needed(&kind, "user", &mut self.user)? },
            "SSH_KEY" => CredentialKind::SshKey {
                user: self.user.take().unwrap_or_default(),
                known_hosts: needed(&kind, "known_hosts", &mut self.known_hosts)?,
            },
            "GITHUB_APP" => CredentialKind::GithubApp {
                app_id: needed(&kind, "app_id", &mut self.app_id)?,
                installation_id: needed(&kind, "installation_id", &mut self.installation_id)?,
                api_url: self.api_url.take().unwrap_or_else(|| "https://api.github.com".into()),
            },
            other => {
                let hint = "write NONE, ACCESS_TOKEN, PASSWORD, SSH_KEY or GITHUB_APP";
                return Err(Fault::invalid(format!("`{other}` is no type of credential"), hint));
            }
        };
        let left = [
            ("user", &self.user),
            ("known_hosts", &self.known_hosts),
            ("app_id", &self.app_id),
            ("installation_id", &self.installation_id),
            ("api_url", &self.api_url),
        ];
        match left.into_iter().find(|(_, field)| field.is_some()) {
            None => Ok(parsed),
            Some((name, _)) => {
                Err(Fault::invalid(format!("{kind} has no `{name}`"), "leave it out"))
            }
        }
    }
}

fn needed(kind: &str, name: &str, field: &mut Option<String>) -> Result<String, Fault> {
    let given = field.take().filter(|text| !text.trim().is_empty());
    given.ok_or_else(|| Fault::invalid(format!("{kind} needs `{name}`"), "add it"))
}

async fn put(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
    Query(query): Query<PutQuery>,
    By(by): By,
    JsonBody(mut body): JsonBody<CredentialIn>,
) -> Result<Answer<CredentialDocument>, Fault> {
    let (kind, secret) = (body.parse()?, body.secret.as_deref().map(Secret::new));
    let created = Stamp { by: by.name.clone(), at: clock::now() };
    let credential = CredentialDocument { project: project.clone(), id: id.clone(), kind, created };
    site.web.govern.put_credential(&by, credential.clone(), secret, query.new).await?;
    let registry = site.web.govern.registry();
    Ok(Answer(registry.credentials.get(&(project, id)).cloned().unwrap_or(credential)))
}

async fn remove(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
    By(by): By,
) -> Result<StatusCode, Fault> {
    site.web.govern.remove_credential(&by, &project, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<CredentialKind, String> {
        let body: Result<CredentialIn, _> = serde_json::from_str(json);
        let mut body = body.map_err(|error| error.to_string())?;
        body.parse().map_err(|fault| fault.message)
    }

    #[test]
    fn each_type_takes_its_fields_and_no_others() {
        assert_eq!(
            parse(r#"{"type":"ACCESS_TOKEN","secret":"x"}"#),
            Ok(CredentialKind::AccessToken)
        );
        let app = parse(r#"{"type":"GITHUB_APP","app_id":"1","installation_id":"2"}"#).unwrap();
        assert!(
            matches!(app, CredentialKind::GithubApp { api_url, .. } if api_url.contains("api."))
        );
        for (json, hint) in [
            (r#"{"type":"PASSWORD"}"#, "needs `user`"),
            (r#"{"type":"SSH_KEY","user":"git"}"#, "needs `known_hosts`"),
            (r#"{"type":"SSH_KEY","known_hosts":" "}"#, "needs `known_hosts`"),
            (r#"{"type":"ACCESS_TOKEN","user":"x"}"#, "has no `user`"),
            (r#"{"type":"TOKEN"}"#, "no type"),
            (r#"{"type":"NONE","passwd":"x"}"#, "unknown field"),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.contains(hint), "{json}: {error}");
        }
    }
}
