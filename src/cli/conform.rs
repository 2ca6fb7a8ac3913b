//! `convoy xds conform`: runs the conformance suite against a server.

mod commit;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Failure;
use super::client::Server;
use super::output::{Output, columns};
use crate::config::secrets;
use crate::conform::{Case, Driver, NodeShape, Program, Target, Tls, cases, rules};
use crate::model::RepoName;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server under test, host:port
    #[arg(required_unless_present = "list")]
    address: Option<String>,
    /// Print every rule, and try none
    #[arg(long)]
    list: bool,
    /// Only this rule, family or transport; given more than once, each narrows
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// The node id of every stream; without it each case is a node of its own
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// The node's cluster
    #[arg(long, value_name = "NAME", default_value = "conform")]
    node_cluster: String,
    /// A field of the node's metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// The file that holds a token for the xDS server
    #[arg(long, value_name = "FILE")]
    xds_token_file: Option<PathBuf>,
    /// The certificates, in PEM, that vouch for the server; without it, no TLS
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "key", requires = "ca")]
    cert: Option<PathBuf>,
    /// The key of the client's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The name in the server's certificate; without it, that of the address
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// A program that gives the server other resources: `describe` and `set`
    #[arg(long, value_name = "PROGRAM", conflicts_with = "repo")]
    driver: Option<PathBuf>,
    /// A repository of a Convoy server, to be committed to for changes; its
    /// file resources/conform.yaml is overwritten
    #[arg(long, value_name = "PROJECT/NAME")]
    repo: Option<RepoName>,
    /// The stage of that repository that serves the nodes
    #[arg(long, default_value = "beta", requires = "repo")]
    stage: String,
    /// How long something that must come may take
    #[arg(long, value_name = "MS", default_value = "5000")]
    patience_ms: u64,
    /// How long nothing must come where silence is right
    #[arg(long, value_name = "MS", default_value = "300")]
    quiet_ms: u64,
    /// How many cases run at once
    #[arg(long, value_name = "COUNT", default_value = "16")]
    at_once: usize,
    #[command(flatten)]
    server: Server,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write it as key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let chosen = chosen(&args.only)?;
    let Some(address) = args.address.clone().filter(|_| !args.list) else {
        list(output);
        return Ok(());
    };
    let target = Arc::new(target(&args, address)?);
    let driver = driver(&args).await?;
    let report = crate::conform::run(target, &chosen, driver).await;
    let report = report.map_err(|text| Failure::new(Failure::UNAVAILABLE, text))?;
    output.result(&report, || report.table());
    match report.failed_rules().is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(Failure::FAILED)),
    }
}

/// The cases that every word names.
fn chosen(only: &[String]) -> Result<Vec<Case>, Failure> {
    let all = cases();
    for word in only {
        if !all.iter().any(|case| case.is_named(word)) {
            let message = format!("`{word}` is no rule, family or transport");
            return Err(Failure::new(Failure::USAGE, message)
                .with_hint("`convoy xds conform --list` prints every rule"));
        }
    }
    let named = |case: &Case| only.iter().all(|word| case.is_named(word));
    Ok(all.into_iter().filter(named).collect())
}

fn target(args: &Args, address: String) -> Result<Target, Failure> {
    let token = args.xds_token_file.as_deref().map(secrets::read).transpose();
    let token = token.map_err(|error| Failure::new(Failure::USAGE, error.to_string()))?;
    let mut metadata: BTreeMap<_, _> = args.metadata.iter().cloned().collect();
    if args.repo.is_some() {
        metadata.entry("stage".to_owned()).or_insert_with(|| args.stage.clone());
    }
    Ok(Target {
        tls: tls(args, &address)?,
        address,
        token,
        node: NodeShape { id: args.node.clone(), cluster: args.node_cluster.clone(), metadata },
        patience: Duration::from_millis(args.patience_ms),
        quiet: Duration::from_millis(args.quiet_ms),
        at_once: args.at_once,
    })
}

fn tls(args: &Args, address: &str) -> Result<Option<Tls>, Failure> {
    let Some(ca) = &args.ca else { return Ok(None) };
    let wrong = |text: String| Failure::new(Failure::USAGE, text);
    let read = |path: &PathBuf| {
        let read = std::fs::read(path);
        read.map_err(|error| wrong(format!("`{}` can't be read: {error}", path.display())))
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let name = args.server_name.as_deref().unwrap_or(host.trim_matches(['[', ']']));
    let authorities = read(ca)?;
    let identity = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
        _ => None,
    };
    let identity = identity.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()));
    Tls::new(name, &authorities, identity).map(Some).map_err(wrong)
}

async fn driver(args: &Args) -> Result<Option<Arc<dyn Driver>>, Failure> {
    if let Some(path) = &args.driver {
        let program = Program::start(path.clone()).await;
        let program = program.map_err(|text| Failure::new(Failure::USAGE, text))?;
        return Ok(Some(Arc::new(program)));
    }
    let Some(repo) = &args.repo else { return Ok(None) };
    let (server, stage) = (args.server.clone(), args.stage.clone());
    Ok(Some(Arc::new(commit::Commits::new(server, repo.clone(), stage))))
}

fn list(output: &Output) {
    let rules: Vec<_> = rules().collect();
    let shown = |transports: &[crate::conform::Transport]| {
        transports.iter().map(|one| one.name()).collect::<Vec<_>>()
    };
    let value: Vec<_> = rules
        .iter()
        .map(|rule| {
            json!({
                "rule": rule.id, "says": rule.says, "source": rule.source, "basis": rule.basis,
                "transports": shown(rule.transports), "driven": rule.driven,
            })
        })
        .collect();
    output.result(&json!({ "rules": value }), || {
        let heads = ["RULE", "NEEDS", "OVER", "SAYS"].map(str::to_owned).to_vec();
        let row = |rule: &&&crate::conform::Rule| {
            let needs = if rule.driven { "driver" } else { "" };
            vec![
                rule.id.to_owned(),
                needs.to_owned(),
                shown(rule.transports).join(","),
                rule.says.to_owned(),
            ]
        };
        let rows: Vec<_> = std::iter::once(heads).chain(rules.iter().map(|r| row(&r))).collect();
        columns(&rows)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_narrow_what_runs() {
        let ids = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            chosen(&words).unwrap().iter().map(Case::id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&["nack.no-loop", "sotw-ads"]), ["nack.no-loop/sotw-ads"]);
        assert!(ids(&[]).len() > ids(&["nack"]).len());
        assert!(ids(&["nack"]).iter().all(|id| id.starts_with("nack.")));
        assert!(chosen(&["guess".to_owned()]).is_err());
    }

    #[test]
    fn metadata_is_a_key_and_a_value() {
        assert_eq!(pair("stage=a=b"), Ok(("stage".to_owned(), "a=b".to_owned())));
        assert!(pair("stage").is_err() && pair("=x").is_err());
    }
}
