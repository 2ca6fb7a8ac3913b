//! The task of one mirror: waits for its time or for a word, runs, and says
//! how it went. It lives as long as its document stays as it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::board::{Board, Key};
use super::run::{self, Env};
use super::{Outcome, Run};
use crate::govern::MirrorDocument;
use crate::model::ContentHash;
use crate::retry::Backoff;
use crate::telemetry::clock;

/// The first wait after a failure, where the mirror's own is not shorter.
const RETRY_FIRST: Duration = Duration::from_secs(10);
/// The longest, where the mirror's own is not longer.
const RETRY_LONGEST: Duration = Duration::from_secs(300);
/// Looks of one mirror are at least so far apart.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// Who waits for a run.
pub(super) type Waiter = oneshot::Sender<Run>;

/// What a mirror's task works with.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) env: Arc<Env>,
    pub(super) board: Arc<Board>,
    pub(super) mirror: MirrorDocument,
    /// Whether it runs by itself.
    pub(super) by_itself: bool,
    /// Held by whichever mirror works between the same two places.
    pub(super) turn: Arc<Semaphore>,
    pub(super) inbox: mpsc::Receiver<Waiter>,
}

impl Worker {
    /// Works until nobody can ask any more; the first look comes after
    /// `first`.
    pub(super) async fn work(mut self, first: Duration) {
        let key = (self.mirror.local.project().to_owned(), self.mirror.id.clone());
        let mut wait = self.by_itself.then_some(first);
        while let Some(waiting) = self.wait(&key, wait).await {
            let run = self.run(&key).await;
            self.tell(&key, &run);
            for waiter in waiting {
                // Nobody may wait any more; that is fine.
                let _ = waiter.send(run.clone());
            }
            wait = self.every().map(|every| after(every, self.board.failures(&key), jitter(&key)));
        }
    }

    /// How often it looks by itself.
    fn every(&self) -> Option<Duration> {
        let every = self.mirror.every_s.filter(|_| self.by_itself)?;
        Some(Duration::from_secs(every).max(EVERY_MIN))
    }

    /// Waits for the time, or for who asks; `None` at the end.
    async fn wait(&mut self, key: &Key, wait: Option<Duration>) -> Option<Vec<Waiter>> {
        self.board.next(key, wait.and_then(|wait| later(clock::now(), wait)));
        let time = async {
            match wait {
                Some(wait) => tokio::time::sleep_until(Instant::now() + wait).await,
                None => std::future::pending().await,
            }
        };
        let mut waiting = tokio::select! {
            () = time => Vec::new(),
            asked = self.inbox.recv() => vec![asked?],
        };
        while let Ok(more) = self.inbox.try_recv() {
            waiting.push(more);
        }
        Some(waiting)
    }

    async fn run(&self, key: &Key) -> Run {
        // Never closed.
        let _turn = self.turn.acquire().await.ok();
        let mut running = None;
        let failures = self.board.failures(key);
        let began = |_| running = Some(self.board.running(key));
        let run = run::run(&self.env, &self.mirror, failures, began).await;
        drop(running);
        self.board.ended(key, &run);
        run
    }

    fn tell(&self, key: &Key, run: &Run) {
        let (project, mirror) = (&key.0, &key.1);
        let took_ms = run.ended.duration_since(run.began).as_millis();
        match &run.outcome {
            Outcome::Brought { revision, commit, files } => {
                tracing::info!(project, mirror, %revision, %commit, files, took_ms, "mirrored");
            }
            Outcome::UpToDate => {
                tracing::debug!(project, mirror, took_ms, "the mirror is in step");
            }
            Outcome::Failed { error } => {
                tracing::warn!(project, mirror, took_ms, error, "a mirror failed");
            }
        }
    }
}

/// The wait after a run: the mirror's own, a little spread so that many don't
/// look at once; after failures one that doubles.
fn after(every: Duration, failures: u32, jitter: f64) -> Duration {
    if failures == 0 {
        return every.mul_f64(0.9 + 0.2 * jitter);
    }
    let backoff = Backoff { first: every.min(RETRY_FIRST), longest: every.max(RETRY_LONGEST) };
    backoff.wait(failures, jitter)
}

fn later(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    now.checked_add(SignedDuration::try_from(wait).ok()?).ok()
}

/// A number from 0 to 1 that differs from mirror to mirror and from time to
/// time.
pub(super) fn jitter(key: &Key) -> f64 {
    let now = clock::now().as_millisecond().to_be_bytes();
    let hash = ContentHash::of_parts([key.0.as_bytes(), key.1.as_bytes(), &now]);
    f64::from(hash.0[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_and_double_after_failures() {
        let seconds =
            |every, failures, jitter| after(Duration::from_secs(every), failures, jitter).as_secs();
        assert_eq!((seconds(60, 0, 0.0), seconds(60, 0, 1.0)), (54, 66));
        let waits: Vec<_> = (1..8).map(|failures| seconds(60, failures, 0.0)).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(seconds(3600, 20, 0.0), 3600);
        assert_eq!(seconds(1, 1, 0.0), 1);
    }
}
