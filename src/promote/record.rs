//! The documents of `@convoy/state` that promotion reads and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::step::Document;
use crate::model::{
    Actor, BundleId, Cell, CellResult, CommitInfo, ContentHash, Finding, Manifest, Person, Problem,
    PromotionId, RepoName, Stage, Via,
};

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

/// Whether a bundle may be promoted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleStatus {
    /// Its smoke runs are under way.
    Checking,
    /// It rendered without problems and its matrix is complete.
    Eligible,
    /// It has problems or error findings; never promoted.
    Rejected,
}

/// What is known about one bundle: the rendered output of one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// Its name.
    pub id: BundleId,
    /// Where it comes from.
    pub repo: RepoName,
    /// The commit it was rendered from.
    pub commit: CommitInfo,
    /// The people that the configuration maps among the authors of the commit
    /// and of those since the bundle before it. They can't approve it.
    pub authors: BTreeSet<Person>,
    /// The mail addresses of everybody who wrote a part of it: whom they are
    /// may be told later than it was made.
    #[serde(default)]
    pub mails: BTreeSet<String>,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whether it may be promoted.
    pub status: BundleStatus,
    /// The pipeline as this revision describes it.
    pub manifest: Manifest,
    /// Every mistake, if it was rejected.
    pub problems: Vec<Problem>,
    /// What the linter says.
    pub findings: Vec<Finding>,
    /// Per stage, the hash of everything rendered for it.
    pub render: BTreeMap<Stage, ContentHash>,
    /// Results of the matrix, one per cell that ran, by stage then version.
    pub matrix: Vec<CellResult>,
    /// Per stage that ever held it with success: since when, the last time.
    pub verified: BTreeMap<Stage, Timestamp>,
    /// Per stage that held it and moved on: the longest stay, in seconds.
    #[serde(default)]
    pub held_seconds: BTreeMap<Stage, u64>,
}

impl BundleRecord {
    /// The mail addresses of everybody who is known to have written a part.
    fn mails(&self) -> impl Iterator<Item = &String> {
        let own = std::iter::once(&self.commit.author_email).chain(&self.commit.co_authors);
        own.chain(&self.mails)
    }

    /// The cells that the manifest asks for in `stage`.
    pub fn cells(&self, stage: &Stage) -> Vec<Cell> {
        let versions = self.manifest.stage(stage).map(|spec| spec.envoy_versions.clone());
        let cell = |version| Cell { stage: stage.clone(), version };
        versions.unwrap_or_default().into_iter().map(cell).collect()
    }

    /// Whether a stage can't tell this bundle from `other`: the same rendered
    /// resources for the same nodes under the same policy.
    pub fn equals_in(&self, other: &Self, stage: &Stage) -> bool {
        self.render.get(stage) == other.render.get(stage)
            && self.manifest.groups == other.manifest.groups
            && self.manifest.stage(stage) == other.manifest.stage(stage)
    }

    /// The result of `cell`, where it ran.
    pub fn result(&self, cell: &Cell) -> Option<&CellResult> {
        self.matrix.iter().find(|result| &result.cell == cell)
    }
}

/// What a stage serves: the one pointer that a promotion moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSlot {
    /// The repository.
    pub repo: RepoName,
    /// The stage.
    pub stage: Stage,
    /// What is served now.
    pub current: Option<BundleId>,
    /// The newest bundle that succeeded here.
    pub last_good: Option<BundleId>,
    /// The one that succeeded before it: where a rollback leads.
    pub before_last_good: Option<BundleId>,
    /// Counts every move of the pointer.
    pub epoch: u64,
    /// When the pointer moved last.
    pub since: Option<Timestamp>,
    /// Who moved it.
    pub by: Option<Actor>,
    /// Set by a rollback: automation leaves the stage alone.
    pub hold: Option<Hold>,
}

impl StageSlot {
    /// A slot that nothing was ever activated in.
    pub fn empty(repo: &RepoName, stage: &Stage) -> Self {
        Self {
            repo: repo.clone(),
            stage: stage.clone(),
            current: None,
            last_good: None,
            before_last_good: None,
            epoch: 0,
            since: None,
            by: None,
            hold: None,
        }
    }
}

/// Keeps automatic promotions away from a stage until a person promotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// Forward, or back to what was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To a bundle that the stage's gates let pass.
    Promote,
    /// To a bundle that succeeded in this stage before.
    Rollback,
}

/// Where a promotion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Some gate is closed.
    Gated,
    /// The pointer moved; waiting for the nodes' word.
    Applying,
    /// Every node that is connected took it.
    Succeeded,
    /// Nothing to do: what is rendered is what is served.
    Noop,
    /// An approver said no.
    Rejected,
    /// The requester took it back.
    Cancelled,
    /// A newer request for the stage took its place.
    Superseded,
    /// A node refused it; the stage went back to what was good.
    Failed,
}

impl Status {
    /// Whether nothing can happen to it any more.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Gated | Self::Applying)
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gated => "waiting",
            Self::Applying => "applying",
            Self::Succeeded => "succeeded",
            Self::Noop => "no-op",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }
}

/// How much a promotion changes for a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStat {
    /// Resources that are new.
    pub added: usize,
    /// Resources whose content differs.
    pub changed: usize,
    /// Resources that go.
    pub removed: usize,
}

/// Exactly what an approval is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Binds everything below, the results of the matrix and the policy.
    pub digest: ContentHash,
    /// The slot's epoch that it starts from.
    pub epoch: u64,
    /// What is served when it starts.
    pub from: Option<BundleId>,
    /// What is served when it ends.
    pub to: BundleId,
    /// How much changes. Follows from `from` and `to`, for people; whoever
    /// holds the rendered resources fills it in.
    pub diff: DiffStat,
}

/// One person's yes to one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: Person,
    /// By which way.
    pub via: Via,
    /// The plan it is valid for.
    pub plan: ContentHash,
    /// When.
    pub at: Timestamp,
    /// What they added.
    pub note: String,
}

/// How a promotion ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Who ended it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// The act that moves one stage's pointer, with its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its name.
    pub id: PromotionId,
    /// The repository.
    pub repo: RepoName,
    /// The stage whose pointer it moves.
    pub stage: Stage,
    /// The bundle it moves to.
    pub bundle: BundleId,
    /// Forward or back.
    pub kind: Kind,
    /// Who asked.
    pub requested_by: Actor,
    /// When.
    pub requested_at: Timestamp,
    /// Why, in their words.
    pub reason: String,
    /// Where it stands.
    pub status: Status,
    /// What an approval is for, as of the last look.
    pub plan: Plan,
    /// The votes, valid ones and those that an earlier plan had.
    pub approvals: Vec<Approval>,
    /// Each condition and whether it holds, as of the last look.
    pub gates: Vec<Gate>,
    /// When the pointer moved, if it did.
    pub applied_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub ending: Option<Ending>,
}

impl Promotion {
    /// The approvals that count for the plan as it stands.
    pub fn valid_approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.iter().filter(|approval| approval.plan == self.plan.digest)
    }
}
