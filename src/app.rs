//! The composition root: builds every part, wires them, runs them, ends them
//! in order.
//!
//! ```text
//! config ─▶ secrets ─▶ store ─▶ hub ─▶ smoke ─▶ chat ─▶ reconcile ─▶ xds, web
//!                                                                     │ SIGTERM
//!                store.close ◀─ work ends ◀─ requests, streams drain ◀┘
//! ```
//!
//! Both ports are bound before anything starts, after everything was checked.
//! The port for people answers `/readyz` with 503 until what was active before
//! is served again.

mod cards;
mod hosting;
mod measure;
mod nodes;
mod ports;
mod routes;
mod secrets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub use ports::PrivateListeners;
pub use secrets::Secrets;

use cards::Cards;
use routes::Routes;

use crate::chat::{Links, Reminders, Slack, SlackConfig};
use crate::config::{Config, MetricsConfig, StoreConfig};
use crate::govern::{ConfiguredPerson, ConfiguredToken, Govern, GovernSettings};
use crate::metrics::{Metrics, MetricsSettings};
use crate::mirror;
use crate::mirroring::{self, Mirroring};
use crate::reconcile::{self, Announcer, MetricsServer, Parts, Repository, Reviewing, Settings};
use crate::render::Renderer;
use crate::rpc;
use crate::schema::Schema;
use crate::smoke::{Smoke, SmokeOptions};
use crate::store::{Store, StoreOptions};
use crate::tasks::Tasks;
use crate::telemetry::logs;
use crate::xds::{self, Guard, Hub};

/// How long open requests and streams may take to end.
const DRAIN_MAX: Duration = Duration::from_secs(15);
/// How long the work behind them may take to end.
const END_MAX: Duration = Duration::from_secs(4);
/// Reports of nodes that wait; beyond it the next tick looks for itself.
const REPORTS_MAX: usize = 4096;

/// Chooses the one crypto provider. Two are linked; without a choice the
/// first TLS connection would panic. Safe to call more than once.
pub fn choose_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs the server until it is told to stop, or can't go on.
///
/// # Errors
/// What could not be started, or why it had to end.
pub async fn serve(config: Config, secrets: Secrets) -> anyhow::Result<()> {
    logs::start(&config.log_level, config.log_format);
    choose_crypto();
    if config.insecure_dev {
        tracing::warn!("INSECURE: --insecure-dev serves everything to everybody on this machine");
    }
    let listener = bind(config.listen)?;
    let xds_listener = bind(config.xds_listen)?;
    let tasks = Tasks::default();
    let running = App::start(&config, secrets, tasks.clone()).await?;
    let http = tasks.spawn_server("http", running.http(listener, &tasks));
    let grpc = tasks.spawn_server("xds", running.xds(xds_listener, &tasks));
    tracing::info!(listen = %config.listen, xds = %config.xds_listen, "convoy is ready");
    running.ready.store(true, Ordering::Release);
    running.end_when_halted(&tasks);
    let told = stopped(&tasks).await;
    tracing::info!("stopping");
    running.ready.store(false, Ordering::Release);
    tasks.drain();
    let servers = async { tokio::join!(http, grpc) };
    if tokio::time::timeout(DRAIN_MAX, servers).await.is_err() {
        tracing::warn!("some streams did not end in time");
    }
    tasks.stop();
    if tokio::time::timeout(END_MAX, tasks.finished()).await.is_err() {
        tracing::warn!("a decision was not finished in time; a restart carries it on");
    }
    let closed = running.store.close().await.context("the store could not be closed");
    // Whatever went wrong first is the reason; the rest follows from it.
    if let Some(reason) = tasks.failure() {
        anyhow::bail!("{reason}");
    }
    told.and(closed)
}

fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    xds::listen(address).with_context(|| format!("can't listen on {address}"))
}

async fn stopped(tasks: &Tasks) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = tasks.draining() => {}
    }
    Ok(())
}

/// The parts at work.
struct App {
    store: Store,
    hub: Hub,
    guard: Guard,
    router: axum::Router,
    rpc: tonic::service::Routes,
    ready: Arc<AtomicBool>,
}

impl App {
    async fn start(config: &Config, secrets: Secrets, tasks: Tasks) -> anyhow::Result<Self> {
        let data = &config.data;
        std::fs::create_dir_all(data)
            .with_context(|| format!("the data folder {} can't be made", data.display()))?;
        let store = Store::open(data, store_options(&config.store))
            .with_context(|| format!("the data folder {} can't be opened", data.display()))?;
        let quarantine = data.join("quarantine");
        std::fs::create_dir_all(&quarantine).context("the quarantine can't be made")?;
        mirror::sweep(&quarantine).context("the quarantine can't be swept")?;
        let mirroring_work = data.join("mirroring");
        for folder in ["quarantine", "keys"] {
            mirror::sweep(&mirroring_work.join(folder))
                .context("the mirrors' folder can't be swept")?;
        }
        let schema = Schema::load();
        let renderer = Arc::new(Renderer::new(schema.clone()));
        let (reports, inbox) = mpsc::channel(REPORTS_MAX);
        let hub = Hub::new(reports);
        let smoke = Smoke::new(
            schema.clone(),
            SmokeOptions {
                envoys: config.envoys.clone(),
                work: data.join("smoke"),
                parallel: config.smoke_parallel,
                evidence: Some(data.join("evidence")),
                warden: std::env::current_exe().ok(),
            },
            Arc::new(PrivateListeners),
            Some(store.cache()),
        );
        let links = Links::new(&config.base_url);
        let slack = slack(config, &secrets)?;
        for repository in &config.repositories {
            store.create(&repository.name).await?;
        }
        let govern = Govern::start(store.clone(), governing(config)).await?;
        let announcer = config.slack.as_ref().zip(slack.clone()).map(|(settings, client)| {
            let cards = Cards {
                slack: client.impatient(),
                home: settings.channel.clone(),
                alarms: settings.alarms.clone(),
                links: links.clone(),
                reminders: reminders(config, settings),
                govern: govern.clone(),
            };
            Arc::new(cards) as Arc<dyn Announcer>
        });
        let handle = reconcile::start(Parts {
            govern: govern.clone(),
            store: store.clone(),
            renderer: renderer.clone(),
            hub: hub.clone(),
            reports: inbox,
            smoke,
            announcer,
            settings: settings(config, &secrets)?,
            tasks: tasks.clone(),
        })
        .await?;
        let nudged = handle.clone();
        let mirroring = Mirroring::start(
            store.clone(),
            govern.clone(),
            mirroring_settings(config, &secrets),
            Arc::new(move |repo| nudged.nudge(repo)),
            &tasks,
        );
        let reviewing = Reviewing {
            store: store.clone(),
            renderer: renderer.clone(),
            quarantine: quarantine.clone(),
            file_bytes_max: store_options(&config.store).file_bytes_max,
        };
        let hosting = hosting::start(config, &secrets, &handle, reviewing, &tasks)?;
        let guard = nodes::guard(config, secrets.tls.clone(), &govern);
        let ready = Arc::new(AtomicBool::new(false));
        let parts = Routes {
            govern,
            mirroring,
            hosting,
            config,
            secrets: &secrets,
            store: store.clone(),
            handle,
            hub: hub.clone(),
            renderer,
            ready: ready.clone(),
            tasks,
        };
        let rpc = rpc::routes(parts.rpc(), hub.clone()).await;
        let rpc = rpc.map_err(anyhow::Error::from_boxed).context("gRPC can't be served")?;
        let router = parts.router(slack.map(|client| (client, links)))?;
        Ok(Self { store, hub, guard, router, rpc, ready })
    }

    /// Ends the program once nothing can be written any more: whoever started
    /// it starts it again, and then it recovers from what is on disk.
    fn end_when_halted(&self, tasks: &Tasks) {
        let (store, ending) = (self.store.clone(), tasks.clone());
        tasks.spawn("halt", async move {
            let reason = store.halted().await;
            ending.fail(format!(
                "the journal can't be written any more, and nothing was acknowledged since \
                 ({reason}); start convoy again to recover from what is on disk"
            ));
        });
    }

    fn http(
        &self,
        listener: TcpListener,
        tasks: &Tasks,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (router, draining) = (self.router.clone(), tasks.draining());
        async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let served = axum::serve(listener, service).with_graceful_shutdown(draining).await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP server ended");
            }
        }
    }

    fn xds(&self, listener: TcpListener, tasks: &Tasks) -> impl Future<Output = ()> + Send + use<> {
        let (hub, guard) = (self.hub.clone(), self.guard.clone());
        let beside = self.rpc.clone();
        let draining = tasks.draining();
        async move {
            if let Err(error) = xds::serve(listener, hub, guard, Some(beside), draining).await {
                tracing::error!(%error, "the xDS server ended");
            }
        }
    }
}

fn mirroring_settings(config: &Config, secrets: &Secrets) -> mirroring::Settings {
    let followed = config.repositories.iter().filter(|one| one.upstream.is_some());
    mirroring::Settings {
        work: config.data.join("mirroring"),
        remotes: secrets.mirrors.clone(),
        followed: followed.map(|one| one.name.clone()).collect(),
    }
}

fn governing(config: &Config) -> GovernSettings {
    let token = |token: &crate::config::TokenConfig| ConfiguredToken {
        name: token.name.clone(),
        person: token.person.clone(),
        hash: token.sha256,
        role: token.role,
    };
    let person = |person: &crate::config::PersonConfig| ConfiguredPerson {
        name: person.name.clone(),
        emails: person.emails.clone(),
        role: person.role,
    };
    GovernSettings {
        people: config.people.iter().map(person).collect(),
        tokens: config.tokens.iter().map(token).collect(),
        repositories: config.repositories.iter().map(|one| one.name.clone()).collect(),
        secrets: config.data.join("secrets"),
        quota: crate::store::Quota::default(),
    }
}

fn store_options(config: &StoreConfig) -> StoreOptions {
    let defaults = StoreOptions::default();
    StoreOptions {
        file_bytes_max: config.file_bytes_max.unwrap_or(defaults.file_bytes_max),
        files_max: config.files_max.unwrap_or(defaults.files_max),
        checkpoint_bytes: config.checkpoint_bytes.unwrap_or(defaults.checkpoint_bytes),
    }
}

fn slack(config: &Config, secrets: &Secrets) -> anyhow::Result<Option<Slack>> {
    let Some((settings, given)) = config.slack.as_ref().zip(secrets.slack.as_ref()) else {
        return Ok(None);
    };
    let api_url = Some(settings.api_url.clone());
    let mut wanted = SlackConfig::new(given.bot_token.clone(), api_url);
    wanted.app_token.clone_from(&given.app_token);
    if !settings.response_hosts.is_empty() {
        wanted.response_hosts.clone_from(&settings.response_hosts);
    }
    let client = Slack::new(&wanted);
    client.map(Some).context("Slack can't be used")
}

fn reminders(config: &Config, slack: &crate::config::SlackConfig) -> Reminders {
    let users = config
        .people
        .iter()
        .filter_map(|person| Some((person.name.clone(), person.slack.first()?.clone())));
    Reminders {
        after: slack.remind_after,
        approvers: users.collect(),
        escalate_to: slack.escalate_to.clone(),
    }
}

fn settings(config: &Config, secrets: &Secrets) -> anyhow::Result<Settings> {
    let repositories = config.repositories.iter().map(|repository| Repository {
        name: repository.name.clone(),
        upstream: secrets.upstreams.get(&repository.name).cloned(),
        poll: repository.poll,
    });
    // As the HTTP API decides it: tokens of people and services close it.
    let guarded = config.tokens.iter().any(|token| token.role != crate::config::Role::Node);
    Ok(Settings {
        repositories: repositories.collect(),
        ack_deadline: config.ack_deadline,
        open: config.insecure_dev && !guarded,
        metrics: config.metrics.as_ref().map(metrics_server).transpose()?,
        quarantine: config.data.join("quarantine"),
    })
}

fn metrics_server(config: &MetricsConfig) -> anyhow::Result<MetricsServer> {
    let server = Metrics::new(MetricsSettings {
        url: config.url.clone(),
        token_file: config.token_file.clone(),
        ca_file: config.ca_file.clone(),
        timeout: config.timeout,
    })?;
    Ok(MetricsServer { server, every: config.every })
}
