//! Makes a bundle of each repository's head, beside the owner, and records it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::content::Patterns;
use crate::govern::Govern;
use crate::model::{Actor, FilePath, RepoName, Revision};
use crate::promote::{self};
use crate::reconcile::assess::assess_next;
use crate::reconcile::bundle::{self, Bundle, Made, Source};
use crate::reconcile::event::Event;
use crate::reconcile::record::RecordError;
use crate::reconcile::trees::Trees;
use crate::render::Renderer;
use crate::store::{Store, StoreError};
use crate::telemetry::{chain, clock};

use super::{AUTHORS_OF_MAX, Owner};

/// Files that a bundle's record names: whose owners are asked follows from
/// them, and where there are more, every owner is.
const PATHS_MAX: usize = 2000;

impl Owner {
    /// Renders the head where it was not.
    pub(super) fn begin_render(&mut self, repo: &RepoName) {
        let Ok(head) = self.parts.store.head(repo) else { return };
        let Some(mirror) = self.mirrors.get_mut(repo) else { return };
        if head.revision.0 == 0
            || mirror.rendering.is_some()
            || mirror.rendered >= Some(head.revision)
        {
            return;
        }
        mirror.rendering = Some(head.revision);
        let (repo, revision) = (repo.clone(), head.revision);
        let (store, renderer) = (self.parts.store.clone(), self.parts.renderer.clone());
        let trees = self.trees.clone();
        let people = self.parts.govern.clone();
        let newest = self.state.newest(&repo);
        let before = newest.map(|bundle| bundle.commit.revision);
        let held = newest.and_then(|bundle| self.records.held(&bundle.id));
        let events = self.events.clone();
        self.parts.tasks.spawn("render", async move {
            let name = repo.clone();
            let work = tokio::task::spawn_blocking(move || {
                render((&store, &trees), &renderer, &people, &name, (before, revision), held)
            });
            let event = match work.await {
                Ok(Ok(made)) => Event::Rendered { repo, revision, made: made.map(Box::new) },
                Ok(Err(error)) => Event::RenderFailed { repo, revision, detail: chain(&error) },
                Err(error) => Event::RenderFailed { repo, revision, detail: chain(&error) },
            };
            let _ = events.send(event).await;
        });
    }

    pub(super) async fn rendered(
        &mut self,
        repo: &RepoName,
        revision: Revision,
        made: Option<Box<Made>>,
    ) -> Result<(), RecordError> {
        let recorded = match made {
            Some(made) => self.record(repo, &made).await,
            None => Ok(()),
        };
        let Some(mirror) = self.mirrors.get_mut(repo) else { return recorded };
        if recorded.is_err() {
            // Nothing was recorded: the next look at the head renders it again.
            mirror.render_again();
            return recorded;
        }
        mirror.rendering = None;
        mirror.failures = 0;
        mirror.rendered = Some(revision);
        self.begin_render(repo);
        Ok(())
    }

    pub(super) async fn record(&mut self, repo: &RepoName, made: &Made) -> Result<(), RecordError> {
        // It was made with the people of some moment before.
        self.people = None;
        self.runs.keep_suite(&made.record.id, made.suite.clone());
        self.records.keep(made.bundle.clone());
        let event = promote::Event::Bundle(Box::new(made.record.clone()));
        let step = self.decide(event, Some(made), &Actor::system()).await?;
        if let Err(refusal) = step {
            tracing::error!(repo = %repo, refusal = %refusal, "a bundle was refused");
        }
        self.runs.drop_unwanted(&self.state);
        Ok(())
    }
}

/// The files in which two revisions differ; `None`: more than a record lists.
/// Blocking.
fn changed(
    store: &Store,
    repo: &RepoName,
    (from, to): (Revision, Revision),
) -> Result<Option<BTreeSet<FilePath>>, StoreError> {
    let changed = store.changed(repo, from, to, &Patterns::all())?;
    let few = changed.len() <= PATHS_MAX;
    Ok(few.then(|| changed.into_iter().map(|one| one.path).collect()))
}

/// Reads, assesses and makes one revision. Blocking.
fn render(
    (store, trees): (&Store, &Trees),
    renderer: &Renderer,
    people: &Govern,
    repo: &RepoName,
    (before, revision): (Option<Revision>, Revision),
    held: Option<Arc<Bundle>>,
) -> Result<Option<Made>, StoreError> {
    let began = Instant::now();
    let tree = trees.read(store, repo, revision)?;
    let read_ms = began.elapsed().as_millis() as u64;
    let commit = store.info(repo, revision)?;
    let since = match before {
        Some(before) => {
            let count = usize::try_from(revision.0.saturating_sub(before.0)).unwrap_or(usize::MAX);
            store.history(repo, Some(revision), None, count.min(AUTHORS_OF_MAX))?
        }
        None => Vec::new(),
    };
    let paths = changed(store, repo, (before.unwrap_or_default(), revision))?;
    let made =
        assess_next(renderer, before.is_some(), &tree.source, &tree.skipped).map(|assessment| {
            let person_of = |mail: &str| people.person_by_author(mail);
            let now = clock::now();
            let source =
                Source { repo, commit, since, paths, person_of: &person_of, now, before: held };
            bundle::make(source, assessment)
        });
    let render_ms = began.elapsed().as_millis() as u64 - read_ms;
    tracing::info!(repo = %repo, revision = %revision, read_ms, render_ms, "rendered");
    Ok(made)
}
