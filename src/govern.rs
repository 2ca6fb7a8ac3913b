//! Who there is and what they may do: projects and repositories, people,
//! teams, tokens, grants, quotas, mirrors and credentials, kept as documents
//! in `@convoy/state` and held in memory as one immutable [`Registry`].
//!
//! Every write is one commit with the document as it was read as its
//! precondition, so that two administrators can't overwrite each other; its
//! message says what was done, its origin by whom. Secrets are never part of a
//! document: tokens are there as hashes, passwords and keys lie in
//! `DATA/secrets/`, readable by the owner only.
//!
//! ```text
//! projects/<project>.json              members, repositories, grants, quotas
//! people/<person>.json  teams/<team>.json  tokens/<token>.json
//! credentials/<project>/<id>.json      what kind, for which host; not the secret
//! remotes/<project>/<id>.json          a mirror
//! ```
//!
//! It knows nothing of HTTP. Asked by `web`, `rpc` and `mirroring`.

mod documents;
mod error;
mod registry;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

pub use documents::{
    CredentialDocument, CredentialKind, MirrorDirection, MirrorDocument, PersonDocument,
    ProjectDocument, RepositoryDocument, RepositoryStatus, Stamp, TeamDocument, TokenDocument,
};
pub use error::GovernError;
pub use registry::Registry;

use crate::access::{Principal, ProjectRole, Right, Subject};
use crate::model::{ContentHash, Origin, Person, RepoName, Role, Secret};
use crate::store::{Quota, Store};

/// What the configuration says of who there is; documents add to it and can't
/// change it.
#[derive(Debug, Clone, Default)]
pub struct GovernSettings {
    /// Tokens of the configuration.
    pub tokens: Vec<ConfiguredToken>,
    /// Repositories of the configuration: they can't be removed.
    pub repositories: Vec<RepoName>,
    /// Where secrets of credentials are kept.
    pub secrets: PathBuf,
    /// Bounds of repositories that have none of their own.
    pub quota: Quota,
}

/// One token of the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredToken {
    /// What it is called.
    pub name: String,
    /// Whose it is; `None` for a service.
    pub person: Option<Person>,
    /// The SHA-256 of the secret.
    pub hash: ContentHash,
    /// What it may do everywhere.
    pub role: Role,
}

/// A token to issue.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called; unique.
    pub name: String,
    /// Whose it is; `None` for a service.
    pub person: Option<Person>,
    /// What it may do everywhere.
    pub role: Role,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// The secret, where the caller brings one (a Central Dogma client may);
    /// `None`: it is made here.
    pub secret: Option<Secret>,
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Govern {
    inner: Arc<registry::Inner>,
}

#[allow(clippy::missing_errors_doc, reason = "GovernError says it, for all of them")]
impl Govern {
    /// Reads the documents; repositories that have none get one.
    pub async fn start(store: Store, settings: GovernSettings) -> Result<Self, GovernError> {
        registry::start(store, settings).await.map(|inner| Self { inner: Arc::new(inner) })
    }

    /// Everything as of now.
    pub fn registry(&self) -> Arc<Registry> {
        self.inner.registry()
    }

    /// Follows the registry.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Registry>> {
        self.inner.watch()
    }

    /// Who a token's secret belongs to, if it is valid now. Takes the same
    /// time for every secret.
    pub fn principal(&self, secret: &str) -> Option<Principal> {
        let _ = secret;
        todo!()
    }

    /// A person's principal, for sessions and Slack.
    pub fn person(&self, person: &Person) -> Principal {
        let _ = person;
        todo!()
    }

    /// Makes a project; its maker owns it.
    pub async fn create_project(
        &self,
        by: &Origin,
        name: &str,
        owners: &[Subject],
        members: &[Subject],
    ) -> Result<ProjectDocument, GovernError> {
        let _ = (by, name, owners, members);
        todo!()
    }

    /// Hides a project and all its repositories; nothing is lost.
    pub async fn remove_project(&self, by: &Origin, name: &str) -> Result<(), GovernError> {
        let _ = (by, name);
        todo!()
    }

    /// Brings a removed project back.
    pub async fn restore_project(
        &self,
        by: &Origin,
        name: &str,
    ) -> Result<ProjectDocument, GovernError> {
        let _ = (by, name);
        todo!()
    }

    /// Removes a removed project for ever, with all histories.
    pub async fn purge_project(&self, by: &Origin, name: &str) -> Result<(), GovernError> {
        let _ = (by, name);
        todo!()
    }

    /// Makes a repository whose revision 1 is an empty commit.
    pub async fn create_repository(
        &self,
        by: &Origin,
        repo: &RepoName,
    ) -> Result<RepositoryDocument, GovernError> {
        let _ = (by, repo);
        todo!()
    }

    /// Hides a repository; nothing is lost.
    pub async fn remove_repository(&self, by: &Origin, repo: &RepoName) -> Result<(), GovernError> {
        let _ = (by, repo);
        todo!()
    }

    /// Brings a removed repository back.
    pub async fn restore_repository(
        &self,
        by: &Origin,
        repo: &RepoName,
    ) -> Result<RepositoryDocument, GovernError> {
        let _ = (by, repo);
        todo!()
    }

    /// Removes a removed repository for ever.
    pub async fn purge_repository(&self, by: &Origin, repo: &RepoName) -> Result<(), GovernError> {
        let _ = (by, repo);
        todo!()
    }

    /// Lets a repository be written, or not.
    pub async fn set_status(
        &self,
        by: &Origin,
        repo: &RepoName,
        status: RepositoryStatus,
    ) -> Result<RepositoryDocument, GovernError> {
        let _ = (by, repo, status);
        todo!()
    }

    /// Bounds a repository.
    pub async fn set_quota(
        &self,
        by: &Origin,
        repo: &RepoName,
        quota: Quota,
    ) -> Result<RepositoryDocument, GovernError> {
        let _ = (by, repo, quota);
        todo!()
    }

    /// Makes somebody an owner or member of a project, or with `None` neither.
    pub async fn set_member(
        &self,
        by: &Origin,
        project: &str,
        who: &Subject,
        role: Option<ProjectRole>,
    ) -> Result<ProjectDocument, GovernError> {
        let _ = (by, project, who, role);
        todo!()
    }

    /// What members and guests have on a repository.
    pub async fn set_project_rights(
        &self,
        by: &Origin,
        repo: &RepoName,
        member: Option<Right>,
        guest: Option<Right>,
    ) -> Result<RepositoryDocument, GovernError> {
        let _ = (by, repo, member, guest);
        todo!()
    }

    /// Grants a right to somebody on a repository or, with `paths`, on what
    /// the pattern matches; with `None` takes what they had there.
    pub async fn set_grant(
        &self,
        by: &Origin,
        repo: &RepoName,
        to: &Subject,
        right: Option<Right>,
        paths: Option<&str>,
    ) -> Result<RepositoryDocument, GovernError> {
        let _ = (by, repo, to, right, paths);
        todo!()
    }

    /// Issues a token. The secret is shown this once and kept as a hash.
    pub async fn issue_token(
        &self,
        by: &Origin,
        new: NewToken,
    ) -> Result<(TokenDocument, Secret), GovernError> {
        let _ = (by, new);
        todo!()
    }

    /// Ends a token at once, or with `active` lets it be used again.
    pub async fn set_token_active(
        &self,
        by: &Origin,
        name: &str,
        active: bool,
    ) -> Result<TokenDocument, GovernError> {
        let _ = (by, name, active);
        todo!()
    }

    /// Changes what a token may do everywhere.
    pub async fn set_token_role(
        &self,
        by: &Origin,
        name: &str,
        role: Role,
    ) -> Result<TokenDocument, GovernError> {
        let _ = (by, name, role);
        todo!()
    }

    /// Gives a token a new secret; the old one ends at once.
    pub async fn rotate_token(
        &self,
        by: &Origin,
        name: &str,
    ) -> Result<(TokenDocument, Secret), GovernError> {
        let _ = (by, name);
        todo!()
    }

    /// Removes a token for ever.
    pub async fn remove_token(&self, by: &Origin, name: &str) -> Result<(), GovernError> {
        let _ = (by, name);
        todo!()
    }

    /// Writes a person's document.
    pub async fn put_person(&self, by: &Origin, person: PersonDocument) -> Result<(), GovernError> {
        let _ = (by, person);
        todo!()
    }

    /// Removes a person: their sessions and tokens end at once.
    pub async fn remove_person(&self, by: &Origin, person: &Person) -> Result<(), GovernError> {
        let _ = (by, person);
        todo!()
    }

    /// Writes a team's document.
    pub async fn put_team(&self, by: &Origin, team: TeamDocument) -> Result<(), GovernError> {
        let _ = (by, team);
        todo!()
    }

    /// Removes a team.
    pub async fn remove_team(&self, by: &Origin, team: &str) -> Result<(), GovernError> {
        let _ = (by, team);
        todo!()
    }

    /// Writes a mirror; `mirroring` takes it up at once.
    pub async fn put_mirror(
        &self,
        by: &Origin,
        mirror: MirrorDocument,
        must_be_new: bool,
    ) -> Result<(), GovernError> {
        let _ = (by, mirror, must_be_new);
        todo!()
    }

    /// Removes a mirror.
    pub async fn remove_mirror(
        &self,
        by: &Origin,
        project: &str,
        id: &str,
    ) -> Result<(), GovernError> {
        let _ = (by, project, id);
        todo!()
    }

    /// Writes a credential; its secret goes to the folder of secrets. With
    /// `None` the secret stays what it was.
    pub async fn put_credential(
        &self,
        by: &Origin,
        credential: CredentialDocument,
        secret: Option<Secret>,
        must_be_new: bool,
    ) -> Result<(), GovernError> {
        let _ = (by, credential, secret, must_be_new);
        todo!()
    }

    /// Removes a credential and its secret.
    pub async fn remove_credential(
        &self,
        by: &Origin,
        project: &str,
        id: &str,
    ) -> Result<(), GovernError> {
        let _ = (by, project, id);
        todo!()
    }

    /// A credential's secret, for `mirroring`.
    pub fn secret(&self, project: &str, id: &str) -> Result<Secret, GovernError> {
        let _ = (project, id);
        todo!()
    }

    /// Where a credential's secret lies as a file, for what takes a file only
    /// (an SSH key).
    pub fn secret_file(&self, project: &str, id: &str) -> Result<PathBuf, GovernError> {
        let _ = (project, id);
        todo!()
    }
}
