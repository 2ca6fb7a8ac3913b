//! Everything that HTTP serves, put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use super::{Secrets, measure};
use crate::chat::{Ingress, Links, People, Slack};
use crate::config::{Config, PersonConfig, Role};
use crate::govern::Govern;
use crate::hosting::Hosting;
use crate::mirror::GitServer;
use crate::mirroring::Mirroring;
use crate::model::Person;
use crate::reconcile::Handle;
use crate::render::Renderer;
use crate::rpc::Rpc;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::web::hooks::{self, GitHub, GitHubHook, Hooks, Replies, SlackHooks};
use crate::web::{self, Auth, Oidc, Web};
use crate::xds::Hub;

/// What the routes are made from.
pub(super) struct Routes<'a> {
    pub(super) config: &'a Config,
    pub(super) secrets: &'a Secrets,
    pub(super) store: Store,
    pub(super) handle: Handle,
    pub(super) hub: Hub,
    pub(super) renderer: Arc<Renderer>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) tasks: Tasks,
    pub(super) govern: Govern,
    pub(super) mirroring: Mirroring,
    pub(super) hosting: Hosting,
}

impl Routes<'_> {
    /// The API, the console, health and the hooks.
    pub(super) fn router(self, slack: Option<(Slack, Links)>) -> anyhow::Result<axum::Router> {
        let hooks = hooks::routes(Hooks {
            desk: Arc::new(self.handle.clone()),
            slack: slack.map(|(client, links)| Arc::new(self.slack(client, links))),
            github: Arc::new(GitHub::new(self.github()).telling(Arc::new(self.hosting.clone()))),
            tasks: self.tasks.clone(),
        });
        // The pages answer whatever no hook has taken.
        Ok(web::router(self.web()?).merge(hooks))
    }

    /// What the gRPC services need.
    pub(super) fn rpc(&self) -> Rpc {
        // As the HTTP API decides it: tokens of people and services close it.
        let guarded = self.config.tokens.iter().any(|token| token.role != Role::Node);
        let open = self.config.insecure_dev && !guarded;
        Rpc {
            store: self.store.clone(),
            govern: self.govern.clone(),
            handle: self.handle.clone(),
            authors: Arc::new(authors(&self.config.people)),
            mirrored: Arc::new(self.secrets.upstreams.keys().cloned().collect()),
            open,
            schema: self.renderer.schema().clone(),
        }
    }

    fn web(self) -> anyhow::Result<Web> {
        let Self { config, secrets, store, handle, hub, renderer, ready, govern, .. } = self;
        let Self { mirroring, hosting, tasks, .. } = self;
        let secure = config.base_url.starts_with("https://");
        let work_dir = config.data.join("edits");
        std::fs::create_dir_all(&work_dir).context("the folder for edits can't be made")?;
        let (seen, measured, dev) = (handle.clone(), hub.clone(), config.insecure_dev);
        let auth = Auth::new(govern.clone(), oidc(config, secrets)?, dev, secure);
        let auth = auth.context("sessions can't be made")?;
        let mirrors = mirroring.clone();
        Ok(Web {
            govern,
            mirroring,
            hosting,
            git: GitServer::new(tasks),
            store,
            handle,
            hub,
            renderer,
            auth,
            base_url: config.base_url.as_str().into(),
            upstreams: Arc::new(secrets.upstreams.clone()),
            authors: Arc::new(authors(&config.people)),
            work_dir: work_dir.into(),
            metrics: Arc::new(move || measure::page(&seen, &measured, &mirrors, dev)),
            ready,
        })
    }

    fn slack(&self, client: Slack, links: Links) -> SlackHooks {
        let signing = self.secrets.slack.iter().flat_map(|slack| &slack.signing);
        let people = self
            .config
            .people
            .iter()
            .flat_map(|person| person.slack.iter().map(|id| (id.clone(), person.name.clone())));
        SlackHooks {
            ingress: Ingress::new(signing.cloned().collect()),
            people: People::new(people),
            client,
            links,
            default_repo: None,
            replies: Replies::default(),
        }
    }

    fn github(&self) -> Vec<GitHubHook> {
        let hook = |repository: &crate::config::RepositoryConfig| {
            let (given, upstream) = (repository.webhook.as_ref()?, repository.upstream.as_ref()?);
            let secrets = self.secrets.webhooks.get(&repository.name)?;
            Some(GitHubHook {
                repo: repository.name.clone(),
                full_name: Some(given.full_name.clone()),
                branch: upstream.branch.clone(),
                secrets: secrets.clone(),
            })
        };
        self.config.repositories.iter().filter_map(hook).collect()
    }
}

fn oidc(config: &Config, secrets: &Secrets) -> anyhow::Result<Option<Oidc>> {
    let Some((given, secret)) = config.oidc.as_ref().zip(secrets.oidc.clone()) else {
        return Ok(None);
    };
    Ok(Some(Oidc::new(given, secret, &config.base_url)?))
}

/// What each person's edits are committed as: an address that leads back to
/// them, so that they can't approve their own change.
fn authors(people: &[PersonConfig]) -> BTreeMap<Person, (String, String)> {
    let author = |person: &PersonConfig| {
        let mail = person.emails.first()?.clone();
        Some((person.name.clone(), (person.name.to_string(), mail)))
    };
    people.iter().filter_map(author).collect()
}
