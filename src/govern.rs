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
//! links/<workspace>/<user>.json         whose a Slack user is
//! channels/<channel>.json              what a Slack channel hears of
//! ```
//!
//! It knows nothing of HTTP. Asked by `web`, `rpc` and `mirroring`.

mod documents;
mod draft;
mod error;
mod followers;
mod names;
mod people;
mod projects;
mod registry;
mod remotes;
mod rights;
mod secret;
mod slack;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

pub use documents::{
    CredentialDocument, CredentialKind, MirrorDirection, MirrorDocument, PersonDocument,
    ProjectDocument, RepositoryDocument, RepositoryStatus, Stamp, TeamDocument, TokenDocument,
};
pub use error::GovernError;
pub use registry::Registry;
pub use secret::{NoRandom, PREFIX as TOKEN_PREFIX, is_token, mint};
pub use slack::{ChannelDocument, SlackLinkDocument};

use crate::access::{NodeGrant, Principal, ProjectRole, Right, Subject};
use crate::model::{ContentHash, Origin, Person, RepoName, Role, Secret, Stage};
use crate::store::{Quota, Store};
use crate::telemetry::clock;

/// What the configuration says of who there is; documents add to it and can't
/// change it.
#[derive(Debug, Clone, Default)]
pub struct GovernSettings {
    /// Tokens of the configuration.
    pub tokens: Vec<ConfiguredToken>,
    /// People of the configuration.
    pub people: Vec<ConfiguredPerson>,
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

/// One person of the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredPerson {
    /// The name that rules use.
    pub name: Person,
    /// Mail addresses, lower case.
    pub emails: Vec<String>,
    /// What they may do everywhere; `None`: what their document says.
    pub role: Option<Role>,
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
    /// For a token of nodes, and no other: what its holder may be and see.
    pub node: Option<NodeGrant>,
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
        let inner = Arc::new(registry::Inner::load(store, settings)?);
        projects::adopt(&inner).await?;
        Ok(Self { inner })
    }

    /// Everything as of now.
    pub fn registry(&self) -> Arc<Registry> {
        self.inner.registry()
    }

    /// Follows the registry.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Registry>> {
        self.inner.watch()
    }

    /// Tells `tell` of the registry now, and of each change before the write
    /// that made it is acknowledged; it must not take long.
    pub fn follow(&self, tell: impl Fn(&Registry) + Send + 'static) {
        self.inner.followers.add(|| self.inner.registry(), Box::new(tell));
    }

    /// Who a token's secret belongs to, if it is valid now. Takes the same
    /// time for every secret.
    pub fn principal(&self, secret: &str) -> Option<Principal> {
        self.bearer(&ContentHash::of(secret.as_bytes()))
    }

    /// Who the secret with this hash belongs to, if it is valid now: for
    /// sessions that were begun with a token, and end with it.
    pub fn bearer(&self, hash: &ContentHash) -> Option<Principal> {
        self.inner.registry().bearer(hash, clock::now()).cloned()
    }

    /// Whether the configuration or a document knows a person. Sessions of one
    /// who is known no more are over.
    pub fn knows(&self, person: &Person) -> bool {
        people::is_known(&self.inner, &self.inner.registry(), person)
    }

    /// The person behind a mail address, by the configuration or a document.
    pub fn person_by_mail(&self, mail: &str) -> Option<Person> {
        people::by_mail(&self.inner, &self.inner.registry(), mail)
    }

    /// The person behind the address in a commit.
    pub fn person_by_author(&self, mail: &str) -> Option<Person> {
        people::by_author(&self.inner, &self.inner.registry(), mail)
    }

    /// What the configuration says.
    pub fn settings(&self) -> &GovernSettings {
        &self.inner.settings
    }

    /// A person's principal, for sessions and Slack.
    pub fn person(&self, person: &Person) -> Principal {
        people::principal(&self.inner, &self.inner.registry(), person)
    }

    /// Makes a project; its maker owns it.
    pub async fn create_project(
        &self,
        by: &Origin,
        name: &str,
        owners: &[Subject],
        members: &[Subject],
    ) -> Result<ProjectDocument, GovernError> {
        let (name, owners, members) = (name.to_owned(), owners.to_vec(), members.to_vec());
        self.finish(by, async move |inner, by| {
            projects::create(inner, by, &name, &owners, &members).await
        })
        .await
    }

    /// Hides a project and all its repositories; nothing is lost.
    pub async fn remove_project(&self, by: &Origin, name: &str) -> Result<(), GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| projects::remove(inner, by, &name).await).await
    }

    /// Brings a removed project back.
    pub async fn restore_project(
        &self,
        by: &Origin,
        name: &str,
    ) -> Result<ProjectDocument, GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| projects::restore(inner, by, &name).await).await
    }

    /// Removes a removed project for ever, with all histories.
    pub async fn purge_project(&self, by: &Origin, name: &str) -> Result<(), GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| projects::purge(inner, by, &name).await).await
    }

    /// Makes a repository whose revision 1 is an empty commit.
    pub async fn create_repository(
        &self,
        by: &Origin,
        repo: &RepoName,
    ) -> Result<RepositoryDocument, GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| projects::create_repository(inner, by, &repo).await)
            .await
    }

    /// Hides a repository; nothing is lost.
    pub async fn remove_repository(&self, by: &Origin, repo: &RepoName) -> Result<(), GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| projects::remove_repository(inner, by, &repo).await)
            .await
    }

    /// Brings a removed repository back.
    pub async fn restore_repository(
        &self,
        by: &Origin,
        repo: &RepoName,
    ) -> Result<RepositoryDocument, GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| projects::restore_repository(inner, by, &repo).await)
            .await
    }

    /// Removes a removed repository for ever.
    pub async fn purge_repository(&self, by: &Origin, repo: &RepoName) -> Result<(), GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| projects::purge_repository(inner, by, &repo).await)
            .await
    }

    /// Lets a repository be written, or not.
    pub async fn set_status(
        &self,
        by: &Origin,
        repo: &RepoName,
        status: RepositoryStatus,
    ) -> Result<RepositoryDocument, GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| rights::set_status(inner, by, &repo, status).await)
            .await
    }

    /// Bounds a repository.
    pub async fn set_quota(
        &self,
        by: &Origin,
        repo: &RepoName,
        quota: Quota,
    ) -> Result<RepositoryDocument, GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| rights::set_quota(inner, by, &repo, quota).await)
            .await
    }

    /// Makes somebody an owner or member of a project, or with `None` neither.
    pub async fn set_member(
        &self,
        by: &Origin,
        project: &str,
        who: &Subject,
        role: Option<ProjectRole>,
    ) -> Result<ProjectDocument, GovernError> {
        let (project, who) = (project.to_owned(), who.clone());
        self.finish(by, async move |inner, by| {
            rights::set_member(inner, by, &project, &who, role).await
        })
        .await
    }

    /// What members and guests have on a repository.
    pub async fn set_project_rights(
        &self,
        by: &Origin,
        repo: &RepoName,
        member: Option<Right>,
        guest: Option<Right>,
    ) -> Result<RepositoryDocument, GovernError> {
        let repo = repo.clone();
        self.finish(by, async move |inner, by| {
            rights::set_project_rights(inner, by, &repo, member, guest).await
        })
        .await
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
        let (repo, to, paths) = (repo.clone(), to.clone(), paths.map(str::to_owned));
        self.finish(by, async move |inner, by| {
            rights::set_grant(inner, by, &repo, &to, right, paths.as_deref()).await
        })
        .await
    }

    /// Issues a token. The secret is shown this once and kept as a hash.
    pub async fn issue_token(
        &self,
        by: &Origin,
        new: NewToken,
    ) -> Result<(TokenDocument, Secret), GovernError> {
        self.finish(by, async move |inner, by| tokens::issue(inner, by, new).await).await
    }

    /// Ends a token at once, or with `active` lets it be used again.
    pub async fn set_token_active(
        &self,
        by: &Origin,
        name: &str,
        active: bool,
    ) -> Result<TokenDocument, GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| tokens::set_active(inner, by, &name, active).await)
            .await
    }

    /// Changes what a token may do everywhere.
    pub async fn set_token_role(
        &self,
        by: &Origin,
        name: &str,
        role: Role,
    ) -> Result<TokenDocument, GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| tokens::set_role(inner, by, &name, role).await).await
    }

    /// Changes what a token of nodes lets its holder be and see; open streams
    /// follow at once.
    pub async fn set_token_grant(
        &self,
        by: &Origin,
        name: &str,
        grant: NodeGrant,
    ) -> Result<TokenDocument, GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| tokens::set_grant(inner, by, &name, grant).await)
            .await
    }

    /// Gives a token a new secret; the old one ends at once.
    pub async fn rotate_token(
        &self,
        by: &Origin,
        name: &str,
    ) -> Result<(TokenDocument, Secret), GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| tokens::rotate(inner, by, &name).await).await
    }

    /// Removes a token for ever.
    pub async fn remove_token(&self, by: &Origin, name: &str) -> Result<(), GovernError> {
        let name = name.to_owned();
        self.finish(by, async move |inner, by| tokens::remove(inner, by, &name).await).await
    }

    /// Writes a person's document.
    pub async fn put_person(&self, by: &Origin, person: PersonDocument) -> Result<(), GovernError> {
        self.finish(by, async move |inner, by| people::put(inner, by, person).await).await
    }

    /// Removes a person: their sessions and tokens end at once.
    pub async fn remove_person(&self, by: &Origin, person: &Person) -> Result<(), GovernError> {
        let person = person.clone();
        self.finish(by, async move |inner, by| people::remove(inner, by, &person).await).await
    }

    /// The role that the configuration or a document gives a person; `None`:
    /// none but what is granted.
    pub fn role(&self, person: &Person) -> Option<Role> {
        people::role(&self.inner, &self.inner.registry(), person)
    }

    /// Links a Slack user to a person.
    pub async fn link_slack(
        &self,
        by: &Origin,
        user: &str,
        person: &Person,
    ) -> Result<(), GovernError> {
        let (user, person) = (user.to_owned(), person.clone());
        self.finish(by, async move |inner, by| slack::link(inner, by, &user, &person).await).await
    }

    /// Lets a Slack channel hear of a stage, or with `None` no more; whether
    /// anything changed.
    pub async fn subscribe(
        &self,
        by: &Origin,
        channel: &str,
        repo: &RepoName,
        stage: &Stage,
        events: Option<&BTreeSet<String>>,
    ) -> Result<bool, GovernError> {
        let (channel, repo, stage) = (channel.to_owned(), repo.clone(), stage.clone());
        let events = events.cloned();
        self.finish(by, async move |inner, by| {
            slack::subscribe(inner, by, &channel, (&repo, &stage), events.as_ref()).await
        })
        .await
    }

    /// Writes a team's document.
    pub async fn put_team(&self, by: &Origin, team: TeamDocument) -> Result<(), GovernError> {
        self.finish(by, async move |inner, by| people::put_team(inner, by, team).await).await
    }

    /// Removes a team.
    pub async fn remove_team(&self, by: &Origin, team: &str) -> Result<(), GovernError> {
        let team = team.to_owned();
        self.finish(by, async move |inner, by| people::remove_team(inner, by, &team).await).await
    }

    /// Writes a mirror; `mirroring` takes it up at once.
    pub async fn put_mirror(
        &self,
        by: &Origin,
        mirror: MirrorDocument,
        must_be_new: bool,
    ) -> Result<(), GovernError> {
        self.finish(by, async move |inner, by| {
            remotes::put_mirror(inner, by, mirror, must_be_new).await
        })
        .await
    }

    /// Removes a mirror.
    pub async fn remove_mirror(
        &self,
        by: &Origin,
        project: &str,
        id: &str,
    ) -> Result<(), GovernError> {
        let (project, id) = (project.to_owned(), id.to_owned());
        self.finish(by, async move |inner, by| {
            remotes::remove_mirror(inner, by, &project, &id).await
        })
        .await
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
        self.finish(by, async move |inner, by| {
            remotes::put_credential(inner, by, credential, secret, must_be_new).await
        })
        .await
    }

    /// Removes a credential and its secret.
    pub async fn remove_credential(
        &self,
        by: &Origin,
        project: &str,
        id: &str,
    ) -> Result<(), GovernError> {
        let (project, id) = (project.to_owned(), id.to_owned());
        self.finish(by, async move |inner, by| {
            remotes::remove_credential(inner, by, &project, &id).await
        })
        .await
    }

    /// A credential's secret, for `mirroring`.
    pub fn secret(&self, project: &str, id: &str) -> Result<Secret, GovernError> {
        remotes::secret(&self.inner, project, id)
    }

    /// Where a credential's secret lies as a file, for what takes a file only
    /// (an SSH key).
    pub fn secret_file(&self, project: &str, id: &str) -> Result<PathBuf, GovernError> {
        remotes::file_of(&self.inner, project, id)
    }

    /// Runs a write to its end, whether or not the caller waits for it.
    async fn finish<R: Send + 'static>(
        &self,
        by: &Origin,
        work: impl AsyncFnOnce(&Arc<registry::Inner>, &Origin) -> Result<R, GovernError>
        + Send
        + 'static,
    ) -> Result<R, GovernError> {
        draft::finish(&self.inner, by, work).await
    }
}
