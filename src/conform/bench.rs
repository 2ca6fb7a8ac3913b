//! Where one case runs: its node, its lines, what the server holds for it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use tokio::time::Instant;

use super::client::Client;
use super::driver::{Abilities, Driver};
use super::exchange::Exchange;
use super::item::{Item, cluster, listener};
use super::known::Known;
use super::line::Line;
use super::rule::Stop;
use super::target::Target;
use super::transport::Transport;
use crate::model::ResourceKind;

/// How soon it is looked again whether a change has been made.
const DRIVEN_LOOK: Duration = Duration::from_secs(1);

/// The place of one case.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) target: Arc<Target>,
    pub(super) transport: Transport,
    pub(super) exchange: Exchange,
    /// The id of the case's node.
    pub(super) node: String,
    pub(super) driver: Option<Arc<dyn Driver>>,
    /// What the server holds where nothing was changed.
    pub(super) known: Known,
    pub(super) lines: AtomicUsize,
    pub(super) driving: Driving,
}

/// How much of a case's time was the driver's, which is no server's fault.
#[derive(Debug, Default)]
pub(super) struct Driving {
    under_way: AtomicUsize,
    spent_ms: AtomicU64,
}

impl Driving {
    async fn time<T>(&self, change: impl Future<Output = T>) -> T {
        let since = Instant::now();
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let done = change.await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let spent_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.spent_ms.fetch_add(spent_ms, Ordering::Relaxed);
        done
    }

    /// What a case may take longer because of it; `None`: nothing more.
    pub(super) fn excused(&self) -> Option<Duration> {
        let spent = Duration::from_millis(self.spent_ms.swap(0, Ordering::Relaxed));
        match self.under_way.load(Ordering::Relaxed) {
            0 => (!spent.is_zero()).then_some(spent),
            _ => Some(spent + DRIVEN_LOOK),
        }
    }
}

impl Bench {
    /// A stream that carries `kind`.
    pub(super) async fn line(&self, kind: ResourceKind) -> Result<Line, Stop> {
        self.line_of(kind, self.identity()).await
    }

    /// The same for a node that differs.
    pub(super) async fn line_of(&self, kind: ResourceKind, node: Node) -> Result<Line, Stop> {
        let number = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        Line::open(&self.target, self.transport, kind, node, self.exchange.clone(), number).await
    }

    /// A connection for calls that are no streams.
    pub(super) async fn client(&self) -> Result<Client, Stop> {
        Client::connect(&self.target).await
    }

    /// Who the case's clients are.
    pub(super) fn identity(&self) -> Node {
        self.target.node.node(&self.node)
    }

    /// `count` names of `kind` that the server holds.
    pub(super) fn some(&self, kind: ResourceKind, count: usize) -> Result<Vec<String>, Stop> {
        let names = self.known.names(kind);
        match names.len() {
            known if known >= count => Ok(names[..count].to_vec()),
            known => {
                let kind = kind.folder();
                let text = format!("the server shows {known} {kind}, and {count} are needed");
                Err(Stop::Skip(text))
            }
        }
    }

    /// All names of `kind` that the server holds.
    pub(super) fn all(&self, kind: ResourceKind) -> Vec<String> {
        self.known.names(kind)
    }

    /// Has the server hold `items`, and a cluster and a listener where there
    /// is none among them: so that an answer about everything is never empty.
    pub(super) async fn hold(&self, items: &[Item]) -> Result<(), Stop> {
        let mut items = items.to_vec();
        let has = |items: &[Item], kind| items.iter().any(|item| item.kind == kind);
        if !has(&items, ResourceKind::Clusters) {
            items.push(cluster("background", 1));
        }
        if !has(&items, ResourceKind::Listeners) {
            items.push(listener("background", 1));
        }
        self.hold_only(&items).await
    }

    /// Has the server hold exactly `items`.
    pub(super) async fn hold_only(&self, items: &[Item]) -> Result<(), Stop> {
        let skip = || Stop::Skip("it needs a driver that changes the server's resources".into());
        let driver = self.driver.as_ref().ok_or_else(skip)?;
        let names: Vec<_> =
            items.iter().map(|item| format!("{}/{}", item.kind.folder(), item.name)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        self.exchange.note(format!("** the server holds {}", super::message::names(&names)));
        let id = self.identity().id;
        let stuck = |error| Stop::Stuck(format!("the driver failed: {error}"));
        self.driving.time(driver.set(&id, items)).await.map_err(stuck)
    }

    /// Skips the case unless the driver can do it.
    pub(super) fn able(&self, what: &str, can: fn(&Abilities) -> bool) -> Result<(), Stop> {
        let abilities = self.driver.as_ref().map(|driver| driver.abilities());
        match abilities.as_ref().is_some_and(can) {
            true => Ok(()),
            false => Err(Stop::Skip(format!("the driver can't make {what}"))),
        }
    }

    /// How long something that must come may take.
    pub(super) fn patience(&self) -> Duration {
        self.target.patience
    }
}
