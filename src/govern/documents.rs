//! The documents, as they are written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{NodeGrant, ProjectRole, RepositoryPolicy, Subject};
use crate::model::{ContentHash, Person, RepoName, Role};
use crate::store::Quota;

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The name of whoever did it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectDocument {
    /// Its name.
    pub name: String,
    /// Who made it.
    pub created: Stamp,
    /// Who removed it; `None` while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Stamp>,
    /// What each is in it.
    #[serde(default)]
    pub members: BTreeMap<Subject, ProjectRole>,
    /// Who was added as a member, and when; for show.
    #[serde(default)]
    pub added: BTreeMap<Subject, Stamp>,
    /// Its repositories, removed ones included.
    #[serde(default)]
    pub repositories: BTreeMap<String, RepositoryDocument>,
}

/// A repository of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepositoryDocument {
    /// Who made it.
    pub created: Stamp,
    /// Who removed it; `None` while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Stamp>,
    /// Whether it may be written.
    #[serde(default)]
    pub status: RepositoryStatus,
    /// Who may do what.
    #[serde(default)]
    pub policy: RepositoryPolicy,
    /// What it may hold and take.
    #[serde(default)]
    pub quota: Quota,
}

/// Whether a repository may be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RepositoryStatus {
    /// It may.
    #[default]
    Active,
    /// It may only be read.
    ReadOnly,
}

/// A token. The secret itself is nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenDocument {
    /// What it is called.
    pub name: String,
    /// Whose it is; `None` for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// What it may do everywhere.
    pub role: Role,
    /// What a token of nodes lets its holder be and see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeGrant>,
    /// The SHA-256 of the secret.
    pub sha256: ContentHash,
    /// Who made it.
    pub created: Stamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Who ended it; `None` while it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Stamp>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonDocument {
    /// The name that rules use.
    pub name: Person,
    /// Mail addresses in commits and from the identity provider, lower case.
    #[serde(default)]
    pub emails: BTreeSet<String>,
    /// What they may do everywhere.
    pub role: Role,
    /// Who made the document.
    pub created: Stamp,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeamDocument {
    /// Its name.
    pub name: String,
    /// Who is in it.
    #[serde(default)]
    pub members: BTreeSet<Person>,
    /// Who made it.
    pub created: Stamp,
}

/// Which way a mirror goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MirrorDirection {
    /// From the remote to us.
    RemoteToLocal,
    /// From us to the remote: pushed, never forced.
    LocalToRemote,
}

/// A mirror of (a folder of) a repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MirrorDocument {
    /// Its name, unique in the project.
    pub id: String,
    /// The repository here.
    pub local: RepoName,
    /// The folder of it, without slashes at its ends; empty: all of it.
    #[serde(default)]
    pub local_folder: String,
    /// Which way.
    pub direction: MirrorDirection,
    /// The remote's URL, without credentials.
    pub url: String,
    /// The remote's branch.
    pub branch: String,
    /// The folder of it, without slashes at its ends; empty: all of it.
    #[serde(default)]
    pub remote_folder: String,
    /// Files that are left alone, in the form of a `.gitignore`.
    #[serde(default)]
    pub ignore: String,
    /// The credential's id in the project; `None`: none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Seconds between two looks; `None`: only when told to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u64>,
    /// A client's own words for when it runs (Central Dogma's clients send a
    /// cron expression); kept for show, and the source of `every_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// Who made it.
    pub created: Stamp,
}

/// How a remote is told who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", tag = "type")]
pub enum CredentialKind {
    /// Not at all.
    None,
    /// A token, sent as a password.
    AccessToken,
    /// A user name and a password.
    Password {
        /// The user name.
        user: String,
    },
    /// An SSH key.
    SshKey {
        /// The user name; in the URL it may stand too.
        user: String,
        /// The pinned host keys, as lines of `known_hosts`.
        known_hosts: String,
    },
    /// A GitHub App's key; tokens are made of it as they are needed.
    GithubApp {
        /// The App's id.
        app_id: String,
        /// The installation's id.
        installation_id: String,
        /// The API's URL.
        api_url: String,
    },
}

/// A credential of a project. Its secret lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialDocument {
    /// Its project.
    pub project: String,
    /// Its name in the project.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: CredentialKind,
    /// Who made it.
    pub created: Stamp,
}
