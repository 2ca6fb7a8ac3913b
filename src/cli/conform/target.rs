//! The server under test as the flags name it: where, how secured, who asks,
//! how patiently.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Failure;
use crate::config::secrets;
use crate::conform::{NodeShape, Target, Tls};
use crate::model::Stage;

/// How to speak to the server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Speaking to the server")]
pub(super) struct TargetArgs {
    /// The certificates, in PEM, that vouch for the server; without it, no TLS
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "key", requires = "ca")]
    cert: Option<PathBuf>,
    /// The key of the client's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// What the server is called, in its certificate and in requests; without
    /// it, as in the address
    #[arg(long, value_name = "NAME", alias = "server-name")]
    authority: Option<String>,
    /// The file that holds a token, sent with every request
    #[arg(long, value_name = "FILE", alias = "xds-token-file")]
    token_file: Option<PathBuf>,
    /// The node id of every stream; without it, of cases that change something,
    /// conform-1, conform-2 and so on, and conform-still of all others
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// The node's cluster
    #[arg(long, value_name = "NAME", default_value = "conform")]
    node_cluster: String,
    /// A field of the node's metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// How long something that must come may take
    #[arg(long, value_name = "MS", default_value = "10000",
        value_parser = clap::value_parser!(u64).range(1..=600_000))]
    patience_ms: u64,
    /// How long nothing must come where silence is right
    #[arg(long, value_name = "MS", default_value = "500",
        value_parser = clap::value_parser!(u64).range(1..=60_000))]
    quiet_ms: u64,
    /// How many cases run at once, where they can't disturb each other
    #[arg(long, value_name = "COUNT", default_value = "16",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    at_once: u16,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write it as key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl TargetArgs {
    /// The server at `address`, asked by nodes of `stage`.
    pub(super) fn read(self, address: String, stage: Option<&Stage>) -> Result<Target, Failure> {
        let host = host(&address)?;
        let token = self.token_file.as_deref().map(secrets::read).transpose();
        let token = token.map_err(|error| Failure::new(Failure::USAGE, error.to_string()))?;
        let tls = self.tls(host)?;
        let mut metadata: std::collections::BTreeMap<_, _> = self.metadata.into_iter().collect();
        if let Some(stage) = stage {
            metadata.entry("stage".to_owned()).or_insert_with(|| stage.to_string());
        }
        Ok(Target {
            tls,
            address,
            authority: self.authority,
            token,
            node: NodeShape { id: self.node, cluster: self.node_cluster, metadata },
            patience: Duration::from_millis(self.patience_ms),
            quiet: Duration::from_millis(self.quiet_ms),
            at_once: usize::from(self.at_once),
        })
    }

    fn tls(&self, host: &str) -> Result<Option<Tls>, Failure> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let wrong = |text: String| Failure::new(Failure::USAGE, text);
        let read = |path: &Path| {
            let read = std::fs::read(path);
            read.map_err(|error| wrong(format!("`{}` can't be read: {error}", path.display())))
        };
        let name = self.authority.as_deref().map_or(host, without_port);
        let authorities = read(ca)?;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        let identity = identity.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()));
        Tls::new(name, &authorities, identity).map(Some).map_err(wrong)
    }
}

/// The host in `host:port`.
fn host(address: &str) -> Result<&str, Failure> {
    let parts = address.rsplit_once(':').filter(|(host, port)| {
        let plain = !host.is_empty() && !host.contains('/');
        let bare = host.contains(':') && !host.starts_with('[');
        plain && !bare && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let (host, _) = parts.ok_or_else(|| {
        Failure::new(Failure::USAGE, format!("`{address}` is no address of an xDS server"))
            .with_hint("write it as host:port or [IPv6]:port, without http://")
    })?;
    Ok(host.trim_matches(['[', ']']))
}

fn without_port(authority: &str) -> &str {
    let port = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    port.map_or(authority, |(host, _)| host).trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_a_key_and_a_value() {
        assert_eq!(pair("stage=a=b"), Ok(("stage".to_owned(), "a=b".to_owned())));
        assert!(pair("stage").is_err() && pair("=x").is_err());
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let hosts =
            [("a.example:1", "a.example"), ("[::1]:80", "::1"), ("127.0.0.1:7401", "127.0.0.1")];
        for (address, expected) in hosts {
            assert_eq!(host(address), Ok(expected));
        }
        for address in ["a.example", "http://a.example:1", "a:x", ":1", "::1:80", "a:0", ""] {
            assert!(host(address).is_err_and(|failure| failure.hint.contains("host:port")));
        }
    }

    #[test]
    fn an_authority_may_have_a_port() {
        assert_eq!(without_port("a.example:443"), "a.example");
        assert_eq!(without_port("a.example"), "a.example");
    }
}
