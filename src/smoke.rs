//! Boots real Envoys on candidate snapshots and judges what they do.
//!
//! A cell is one stage on one Envoy version. For each node group of the stage
//! an Envoy is started in a folder and a process group of its own, on the
//! snapshot that the group would be served, with an echo upstream in place of
//! every cluster's endpoints; then the checks of `checks/` are run. It knows
//! neither promotion nor the xDS protocol: the private xDS listener comes in
//! through [`Listeners`]. Called by `reconcile`'s effects and the CLI.
//!
//! ```text
//! Plan → cell ─┬─ candidate   the snapshot, made to run alone
//!              ├─ echo        every cluster's endpoints
//!              ├─ envoy       the real binary
//!              ├─ judge       did it take everything?
//!              └─ check, script   does it do what it should?
//! ```

mod bootstrap;
mod candidate;
mod cell;
mod check;
mod client;
mod echo;
mod envoy;
pub mod install;
mod judge;
mod process;
mod script;
mod suite;
mod wheel;

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

pub use suite::Suite;
pub use wheel::WheelError;

use crate::model::{Cell, CellResult, ContentHash, Outcome, SmokePolicy};
use crate::schema::Schema;
use crate::snapshot::Snapshot;
use install::Verified;

/// What a cell's folder is called, so that left-over ones are recognised.
const FOLDER_PREFIX: &str = "cell-";
/// Raised whenever the same input may come to another result, so that older
/// results are not believed.
const CACHE_VERSION: &str = "1";

/// Where the private xDS listener of a run comes from; `app` plugs `xds` in.
pub trait Listeners: Send + Sync + std::fmt::Debug {
    /// Serves `snapshot` to every node that connects, on a loopback port of
    /// its own, until the returned value is dropped.
    fn listen(&self, snapshot: Arc<Snapshot>) -> Opening<'_>;
}

/// A listener that is being opened.
pub type Opening<'a> =
    Pin<Box<dyn Future<Output = std::io::Result<Box<dyn Listening>>> + Send + 'a>>;

/// A private xDS listener at work.
pub trait Listening: Send + Sync {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// What Envoy refused so far, as `(type URL, Envoy's own words)`.
    fn refusals(&self) -> Vec<(String, String)>;
}

/// One cell to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which.
    pub cell: Cell,
    /// The stage's render hash, for the cache.
    pub render: ContentHash,
    /// The stage's snapshots, one per node group; each gets an Envoy.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// The checks.
    pub suite: Arc<Suite>,
    /// Bounds.
    pub policy: SmokePolicy,
}

/// Runs cells, a bounded number at a time; cheap to clone.
#[derive(Debug, Clone)]
pub struct Smoke(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    schema: Schema,
    options: SmokeOptions,
    listeners: Arc<dyn Listeners>,
    cache: Option<sled::Tree>,
    verified: Verified,
    places: Semaphore,
    /// What runs just now, so that the same content is run once.
    running: Mutex<HashMap<ContentHash, Weak<OnceCell<CellResult>>>>,
}

/// Tuning.
#[derive(Debug, Clone)]
pub struct SmokeOptions {
    /// Where `convoy envoy install` puts Envoys.
    pub envoys: PathBuf,
    /// Where cells get their temporary folders.
    pub work: PathBuf,
    /// How many cells run at once.
    pub parallel: usize,
}

impl Smoke {
    /// Also ends Envoys that an earlier process left in `options.work`.
    pub fn new(
        schema: Schema,
        options: SmokeOptions,
        listeners: Arc<dyn Listeners>,
        cache: Option<sled::Db>,
    ) -> Self {
        // Envoys and scripts run in folders of their own.
        let options = SmokeOptions {
            envoys: absolute(options.envoys),
            work: absolute(options.work),
            ..options
        };
        process::sweep(&options.work, FOLDER_PREFIX);
        let cache = cache.and_then(|db| match db.open_tree("smoke") {
            Ok(tree) => Some(tree),
            Err(error) => {
                tracing::warn!(%error, "smoke results are not cached");
                None
            }
        });
        let places = Semaphore::new(options.parallel.max(1));
        let (verified, running) = (Verified::default(), Mutex::default());
        Self(Arc::new(Shared { schema, options, listeners, cache, verified, places, running }))
    }

    /// Runs one cell, or answers from the cache. Never fails: what can't be
    /// found out is an `Errored` result. Dropping the future kills the cell.
    pub async fn run(&self, plan: Plan) -> CellResult {
        let version = &plan.cell.version;
        let Some(binary) = install::find(&self.0.options.envoys, version) else {
            let remedy = format!(
                "envoy {version} is not installed here: run `convoy envoy install {version}`"
            );
            return errored(&plan.cell, remedy);
        };
        let hash = match self.0.verified.hash(&binary).await {
            Ok(hash) => hash,
            Err(error) => {
                let remedy = format!(
                    "envoy {version} can't be used: {error}; run `convoy envoy install {version}`"
                );
                return errored(&plan.cell, remedy);
            }
        };
        let key = key(&plan, hash);
        if let Some(known) = self.0.cached(key, &plan.cell) {
            return known;
        }
        // Whoever comes second waits, and takes over if the first is dropped.
        let slot = self.0.slot(key);
        slot.get_or_init(|| self.0.run(key, &plan, &binary)).await.clone()
    }
}

impl Shared {
    async fn run(&self, key: ContentHash, plan: &Plan, binary: &std::path::Path) -> CellResult {
        let Ok(_place) = self.places.acquire().await else {
            return errored(&plan.cell, "the smoke runner was stopped".into());
        };
        if let Err(error) = std::fs::create_dir_all(&self.options.work) {
            let folder = self.options.work.display();
            return errored(&plan.cell, format!("{folder} can't be made: {error}"));
        }
        let started = Instant::now();
        let bench = cell::Bench {
            schema: &self.schema,
            listeners: self.listeners.as_ref(),
            binary,
            work: &self.options.work,
        };
        let report = cell::run(&bench, plan).await;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let result = CellResult {
            cell: plan.cell.clone(),
            outcome: report.outcome(),
            checks: report.checks,
            reasons: report.reasons(),
            took_ms,
            cached: false,
        };
        tracing::info!(cell = %result.cell, outcome = ?result.outcome, took_ms, "smoke run ended");
        self.remember(key, &result);
        result
    }

    fn slot(&self, key: ContentHash) -> Arc<OnceCell<CellResult>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = running.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::new(OnceCell::new());
        running.insert(key, Arc::downgrade(&slot));
        slot
    }

    fn cached(&self, key: ContentHash, cell: &Cell) -> Option<CellResult> {
        let bytes = self.cache.as_ref()?.get(key.0).ok()??;
        let known: CellResult = serde_json::from_slice(&bytes).ok()?;
        Some(CellResult { cell: cell.clone(), took_ms: 0, cached: true, ..known })
    }

    /// What could not be found out is tried again next time.
    fn remember(&self, key: ContentHash, result: &CellResult) {
        let Some(cache) = self.cache.as_ref().filter(|_| result.outcome != Outcome::Errored) else {
            return;
        };
        let stored = serde_json::to_vec(result).map_err(std::io::Error::other);
        let stored = stored.and_then(|bytes| cache.insert(key.0, bytes).map_err(Into::into));
        if let Err(error) = stored {
            tracing::warn!(%error, cell = %result.cell, "the smoke result was not cached");
        }
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Everything that a result depends on.
fn key(plan: &Plan, binary: ContentHash) -> ContentHash {
    let policy = serde_json::to_vec(&plan.policy).unwrap_or_default();
    let suite = plan.suite.hash.map(|hash| hash.0).unwrap_or_default();
    let mut parts: Vec<&[u8]> = vec![
        CACHE_VERSION.as_bytes(),
        plan.cell.stage.as_str().as_bytes(),
        plan.cell.version.as_bytes(),
        &binary.0,
        &plan.render.0,
        &suite,
        &policy,
    ];
    for snapshot in &plan.snapshots {
        parts.extend([snapshot.key.group.as_str().as_bytes(), &snapshot.version.0]);
    }
    ContentHash::of_parts(parts)
}

fn errored(cell: &Cell, reason: String) -> CellResult {
    CellResult {
        cell: cell.clone(),
        outcome: Outcome::Errored,
        reasons: vec![reason],
        took_ms: 0,
        checks: 0,
        cached: false,
    }
}
