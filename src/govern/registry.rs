//! Everything that is governed, in memory: one immutable value, replaced
//! whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    CredentialDocument, GovernError, GovernSettings, MirrorDocument, PersonDocument,
    ProjectDocument, RepositoryDocument, RepositoryStatus, Stamp, TeamDocument, TokenDocument,
};
use crate::access::{Policy, ProjectPolicy, RepositoryPolicy};
use crate::model::{Person, RepoName};
use crate::store::{Quota, Store};

/// Everything as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Projects by name, removed ones included.
    pub projects: BTreeMap<String, ProjectDocument>,
    /// Tokens by name, without those of the configuration.
    pub tokens: BTreeMap<String, TokenDocument>,
    /// People by name.
    pub people: BTreeMap<Person, PersonDocument>,
    /// Teams by name.
    pub teams: BTreeMap<String, TeamDocument>,
    /// Mirrors by project and id.
    pub mirrors: BTreeMap<(String, String), MirrorDocument>,
    /// Credentials by project and id.
    pub credentials: BTreeMap<(String, String), CredentialDocument>,
    /// Who may do what, of projects and repositories that are there.
    pub policy: Policy,
}

impl Registry {
    /// A repository that is there: neither it nor its project is removed.
    pub fn repository(&self, repo: &RepoName) -> Option<&RepositoryDocument> {
        let project = self.projects.get(repo.project()).filter(|p| p.removed.is_none())?;
        project.repositories.get(repo.repository()).filter(|r| r.removed.is_none())
    }
}

/// What all handles share.
#[derive(Debug)]
pub(super) struct Inner {
    #[allow(dead_code, reason = "writes come next")]
    pub(super) store: Store,
    #[allow(dead_code, reason = "writes come next")]
    pub(super) settings: GovernSettings,
    current: watch::Sender<Arc<Registry>>,
}

impl Inner {
    pub(super) fn registry(&self) -> Arc<Registry> {
        self.current.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Registry>> {
        self.current.subscribe()
    }
}

/// Reads the documents.
pub(super) async fn start(store: Store, settings: GovernSettings) -> Result<Inner, GovernError> {
    let mut registry = Registry::default();
    read(&store, &mut registry)?;
    for repo in store.repositories().iter().filter(|repo| !repo.is_internal()) {
        adopt(&mut registry, repo);
    }
    registry.policy = policy_of(&registry);
    Ok(Inner { store, settings, current: watch::Sender::new(Arc::new(registry)) })
}

/// Reads every document of `@convoy/state` that is ours.
fn read(store: &Store, registry: &mut Registry) -> Result<(), GovernError> {
    let state = RepoName::state();
    let revision = store.head(&state)?.revision;
    for folder in ["projects", "people", "teams", "tokens", "credentials", "remotes"] {
        for (path, _) in store.list(&state, revision, folder)? {
            let bytes = store.read(&state, revision, &path)?;
            take(registry, folder, path.as_str(), &bytes)?;
        }
    }
    Ok(())
}

fn take(
    registry: &mut Registry,
    folder: &str,
    path: &str,
    bytes: &[u8],
) -> Result<(), GovernError> {
    match folder {
        "projects" => {
            let project: ProjectDocument = parse(path, bytes)?;
            registry.projects.insert(project.name.clone(), project);
        }
        "people" => {
            let person: PersonDocument = parse(path, bytes)?;
            registry.people.insert(person.name.clone(), person);
        }
        "teams" => {
            let team: TeamDocument = parse(path, bytes)?;
            registry.teams.insert(team.name.clone(), team);
        }
        "tokens" => {
            let token: TokenDocument = parse(path, bytes)?;
            registry.tokens.insert(token.name.clone(), token);
        }
        "credentials" => {
            let credential: CredentialDocument = parse(path, bytes)?;
            let key = (credential.project.clone(), credential.id.clone());
            registry.credentials.insert(key, credential);
        }
        _ => {
            let mirror: MirrorDocument = parse(path, bytes)?;
            let key = (mirror.local.project().to_owned(), mirror.id.clone());
            registry.mirrors.insert(key, mirror);
        }
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, GovernError> {
    serde_json::from_slice(bytes)
        .map_err(|source| GovernError::Damaged { path: path.to_owned(), source })
}

/// Gives a repository that has no document one.
fn adopt(registry: &mut Registry, repo: &RepoName) {
    let stamp = || Stamp { by: "convoy".into(), at: Timestamp::UNIX_EPOCH };
    let project = registry.projects.entry(repo.project().to_owned());
    let project = project.or_insert_with(|| ProjectDocument {
        name: repo.project().to_owned(),
        created: stamp(),
        removed: None,
        members: BTreeMap::new(),
        added: BTreeMap::new(),
        repositories: BTreeMap::new(),
    });
    let repository = project.repositories.entry(repo.repository().to_owned());
    repository.or_insert_with(|| RepositoryDocument {
        created: stamp(),
        removed: None,
        status: RepositoryStatus::default(),
        policy: RepositoryPolicy::default(),
        quota: Quota::default(),
    });
}

fn policy_of(registry: &Registry) -> Policy {
    let live = registry.projects.iter().filter(|(_, project)| project.removed.is_none());
    let projects = live.map(|(name, project)| {
        let live = project.repositories.iter().filter(|(_, one)| one.removed.is_none());
        let repositories = live.map(|(name, one)| (name.clone(), one.policy.clone())).collect();
        let members = project.members.clone();
        (name.clone(), ProjectPolicy { members, repositories })
    });
    Policy { projects: projects.collect() }
}
