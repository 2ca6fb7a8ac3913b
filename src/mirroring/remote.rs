//! A mirror's remote: its URL checked against what is allowed, and who we are
//! there.

use super::error::RunError;
use super::run::Env;
use crate::govern::{CredentialDocument, CredentialKind, MirrorDirection, MirrorDocument};
use crate::mirror::{self, App, Credentials, KeyFolder, Upstream};
use crate::model::{FilePath, Secret};

/// The user name that goes with a token. Git servers look at the token only.
const TOKEN_USER: &str = "x-access-token";

/// The way to a remote, for one run.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) upstream: Upstream,
    /// Whose token it is, so that one that is refused can be forgotten.
    pub(super) app: Option<App>,
    /// The key's files, which go with this.
    _key: Option<KeyFolder>,
}

/// Checks all that can be checked without asking anybody.
pub(super) fn check(
    env: &Env,
    mirror: &MirrorDocument,
    credential: Option<&CredentialDocument>,
) -> Result<(), RunError> {
    if mirror.local.is_internal() {
        let text = format!("`{}` is Convoy's own and is not mirrored", mirror.local);
        return Err(RunError::refused(text));
    }
    for (what, folder) in [("local", &mirror.local_folder), ("remote", &mirror.remote_folder)] {
        // A slash at the front would be dropped in one place and not in another.
        let plain =
            folder.is_empty() || FilePath::new(folder).is_ok_and(|path| path.as_str() == folder);
        if !plain {
            let folder = folder.escape_debug();
            let text = format!("`{folder}` can't be the {what} folder; write it as a/b");
            return Err(RunError::refused(text));
        }
    }
    let inward = mirror.direction == MirrorDirection::RemoteToLocal;
    if inward && env.settings.followed.contains(&mirror.local) {
        let text = format!(
            "`{}` follows an upstream of the configuration; mirror into another repository",
            mirror.local
        );
        return Err(RunError::refused(text));
    }
    let upstream = plain(env, mirror, credential)?;
    env.settings.remotes.allow.check(&upstream)?;
    if let Some(credential) = credential {
        check_scheme(&upstream.url, &credential.kind)?;
    }
    Ok(())
}

fn check_scheme(url: &str, kind: &CredentialKind) -> Result<(), RunError> {
    let (needed, what) = match kind {
        CredentialKind::None => return Ok(()),
        CredentialKind::SshKey { .. } => ("ssh://", "an SSH key"),
        CredentialKind::AccessToken => ("https://", "a token"),
        CredentialKind::Password { .. } => ("https://", "a password"),
        CredentialKind::GithubApp { .. } => ("https://", "a GitHub App"),
    };
    if url.starts_with(needed) {
        return Ok(());
    }
    Err(RunError::refused(format!("{what} is for {needed} URLs only, and this is `{url}`")))
}

/// The upstream without secrets.
fn plain(
    env: &Env,
    mirror: &MirrorDocument,
    credential: Option<&CredentialDocument>,
) -> Result<Upstream, RunError> {
    let url = match credential.map(|credential| &credential.kind) {
        Some(CredentialKind::SshKey { user, .. }) => with_user(&mirror.url, user)?,
        _ => mirror.url.clone(),
    };
    Ok(Upstream {
        ca_file: env.settings.remotes.ca_file.clone(),
        limits: env.settings.remotes.limits.clone(),
        ..Upstream::new(url, mirror.branch.clone())
    })
}

/// The URL with the key's user, where it names none.
fn with_user(url: &str, user: &str) -> Result<String, RunError> {
    let Some(rest) = url.strip_prefix("ssh://") else { return Ok(url.to_owned()) };
    let authority = rest.split('/').next().unwrap_or("");
    match authority.split_once('@') {
        Some((named, _)) if !user.is_empty() && named != user => Err(RunError::refused(format!(
            "the URL names the user `{named}` and the SSH key `{user}`; name one"
        ))),
        Some(_) => Ok(url.to_owned()),
        None if user.is_empty() => Ok(url.to_owned()),
        None => Ok(format!("ssh://{user}@{rest}")),
    }
}

impl Remote {
    /// Gets everything ready for a run. Secrets are read now, so that a new
    /// one counts from the next run on.
    pub(super) async fn prepare(env: &Env, mirror: &MirrorDocument) -> Result<Self, RunError> {
        let credential = credential(env, mirror)?;
        check(env, mirror, credential.as_ref())?;
        let upstream = plain(env, mirror, credential.as_ref())?;
        let upstream = env.settings.remotes.allow.admit(upstream).await?;
        let mut remote = Self { upstream, app: None, _key: None };
        if let Some(credential) = credential {
            remote.introduce(env, &credential).await?;
        }
        Ok(remote)
    }

    async fn introduce(
        &mut self,
        env: &Env,
        credential: &CredentialDocument,
    ) -> Result<(), RunError> {
        let secret = || env.govern.secret(&credential.project, &credential.id);
        match &credential.kind {
            CredentialKind::None => {}
            CredentialKind::AccessToken => self.log_in(TOKEN_USER, secret()?),
            CredentialKind::Password { user } => self.log_in(user, secret()?),
            CredentialKind::SshKey { known_hosts, .. } => {
                if known_hosts.trim().is_empty() {
                    let text = format!(
                        "the credential `{}` pins no host key; add lines of known_hosts to it",
                        credential.id
                    );
                    return Err(RunError::refused(text));
                }
                let folder = mirror::ssh_key(&env.keys(), &secret()?, known_hosts)?;
                self.upstream.ssh = Some(folder.key.clone());
                self._key = Some(folder);
            }
            CredentialKind::GithubApp { app_id, installation_id, api_url } => {
                let app = App {
                    id: app_id.clone(),
                    installation: installation_id.clone(),
                    api_url: api_url.clone(),
                    key: secret()?,
                    scope: None,
                };
                let remotes = &env.settings.remotes;
                let token = env.tokens.token(&app, &remotes.allow, remotes.ca_file.as_deref());
                let token = token.await?;
                self.log_in(TOKEN_USER, token);
                self.app = Some(app);
            }
        }
        Ok(())
    }

    fn log_in(&mut self, user: &str, secret: Secret) {
        self.upstream.credentials = Some(Credentials { user: user.to_owned(), secret });
    }
}

fn credential(env: &Env, mirror: &MirrorDocument) -> Result<Option<CredentialDocument>, RunError> {
    let Some(id) = &mirror.credential else { return Ok(None) };
    let project = mirror.local.project();
    let registry = env.govern.registry();
    let found = registry.credentials.get(&(project.to_owned(), id.clone()));
    let missing = || {
        RunError::refused(format!(
            "project `{project}` has no credential `{id}`; make it, or name another"
        ))
    };
    found.cloned().map(Some).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_brings_its_user_along() {
        for (url, user, expected) in [
            ("ssh://host/a.git", "git", Some("ssh://git@host/a.git")),
            ("ssh://git@host:22/a.git", "git", Some("ssh://git@host:22/a.git")),
            ("ssh://git@host/a.git", "", Some("ssh://git@host/a.git")),
            ("ssh://ann@host/a.git", "git", None),
        ] {
            assert_eq!(with_user(url, user).ok().as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_credential_fits_its_url() {
        let token = CredentialKind::AccessToken;
        let key = CredentialKind::SshKey { user: "git".into(), known_hosts: "h".into() };
        for (url, kind, fits) in [
            ("https://host/a", &token, true),
            ("http://127.0.0.1/a", &token, false),
            ("ssh://host/a", &token, false),
            ("ssh://host/a", &key, true),
            ("https://host/a", &key, false),
        ] {
            assert_eq!(check_scheme(url, kind).is_ok(), fits, "{url} {kind:?}");
        }
    }
}
