//! The configuration of `convoy serve`: flags over environment over file over
//! defaults, checked completely before a port is bound.
//!
//! [`Config::resolve`] is pure: the flags, the environment and the file's text
//! are arguments, so every precedence is a table test. Secrets are never part
//! of it, only the names of the files that hold them; [`secrets::read`] reads
//! those afterwards. Every key is shown in `deploy/convoy.example.yaml`.

mod error;
mod file;
mod github;
mod layers;
pub mod secrets;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::ConfigError;
pub use layers::{Flags, VARIABLES};

use crate::access::{NamePattern, NodeScope};
pub use crate::model::Role;
use crate::model::{ContentHash, Person, RepoName};
use crate::telemetry::logs::LogFormat;

/// Everything that `convoy serve` is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The folder that holds everything durable.
    pub data: PathBuf,
    /// Where HTTP is served: API, console, hooks.
    pub listen: SocketAddr,
    /// Where xDS is served.
    pub xds_listen: SocketAddr,
    /// What the xDS listener is secured with; `None`: nothing.
    pub xds_tls: Option<XdsTlsConfig>,
    /// How people reach the console, for links; without a final slash.
    pub base_url: String,
    /// Serve without authentication, on loopback only.
    pub insecure_dev: bool,
    /// What is logged, as in `info,convoy=debug`.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// How long a stage's nodes may take to answer.
    pub ack_deadline: Duration,
    /// The repositories, by name.
    pub repositories: Vec<RepositoryConfig>,
    /// The people.
    pub people: Vec<PersonConfig>,
    /// The tokens that may use the API and the console, or serve nodes.
    pub tokens: Vec<TokenConfig>,
    /// The certificates that nodes may come with.
    pub certificates: Vec<CertificateConfig>,
    /// The identity provider that people log in at; `None`: tokens only.
    pub oidc: Option<OidcConfig>,
    /// Slack; `None`: cards are shown nowhere.
    pub slack: Option<SlackConfig>,
    /// The folder that holds Envoys, `<version>/envoy`.
    pub envoys: PathBuf,
    /// How many cells run at once.
    pub smoke_parallel: usize,
    /// Bounds of the store.
    pub store: StoreConfig,
    /// What mirrors may name.
    pub mirrors: MirrorsConfig,
    /// The metrics server that gates ask; `None`: what they ask for is unknown.
    pub metrics: Option<MetricsConfig>,
}

/// A Prometheus server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Its address, without `/api/v1`.
    pub url: String,
    /// The file that holds the token that it is shown.
    pub token_file: Option<PathBuf>,
    /// The certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How far two questions of one metric are apart.
    pub every: Duration,
}

/// Mirrors that are made over the API: whoever may make one may not thereby
/// reach what only this machine reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorsConfig {
    /// The remotes they may name; empty: every public host.
    pub allow: Vec<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Bounds of one fetch or push.
    pub limits: LimitsConfig,
}

/// Bounds of the store; what is not given is the store's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreConfig {
    /// Files above this many bytes are not read as content.
    pub file_bytes_max: Option<u64>,
    /// Trees with more files are refused.
    pub files_max: Option<usize>,
    /// The journal is cut behind a checkpoint once it is longer than this.
    pub checkpoint_bytes: Option<u64>,
}

/// Bounds of one fetch; what is not given is the mirror's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Bytes fetched.
    pub bytes_max: Option<u64>,
    /// Files in the tree.
    pub files_max: Option<usize>,
    /// Folders within folders.
    pub depth_max: Option<usize>,
    /// From connecting to the last byte.
    pub time_max: Option<Duration>,
}

/// A repository, and what it follows.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryConfig {
    /// Its name.
    pub name: RepoName,
    /// What it follows; `None`: it is edited here only.
    pub upstream: Option<UpstreamConfig>,
    /// How often the upstream is looked at without a nudge.
    pub poll: Duration,
    /// The GitHub hook that nudges it.
    pub webhook: Option<WebhookConfig>,
    /// What is said on GitHub about it; `None`: nothing.
    pub github: Option<GithubConfig>,
}

/// A repository on GitHub, and who Convoy is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubConfig {
    /// Where it is written, as `file:line:column`.
    pub place: String,
    /// The REST API, `https://api.github.com` or `https://HOST/api/v3`.
    pub api_url: String,
    /// `owner/name` as GitHub calls the repository.
    pub full_name: String,
    /// Who Convoy is.
    pub account: GithubAccount,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What is written there.
    pub reports: Vec<Report>,
    /// How often pull requests are looked at without a nudge.
    pub poll: Duration,
    /// Pull requests that are rendered, newest first; 0: none.
    pub pulls_max: usize,
}

/// Who Convoy is on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GithubAccount {
    /// A token's owner.
    Token {
        /// The file that holds the token.
        file: PathBuf,
    },
    /// A GitHub App.
    App {
        /// Its id, or its client id.
        id: String,
        /// The number of its installation.
        installation: String,
        /// The file that holds its private key.
        key_file: PathBuf,
    },
}

/// What is written on GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// A commit status per stage cell.
    Statuses,
    /// A check run with annotations; Apps only.
    Checks,
    /// A comment in each pull request.
    Comments,
    /// A deployment per promotion.
    Deployments,
}

impl Report {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Statuses, Self::Checks, Self::Comments, Self::Deployments];
}

/// A remote.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// Where the URL is written, as `file:line:column`.
    pub place: String,
    /// Its URL, without credentials.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// The user name that goes with the token.
    pub user: String,
    /// The file that holds the token or password.
    pub token_file: Option<PathBuf>,
    /// The private key for `ssh://`.
    pub ssh_key_file: Option<PathBuf>,
    /// The pinned host keys for `ssh://`.
    pub known_hosts_file: Option<PathBuf>,
    /// The certificates that `https://` trusts, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Bounds of one fetch.
    pub limits: LimitsConfig,
}

/// A GitHub webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfig {
    /// `owner/name` as GitHub calls the repository.
    pub full_name: String,
    /// The files that hold the secrets; more than one while one is replaced.
    pub secret_files: Vec<PathBuf>,
}

/// A person.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonConfig {
    /// The name that rules use.
    pub name: Person,
    /// Mail addresses in commits, lower case.
    pub emails: Vec<String>,
    /// Slack user ids, `U…` or `W…`.
    pub slack: Vec<String>,
    /// What they may do everywhere once they log in; `None`: what their
    /// document says, or else only what is granted to them.
    pub role: Option<Role>,
}

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenConfig {
    /// What it is called in logs and on pages.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// On whose behalf it acts.
    pub person: Option<Person>,
    /// The SHA-256 of the token.
    pub sha256: ContentHash,
    /// What a token of nodes lets its holder be and see; without it, every
    /// node, everything but secrets.
    pub scope: NodeScope,
}

/// Certificates of nodes that are known by their names.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateConfig {
    /// What they are called in logs and on pages.
    pub name: String,
    /// Patterns over the names in a certificate.
    pub names: Vec<NamePattern>,
    /// What their holders may be and see.
    pub scope: NodeScope,
}

/// TLS of the xDS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdsTlsConfig {
    /// The server's certificate.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// Whose certificates of nodes are trusted; empty: none is asked for.
    pub client_ca_files: Vec<PathBuf>,
    /// Lists of revoked certificates of nodes.
    pub client_crl_files: Vec<PathBuf>,
    /// Whether a node must bring a certificate.
    pub required: bool,
}

/// An identity provider (OpenID Connect).
#[derive(Debug, Clone, PartialEq)]
pub struct OidcConfig {
    /// Its URL, exactly as it writes it itself.
    pub issuer: String,
    /// What people call it, for the button.
    pub name: String,
    /// Who we are to it.
    pub client_id: String,
    /// The file that holds the client's secret.
    pub client_secret_file: PathBuf,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that is the person's name with us.
    pub person_claim: String,
    /// The claim that lists the person's teams.
    pub teams_claim: Option<String>,
    /// The certificates that are trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Slack.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackConfig {
    /// The files that hold the signing secrets; more than one while one is
    /// replaced.
    pub signing_secret_files: Vec<PathBuf>,
    /// The file that holds the bot token, `xoxb-…`.
    pub bot_token_file: PathBuf,
    /// The channel that cards are posted to.
    pub channel: String,
    /// The channel where cards stand too whose gates were passed over, or that
    /// are stuck.
    pub alarms: Option<String>,
    /// The Web API; only a test points it elsewhere.
    pub api_url: String,
    /// The file that holds the app-level token, `xapp-…`; with it Slack's
    /// requests come in Socket Mode.
    pub app_token_file: Option<PathBuf>,
    /// How many connections of Socket Mode are open at once.
    pub connections: usize,
    /// The hosts that answers to commands and clicks may go to; empty: Slack's.
    pub response_hosts: Vec<String>,
    /// The zone in which times are meant that name none; checked to be one.
    pub zone: String,
    /// How long an approval may be missing before people are reminded.
    pub remind_after: Option<Duration>,
    /// Who is told after twice that time: the id of a user or a user group.
    pub escalate_to: Option<String>,
}

impl Config {
    /// Resolves the configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and what to do.
    pub fn resolve(
        flags: Flags,
        environment: &BTreeMap<String, String>,
        file: Option<(&str, &str)>,
    ) -> Result<Self, ConfigError> {
        let (name, text) = file.unwrap_or(("", ""));
        let parsed = file::parse(name, text)?;
        let config = layers::merge(flags, environment, name, parsed)?;
        config.check()?;
        if !config.insecure_dev {
            config.check_nodes(name)?;
        }
        Ok(config)
    }

    /// The rules that hold between keys.
    fn check(&self) -> Result<(), ConfigError> {
        let has_tokens = self.tokens.iter().any(|token| token.role != Role::Node);
        if self.insecure_dev && self.oidc.is_some() {
            let message = "`insecure_dev` is on although an identity provider is configured";
            return Err(ConfigError::rule(message, "remove one of the two"));
        }
        let loopback = self.listen.ip().is_loopback() && self.xds_listen.ip().is_loopback();
        if self.insecure_dev && has_tokens {
            let message = "`insecure_dev` is on although tokens are configured";
            return Err(ConfigError::rule(message, "remove one of the two"));
        }
        if self.insecure_dev && !loopback {
            let message = "`insecure_dev` serves loopback addresses only";
            return Err(ConfigError::rule(
                message,
                "listen on 127.0.0.1, or configure `auth.tokens`",
            ));
        }
        if !self.insecure_dev && !has_tokens && self.oidc.is_none() {
            let message = "no authentication is configured";
            let hint = "configure `auth.tokens`, or try things out on loopback with --insecure-dev";
            return Err(ConfigError::rule(message, hint));
        }
        let asked = self.xds_tls.as_ref().is_some_and(|tls| !tls.client_ca_files.is_empty());
        if !self.certificates.is_empty() && !asked {
            let message = "`auth.certificates` names certificates, but nodes are asked for none";
            let hint = "set `xds.tls.client_ca_files` to those whose certificates are trusted";
            return Err(ConfigError::rule(message, hint));
        }
        Ok(())
    }

    /// Default deny: which node somebody may be, and from which stages it is
    /// served, is said and not left out. The rule for tokens that are issued.
    fn check_nodes(&self, name: &str) -> Result<(), ConfigError> {
        let unsaid = |who: String, what: &str, part: &str| {
            let message = format!("{who} says not {what}: `scope.{part}` is empty");
            let hint = "write it as scope: {nodes: [\"edge-*\"], stages: [beta]}; `*` is any";
            Err(ConfigError::at(name, message).with_hint(hint))
        };
        for token in self.tokens.iter().filter(|token| token.role == Role::Node) {
            let (who, scope) = (format!("the token `{}`", token.name), &token.scope);
            if scope.nodes.is_empty() && scope.clusters.is_empty() {
                return unsaid(who, "which nodes may use it", "nodes");
            }
            if scope.stages.is_empty() {
                return unsaid(who, "from which stages they are served", "stages");
            }
        }
        // Which nodes a certificate is good for, its names say.
        match self.certificates.iter().find(|one| one.scope.stages.is_empty()) {
            Some(one) => {
                let who = format!("the certificate `{}`", one.name);
                unsaid(who, "from which stages its nodes are served", "stages")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
