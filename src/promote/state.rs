//! Everything that is known about pipelines, as one value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bundle::{BundleRecord, BundleStatus};
use super::hold::Freeze;
use super::people::{FleetFacts, People};
use super::promotion::Promotion;
use super::slot::StageSlot;
use super::step::Document;
use crate::model::{BundleId, Cell, FilePath, Person, PromotionId, RepoName, Stage};

/// Everything that is known, as one value. Small enough to be held whole: a
/// bundle's encoded resources are not part of it. Cheap to clone: what a step
/// leaves alone is shared with the state before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Every bundle that is still remembered.
    pub bundles: Arc<BTreeMap<BundleId, BundleRecord>>,
    /// What each stage serves.
    pub slots: BTreeMap<(RepoName, Stage), StageSlot>,
    /// Every promotion that is still remembered.
    pub promotions: Arc<BTreeMap<PromotionId, Promotion>>,
    /// Who keeps changes away from a stage, or with `None` from all stages of
    /// the repository; ended ones included.
    pub freezes: BTreeMap<(RepoName, Option<Stage>), Freeze>,
    /// Who there is. Not a document of promotion: whoever owns the state sets
    /// it before each step.
    pub people: Arc<People>,
    /// How the nodes of each stage stand. Not recorded either.
    pub fleet: Arc<BTreeMap<(RepoName, Stage), FleetFacts>>,
}

impl State {
    /// The repository's newest bundle that was not rejected, by revision.
    pub fn newest_eligible(&self, repo: &RepoName) -> Option<&BundleRecord> {
        let eligible = |bundle: &&BundleRecord| {
            &bundle.repo == repo && bundle.status != BundleStatus::Rejected
        };
        self.bundles.values().filter(eligible).max_by_key(|bundle| bundle.commit.revision)
    }

    /// The repository's newest bundle of any status.
    pub fn newest(&self, repo: &RepoName) -> Option<&BundleRecord> {
        let of_repo = self.bundles.values().filter(|bundle| &bundle.repo == repo);
        of_repo.max_by_key(|bundle| bundle.commit.revision)
    }

    /// The repositories that have bundles.
    pub fn repos(&self) -> BTreeSet<RepoName> {
        self.bundles.values().map(|bundle| bundle.repo.clone()).collect()
    }

    /// The slot of a stage, empty where nothing was ever activated.
    pub fn slot(&self, repo: &RepoName, stage: &Stage) -> StageSlot {
        let key = (repo.clone(), stage.clone());
        self.slots.get(&key).cloned().unwrap_or_else(|| StageSlot::empty(repo, stage))
    }

    /// What the stage serves, if anything.
    pub fn current(&self, repo: &RepoName, stage: &Stage) -> Option<&BundleRecord> {
        let slot = self.slots.get(&(repo.clone(), stage.clone()))?;
        self.bundles.get(slot.current.as_ref()?)
    }

    /// The cells that must pass before `stage` takes `bundle`: what its own
    /// manifest asks for, and what the bundle that the stage serves now asks
    /// for, so that no commit drops a check of itself.
    pub fn cells(&self, bundle: &BundleRecord, stage: &Stage) -> Vec<Cell> {
        let mut cells = bundle.cells(stage);
        if bundle.manifest.stage(stage).is_some() {
            let kept = self.current(&bundle.repo, stage).map(|current| current.cells(stage));
            cells.extend(kept.unwrap_or_default());
        }
        let mut seen = BTreeSet::new();
        cells.retain(|cell| seen.insert(cell.clone()));
        cells
    }

    /// Who wrote what `bundle` would bring to `stage`: its own authors, and
    /// those of every bundle between it and what the stage serves now.
    pub fn authors(&self, bundle: &BundleRecord, stage: &Stage) -> BTreeSet<Person> {
        let mut authors = bundle.authors.clone();
        if let Some(current) = self.current(&bundle.repo, stage) {
            let (from, to) = (current.commit.revision, bundle.commit.revision);
            let between = self.bundles.values().filter(|other| {
                other.repo == bundle.repo
                    && other.commit.revision > from
                    && other.commit.revision < to
            });
            authors.extend(between.flat_map(|other| other.authors.iter().cloned()));
        }
        authors
    }

    /// The files that `bundle` would change in `stage`: its own, and those of
    /// every bundle between it and what the stage serves now, in either
    /// direction. `None`: nobody knows, so it may be any.
    pub fn changed_paths(
        &self,
        bundle: &BundleRecord,
        stage: &Stage,
    ) -> Option<BTreeSet<FilePath>> {
        let current = self.current(&bundle.repo, stage)?;
        let (one, other) = (current.commit.revision, bundle.commit.revision);
        let (from, to) = (one.min(other), one.max(other));
        let mut all = BTreeSet::new();
        for between in self.bundles.values().filter(|between| {
            between.repo == bundle.repo
                && between.commit.revision > from
                && between.commit.revision <= to
        }) {
            all.extend(between.paths.as_ref()?.iter().cloned());
        }
        Some(all)
    }

    /// The promotion that has a stage for itself.
    pub fn active(&self, repo: &RepoName, stage: &Stage) -> Option<&Promotion> {
        self.open(repo, stage).into_iter().find(|promotion| promotion.status.is_active())
    }

    /// The promotions of a stage that skipped gates and that no second person
    /// has looked at.
    pub fn unreviewed(&self, repo: &RepoName, stage: &Stage) -> Vec<&Promotion> {
        let owes = |promotion: &&Promotion| {
            &promotion.repo == repo && &promotion.stage == stage && promotion.owes_review()
        };
        self.promotions.values().filter(owes).collect()
    }

    /// Adds the people who are known by now among those who wrote a bundle.
    /// Nobody is taken out: who was an author once stays one. Gives the bundles
    /// that have new ones, to be recorded.
    #[must_use]
    pub fn learn_authors(&mut self, person_of: &dyn Fn(&str) -> Option<Person>) -> Vec<Document> {
        let unknown = |bundle: &BundleRecord| -> BTreeSet<Person> {
            let people = bundle.mails().filter_map(|mail| person_of(mail));
            people.filter(|person| !bundle.authors.contains(person)).collect()
        };
        let news: Vec<_> =
            self.bundles.values().map(|one| (one.id.clone(), unknown(one))).collect();
        let mut learnt = Vec::new();
        for (id, people) in news.into_iter().filter(|(_, people)| !people.is_empty()) {
            if let Some(bundle) = Arc::make_mut(&mut self.bundles).get_mut(&id) {
                bundle.authors.extend(people);
                learnt.push(Document::Bundle(Box::new(bundle.clone())));
            }
        }
        learnt
    }

    /// The name of the next promotion.
    pub fn next_promotion(&self) -> PromotionId {
        let newest = self.promotions.keys().map(PromotionId::number).max();
        PromotionId::numbered(newest.unwrap_or(0) + 1)
    }

    /// Takes a recorded document over.
    pub fn put(&mut self, document: Document) {
        match document {
            Document::Bundle(bundle) => {
                Arc::make_mut(&mut self.bundles).insert(bundle.id.clone(), *bundle);
            }
            Document::Slot(slot) => {
                self.slots.insert((slot.repo.clone(), slot.stage.clone()), slot);
            }
            Document::Promotion(promotion) => {
                Arc::make_mut(&mut self.promotions).insert(promotion.id.clone(), *promotion);
            }
            Document::Freeze(freeze) => {
                self.freezes.insert((freeze.repo.clone(), freeze.stage.clone()), freeze);
            }
        }
    }

    /// The promotions of a stage that have not ended, oldest first.
    pub fn open(&self, repo: &RepoName, stage: &Stage) -> Vec<&Promotion> {
        let mut open: Vec<_> = self
            .promotions
            .values()
            .filter(|p| &p.repo == repo && &p.stage == stage && !p.status.is_terminal())
            .collect();
        open.sort_by_key(|promotion| promotion.id.number());
        open
    }
}
