//! `convoy xds conform`: runs the conformance suite against a server.

mod commits;
mod list;
mod obstacle;
mod own_repo;
mod program;
mod target;

use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use super::client::Server;
use super::output::Output;
use crate::conform::{Case, Driver, Report, cases};
use crate::model::{RepoName, Stage};

/// What `--help` ends with.
pub(super) const HELP: &str = "\
Without a driver only rules are tried for which nothing has to change; those that
need two clusters or load assignments are skipped where the server shows fewer.
Every skipped rule is listed with the reason. A driver gives the server other
resources: for a Convoy, --repo commits to an empty repository that its
configuration names under `repositories` (with `ack_deadline: 1s` it is quick: some
clients are mute on purpose); for any other server, --driver runs a program:
  PROGRAM describe   prints what it can do as JSON: {}, or of shared (all nodes
                     see the same), refusals_shared (what one refuses, others feel),
                     ttl, on_demand, collections what is true
  PROGRAM set        reads {\"node\": ID, \"resources\": [{\"@type\": ...}, ...]}, has the
                     server hold exactly these for that node, and exits with 0

Examples:
  convoy xds conform --list
  convoy xds conform 127.0.0.1:18000 --metadata stage=beta
  convoy xds conform 127.0.0.1:18000 --driver ./drive --only nack --only delta-ads
  convoy xds conform 127.0.0.1:7401 --repo conform/suite
  convoy xds conform xds.example.com:443 --ca ca.pem --token-file node.token -o json
  convoy xds conform xds.example.com:443 --ca ca.pem --cert node.pem --key node-key.pem

Exit codes: 0 every rule that was tried is kept · 1 a rule is broken · 2 wrong
usage · 4 the server turns the client away · 7 the server or the driver can't be
used, as the message says";

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
    /// Not this rule, family or transport
    #[arg(long, value_name = "WORD")]
    skip: Vec<String>,
    #[command(flatten)]
    target: target::TargetArgs,
    #[command(flatten)]
    driver: DriverArgs,
}

/// Who gives the server other resources.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Changing the server's resources")]
struct DriverArgs {
    /// A program that does it
    #[arg(long, value_name = "PROGRAM", conflicts_with = "repo")]
    driver: Option<PathBuf>,
    /// An empty repository of a Convoy server, which the suite takes over and
    /// commits to
    #[arg(long, value_name = "PROJECT/NAME")]
    repo: Option<RepoName>,
    /// The stage that the suite makes there; its nodes say so in metadata.stage
    #[arg(long, default_value = "conform", requires = "repo")]
    stage: Stage,
    /// The address of that Convoy's API
    #[arg(long, env = "CONVOY_URL", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    url: String,
    /// The file that holds the token for its API
    #[arg(long, env = "CONVOY_TOKEN_FILE", value_name = "FILE")]
    api_token_file: Option<PathBuf>,
    /// Who commits, where it runs with --insecure-dev
    #[arg(long = "as", env = "CONVOY_PERSON", value_name = "PERSON")]
    person: Option<String>,
}

pub(super) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let chosen = chosen(&args.only, &args.skip)?;
    let Some(address) = args.address.filter(|_| !args.list) else {
        list::print(&chosen, output);
        return Ok(());
    };
    let stage = args.driver.repo.is_some().then_some(&args.driver.stage);
    let target = Arc::new(args.target.read(address, stage)?);
    let driver = args.driver.start().await?;
    output.progress(&format!("trying {} cases against {}", chosen.len(), target.address));
    let report = crate::conform::run(target, &chosen, driver).await;
    let report = report.map_err(|obstacle| obstacle::failure(&obstacle))?;
    output.result(&report, || report.table());
    ended(&report)
}

/// What the exit code says of a report.
fn ended(report: &Report) -> Result<(), Failure> {
    let count = report.count();
    match (count.failed, count.errored) {
        (0, 0) if count.passed == 0 => {
            let message = "not one rule could be tried";
            Err(Failure::new(Failure::UNAVAILABLE, message)
                .with_hint("the reasons stand above; a driver (--driver, --repo) helps most"))
        }
        (0, 0) => Ok(()),
        (0, errored) => {
            let message = format!("{errored} cases were not tried to the end");
            Err(Failure::new(Failure::UNAVAILABLE, message))
        }
        _ => Err(Failure::silent(Failure::FAILED)),
    }
}

/// The cases that every word of `only` names, and none of `skip`.
fn chosen(only: &[String], skip: &[String]) -> Result<Vec<Case>, Failure> {
    let all = cases();
    for word in only.iter().chain(skip) {
        if !all.iter().any(|case| case.is_named(word)) {
            let message = format!("`{word}` is no rule, family or transport");
            return Err(Failure::new(Failure::USAGE, message)
                .with_hint("`convoy xds conform --list` prints every rule"));
        }
    }
    let named = |case: &Case| {
        only.iter().all(|word| case.is_named(word)) && !skip.iter().any(|word| case.is_named(word))
    };
    let chosen: Vec<_> = all.into_iter().filter(named).collect();
    match chosen.is_empty() {
        true => Err(Failure::new(Failure::USAGE, "--only and --skip leave nothing to try")
            .with_hint("each --only narrows; name one rule or family, and one transport of it")),
        false => Ok(chosen),
    }
}

impl DriverArgs {
    async fn start(self) -> Result<Option<Arc<dyn Driver>>, Failure> {
        if let Some(path) = self.driver {
            let program = program::Program::start(path).await;
            let program = program.map_err(|text| Failure::new(Failure::USAGE, text))?;
            return Ok(Some(Arc::new(program)));
        }
        let Some(repo) = self.repo else { return Ok(None) };
        let server = Server::at(self.url, self.api_token_file, self.person);
        Ok(Some(Arc::new(commits::Commits::start(server, repo, self.stage).await?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(only: &[&str]) -> Result<Vec<String>, u8> {
        ids_without(only, &[])
    }

    fn ids_without(only: &[&str], skip: &[&str]) -> Result<Vec<String>, u8> {
        let [only, skip] =
            [only, skip].map(|words| words.iter().map(ToString::to_string).collect());
        let (only, skip): (Vec<_>, Vec<_>) = (only, skip);
        let chosen = chosen(&only, &skip).map_err(|failure| failure.code)?;
        Ok(chosen.iter().map(Case::id).collect())
    }

    #[test]
    fn words_narrow_what_runs() {
        assert_eq!(ids(&["nack.no-loop", "sotw-ads"]), Ok(vec!["nack.no-loop/sotw-ads".into()]));
        let refusals = ids(&["nack"]).unwrap();
        assert!(ids(&[]).unwrap().len() > refusals.len());
        assert!(refusals.iter().all(|id| id.starts_with("nack.")));
        let few = ids_without(&["nack.no-loop"], &["sotw-type", "delta-type", "delta-ads"]);
        assert_eq!(few, Ok(vec!["nack.no-loop/sotw-ads".into()]));
        for nothing in [&["guess"][..], &["nack", "ttl"]] {
            assert_eq!(ids(nothing), Err(Failure::USAGE));
        }
    }
}
