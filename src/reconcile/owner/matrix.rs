//! Begins the cells that matter and takes their results.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::model::{BundleId, Cell, CellResult, Outcome, RepoName, Revision};
use crate::promote::{self};
use crate::reconcile::event::Event;
use crate::reconcile::record::RecordError;
use crate::smoke::{self, Suite};
use crate::store::StoreError;
use crate::telemetry::chain;

use super::Owner;

impl Owner {
    pub(super) async fn begin_cells(&mut self) {
        for (id, cell) in self.runs.missing(&self.state, Instant::now()) {
            match self.plan(&id, &cell).await {
                Ok(plan) => self.begin_cell(id, cell, plan),
                Err(detail) => {
                    let result = errored(&cell, format!("it can't be planned: {detail}"));
                    if let Err(error) = self.cell(&id, result).await {
                        tracing::error!(error = %chain(&error), "a cell could not be recorded");
                    }
                }
            }
        }
    }

    pub(super) fn begin_cell(&mut self, id: BundleId, cell: Cell, plan: smoke::Plan) {
        let (smoke, events) = (self.parts.smoke.clone(), self.events.clone());
        let bundle = id.clone();
        let (began, at_work) = (self.events.clone(), (id.clone(), cell.clone()));
        let begins = move || {
            let (bundle, cell) = at_work;
            // Lost where the queue is full: it shows as waiting, no more.
            let _ = began.try_send(Event::CellBegan { bundle, cell });
        };
        let task = self.parts.tasks.spawn("cell", async move {
            let cell = plan.cell.clone();
            let run = AssertUnwindSafe(smoke.run_watched(plan, begins)).catch_unwind().await;
            let result = run.unwrap_or_else(|_| {
                errored(&cell, "the run ended unexpectedly; the log has the reason".into())
            });
            let _ = events.send(Event::Cell { bundle, result }).await;
        });
        self.runs.began(&id, &cell, task.abort_handle());
    }

    pub(super) async fn plan(&mut self, id: &BundleId, cell: &Cell) -> Result<smoke::Plan, String> {
        let state = self.state.clone();
        let record = state.bundles.get(id).ok_or("the bundle is gone")?;
        let bundle = self.records.bundle(record).await.map_err(|error| chain(&error))?;
        let suite = match self.runs.suite(id) {
            Some(suite) => suite,
            None => self.read_suite(record.repo.clone(), record.commit.revision).await?,
        };
        self.runs.keep_suite(id, suite.clone());
        let spec = record.manifest.stage(&cell.stage).ok_or("the stage is gone")?;
        let render = record.render.get(&cell.stage).ok_or("the stage was not rendered")?;
        Ok(smoke::Plan {
            cell: cell.clone(),
            render: *render,
            snapshots: bundle.stage(&cell.stage).cloned().collect(),
            suite,
            policy: spec.smoke.clone(),
            bundle: id.to_string(),
            fresh: self.runs.is_afresh(id, cell),
        })
    }

    pub(super) async fn read_suite(
        &self,
        repo: RepoName,
        revision: Revision,
    ) -> Result<Arc<Suite>, String> {
        let store = self.parts.store.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let tree = store.tree(&repo, revision)?;
            Ok::<_, StoreError>(Arc::new(Suite::read(&tree.source).0))
        });
        let read = reading.await.map_err(|error| error.to_string())?;
        read.map_err(|error| chain(&error))
    }

    pub(super) async fn cell(
        &mut self,
        id: &BundleId,
        result: CellResult,
    ) -> Result<(), RecordError> {
        self.runs.ended(id, &result.cell, result.outcome, Instant::now());
        tracing::info!(bundle = %id, stage = %result.cell.stage, version = result.cell.version,
            outcome = ?result.outcome, took_ms = result.took_ms, cached = result.cached,
            "a smoke run ended");
        let cell = result.cell.clone();
        let recorded = self.system(promote::Event::Cell(id.clone(), result)).await;
        if recorded.is_err() {
            // It will run again, but not at once.
            self.runs.ended(id, &cell, Outcome::Errored, Instant::now());
        }
        recorded
    }
}

fn errored(cell: &Cell, reason: String) -> CellResult {
    CellResult {
        cell: cell.clone(),
        outcome: Outcome::Errored,
        reasons: vec![reason],
        took_ms: 0,
        checks: 0,
        cached: false,
        proof: crate::model::Proof::default(),
    }
}
