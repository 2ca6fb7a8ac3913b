//! `convoy bootstrap --node ID`: the file to start an Envoy with.

use super::Failure;
use super::output::Output;
use crate::config::secrets;
use crate::model::{FilePath, Secret};
use crate::render;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's id
    #[arg(long)]
    node: String,
    /// The node's cluster
    #[arg(long, default_value = "convoy")]
    cluster: String,
    /// The stage, as the node's metadata says it
    #[arg(long)]
    stage: crate::model::Stage,
    /// Where Convoy serves xDS
    #[arg(long, default_value = "127.0.0.1:7401", value_name = "HOST:PORT")]
    xds: String,
    /// The port of Envoy's admin interface, on loopback
    #[arg(long, default_value_t = 9901)]
    admin_port: u16,
    /// The node's region
    #[arg(long)]
    region: Option<String>,
    /// The node's zone
    #[arg(long)]
    zone: Option<String>,
    /// Subscribe to state-of-the-world updates instead of incremental ones
    #[arg(long)]
    sotw: bool,
    /// Names of runtime resources to follow, for RTDS
    #[arg(long, value_name = "NAME")]
    runtime: Vec<String>,
    /// More metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// The file that holds the token of this node; its text becomes part of
    /// the bootstrap
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// Speak TLS, and trust these certificates (PEM), where the node finds them
    #[arg(long, value_name = "PATH")]
    ca_file: Option<String>,
    /// The node's own certificate (PEM), where the node finds it
    #[arg(long, value_name = "PATH", requires = "ca_file", requires = "key_file")]
    cert_file: Option<String>,
    /// The key of the node's certificate (PEM), where the node finds it
    #[arg(long, value_name = "PATH", requires = "cert_file")]
    key_file: Option<String>,
}

const TEMPLATE: &str = include_str!("../../templates/envoy/bootstrap.yaml");

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.into(), value.into()))
        .ok_or_else(|| format!("`{text}` is not KEY=VALUE"))
}

/// `host`, `host:7401`, `[::1]` or `[::1]:7401`.
fn host_and_port(text: &str) -> Result<(&str, u16), Failure> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (text, Some(7401)),
    };
    let bare = host.trim_matches(['[', ']']);
    let whole = !bare.is_empty() && (host.starts_with('[') || !bare.contains(':'));
    match port.filter(|port| *port != 0 && whole) {
        Some(port) => Ok((bare, port)),
        None => Err(Failure::new(Failure::USAGE, format!("--xds: `{text}` is not HOST:PORT"))),
    }
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let (host, port) = host_and_port(&args.xds)?;
    let token = args.token_file.as_deref().map(secrets::read).transpose();
    let token = token.map_err(|error| Failure::new(Failure::USAGE, error.to_string()))?;
    let metadata: std::collections::BTreeMap<_, _> = args.metadata.iter().cloned().collect();
    let inputs = serde_json::json!({
        "node_id": args.node,
        "node_cluster": args.cluster,
        "stage": args.stage.as_str(),
        "metadata": metadata,
        "region": args.region,
        "zone": args.zone,
        "xds_host": host,
        "xds_port": port,
        "delta": !args.sotw,
        "token": token.as_ref().map(Secret::expose),
        "ca_file": args.ca_file,
        "cert_file": args.cert_file,
        "key_file": args.key_file,
        "xds_host_is_name": host.parse::<std::net::IpAddr>().is_err(),
        "runtime_layers": args.runtime,
        "admin_port": args.admin_port,
    });
    let file = FilePath::new("bootstrap.yaml")
        .map_err(|error| Failure::new(Failure::FAILED, error.to_string()))?;
    let text = render::fill(&file, TEMPLATE, inputs)
        .map_err(|problem| Failure::new(Failure::FAILED, problem.to_string()))?;
    output.result(&serde_json::json!({ "bootstrap": text }), || text.clone());
    Ok(())
}
