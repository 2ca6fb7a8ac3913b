//! GitHub, as the configuration names it: who we are there, what is written,
//! and who renders pull requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::Secrets;
use super::secrets::{GithubSecret, app_login};
use crate::config::{Config, GithubAccount, GithubConfig, Report};
use crate::githost::{self, Credential, GitHub, Pages, Pull, Reports, Review, TokenFile};
use crate::hosting::{self, AppCredential, Hosting, ReviewError, Reviewer, Watched};
use crate::mirror::{AppTokens, Upstream};
use crate::model::RepoName;
use crate::reconcile::{self, Handle, Reviewing};
use crate::tasks::Tasks;
use crate::telemetry::chain;

/// Starts what keeps GitHub in step.
pub(super) fn start(
    config: &Config,
    secrets: &Secrets,
    handle: &Handle,
    reviewing: Reviewing,
    tasks: &Tasks,
) -> anyhow::Result<Hosting> {
    let mut watched = Vec::new();
    for repository in &config.repositories {
        let named = repository.github.as_ref().zip(repository.upstream.as_ref());
        let Some((github, upstream)) = named else { continue };
        let Some(secret) = secrets.github.get(&repository.name) else { continue };
        let client = client(github, secret, &secrets.tokens)
            .with_context(|| format!("{}: `github` can't be used", github.place))?;
        watched.push(Watched {
            repo: repository.name.clone(),
            branch: upstream.branch.clone(),
            github: client,
            reports: reports(github),
            poll: github.poll,
            pulls_max: github.pulls_max,
        });
    }
    let parts = hosting::Parts {
        watched,
        pages: Pages::new(&config.base_url),
        store: reviewing.store.clone(),
        state: states(handle, tasks),
        reviewer: Arc::new(Reviews { reviewing, upstreams: secrets.upstreams.clone() }),
        tasks: tasks.clone(),
    };
    Hosting::start(parts).context("what was to become pull requests can't be read back")
}

fn client(
    config: &GithubConfig,
    secret: &GithubSecret,
    tokens: &AppTokens,
) -> anyhow::Result<GitHub> {
    let login = app_login(config, &secret.0, tokens, permissions(config))?;
    let credential: Arc<dyn Credential> = match (&config.account, login) {
        (GithubAccount::Token { file }, _) => Arc::new(TokenFile::new(file, secret.0.clone())),
        (GithubAccount::App { .. }, Some(login)) => Arc::new(AppCredential(login)),
        (GithubAccount::App { .. }, None) => anyhow::bail!("the App has no login"),
    };
    let settings = githost::Settings {
        api_url: config.api_url.clone(),
        full_name: config.full_name.clone(),
        ca_file: config.ca_file.clone(),
        credential,
    };
    GitHub::new(settings).map_err(anyhow::Error::msg)
}

/// No more than what is written there. Pull requests are written for edits in
/// any case.
fn permissions(config: &GithubConfig) -> Vec<(&'static str, &'static str)> {
    let always = [("metadata", "read"), ("contents", "read"), ("pull_requests", "write")];
    let written = [
        (Report::Statuses, ("statuses", "write")),
        (Report::Checks, ("checks", "write")),
        (Report::Deployments, ("deployments", "write")),
    ];
    let written = written.into_iter().filter(|(report, _)| config.reports.contains(report));
    always.into_iter().chain(written.map(|(_, permission)| permission)).collect()
}

fn reports(config: &GithubConfig) -> Reports {
    let has = |report| config.reports.contains(&report);
    Reports {
        statuses: has(Report::Statuses),
        checks: has(Report::Checks),
        comments: has(Report::Comments),
        deployments: has(Report::Deployments),
    }
}

/// The state, as it moves: all that is needed of the view.
fn states(handle: &Handle, tasks: &Tasks) -> watch::Receiver<Arc<crate::promote::State>> {
    let mut views = handle.watch();
    let (newest, states) = watch::channel(views.borrow().state.clone());
    tasks.spawn("hosting-state", async move {
        while views.changed().await.is_ok() {
            let state = views.borrow_and_update().state.clone();
            newest.send_if_modified(|known| {
                let moved = !Arc::ptr_eq(known, &state);
                *known = state;
                moved
            });
        }
    });
    states
}

/// Pull requests, rendered by `reconcile`.
#[derive(Debug)]
struct Reviews {
    reviewing: Reviewing,
    upstreams: BTreeMap<RepoName, Upstream>,
}

impl Reviewer for Reviews {
    fn review<'a>(
        &'a self,
        repo: &'a RepoName,
        pull: &'a Pull,
    ) -> BoxFuture<'a, Result<Review, ReviewError>> {
        Box::pin(async move {
            let unknown = || ReviewError { detail: "it has no upstream".into(), transient: false };
            let upstream = self.upstreams.get(repo).ok_or_else(unknown)?;
            // Of the repository itself, also where the head is a fork's.
            let reference = format!("refs/pull/{}/head", pull.number);
            let review = reconcile::review(&self.reviewing, repo, upstream, &reference).await;
            review.map_err(|failure| ReviewError {
                transient: failure.is_transient(),
                detail: chain(&failure),
            })
        })
    }
}
