//! What shall be on GitHub about a repository, from the state alone.
//!
//! Pure, and asked anew whenever the state moves: there is no list of things
//! to send, only what shall be there now. What was to be said while GitHub was
//! away and holds no longer is never said.

use std::collections::BTreeSet;

use super::check::{Check, count};
use super::deployment::{Deployment, DeploymentState};
use super::status::{Status, StatusState};
use crate::model::{BundleId, Cell, CommitId, Outcome, PromotionId, RepoName, Severity, Stage};
use crate::promote::{BundleRecord, BundleStatus, Kind, Promotion, State, Status as Standing};

/// The newest bundles of a repository that are spoken of, beside those that a
/// stage serves or a promotion waits with.
const BUNDLES_MAX: usize = 20;
/// The newest promotions that are spoken of, beside those that wait.
const PROMOTIONS_MAX: usize = 50;
/// Statuses of one commit.
const CELLS_MAX: usize = 90;

/// Addresses of console pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    base: String,
}

impl Pages {
    /// `base` is what browsers reach Convoy by, `https://convoy.example.com`.
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// The page of a bundle.
    pub fn bundle(&self, id: &BundleId) -> String {
        format!("{}/bundles/{id}", self.base)
    }

    /// The page of a promotion.
    pub fn promotion(&self, id: &PromotionId) -> String {
        format!("{}/promotions/{id}", self.base)
    }

    /// The board of every pipeline.
    pub fn board(&self) -> String {
        format!("{}/", self.base)
    }
}

/// What is written at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reports {
    /// A commit status per stage cell.
    pub statuses: bool,
    /// A check run with annotations; GitHub takes it from an App only.
    pub checks: bool,
    /// A comment in each pull request.
    pub comments: bool,
    /// A deployment per promotion.
    pub deployments: bool,
}

/// What shall be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Commit statuses.
    pub statuses: Vec<(CommitId, Status)>,
    /// Check runs.
    pub checks: Vec<(CommitId, Check)>,
    /// Deployments.
    pub deployments: Vec<Deployment>,
}

/// Everything about `repo`, what people wait for first.
pub fn wanted(state: &State, repo: &RepoName, pages: &Pages, reports: Reports) -> Wanted {
    let mut wanted = Wanted::default();
    for bundle in spoken_of(state, repo) {
        let commit = bundle.commit.commit;
        if reports.statuses {
            let statuses = statuses(bundle, pages).into_iter();
            wanted.statuses.extend(statuses.map(|status| (commit, status)));
        }
        if reports.checks {
            let said = (bundle.problems.as_slice(), bundle.findings.as_slice());
            let check = Check::of(bundle.id.to_string(), said, pages.bundle(&bundle.id));
            wanted.checks.push((commit, check));
        }
    }
    if reports.deployments {
        let promotions = promotions(state, repo).into_iter();
        wanted.deployments.extend(promotions.filter_map(|one| deployment(state, one, pages)));
    }
    wanted
}

/// The bundles that anybody may look at, newest first.
fn spoken_of<'a>(state: &'a State, repo: &RepoName) -> Vec<&'a BundleRecord> {
    let mut all: Vec<_> = state.bundles.values().filter(|one| &one.repo == repo).collect();
    all.sort_by_key(|bundle| std::cmp::Reverse(bundle.commit.revision));
    let slots = state.slots.values().filter(|slot| &slot.repo == repo);
    let open = state.promotions.values().filter(|p| &p.repo == repo && !p.status.is_terminal());
    let used: BTreeSet<&BundleId> =
        slots.filter_map(|slot| slot.current.as_ref()).chain(open.map(|p| &p.bundle)).collect();
    let spoken = all.iter().enumerate();
    let spoken = spoken.filter(|(at, bundle)| *at < BUNDLES_MAX || used.contains(&bundle.id));
    spoken.map(|(_, bundle)| *bundle).collect()
}

fn statuses(bundle: &BundleRecord, pages: &Pages) -> Vec<Status> {
    let page = pages.bundle(&bundle.id);
    let mut all = vec![render(bundle, &page)];
    let mut cells: Vec<Cell> =
        bundle.manifest.stages.iter().flat_map(|spec| bundle.cells(&spec.name)).collect();
    let known: BTreeSet<Cell> = cells.iter().cloned().collect();
    // What a stage asked for beside the bundle's own manifest.
    let more = bundle.matrix.iter().map(|result| &result.cell);
    cells.extend(more.filter(|cell| !known.contains(*cell)).cloned());
    let cells = cells.iter().take(CELLS_MAX);
    all.extend(cells.filter_map(|cell| smoke(bundle, cell, &page)));
    all
}

fn render(bundle: &BundleRecord, page: &str) -> Status {
    let stops = bundle.findings.iter().filter(|one| one.severity == Severity::Error);
    let mistakes = bundle.problems.iter().chain(stops.map(|one| &one.problem));
    let warnings = bundle.findings.iter().filter(|one| one.severity == Severity::Warning).count();
    let (state, text) = match (mistakes.clone().count(), mistakes.clone().next()) {
        (0, _) if bundle.status == BundleStatus::Rejected => {
            (StatusState::Failure, format!("{} was rejected", bundle.id))
        }
        (n, Some(first)) => {
            let text = format!("{}: {} {}", count(n, "mistake"), first.place, first.message);
            (StatusState::Failure, text)
        }
        (_, None) => {
            let stages = count(bundle.manifest.stages.len(), "stage");
            let warned = match warnings {
                0 => String::new(),
                n => format!(", {}", count(n, "warning")),
            };
            (StatusState::Success, format!("{} for {stages}{warned}", bundle.id))
        }
    };
    Status::new("convoy/render", state, &text, page.to_owned())
}

/// How a cell stands; nothing of one that will never run.
fn smoke(bundle: &BundleRecord, cell: &Cell, page: &str) -> Option<Status> {
    let (state, text) = match bundle.result(cell) {
        None if bundle.status == BundleStatus::Rejected => return None,
        None => (StatusState::Pending, "waits for its Envoy".to_owned()),
        Some(result) => {
            let reason = || result.reasons.first().cloned().unwrap_or_default();
            match result.outcome {
                Outcome::Passed => {
                    (StatusState::Success, format!("{} passed", count(result.checks, "check")))
                }
                Outcome::Failed => (StatusState::Failure, reason()),
                Outcome::Errored => (StatusState::Error, reason()),
            }
        }
    };
    let context = format!("convoy/smoke ({}, {})", cell.stage, cell.version);
    Some(Status::new(&context, state, &text, page.to_owned()))
}

/// The promotions that anybody may look at, newest first.
fn promotions<'a>(state: &'a State, repo: &RepoName) -> Vec<&'a Promotion> {
    let mut all: Vec<_> = state.promotions.values().filter(|one| &one.repo == repo).collect();
    all.sort_by_key(|promotion| std::cmp::Reverse(promotion.id.number()));
    let spoken = all.into_iter().enumerate();
    let spoken = spoken.filter(|(at, one)| *at < PROMOTIONS_MAX || !one.status.is_terminal());
    spoken.map(|(_, promotion)| promotion).collect()
}

fn deployment(state: &State, promotion: &Promotion, pages: &Pages) -> Option<Deployment> {
    let bundle = state.bundles.get(&promotion.bundle)?;
    let (standing, why) = standing(promotion)?;
    let verb = match promotion.kind {
        Kind::Promote => "to",
        Kind::Rollback => "back in",
    };
    let (id, stage) = (&promotion.id, &promotion.stage);
    Some(Deployment {
        promotion: id.clone(),
        commit: bundle.commit.commit,
        environment: stage.to_string(),
        is_production: is_last(bundle, stage),
        description: format!("{id}: {} {verb} {stage}: {}", bundle.id, promotion.reason),
        state: standing,
        state_description: why,
        log_url: pages.promotion(id),
        environment_url: pages.board(),
    })
}

fn is_last(bundle: &BundleRecord, stage: &Stage) -> bool {
    bundle.manifest.stages.last().is_some_and(|last| &last.name == stage)
}

/// How a promotion stands in GitHub's words; nothing of one that moves
/// nothing. What changes by the second is not part of it.
fn standing(promotion: &Promotion) -> Option<(DeploymentState, String)> {
    use DeploymentState as Told;
    let state = match promotion.status {
        Standing::Noop => return None,
        Standing::Gated | Standing::Ready => Told::Queued,
        Standing::Applying
        | Standing::Observing
        | Standing::Paused
        | Standing::Verifying
        | Standing::RollingBack => Told::InProgress,
        Standing::Succeeded => Told::Success,
        Standing::RolledBack | Standing::Failed => Told::Failure,
        Standing::Stuck => Told::Error,
        Standing::Rejected | Standing::Cancelled | Standing::Superseded | Standing::Expired => {
            Told::Inactive
        }
    };
    let closed: Vec<_> =
        promotion.gates.iter().filter(|gate| !gate.open).map(|gate| gate.kind.word()).collect();
    let why = match (&promotion.ending, state) {
        (Some(ending), _) => format!("{}: {}", promotion.status.word(), ending.reason),
        (None, DeploymentState::Queued) if !closed.is_empty() => {
            format!("waiting for {}", closed.join(", "))
        }
        (None, _) => promotion.status.word().to_owned(),
    };
    Some((state, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::promote::{Document, Ending};

    const ALL: Reports =
        Reports { statuses: true, checks: true, comments: true, deployments: true };

    fn ask(state: &State) -> Wanted {
        wanted(state, &samples::repo(), &Pages::new("https://convoy.example.com/"), ALL)
    }

    #[test]
    fn each_cell_has_a_status_of_its_own_that_leads_to_the_bundle() {
        let mut state = State::default();
        state.put(Document::Bundle(Box::new(samples::bundle("b-new", 12))));
        let told: Vec<_> = ask(&state)
            .statuses
            .iter()
            .map(|(_, one)| format!("{} {:?}", one.context, one.state))
            .collect();
        let expected = [
            "convoy/render Success",
            "convoy/smoke (beta, 1.36.4) Success",
            "convoy/smoke (beta, 1.38.3) Success",
            "convoy/smoke (canary, 1.36.4) Success",
            "convoy/smoke (canary, 1.38.3) Failure",
            "convoy/smoke (release, 1.36.4) Error",
            "convoy/smoke (release, 1.38.3) Pending",
        ];
        assert_eq!(told, expected);
        let page = ask(&state).statuses[0].1.target_url.clone();
        assert_eq!(page.as_deref(), Some("https://convoy.example.com/bundles/b-new"));
    }

    #[test]
    fn a_promotion_stands_as_github_calls_it_and_what_moves_nothing_is_not_told() {
        let ended = |status| {
            let mut one = samples::promotion(7, "canary");
            one.status = status;
            let (by, at) = (samples::person("kim"), samples::at(60));
            one.ending = Some(Ending { by, at, reason: "because".into() });
            one
        };
        for (status, expected) in [
            (Standing::Gated, Some(DeploymentState::Queued)),
            (Standing::Applying, Some(DeploymentState::InProgress)),
            (Standing::Succeeded, Some(DeploymentState::Success)),
            (Standing::Rejected, Some(DeploymentState::Inactive)),
            (Standing::Cancelled, Some(DeploymentState::Inactive)),
            (Standing::Superseded, Some(DeploymentState::Inactive)),
            (Standing::Paused, Some(DeploymentState::InProgress)),
            (Standing::RolledBack, Some(DeploymentState::Failure)),
            (Standing::Stuck, Some(DeploymentState::Error)),
            (Standing::Expired, Some(DeploymentState::Inactive)),
            (Standing::Noop, None),
        ] {
            let found = ask(&samples::state(vec![ended(status)])).deployments;
            assert_eq!(found.first().map(|one| one.state), expected, "{status:?}");
        }
        let waiting = ask(&samples::state(vec![samples::promotion(7, "canary")])).deployments;
        assert_eq!(waiting[0].state_description, "waiting for smoke matrix, approvals");
        assert!(!waiting[0].is_production && waiting[0].environment == "canary");
    }

    #[test]
    fn however_long_the_history_is_little_is_spoken_of() {
        let mut state = State::default();
        for n in 0..300 {
            state.put(Document::Bundle(Box::new(samples::bundle(&format!("b-{n}"), n))));
        }
        let found = ask(&state);
        assert_eq!((found.checks.len(), found.statuses.len()), (20, 140));
        assert_eq!(found.checks[0].0, CommitId([43; 20]));
    }
}
