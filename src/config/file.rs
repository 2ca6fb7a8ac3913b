//! The configuration file as it is written.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Error, Spanned};

use super::{ConfigError, Report, Role};
use crate::access::NodeScope;
use crate::model::{ContentHash, Person, RepoName, did_you_mean};
use crate::schema::mistake;
use crate::telemetry::logs::LogFormat;

/// The file's keys; every one is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) data: Option<PathBuf>,
    pub(super) listen: Option<std::net::SocketAddr>,
    pub(super) xds_listen: Option<std::net::SocketAddr>,
    pub(super) xds: XdsEntry,
    pub(super) base_url: Option<String>,
    pub(super) insecure_dev: Option<bool>,
    pub(super) log: Log,
    pub(super) ack_deadline: Option<Span>,
    pub(super) repositories: Vec<Repository>,
    pub(super) people: Vec<PersonEntry>,
    pub(super) auth: Auth,
    pub(super) slack: Option<Slack>,
    pub(super) smoke: SmokeEntry,
    pub(super) store: StoreEntry,
    pub(super) mirrors: MirrorsEntry,
    pub(super) metrics: Option<MetricsEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsEntry {
    pub(super) url: String,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) timeout: Option<Span>,
    pub(super) every: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MirrorsEntry {
    pub(super) allow: Vec<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) limits: LimitsEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: Option<String>,
    pub(super) format: Option<LogFormat>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repository {
    pub(super) name: RepoName,
    pub(super) upstream: Option<UpstreamEntry>,
    pub(super) poll: Option<Span>,
    pub(super) webhook: Option<Webhook>,
    pub(super) github: Option<Spanned<GithubEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GithubEntry {
    pub(super) api_url: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) app: Option<AppEntry>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) report: Option<Vec<Report>>,
    pub(super) poll: Option<Span>,
    pub(super) pulls: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppEntry {
    pub(super) id: AppId,
    pub(super) installation: AppId,
    pub(super) key_file: PathBuf,
}

/// A number, or a client id.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum AppId {
    Number(u64),
    Text(String),
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamEntry {
    pub(super) url: Spanned<String>,
    pub(super) branch: Option<String>,
    pub(super) user: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ssh_key_file: Option<PathBuf>,
    pub(super) known_hosts_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) limits: LimitsEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsEntry {
    pub(super) bytes: Option<u64>,
    pub(super) files: Option<usize>,
    pub(super) depth: Option<usize>,
    pub(super) time: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) full_name: String,
    pub(super) secret_files: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonEntry {
    pub(super) name: Person,
    #[serde(default)]
    pub(super) emails: Vec<String>,
    #[serde(default)]
    pub(super) slack: Vec<String>,
    pub(super) role: Option<Role>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Auth {
    pub(super) tokens: Vec<TokenEntry>,
    pub(super) certificates: Vec<CertificateEntry>,
    pub(super) oidc: Option<OidcEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OidcEntry {
    pub(super) issuer: String,
    pub(super) name: Option<String>,
    pub(super) client_id: String,
    pub(super) client_secret_file: PathBuf,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) person_claim: Option<String>,
    pub(super) teams_claim: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenEntry {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) person: Option<Person>,
    pub(super) sha256: ContentHash,
    pub(super) scope: Option<Spanned<NodeScope>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateEntry {
    pub(super) name: String,
    pub(super) names: Vec<Spanned<String>>,
    pub(super) scope: Option<Spanned<NodeScope>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct XdsEntry {
    pub(super) tls: Option<TlsEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsEntry {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    #[serde(default)]
    pub(super) client_ca_files: Vec<PathBuf>,
    #[serde(default)]
    pub(super) client_crl_files: Vec<PathBuf>,
    pub(super) client_certificates: Option<ClientCertificates>,
}

/// Whether nodes must bring a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClientCertificates {
    Required,
    Optional,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slack {
    #[serde(default)]
    pub(super) signing_secret_files: Vec<PathBuf>,
    pub(super) bot_token_file: PathBuf,
    pub(super) channel: String,
    pub(super) api_url: Option<String>,
    pub(super) app_token_file: Option<PathBuf>,
    pub(super) connections: Option<usize>,
    #[serde(default)]
    pub(super) response_hosts: Vec<String>,
    pub(super) zone: Option<String>,
    pub(super) remind_after: Option<Span>,
    pub(super) escalate_to: Option<String>,
    pub(super) alarms: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SmokeEntry {
    pub(super) envoys: Option<PathBuf>,
    pub(super) parallel: Option<NonZeroUsize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreEntry {
    pub(super) file_bytes_max: Option<u64>,
    pub(super) files_max: Option<usize>,
    pub(super) checkpoint_bytes: Option<u64>,
}

/// A length of time as people write it: `250ms`, `30s`, `5m`, `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub(super) Duration);

/// Why a text is no length of time.
#[derive(Debug)]
pub(super) struct SpanError(String);

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no length of time; write it as 250ms, 30s, 5m or 2h", self.0)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let refuse = || SpanError(text.clone());
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
        let span = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3600),
            _ => None,
        };
        span.map(Self).ok_or_else(refuse)
    }
}

/// Reads the file's text; an empty one has no key.
pub(super) fn parse(name: &str, text: &str) -> Result<File, ConfigError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(File::default());
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(name, &error))
}

fn explain(name: &str, error: &Error) -> ConfigError {
    let ((line, column), text) = mistake(error);
    let place = if line > 0 { format!("{name}:{line}:{column}") } else { name.to_owned() };
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            ConfigError::at(place, format!("unknown key `{field}`"))
                .with_hint(meant(field, "keys", expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            ConfigError::at(place, format!("`{variant}` can't stand here"))
                .with_hint(meant(variant, "words", expected))
        }
        Error::SerdeInvalidValue { unexpected, .. } if text.contains("nonzero") => {
            ConfigError::at(place, format!("{unexpected} can't stand here"))
                .with_hint("at least 1 is needed")
        }
        _ if text.contains("invalid socket address") => {
            ConfigError::at(place, "this is not an address and a port")
                .with_hint("write it as 127.0.0.1:7400")
        }
        _ => ConfigError::at(place, text),
    }
}

/// What was most likely meant, or else all there is.
fn meant(written: &str, what: &str, known: &[&str]) -> String {
    let all = || format!("the {what} here are {}", known.join(", "));
    did_you_mean(written, known).unwrap_or_else(all)
}
