//! Keeps each repository in step with its upstream: one look at a time.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::model::RepoName;
use crate::promote::{Refusal, RefusalKind};
use crate::reconcile::event::{Adoption, Event, SyncError};
use crate::reconcile::handle::Receipt;
use crate::reconcile::record::RecordError;
use crate::reconcile::sync::{BACKOFF, Mode, sync};
use crate::reconcile::view::MirrorState;
use crate::store::Import;
use crate::telemetry::{chain, clock};

use super::Owner;

impl Owner {
    pub(super) fn begin_sync(&mut self, repo: &RepoName, mode: Mode) {
        let Some(mirror) = self.mirrors.get_mut(repo) else { return };
        if mirror.busy {
            mirror.again = true;
            return;
        }
        mirror.busy = true;
        mirror.due = Instant::now() + mirror.repository.poll;
        let head = self.parts.store.head(repo).unwrap_or_default();
        let seen = mirror.seen(head.commit);
        let adopt = match mode {
            Mode::Adopt => std::mem::take(&mut mirror.adopt),
            Mode::Import => Vec::new(),
        };
        let repository = mirror.repository.clone();
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        let quarantine = self.parts.settings.quarantine.clone();
        self.parts.tasks.spawn("sync", async move {
            let work = sync(&store, &repository, seen, &quarantine, mode);
            let result =
                AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(SyncError::Lost));
            let _ = events.send(Event::Synced { repo: repository.name, result, adopt }).await;
        });
    }

    pub(super) async fn synced(
        &mut self,
        repo: &RepoName,
        result: Result<Option<Import>, SyncError>,
        adopt: Vec<Adoption>,
    ) -> Result<(), RecordError> {
        let taken = match &result {
            Ok(Some(Import::Imported(revisions))) => revisions.last().copied(),
            _ => None,
        };
        let recorded = match (taken, adopt.first()) {
            (Some(revision), Some(Adoption { by, .. })) => {
                tracing::info!(repo = %repo, by = %by, revision = %revision, "adopted");
                self.records.write_adoption(repo, (by, clock::now()), revision).await
            }
            _ => Ok(()),
        };
        let Some(mirror) = self.mirrors.get_mut(repo) else { return recorded };
        mirror.busy = false;
        mirror.checked_at = Some(clock::now());
        let failures = match &mirror.state {
            MirrorState::Failing { failures, .. } => *failures,
            _ => 0,
        };
        let answer = match result {
            Ok(Some(Import::Diverged { ours, theirs })) => {
                tracing::warn!(repo = %repo, %ours, %theirs, "the upstream was rewritten");
                mirror.state = MirrorState::Diverged { ours, theirs };
                Ok("the upstream was rewritten again meanwhile")
            }
            // Still the rewritten head that nobody adopted.
            Ok(Some(Import::UpToDate))
                if adopt.is_empty() && matches!(mirror.state, MirrorState::Diverged { .. }) =>
            {
                Ok("the upstream is as it was")
            }
            Ok(imported) => {
                if let Some(Import::Imported(revisions)) = &imported {
                    tracing::info!(repo = %repo, revisions = revisions.len(),
                        revision = revisions.last().map_or(0, |r| r.0), "imported");
                }
                mirror.state = MirrorState::InStep;
                Ok("the upstream was adopted as it is now")
            }
            Err(error) => {
                let error = chain(&error);
                let failures = failures + 1;
                let jitter = f64::from(clock::now().subsec_millisecond()) / 1000.0;
                let wait = BACKOFF.wait(failures, jitter);
                tracing::warn!(repo = %repo, error, wait_s = wait.as_secs(), "could not fetch");
                mirror.due = Instant::now() + wait.min(mirror.repository.poll.max(BACKOFF.first));
                mirror.state = MirrorState::Failing { error: error.clone(), failures };
                Err(error)
            }
        };
        let again = std::mem::take(&mut mirror.again);
        let adopting = !mirror.adopt.is_empty();
        for Adoption { reply, .. } in adopt {
            let _ = reply.send(match &answer {
                Ok(message) => {
                    Ok(Receipt { promotion: None, message: (*message).into(), already: false })
                }
                Err(error) => Err(Refusal::new(
                    RefusalKind::Unavailable,
                    format!("{repo} was not adopted: {error}"),
                    "try again when the upstream answers",
                )),
            });
        }
        if adopting {
            self.begin_sync(repo, Mode::Adopt);
        } else if again {
            self.begin_sync(repo, Mode::Import);
        }
        self.begin_render(repo);
        recorded
    }
}
