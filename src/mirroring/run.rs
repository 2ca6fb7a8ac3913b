//! One run of one mirror: its turn, its bounds, and what it came to. Nothing
//! here decides when; `worker` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::RunError;
use super::remote::Remote;
use super::synced::Synced;
use super::{Brought, Outcome, Run, Settings, inward, outward};
use crate::govern::{Govern, MirrorDirection, MirrorDocument, RepositoryStatus};
use crate::mirror::{AppTokens, MirrorError};
use crate::model::ContentHash;
use crate::store::Store;
use crate::telemetry::{chain, clock};

/// Runs at once of mirrors that are well, in the order in which they ask.
const WELL_MAX: usize = 16;
/// Runs at once of mirrors whose last run failed: a remote that hangs holds
/// its place until its time is over, and must not hold that of those who are
/// well.
const FAILING_MAX: usize = 4;
/// One run with all its repetitions; each fetch and push has its own bound.
const RUN_MAX: Duration = Duration::from_secs(900);
/// Runs that begin anew because somebody was faster, here or there.
const RACES_MAX: usize = 5;
/// What was skipped is named up to here.
const SKIPPED_MAX: usize = 20;

/// What every run needs.
pub(super) struct Env {
    pub(super) store: Store,
    pub(super) govern: Govern,
    pub(super) settings: Settings,
    pub(super) brought: Brought,
    pub(super) tokens: AppTokens,
    pub(super) synced: Synced,
    well: Semaphore,
    failing: Semaphore,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A run that worked.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) skipped: Vec<String>,
}

impl Done {
    pub(super) fn up_to_date() -> Self {
        Self { outcome: Outcome::UpToDate, skipped: Vec::new() }
    }
}

impl Env {
    pub(super) fn new(
        store: Store,
        govern: Govern,
        settings: Settings,
        brought: Brought,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            govern,
            settings,
            brought,
            tokens: AppTokens::default(),
            synced: Synced::default(),
            well: Semaphore::new(WELL_MAX),
            failing: Semaphore::new(FAILING_MAX),
        })
    }

    /// Where fetched trees are kept for a run.
    pub(super) fn quarantine(&self) -> PathBuf {
        self.settings.work.join("quarantine")
    }

    /// Where a mirror keeps what it fetched last; may be deleted at any time.
    pub(super) fn cache(&self, mirror: &MirrorDocument) -> PathBuf {
        let place = [&mirror.local.to_string(), &mirror.id, &mirror.url, &mirror.branch];
        let place = ContentHash::of_parts(place.map(|part| part.as_bytes())).short();
        self.settings.work.join("cache").join(format!("{place}.git"))
    }

    /// Where SSH keys are kept for a run.
    pub(super) fn keys(&self) -> PathBuf {
        self.settings.work.join("keys")
    }

    async fn place(&self, failures: u32) -> Option<SemaphorePermit<'_>> {
        let lane = if failures == 0 { &self.well } else { &self.failing };
        // They are never closed.
        lane.acquire().await.ok()
    }
}

/// Runs a mirror once, when it is its turn.
pub(super) async fn run(
    env: &Env,
    mirror: &MirrorDocument,
    failures: u32,
    began: impl FnOnce(Timestamp),
) -> Run {
    let _place = env.place(failures).await;
    let began_at = clock::now();
    began(began_at);
    let done = match tokio::time::timeout(RUN_MAX, repeat(env, mirror)).await {
        Ok(done) => done,
        Err(_) => Err(RunError::refused(format!("it took longer than {} s", RUN_MAX.as_secs()))),
    };
    let ended = clock::now();
    match done {
        Ok(Done { outcome, mut skipped }) => {
            skipped.truncate(SKIPPED_MAX);
            Run { began: began_at, ended, outcome, skipped }
        }
        Err(error) => {
            let error = chain(&error);
            Run { began: began_at, ended, outcome: Outcome::Failed { error }, skipped: Vec::new() }
        }
    }
}

async fn repeat(env: &Env, mirror: &MirrorDocument) -> Result<Done, RunError> {
    is_there(env, mirror)?;
    let remote = Remote::prepare(env, mirror).await?;
    for race in 1.. {
        let done = match mirror.direction {
            MirrorDirection::RemoteToLocal => inward::bring(env, mirror, &remote.upstream).await,
            MirrorDirection::LocalToRemote => outward::bring(env, mirror, &remote.upstream).await,
        };
        match done {
            Err(error) if error.is_race() && race < RACES_MAX => {
                tracing::debug!(mirror = mirror.id, %error, "somebody was faster; looking again");
            }
            Err(RunError::Mirror(error @ MirrorError::Unauthorized { .. })) => {
                if let Some(app) = &remote.app {
                    env.tokens.forget(app);
                }
                return Err(error.into());
            }
            done => return done,
        }
    }
    Ok(Done::up_to_date())
}

/// Refuses what was removed, or may not be written.
fn is_there(env: &Env, mirror: &MirrorDocument) -> Result<(), RunError> {
    let registry = env.govern.registry();
    let Some(repository) = registry.repository(&mirror.local) else {
        return Err(RunError::refused(format!("there is no repository `{}`", mirror.local)));
    };
    let writes = mirror.direction == MirrorDirection::RemoteToLocal;
    if writes && repository.status == RepositoryStatus::ReadOnly {
        return Err(RunError::refused(format!("`{}` is read-only at the moment", mirror.local)));
    }
    Ok(())
}
