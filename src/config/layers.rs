//! Flags over environment over file over defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_saphyr::Spanned;

use super::file::{
    CertificateEntry, ClientCertificates, File, LimitsEntry, MetricsEntry, OidcEntry, PersonEntry,
    Repository, Slack, TlsEntry, TokenEntry, UpstreamEntry,
};
use super::github;
use super::{
    CertificateConfig, Config, ConfigError, LimitsConfig, MetricsConfig, MirrorsConfig, OidcConfig,
    PersonConfig, RepositoryConfig, SlackConfig, StoreConfig, TokenConfig, UpstreamConfig,
    WebhookConfig, XdsTlsConfig,
};
use crate::access::{NamePattern, NodeScope};
use crate::model::{Role, nearest};
use crate::telemetry::logs::LogFormat;

/// What the command line gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Flags {
    /// The folder that holds everything durable [default: convoy-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to serve API, console and hooks [default: 127.0.0.1:7400]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where to serve xDS [default: 127.0.0.1:7401]
    #[arg(long, value_name = "IP:PORT")]
    pub xds_listen: Option<SocketAddr>,
    /// How people reach the console, for links
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Serve without authentication, on loopback only
    #[arg(long)]
    pub insecure_dev: bool,
    /// What to log, as in `info,convoy=debug`
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// The folder that holds Envoys, as `convoy envoy install` lays them out
    #[arg(long, value_name = "DIR")]
    pub envoys: Option<PathBuf>,
}

/// Every environment variable that is read, and what it sets. Those of the
/// client commands are among them, so that one environment can serve both.
pub const VARIABLES: [(&str, &str); 12] = [
    ("CONVOY_CONFIG", "the configuration file"),
    ("CONVOY_DATA", "`data`"),
    ("CONVOY_LISTEN", "`listen`"),
    ("CONVOY_XDS_LISTEN", "`xds_listen`"),
    ("CONVOY_BASE_URL", "`base_url`"),
    ("CONVOY_INSECURE_DEV", "`insecure_dev`, true or false"),
    ("CONVOY_LOG_LEVEL", "`log.level`"),
    ("CONVOY_LOG_FORMAT", "`log.format`, text or json"),
    ("CONVOY_ENVOYS", "`smoke.envoys`, and where `envoy install` puts them"),
    ("CONVOY_URL", "the server that client commands talk to"),
    ("CONVOY_TOKEN_FILE", "the file with the token of client commands"),
    ("CONVOY_PERSON", "who acts, with --insecure-dev"),
];

/// Variables with our prefix that only the test suite reads.
const FOREIGN: [&str; 3] = ["CONVOY_LONG", "CONVOY_PY", "CONVOY_TEST_"];

pub(super) fn merge(
    flags: Flags,
    environment: &BTreeMap<String, String>,
    name: &str,
    file: File,
) -> Result<Config, ConfigError> {
    let env = Environment(environment);
    env.refuse_unknown()?;
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let listen = first(flags.listen, env.get("CONVOY_LISTEN")?, file.listen, loopback(7400));
    let base_url = flags.base_url.or(env.text("CONVOY_BASE_URL")).or(file.base_url);
    let base_url = base_url.unwrap_or_else(|| format!("http://{listen}"));
    let dev = env.get("CONVOY_INSECURE_DEV")?;
    let format = env.text("CONVOY_LOG_FORMAT").map(|text| log_format(&text)).transpose()?;
    let level = flags.log_level.or(env.text("CONVOY_LOG_LEVEL")).or(file.log.level);
    Ok(Config {
        data: first(flags.data, env.path("CONVOY_DATA"), file.data, "convoy-data".into()),
        listen,
        xds_listen: first(
            flags.xds_listen,
            env.get("CONVOY_XDS_LISTEN")?,
            file.xds_listen,
            loopback(7401),
        ),
        xds_tls: file.xds.tls.map(|tls| xds_tls(name, tls)).transpose()?,
        base_url: url(name, "base_url", &base_url)?,
        insecure_dev: first(flags.insecure_dev.then_some(true), dev, file.insecure_dev, false),
        log_level: level_filter(level.unwrap_or_else(|| "info".into()))?,
        log_format: format.or(file.log.format).unwrap_or(LogFormat::Text),
        ack_deadline: file.ack_deadline.map_or(Duration::from_secs(60), |span| span.0),
        repositories: repositories(name, file.repositories)?,
        people: people(name, file.people)?,
        tokens: tokens(name, file.auth.tokens)?,
        certificates: certificates(name, file.auth.certificates)?,
        oidc: file.auth.oidc.map(|oidc| oidc_config(name, oidc)).transpose()?,
        slack: file.slack.map(|slack| slack_config(name, slack)).transpose()?,
        envoys: first(
            flags.envoys,
            env.path("CONVOY_ENVOYS"),
            file.smoke.envoys,
            envoys_folder(&env),
        ),
        smoke_parallel: file.smoke.parallel.map_or(2, NonZeroUsize::get),
        store: StoreConfig {
            file_bytes_max: file.store.file_bytes_max,
            files_max: file.store.files_max,
            checkpoint_bytes: file.store.checkpoint_bytes,
        },
        mirrors: MirrorsConfig {
            allow: file.mirrors.allow,
            ca_file: file.mirrors.ca_file,
            limits: limits(&file.mirrors.limits),
        },
        metrics: file.metrics.map(|metrics| metrics_config(name, metrics)).transpose()?,
    })
}

fn first<T>(flag: Option<T>, environment: Option<T>, file: Option<T>, default: T) -> T {
    flag.or(environment).or(file).unwrap_or(default)
}

/// Where `convoy envoy install` puts Envoys when nothing says otherwise.
fn envoys_folder(env: &Environment<'_>) -> PathBuf {
    match (env.path("XDG_CACHE_HOME"), env.path("HOME")) {
        (Some(cache), _) => cache.join("convoy/envoys"),
        (None, Some(home)) => home.join(".cache/convoy/envoys"),
        (None, None) => "convoy-envoys".into(),
    }
}

struct Environment<'a>(&'a BTreeMap<String, String>);

impl<'a> Environment<'a> {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|text| !text.is_empty()).cloned()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>, ConfigError>
    where
        T::Err: std::fmt::Display,
    {
        let parse = |text: String| {
            text.parse()
                .map_err(|error: T::Err| ConfigError::at(name, format!("`{text}`: {error}")))
        };
        self.text(name).map(parse).transpose()
    }

    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let known = |name: &str| {
            VARIABLES.iter().any(|(known, _)| *known == name)
                || FOREIGN.iter().any(|foreign| name.starts_with(foreign))
        };
        let ours = self.0.keys().filter(|name| name.starts_with("CONVOY_"));
        match ours.into_iter().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let error = ConfigError::at(name, "no such environment variable is read");
                // What all of them begin with says nothing about what was meant.
                let own = |name: &'a str| name.trim_start_matches("CONVOY_");
                let names = VARIABLES.iter().map(|(known, _)| own(known));
                Err(match nearest(own(name), names) {
                    Some(meant) => error.with_hint(format!("did you mean CONVOY_{meant}?")),
                    None => error.with_hint("unset it"),
                })
            }
        }
    }
}

fn log_format(text: &str) -> Result<LogFormat, ConfigError> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => {
            Err(ConfigError::at("CONVOY_LOG_FORMAT", format!("`{text}` is neither text nor json")))
        }
    }
}

fn level_filter(text: String) -> Result<String, ConfigError> {
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let message = format!("log level `{text}`: {error}");
            Err(ConfigError::rule(message, "write it as `info` or `info,convoy=debug`"))
        }
    }
}

fn url(name: &str, key: &str, text: &str) -> Result<String, ConfigError> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    let message = format!("`{key}`: `{text}` is no URL");
    Err(ConfigError::at(name, message).with_hint("write it as https://convoy.example.com"))
}

fn unique<'a>(
    name: &str,
    what: &str,
    items: impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(item) {
            return Err(ConfigError::at(name, format!("{what} `{item}` is there twice"))
                .with_hint("remove one of the two"));
        }
    }
    Ok(())
}

fn repositories(
    name: &str,
    entries: Vec<Repository>,
) -> Result<Vec<RepositoryConfig>, ConfigError> {
    unique(name, "the repository", entries.iter().map(|entry| entry.name.as_str()))?;
    entries.into_iter().map(|entry| repository(name, entry)).collect()
}

fn repository(name: &str, entry: Repository) -> Result<RepositoryConfig, ConfigError> {
    let webhook = entry
        .webhook
        .map(|hook| WebhookConfig { full_name: hook.full_name, secret_files: hook.secret_files });
    let upstream = entry.upstream.map(|upstream| upstream_config(name, upstream)).transpose()?;
    let beside = (upstream.as_ref(), webhook.as_ref());
    let github = entry.github.map(|github| github::resolve(name, github, beside)).transpose()?;
    Ok(RepositoryConfig {
        name: entry.name,
        upstream,
        poll: entry.poll.map_or(Duration::from_secs(30), |span| span.0),
        webhook,
        github,
    })
}

fn upstream_config(name: &str, entry: UpstreamEntry) -> Result<UpstreamConfig, ConfigError> {
    if entry.ssh_key_file.is_some() != entry.known_hosts_file.is_some() {
        let message = "`ssh_key_file` and `known_hosts_file` go together";
        return Err(ConfigError::at(name, message)
            .with_hint("a host that is not pinned could be anybody; give both"));
    }
    let at = entry.url.referenced;
    Ok(UpstreamConfig {
        place: format!("{name}:{}:{}", at.line(), at.column()),
        url: entry.url.value,
        branch: entry.branch.unwrap_or_else(|| "main".into()),
        user: entry.user.unwrap_or_else(|| "x-access-token".into()),
        token_file: entry.token_file,
        ssh_key_file: entry.ssh_key_file,
        known_hosts_file: entry.known_hosts_file,
        ca_file: entry.ca_file,
        limits: limits(&entry.limits),
    })
}

fn limits(entry: &LimitsEntry) -> LimitsConfig {
    LimitsConfig {
        bytes_max: entry.bytes,
        files_max: entry.files,
        depth_max: entry.depth,
        time_max: entry.time.map(|span| span.0),
    }
}

fn people(name: &str, entries: Vec<PersonEntry>) -> Result<Vec<PersonConfig>, ConfigError> {
    unique(name, "the person", entries.iter().map(|entry| entry.name.as_str()))?;
    let people: Vec<_> = entries
        .into_iter()
        .map(|entry| PersonConfig {
            name: entry.name,
            emails: entry.emails.iter().map(|mail| mail.to_lowercase()).collect(),
            slack: entry.slack,
            role: entry.role,
        })
        .collect();
    unique(name, "the mail address", people.iter().flat_map(|p| &p.emails).map(String::as_str))?;
    unique(name, "the Slack id", people.iter().flat_map(|p| &p.slack).map(String::as_str))?;
    Ok(people)
}

fn tokens(name: &str, entries: Vec<TokenEntry>) -> Result<Vec<TokenConfig>, ConfigError> {
    unique(name, "the token", entries.iter().map(|entry| entry.name.as_str()))?;
    let token = |entry: TokenEntry| {
        if let Some(scope) = entry.scope.as_ref().filter(|_| entry.role != Role::Node) {
            let message = format!("the token `{}` has a scope, but is no node's", entry.name);
            return Err(ConfigError::at(place(name, scope), message)
                .with_hint("only `role: node` has one; grant rights on repositories instead"));
        }
        Ok(TokenConfig {
            name: entry.name,
            role: entry.role,
            person: entry.person,
            sha256: entry.sha256,
            scope: scope(name, entry.scope)?,
        })
    };
    entries.into_iter().map(token).collect()
}

fn certificates(
    name: &str,
    entries: Vec<CertificateEntry>,
) -> Result<Vec<CertificateConfig>, ConfigError> {
    unique(name, "the certificate", entries.iter().map(|entry| entry.name.as_str()))?;
    let certificate = |entry: CertificateEntry| {
        if entry.names.is_empty() {
            let message = format!("the certificate `{}` has no `names`", entry.name);
            return Err(ConfigError::at(name, message)
                .with_hint("write them as spiffe://mesh.example.com/edge/* or *.example.com"));
        }
        let patterns = entry.names.iter().map(|text| {
            let hint = "write it as spiffe://mesh.example.com/edge/{node} or *.example.com";
            NamePattern::new(&text.value).map_err(|error| {
                ConfigError::at(place(name, text), error.to_string()).with_hint(hint)
            })
        });
        Ok(CertificateConfig {
            names: patterns.collect::<Result<_, _>>()?,
            scope: scope(name, entry.scope)?,
            name: entry.name,
        })
    };
    entries.into_iter().map(certificate).collect()
}

fn scope(name: &str, entry: Option<Spanned<NodeScope>>) -> Result<NodeScope, ConfigError> {
    let Some(entry) = entry else { return Ok(NodeScope::default()) };
    match entry.value.compile() {
        Ok(_) => Ok(entry.value),
        Err(error) => Err(ConfigError::at(place(name, &entry), format!("`scope`: {error}"))),
    }
}

pub(super) fn place<T>(name: &str, entry: &Spanned<T>) -> String {
    format!("{name}:{}:{}", entry.referenced.line(), entry.referenced.column())
}

fn xds_tls(name: &str, entry: TlsEntry) -> Result<XdsTlsConfig, ConfigError> {
    let more = entry.client_certificates.is_some() || !entry.client_crl_files.is_empty();
    if entry.client_ca_files.is_empty() && more {
        let message = "`xds.tls.client_ca_files` is empty, so nodes are asked for no certificate";
        return Err(ConfigError::at(name, message)
            .with_hint("name those whose certificates are trusted, or remove the other keys"));
    }
    let required = entry.client_certificates != Some(ClientCertificates::Optional);
    Ok(XdsTlsConfig {
        cert_file: entry.cert_file,
        key_file: entry.key_file,
        client_ca_files: entry.client_ca_files,
        client_crl_files: entry.client_crl_files,
        required,
    })
}

fn oidc_config(name: &str, entry: OidcEntry) -> Result<OidcConfig, ConfigError> {
    let issuer = entry.issuer;
    let parsed = url::Url::parse(&issuer).ok();
    let host = parsed.as_ref().and_then(url::Url::host_str).unwrap_or("");
    let loopback = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    let trusted = issuer.starts_with("https://") || issuer.starts_with("http://") && loopback;
    if host.is_empty() || !trusted {
        let message = format!("`auth.oidc.issuer`: `{issuer}` is no https:// URL");
        let hint = "write it exactly as the provider does, as in https://login.example.com";
        return Err(ConfigError::at(name, message).with_hint(hint));
    }
    let scopes = || ["profile", "email"].map(str::to_owned).to_vec();
    Ok(OidcConfig {
        name: entry.name.unwrap_or_else(|| host.to_owned()),
        client_id: entry.client_id,
        client_secret_file: entry.client_secret_file,
        scopes: entry.scopes.unwrap_or_else(scopes),
        person_claim: entry.person_claim.unwrap_or_else(|| "preferred_username".into()),
        teams_claim: entry.teams_claim,
        ca_file: entry.ca_file,
        issuer,
    })
}

fn slack_config(name: &str, entry: Slack) -> Result<SlackConfig, ConfigError> {
    // In Socket Mode nothing comes from outside, so nothing is signed.
    if entry.signing_secret_files.is_empty() && entry.app_token_file.is_none() {
        return Err(ConfigError::at(name, "`slack.signing_secret_files` is empty").with_hint(
            "name the file that holds the app's signing secret, or `app_token_file` for Socket Mode",
        ));
    }
    let connections = entry.connections.unwrap_or(2);
    if !(1..=10).contains(&connections) {
        let message = format!("`slack.connections` is {connections}");
        return Err(ConfigError::at(name, message).with_hint("write 1 to 10: Slack allows no more"));
    }
    let zone = entry.zone.unwrap_or_else(|| "UTC".into());
    if jiff::tz::TimeZone::get(&zone).is_err() {
        let message = format!("`slack.zone` is `{zone}`, which is no time zone");
        return Err(ConfigError::at(name, message).with_hint("write an IANA name: Asia/Tokyo"));
    }
    let api = entry.api_url.unwrap_or_else(|| "https://slack.com/api".into());
    Ok(SlackConfig {
        signing_secret_files: entry.signing_secret_files,
        bot_token_file: entry.bot_token_file,
        channel: entry.channel,
        api_url: url(name, "slack.api_url", &api)?,
        app_token_file: entry.app_token_file,
        connections,
        response_hosts: entry.response_hosts,
        zone,
        remind_after: entry.remind_after.map(|span| span.0),
        escalate_to: entry.escalate_to,
        alarms: entry.alarms,
    })
}

fn metrics_config(name: &str, entry: MetricsEntry) -> Result<MetricsConfig, ConfigError> {
    let address = url(name, "metrics.url", &entry.url)?;
    let parsed = url::Url::parse(&address).ok();
    let plain = parsed.as_ref().is_none_or(|url| {
        url.username().is_empty() && url.password().is_none() && url.query().is_none()
    });
    let refuse = |message: &str, hint: &str| {
        Err(ConfigError::at(name, message.to_owned()).with_hint(hint.to_owned()))
    };
    if parsed.is_none() || !plain {
        let hint = "write it as https://prometheus.example.com; a token goes to `token_file`";
        return refuse("`metrics.url` must be an address without a user and a query", hint);
    }
    if entry.token_file.is_some() && address.starts_with("http://") && !is_loopback(&parsed) {
        let hint = "use https://, or leave `token_file` out";
        return refuse("`metrics.token_file` would go over http:// for everybody to read", hint);
    }
    let (timeout, every) = (entry.timeout.map(|span| span.0), entry.every.map(|span| span.0));
    if [timeout, every].contains(&Some(Duration::ZERO)) {
        let hint = "write them as 5s and 15s";
        return refuse("`metrics.timeout` and `metrics.every` must be longer than nothing", hint);
    }
    Ok(MetricsConfig {
        url: address,
        token_file: entry.token_file,
        ca_file: entry.ca_file,
        timeout: timeout.unwrap_or(Duration::from_secs(5)),
        every: every.unwrap_or(Duration::from_secs(15)),
    })
}

fn is_loopback(url: &Option<url::Url>) -> bool {
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or("");
    ["127.0.0.1", "localhost", "[::1]"].contains(&host)
}
