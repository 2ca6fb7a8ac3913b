//! Boots real Envoys on candidate snapshots and judges what they do.
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::model::{Cell, CellResult, ContentHash, Problem, SmokePolicy, SourceTree};
use crate::schema::Schema;
use crate::snapshot::Snapshot;

/// Where the private xDS listener of a run comes from; `app` plugs `xds` in.
pub trait Listeners: Send + Sync + std::fmt::Debug {
    /// Serves `snapshot` to every node that connects, on a loopback port of
    /// its own, until the returned value is dropped.
    fn listen(
        &self,
        snapshot: Arc<Snapshot>,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Box<dyn Listening>>> + Send + '_>>;
}

/// A private xDS listener at work.
pub trait Listening: Send + Sync {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// What Envoy refused so far, as `(type URL, Envoy's own words)`.
    fn refusals(&self) -> Vec<(String, String)>;
}

/// The checks of a source tree, read from `checks/`.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Hash over every check and every file under `checks/`.
    pub hash: Option<ContentHash>,
}

impl Suite {
    /// Reads `checks/`: `*.yaml` files are declarative, executable files are
    /// run. Gives every mistake with its place.
    pub fn read(_tree: &SourceTree) -> (Self, Vec<Problem>) {
        todo!()
    }
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
pub struct Smoke {}

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
        _schema: Schema,
        _options: SmokeOptions,
        _listeners: Arc<dyn Listeners>,
        _cache: Option<sled::Db>,
    ) -> Self {
        todo!()
    }
    /// Runs one cell, or answers from the cache. Never fails: what can't be
    /// found out is an `Errored` result. Dropping the future kills the cell.
    pub async fn run(&self, _plan: Plan) -> CellResult {
        todo!()
    }
}
