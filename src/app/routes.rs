//! Everything that HTTP serves, put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::{Secrets, measure};
use crate::chat::{self, Ingress, Links, People, Slack};
use crate::config::{Config, PersonConfig, Role};
use crate::govern::Govern;
use crate::hosting::Hosting;
use crate::mirror::GitServer;
use crate::mirroring::Mirroring;
use crate::model::{Person, Secret};
use crate::reconcile::Handle;
use crate::render::Renderer;
use crate::rpc::Rpc;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::web::hooks::{
    self, Directory, GitHub, GitHubHook, Hooks, Known, Linking, Previews, Replies, SlackHooks,
    SocketHooks,
};
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
    /// The API, the console, health and the hooks; with Slack in Socket Mode,
    /// its connections.
    pub(super) fn router(self, slack: Option<(Slack, Links)>) -> anyhow::Result<axum::Router> {
        let slack = slack.map(|(client, links)| Arc::new(self.slack(client, links)));
        let hooks = Hooks {
            desk: Arc::new(self.handle.clone()),
            slack: slack.clone(),
            github: Arc::new(GitHub::new(self.github()).telling(Arc::new(self.hosting.clone()))),
            tasks: self.tasks.clone(),
        };
        self.listen(&hooks);
        let linking = slack.map(|slack| slack.linking.clone());
        // The pages answer whatever no hook has taken.
        Ok(web::router(self.web(linking)?).merge(hooks::routes(hooks)))
    }

    fn listen(&self, hooks: &Hooks) {
        let socket = self.secrets.slack.as_ref().and_then(|given| given.app_token.as_ref());
        let (Some(slack), Some(settings)) = (&hooks.slack, &self.config.slack) else { return };
        if let (Some(_), Some(taking)) = (socket, SocketHooks::new(hooks)) {
            let taking: Arc<dyn chat::Listener> = Arc::new(taking);
            chat::listen(&slack.client, &taking, settings.connections, &self.tasks);
        }
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

    fn web(self, linking: Option<Arc<Linking>>) -> anyhow::Result<Web> {
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
            linking,
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
        let secrets = self.secrets.slack.as_ref();
        let signing = secrets.map(|slack| slack.signing.clone()).unwrap_or_default();
        let people = self
            .config
            .people
            .iter()
            .flat_map(|person| person.slack.iter().map(|id| (id.clone(), person.name.clone())));
        let known = Known { people: People::new(people), govern: self.govern.clone() };
        let directory: Arc<dyn Directory> = Arc::new(known);
        // Both outlive a restart; whoever has either may act for Slack anyway.
        let key = signing.first().or(secrets.map(|slack| &slack.bot_token)).cloned();
        let key = key.unwrap_or_else(|| Secret::new(""));
        let zone = self.config.slack.as_ref().map(|slack| slack.zone.as_str());
        let zone = zone.and_then(|zone| TimeZone::get(zone).ok());
        SlackHooks {
            ingress: Ingress::new(signing),
            linking: Arc::new(Linking::new(key, directory.clone())),
            directory,
            client,
            links,
            default_repo: None,
            replies: Replies::default(),
            previews: Previews::default(),
            zone: zone.unwrap_or(TimeZone::UTC),
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
