//! Every secret that the configuration names, read before a port is bound.

use std::collections::BTreeMap;

use crate::config::secrets::read;
use crate::config::{
    Config, ConfigError, GithubAccount, GithubConfig, LimitsConfig, UpstreamConfig, XdsTlsConfig,
};
use crate::mirror::{
    Allow, App, AppLogin, AppScope, AppTokens, Credentials, Limits, SshKey, Upstream,
};
use crate::mirroring::Remotes;
use crate::model::{RepoName, Secret};
use crate::xds::{Tls, TlsFiles};

/// The secrets.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Each mirrored repository's remote, with its credentials.
    pub upstreams: BTreeMap<RepoName, Upstream>,
    /// Each hook's secrets.
    pub webhooks: BTreeMap<RepoName, Vec<Secret>>,
    /// Tokens that Apps have bought.
    pub tokens: AppTokens,
    /// Each repository's account on GitHub.
    pub github: BTreeMap<RepoName, GithubSecret>,
    /// Ours at the identity provider.
    pub oidc: Option<Secret>,
    /// Slack's.
    pub slack: Option<SlackSecrets>,
    /// TLS of the xDS listener.
    pub tls: Option<Tls>,
    /// What mirrors may reach; no secret, but checked with them.
    pub mirrors: Remotes,
}

/// What proves who we are on GitHub: a token, or an App's private key.
#[derive(Debug, Clone)]
pub struct GithubSecret(pub Secret);

/// Slack's secrets.
#[derive(Debug, Clone)]
pub struct SlackSecrets {
    /// Any of them may have signed a request.
    pub signing: Vec<Secret>,
    /// Sent with each call.
    pub bot_token: Secret,
    /// Opens connections in Socket Mode.
    pub app_token: Option<Secret>,
}

impl Secrets {
    /// Reads them.
    ///
    /// # Errors
    /// A file can't be read or is open to everybody.
    pub fn read(config: &Config) -> Result<Self, ConfigError> {
        let mut secrets = Self::default();
        for repository in &config.repositories {
            if let Some(given) = &repository.upstream {
                secrets.upstreams.insert(repository.name.clone(), upstream(given)?);
            }
            if let Some(hook) = &repository.webhook {
                let read: Result<_, _> = hook.secret_files.iter().map(|path| read(path)).collect();
                secrets.webhooks.insert(repository.name.clone(), read?);
            }
        }
        for repository in &config.repositories {
            let Some(github) = &repository.github else { continue };
            let file = match &github.account {
                GithubAccount::Token { file } => file,
                GithubAccount::App { key_file, .. } => key_file,
            };
            let secret = read(file)?;
            if let Some(upstream) = secrets.upstreams.get_mut(&repository.name) {
                upstream.app = git_login(github, &secret, upstream, &secrets.tokens)?;
            }
            secrets.github.insert(repository.name.clone(), GithubSecret(secret));
        }
        let oidc = config.oidc.as_ref();
        secrets.oidc = oidc.map(|oidc| read(&oidc.client_secret_file)).transpose()?;
        if let Some(slack) = &config.slack {
            let signing: Result<_, _> =
                slack.signing_secret_files.iter().map(|path| read(path)).collect();
            let bot_token = read(&slack.bot_token_file)?;
            let app_token = slack.app_token_file.as_deref().map(read).transpose()?;
            secrets.slack = Some(SlackSecrets { signing: signing?, bot_token, app_token });
        }
        secrets.tls = config.xds_tls.as_ref().map(tls).transpose()?;
        secrets.mirrors = remotes(config)?;
        Ok(secrets)
    }
}

fn tls(config: &XdsTlsConfig) -> Result<Tls, ConfigError> {
    let files = TlsFiles {
        cert_file: config.cert_file.clone(),
        key_file: config.key_file.clone(),
        client_ca_files: config.client_ca_files.clone(),
        client_crl_files: config.client_crl_files.clone(),
        required: config.required,
    };
    Tls::load(files).map_err(|error| {
        ConfigError::at(error.file.display().to_string(), error.reason)
            .with_hint("it is named by `xds.tls` in the configuration")
    })
}

fn remotes(config: &Config) -> Result<Remotes, ConfigError> {
    let mirrors = &config.mirrors;
    let allow = Allow::parse(&mirrors.allow, config.insecure_dev);
    let allow = allow.map_err(|error| ConfigError::at("mirrors.allow", error.to_string()))?;
    let (ca_file, limits) = (mirrors.ca_file.clone(), limits(&mirrors.limits));
    Ok(Remotes { allow, ca_file, limits })
}

fn upstream(config: &UpstreamConfig) -> Result<Upstream, ConfigError> {
    let secret = config.token_file.as_deref().map(read).transpose()?;
    let credentials = secret.map(|secret| Credentials { user: config.user.clone(), secret });
    let ssh = config.ssh_key_file.clone().zip(config.known_hosts_file.clone());
    let upstream = Upstream {
        url: config.url.clone(),
        branch: config.branch.clone(),
        credentials,
        app: None,
        limits: limits(&config.limits),
        ssh: ssh.map(|(key_file, known_hosts)| SshKey { key_file, known_hosts }),
        ca_file: config.ca_file.clone(),
        pin: None,
    };
    let refused =
        |error: crate::mirror::MirrorError| ConfigError::at(&config.place, error.to_string());
    upstream.check().map_err(refused)?;
    Ok(upstream)
}

/// The App as who Git is spoken to, where nobody else is named for it.
fn git_login(
    github: &GithubConfig,
    key: &Secret,
    upstream: &Upstream,
    tokens: &AppTokens,
) -> Result<Option<AppLogin>, ConfigError> {
    if upstream.credentials.is_some() || !upstream.url.starts_with("https://") {
        return Ok(None);
    }
    // Branches of edits are pushed.
    app_login(github, key, tokens, vec![("metadata", "read"), ("contents", "write")])
}

/// An App whose tokens are cut to one repository; `None` where the account is
/// a token's.
pub(super) fn app_login(
    github: &GithubConfig,
    key: &Secret,
    tokens: &AppTokens,
    permissions: Vec<(&'static str, &'static str)>,
) -> Result<Option<AppLogin>, ConfigError> {
    let GithubAccount::App { id, installation, .. } = &github.account else { return Ok(None) };
    let repository = github.full_name.split('/').next_back().unwrap_or("").to_owned();
    let app = App {
        id: id.clone(),
        installation: installation.clone(),
        api_url: github.api_url.clone(),
        key: key.clone(),
        scope: Some(AppScope { repository, permissions }),
    };
    let login = AppLogin::new(app, tokens.clone(), github.ca_file.clone());
    login.map(Some).map_err(|error| ConfigError::at(&github.place, error))
}

fn limits(config: &LimitsConfig) -> Limits {
    let defaults = Limits::default();
    Limits {
        bytes_max: config.bytes_max.unwrap_or(defaults.bytes_max),
        files_max: config.files_max.unwrap_or(defaults.files_max),
        depth_max: config.depth_max.unwrap_or(defaults.depth_max),
        time_max: config.time_max.unwrap_or(defaults.time_max),
    }
}
