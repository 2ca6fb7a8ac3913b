//! `convoy import centraldogma`: a whole server's history into a data folder
//! that no server uses: every revision of every repository with its author,
//! time, message and content.
//!
//! Each revision is one durable commit that expects the one before it, so an
//! import that was killed goes on where it was, and a second one changes
//! nothing. A repository that is there and differs is reported and left alone.
//! It runs on the data folder itself, not over a server's API, because only
//! there a commit's author and time can be another's.

mod copy;
mod folder;
mod people;
mod server;
mod source;

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::output::{Output, columns};
use crate::govern::{Govern, GovernSettings};
use crate::model::{Origin, RepoName};
use crate::store::{Quota, Store, StoreError, StoreOptions};

use copy::Copied;
use people::People;
use source::Source;

/// Files up to this many bytes are taken over.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// From a Central Dogma server, or from its data folder
    #[command(
        after_help = "Examples:\n  convoy import centraldogma /var/lib/centraldogma/data --data convoy-data\n  convoy import centraldogma http://dogma.example.com:36462 --data convoy-data --token-file token"
    )]
    Centraldogma(Dogma),
}

#[derive(Debug, clap::Args)]
pub(super) struct Dogma {
    /// The server's address, or its data folder
    #[arg(value_name = "URL|DIR")]
    source: String,
    /// The data folder to bring it into; no server may use it meanwhile
    #[arg(long, value_name = "DIR", env = "CONVOY_DATA")]
    data: PathBuf,
    /// The file with a token of the other server that reads everything
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What became of one repository.
#[derive(Debug, Serialize)]
struct Line {
    repo: String,
    revisions: u64,
    brought: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What became of all.
#[derive(Debug, Default, Serialize)]
struct Summary {
    repositories: Vec<Line>,
    /// Members, rights and tokens that were taken over.
    rights: usize,
    /// What was left out, and why.
    left_out: Vec<String>,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let Args::Centraldogma(args) = args;
    let source = Source::open(&args.source, args.token_file.as_deref())?;
    let store = open(args)?;
    let summary = all(&store, &source, args, output).await;
    let closed = store.close().await.map_err(stored);
    let summary = summary?;
    closed?;
    output.result(&summary, || summary.text());
    let failed = summary.repositories.iter().filter(|line| line.problem.is_some()).count();
    match failed {
        0 => Ok(()),
        _ => {
            Err(Failure::new(Failure::CONFLICT, format!("{failed} repositories were not brought"))
                .with_hint("see the reasons above; the others are complete"))
        }
    }
}

fn open(args: &Dogma) -> Result<Store, Failure> {
    let options = StoreOptions { file_bytes_max: FILE_BYTES_MAX, ..StoreOptions::default() };
    Store::open(&args.data, options).map_err(|error| {
        let text = crate::telemetry::chain(&error);
        Failure::new(Failure::CONFLICT, text)
            .with_hint("stop the server that uses the data folder, or name another by --data")
    })
}

async fn all(
    store: &Store,
    source: &Source,
    args: &Dogma,
    output: &Output,
) -> Result<Summary, Failure> {
    let mut summary = Summary::default();
    let found = source.projects().await?;
    summary.left_out.extend(found.left_out);
    for project in &found.projects {
        for repo in &project.repositories {
            let name = format!("{}/{}", project.name, repo.name);
            let done = match RepoName::new(&name) {
                Ok(name) => copy::copy(store, source, project, repo, &name, output).await,
                Err(error) => Err(Failure::new(Failure::USAGE, error.to_string())),
            };
            summary.add(name, done, output);
        }
    }
    let settings = GovernSettings {
        secrets: args.data.join("secrets"),
        quota: Quota::default(),
        ..GovernSettings::default()
    };
    let failed = |error| Failure::new(Failure::FAILED, crate::telemetry::chain(&error));
    let govern = Govern::start(store.clone(), settings).await.map_err(failed)?;
    let mut people = People { govern: &govern, left_out: Vec::new(), count: 0 };
    people.tokens(&found.tokens).await;
    for project in &found.projects {
        people.take_over(project).await?;
    }
    summary.left_out.extend(people.left_out);
    summary.rights = people.count;
    Ok(summary)
}

impl Summary {
    fn add(&mut self, repo: String, done: Result<Copied, Failure>, output: &Output) {
        let line = match done {
            Ok(Copied { revisions, brought, left_out }) => {
                self.left_out.extend(left_out);
                Line { repo, revisions, brought, problem: None }
            }
            Err(failure) => {
                let problem = Some(failure.to_string());
                Line { repo, revisions: 0, brought: 0, problem }
            }
        };
        output.message(&line.text());
        self.repositories.push(line);
    }

    fn text(&self) -> String {
        let mut rows: Vec<Vec<String>> = self
            .repositories
            .iter()
            .map(|line| {
                let done = match &line.problem {
                    Some(_) => "not brought".to_owned(),
                    None if line.brought == 0 => "up to date".to_owned(),
                    None => format!("{} brought", line.brought),
                };
                vec![line.repo.clone(), format!("{} revisions", line.revisions), done]
            })
            .collect();
        let brought: u64 = self.repositories.iter().map(|line| line.brought).sum();
        if rows.is_empty() {
            rows.push(vec!["there is no repository to bring".to_owned()]);
        }
        let mut text = columns(&rows);
        if brought == 0 && self.rights == 0 {
            text.push_str("nothing was changed: everything was here already\n");
        } else {
            let rights = self.rights;
            text.push_str(&format!("{brought} revisions, {rights} rights and tokens brought\n"));
        }
        for left_out in &self.left_out {
            text.push_str(&format!("left out: {left_out}\n"));
        }
        text
    }
}

impl Line {
    fn text(&self) -> String {
        match (&self.problem, self.brought) {
            (Some(problem), _) => format!("{}: {problem}", self.repo),
            (None, 0) => format!("{}: up to date at revision {}", self.repo, self.revisions),
            (None, brought) => {
                format!("{}: {brought} of {} revisions brought", self.repo, self.revisions)
            }
        }
    }
}

/// Whoever brought it, for the record; each commit's author is its own.
fn by() -> Origin {
    use crate::model::{Actor, Via};
    Origin {
        actor: Actor { person: None, via: Via::Cli },
        name: "convoy-import".into(),
        request: None,
    }
}

fn stored(error: StoreError) -> Failure {
    Failure::new(Failure::FAILED, crate::telemetry::chain(&error))
}
