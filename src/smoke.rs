//! Boots real Envoys on candidate snapshots and judges what they do.
//!
//! A cell is one stage on one Envoy version. For each node group of the stage
//! an Envoy is started behind a fence of its own, on the snapshot that the
//! group would be served, with an echo upstream in place of every cluster's
//! endpoints; then the checks of `checks/` are run, and what they leave is
//! kept. It knows neither promotion nor the xDS protocol: the private xDS
//! listener comes in through [`Listeners`]. Called by `reconcile`'s effects
//! and the CLI.
//!
//! ```text
//! Plan → lanes → cell ─┬─ candidate   the snapshot, made to run alone
//!                      ├─ room, fence its network, folder and processes
//!                      ├─ echo        every cluster's endpoints
//!                      ├─ envoy       the real binary
//!                      ├─ judge       did it take everything?
//!                      ├─ check, script   does it do what it should?
//!                      └─ keep, evidence  what shows it
//! ```

mod bootstrap;
mod candidate;
mod cell;
mod check;
mod client;
mod echo;
mod envoy;
mod evidence;
mod expect;
mod fence;
pub mod install;
mod judge;
mod keep;
mod lanes;
mod log;
mod odds;
mod pki;
mod process;
mod room;
mod script;
mod suite;
mod traffic;
mod wheel;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

pub use evidence::Evidence;
pub use suite::Suite;
pub use wheel::WheelError;

use crate::model::{Cell, CellResult, ContentHash, Outcome, Proof, SmokePolicy};
use crate::schema::Schema;
use crate::snapshot::Snapshot;
use evidence::Shelf;
use install::Verified;
use lanes::Lanes;

/// What a cell's folder is called, so that left-over ones are recognised.
const FOLDER_PREFIX: &str = "cell-";
/// Raised whenever the same input may come to another result, so that older
/// results are not believed.
const CACHE_VERSION: &str = "2";
/// The longest that one cell may take, whatever its checks allow themselves.
const LONGEST: Duration = Duration::from_secs(600);

/// Where the private xDS listener of a run comes from; `app` plugs `xds` in.
pub trait Listeners: Send + Sync + std::fmt::Debug {
    /// Serves `snapshot` to every node that connects to `on`, until the
    /// returned value is dropped.
    ///
    /// # Errors
    /// The listener can't be used.
    fn listen(
        &self,
        snapshot: Arc<Snapshot>,
        on: TcpListener,
    ) -> std::io::Result<Box<dyn Listening>>;
}

/// Opens a folder of remembered results, for a program that has no store.
///
/// # Errors
/// It can't be made, or another process has it open.
pub fn open_cache(folder: &Path) -> std::io::Result<sled::Db> {
    sled::open(folder.join("results")).map_err(std::io::Error::from)
}

/// Plays this program's part inside a fence, where that is what it was started
/// for, and gives its exit code. A program that runs cells must ask this
/// before anything else, while it has one thread.
pub fn fenced_in() -> Option<std::process::ExitCode> {
    fence::play()
}

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
    /// For whom it is run: cells of different bundles take turns.
    pub bundle: String,
    /// Whether it is run even if its result is known.
    pub fresh: bool,
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
    places: Lanes,
    shelf: Option<Shelf>,
    /// Whether it was said that there is no fence.
    warned: AtomicBool,
    /// What runs just now, so that the same content is run once.
    running: Mutex<HashMap<ContentHash, Weak<OnceCell<CellResult>>>>,
}

/// Tuning.
#[derive(Debug, Clone, Default)]
pub struct SmokeOptions {
    /// Where `convoy envoy install` puts Envoys.
    pub envoys: PathBuf,
    /// Where cells get their temporary folders.
    pub work: PathBuf,
    /// How many cells run at once.
    pub parallel: usize,
    /// Where evidence is kept; without it, nowhere.
    pub evidence: Option<PathBuf>,
    /// The program that fences cells off: Convoy itself. Without it, Envoys
    /// run as any child of this process does.
    pub warden: Option<PathBuf>,
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
        let places = Lanes::new(options.parallel);
        let shelf = options.evidence.clone().map(|folder| Shelf::new(absolute(folder)));
        let verified = Verified::new(cache.clone());
        let (running, warned) = (Mutex::default(), AtomicBool::new(false));
        let shared =
            Shared { schema, options, listeners, cache, verified, places, shelf, warned, running };
        Self(Arc::new(shared))
    }

    /// What is kept of a run, where it still is.
    pub fn evidence(&self, hash: ContentHash) -> Option<Evidence> {
        self.0.shelf.as_ref()?.read(hash)
    }

    /// Runs one cell, or answers from the cache. Never fails: what can't be
    /// found out is an `Errored` result. Dropping the future kills the cell.
    pub async fn run(&self, plan: Plan) -> CellResult {
        self.run_watched(plan, || ()).await
    }

    /// The same; `began` is called when the cell's turn has come.
    pub async fn run_watched(&self, plan: Plan, began: impl FnOnce()) -> CellResult {
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
        if !plan.fresh
            && let Some(known) = self.0.cached(key, &plan.cell)
        {
            return known;
        }
        // Whoever comes second waits, and takes over if the first is dropped.
        let slot = self.0.slot(key);
        slot.get_or_init(|| self.0.run(key, &plan, &binary, began)).await.clone()
    }
}

impl Shared {
    async fn run(
        &self,
        key: ContentHash,
        plan: &Plan,
        binary: &Path,
        began: impl FnOnce(),
    ) -> CellResult {
        let repo = plan.snapshots.first().map(|snapshot| snapshot.key.repo.to_string());
        let repo = repo.unwrap_or_default();
        let Some(_place) = self.places.turn(&repo, &plan.bundle).await else {
            return errored(&plan.cell, "the smoke runner was stopped".into());
        };
        began();
        if let Err(error) = std::fs::create_dir_all(&self.options.work) {
            let folder = self.options.work.display();
            return errored(&plan.cell, format!("{folder} can't be made: {error}"));
        }
        let started = Instant::now();
        let bench = cell::Bench {
            schema: &self.schema,
            listeners: self.listeners.as_ref(),
            binary,
            rooms: room::Builder {
                work: &self.options.work,
                warden: self.options.warden.as_deref(),
            },
        };
        let Ok(report) = timeout(LONGEST, cell::run(&bench, plan)).await else {
            let limit = LONGEST.as_secs();
            return errored(&plan.cell, format!("it took longer than {limit} s; it was ended"));
        };
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let result = self.conclude(plan, report, took_ms);
        tracing::debug!(cell = %result.cell, outcome = ?result.outcome, took_ms, "smoke run ended");
        self.remember(key, &result);
        result
    }

    fn conclude(&self, plan: &Plan, report: cell::Report, took_ms: u64) -> CellResult {
        let (outcome, reasons) = (report.outcome(), report.reasons());
        let evidence = self.shelf.as_ref().and_then(|shelf| {
            let evidence = Evidence {
                cell: plan.cell.clone(),
                outcome,
                reasons: reasons.clone(),
                groups: report.files,
            };
            let kept = shelf.keep(&evidence);
            kept.inspect_err(|error| tracing::warn!(%error, "no evidence could be kept")).ok()
        });
        self.warn(report.unfenced.as_deref());
        CellResult {
            cell: plan.cell.clone(),
            outcome,
            checks: report.checks,
            reasons,
            took_ms,
            cached: false,
            proof: Proof { evidence, unfenced: report.unfenced },
        }
    }

    /// Said once: it is the machine's, and doesn't change while we run.
    fn warn(&self, unfenced: Option<&str>) {
        let Some(why) = unfenced.filter(|_| self.options.warden.is_some()) else { return };
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                why,
                "smoke runs are NOT fenced off: their Envoys and checks see this machine's network and files"
            );
        }
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
        proof: Proof::default(),
    }
}
