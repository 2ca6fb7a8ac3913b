//! Everything that is governed, in memory: one immutable value, replaced
//! whole after each write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use super::followers::Followers;
use super::{
    ChannelDocument, CredentialDocument, GovernError, GovernSettings, MirrorDocument,
    PersonDocument, ProjectDocument, RepositoryDocument, SlackLinkDocument, TeamDocument,
    TokenDocument,
};
use crate::access::{Policy, Principal, ProjectPolicy};
use crate::model::{Change, ContentHash, FilePath, Person, RepoName, Revision, Role};
use crate::store::Store;

/// Writes that are under way at once; more wait.
const WRITES_MAX: usize = 16;
/// The folders of `@convoy/state` that are ours.
const FOLDERS: [&str; 8] =
    ["projects", "people", "teams", "tokens", "credentials", "remotes", "links", "channels"];

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
    /// Slack users who are linked to people, by workspace and user.
    pub slack: BTreeMap<(String, String), SlackLinkDocument>,
    /// What Slack channels hear of, by channel.
    pub channels: BTreeMap<String, ChannelDocument>,
    /// Who may do what, of projects and repositories that are there.
    pub policy: Policy,
    /// Who comes with which secret, by its hash.
    known: HashMap<ContentHash, Known>,
    /// The revision that each document was taken from, so that a write that
    /// was overtaken on the way here changes nothing.
    taken: BTreeMap<String, Revision>,
}

/// Who comes with a secret.
#[derive(Debug, Clone)]
struct Known {
    principal: Principal,
    expires: Option<Timestamp>,
}

impl Registry {
    /// A repository that is there: neither it nor its project is removed.
    pub fn repository(&self, repo: &RepoName) -> Option<&RepositoryDocument> {
        let project = self.project(repo.project())?;
        project.repositories.get(repo.repository()).filter(|r| r.removed.is_none())
    }

    /// A project that is there.
    pub fn project(&self, name: &str) -> Option<&ProjectDocument> {
        self.projects.get(name).filter(|project| project.removed.is_none())
    }

    /// Every repository that is there, sorted.
    pub fn repositories(&self) -> impl Iterator<Item = RepoName> + '_ {
        let live = self.projects.values().filter(|project| project.removed.is_none());
        live.flat_map(|project| {
            let live = project.repositories.iter().filter(|(_, one)| one.removed.is_none());
            live.filter_map(|(name, _)| RepoName::new(&format!("{}/{name}", project.name)).ok())
        })
    }

    /// Who a secret with this hash belongs to, if it is good at `now`. A hash
    /// can't be steered towards one that is kept, so looking it up tells
    /// nothing by the time it takes.
    pub fn bearer(&self, hash: &ContentHash, now: Timestamp) -> Option<&Principal> {
        let known = self.known.get(hash)?;
        known.expires.is_none_or(|end| now < end).then_some(&known.principal)
    }

    /// When the secret with this hash ends by itself.
    pub fn expires(&self, hash: &ContentHash) -> Option<Timestamp> {
        self.known.get(hash)?.expires
    }

    /// Whether some token, ended ones included, has this hash.
    pub(super) fn has_hash(&self, hash: &ContentHash) -> bool {
        self.known.contains_key(hash) || self.tokens.values().any(|token| token.sha256 == *hash)
    }

    /// The teams that somebody is in.
    pub(super) fn teams_of(&self, person: &Person) -> BTreeSet<String> {
        let mine = self.teams.values().filter(|team| team.members.contains(person));
        mine.map(|team| team.name.clone()).collect()
    }

    /// Takes one document, or with `None` forgets it.
    fn put(&mut self, path: &str, bytes: Option<&[u8]>) -> Result<(), GovernError> {
        let Some((folder, rest)) = path.split_once('/') else { return Ok(()) };
        let Some(name) = rest.strip_suffix(".json") else { return Ok(()) };
        let pair = || match name.split_once('/') {
            Some((project, id)) => (project.to_owned(), id.to_owned()),
            None => (String::new(), name.to_owned()),
        };
        match folder {
            "projects" => set(&mut self.projects, name.to_owned(), path, bytes),
            "people" => set(&mut self.people, Person::new(name)?, path, bytes),
            "teams" => set(&mut self.teams, name.to_owned(), path, bytes),
            "tokens" => set(&mut self.tokens, name.to_owned(), path, bytes),
            "credentials" => set(&mut self.credentials, pair(), path, bytes),
            "remotes" => set(&mut self.mirrors, pair(), path, bytes),
            "links" => set(&mut self.slack, pair(), path, bytes),
            "channels" => set(&mut self.channels, name.to_owned(), path, bytes),
            _ => Ok(()),
        }
    }

    /// Works out what follows from the documents.
    fn settle(&mut self, settings: &GovernSettings) {
        self.policy = self.policy_of();
        self.known = settings
            .tokens
            .iter()
            .map(|token| {
                let principal = self.holder(&token.name, token.person.as_ref(), token.role);
                (token.hash, Known { principal, expires: None })
            })
            .collect();
        let issued = self.tokens.values().filter(|token| token.revoked.is_none());
        let issued: Vec<_> = issued
            .map(|token| {
                let principal = self.holder(&token.name, token.person.as_ref(), token.role);
                (token.sha256, Known { principal, expires: token.expires })
            })
            .collect();
        for (hash, known) in issued {
            // What the configuration says can't be changed by a document.
            self.known.entry(hash).or_insert(known);
        }
    }

    fn holder(&self, name: &str, person: Option<&Person>, role: Role) -> Principal {
        Principal {
            name: name.to_owned(),
            person: person.cloned(),
            token: Some(name.to_owned()),
            teams: person.map(|person| self.teams_of(person)).unwrap_or_default(),
            role,
        }
    }

    fn policy_of(&self) -> Policy {
        let live = self.projects.iter().filter(|(_, project)| project.removed.is_none());
        let projects = live.map(|(name, project)| {
            let live = project.repositories.iter().filter(|(_, one)| one.removed.is_none());
            let repositories = live.map(|(name, one)| (name.clone(), one.policy.clone())).collect();
            let members = project.members.clone();
            (name.clone(), ProjectPolicy { members, repositories })
        });
        Policy { projects: projects.collect() }
    }
}

fn set<K: Ord, T: serde::de::DeserializeOwned>(
    map: &mut BTreeMap<K, T>,
    key: K,
    path: &str,
    bytes: Option<&[u8]>,
) -> Result<(), GovernError> {
    let Some(bytes) = bytes else {
        map.remove(&key);
        return Ok(());
    };
    let document = serde_json::from_slice(bytes)
        .map_err(|source| GovernError::Damaged { path: path.to_owned(), source })?;
    map.insert(key, document);
    Ok(())
}

/// What all handles share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) settings: GovernSettings,
    pub(super) room: Arc<Semaphore>,
    /// Has one permit: writes take turns, so that none loses for ever against
    /// the others.
    pub(super) turn: Semaphore,
    current: watch::Sender<Arc<Registry>>,
    pub(super) followers: Followers,
}

impl Inner {
    /// Reads the documents.
    pub(super) fn load(store: Store, settings: GovernSettings) -> Result<Self, GovernError> {
        let mut registry = Registry::default();
        let state = RepoName::state();
        let revision = store.head(&state)?.revision;
        if revision != Revision::default() {
            for folder in FOLDERS {
                for (path, _) in store.list(&state, revision, folder)? {
                    let bytes = store.read(&state, revision, &path)?;
                    registry.put(path.as_str(), Some(&bytes))?;
                }
            }
        }
        registry.settle(&settings);
        let room = Arc::new(Semaphore::new(WRITES_MAX));
        Ok(Self {
            store,
            settings,
            room,
            turn: Semaphore::new(1),
            current: watch::Sender::new(Arc::new(registry)),
            followers: Followers::default(),
        })
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        self.current.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Registry>> {
        self.current.subscribe()
    }

    /// Takes what revision `at` of `@convoy/state` changed.
    pub(super) fn take(&self, changes: &[Change], at: Revision) -> Result<(), GovernError> {
        let mut taken = Ok(());
        self.current.send_modify(|current| {
            let mut next = Registry::clone(current);
            taken = changes.iter().try_for_each(|change| match change {
                Change::Upsert(path, bytes) => next.take(path, Some(bytes), at),
                Change::Remove(path) => next.take(path, None, at),
                _ => Ok(()),
            });
            next.settle(&self.settings);
            *current = Arc::new(next);
        });
        self.followers.tell(|| self.registry());
        taken
    }
}

impl Registry {
    fn take(
        &mut self,
        path: &FilePath,
        bytes: Option<&[u8]>,
        at: Revision,
    ) -> Result<(), GovernError> {
        let known = self.taken.get(path.as_str()).copied().unwrap_or_default();
        if known >= at {
            return Ok(());
        }
        self.taken.insert(path.as_str().to_owned(), at);
        self.put(path.as_str(), bytes)
    }
}
