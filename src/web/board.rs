//! The board as data: what each stage of each pipeline serves, why, and what
//! waits. Pure functions of the view; API and console show the same values.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{
    BundleId, CommitId, ContentHash, Manifest, Outcome, Person, PromotionId, RepoName, Revision,
    Stage, StageSpec, Via,
};
use crate::promote::{
    Approval, BundleRecord, BundleStatus, DiffStat, Ending, Gate, GateKind, Hold, Kind, Promotion,
    StageSlot, Status,
};
use crate::reconcile::{Fleet, MirrorView, View};

/// One repository's pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Pipeline {
    pub(crate) repo: RepoName,
    pub(crate) mirror: Option<MirrorView>,
    /// The newest bundle, of any status.
    pub(crate) newest: Option<BundleBrief>,
    /// The newest bundle's cells, as long as its matrix is not complete.
    pub(crate) proving: Vec<Square>,
    /// In promotion order.
    pub(crate) stages: Vec<StageCard>,
}

/// One stage and what it serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StageCard {
    pub(crate) stage: Stage,
    pub(crate) live: Option<BundleBrief>,
    pub(crate) epoch: u64,
    pub(crate) since: Option<Timestamp>,
    pub(crate) by: Option<String>,
    /// The live bundle's cells in this stage.
    pub(crate) matrix: Vec<Square>,
    pub(crate) fleet: Fleet,
    pub(crate) hold: Option<HoldBrief>,
    pub(crate) approvals_needed: usize,
    pub(crate) auto: bool,
    /// Promotions that have not ended.
    pub(crate) open: Vec<PromotionCard>,
    /// What could be promoted here next.
    pub(crate) candidate: Option<BundleBrief>,
    /// Where a rollback would lead.
    pub(crate) rollback: Option<BundleBrief>,
}

/// Why automation leaves a stage alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HoldBrief {
    pub(crate) by: String,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// A bundle in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct BundleBrief {
    pub(crate) id: BundleId,
    pub(crate) revision: Revision,
    pub(crate) commit: CommitId,
    pub(crate) short: String,
    pub(crate) subject: String,
    pub(crate) author: String,
    pub(crate) at: Timestamp,
    pub(crate) status: BundleStatus,
    pub(crate) problems: usize,
    pub(crate) findings: usize,
}

/// One square of the matrix, with or without a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Square {
    pub(crate) stage: Stage,
    pub(crate) version: String,
    pub(crate) state: SquareState,
    pub(crate) reasons: Vec<String>,
    pub(crate) took_ms: u64,
    pub(crate) checks: usize,
    pub(crate) cached: bool,
}

/// How a square stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SquareState {
    Passed,
    Failed,
    Errored,
    Running,
    Waiting,
}

/// A promotion as its page and the board show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PromotionCard {
    pub(crate) id: PromotionId,
    pub(crate) repo: RepoName,
    pub(crate) stage: Stage,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) word: &'static str,
    pub(crate) ended: bool,
    pub(crate) bundle: BundleId,
    pub(crate) content: Option<BundleBrief>,
    pub(crate) from: Option<BundleId>,
    pub(crate) plan: ContentHash,
    pub(crate) plan_short: String,
    pub(crate) diff: DiffStat,
    pub(crate) requested_by: String,
    pub(crate) requested_via: Via,
    pub(crate) requested_at: Timestamp,
    pub(crate) reason: String,
    pub(crate) gates: Vec<GateLine>,
    pub(crate) approvals: Vec<ApprovalLine>,
    pub(crate) approvals_needed: usize,
    pub(crate) matrix: Vec<Square>,
    pub(crate) applied_at: Option<Timestamp>,
    pub(crate) ending: Option<EndingLine>,
}

/// A condition in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GateLine {
    pub(crate) kind: GateKind,
    pub(crate) title: &'static str,
    pub(crate) open: bool,
    pub(crate) detail: String,
}

/// A vote, and whether it still counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ApprovalLine {
    pub(crate) by: Person,
    pub(crate) via: Via,
    pub(crate) at: Timestamp,
    pub(crate) note: String,
    pub(crate) valid: bool,
}

/// How it ended, in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct EndingLine {
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
}

/// Every pipeline, sorted by repository.
pub(crate) fn pipelines(view: &View) -> Vec<Pipeline> {
    view.manifests.iter().map(|(repo, manifest)| pipeline(view, repo, manifest)).collect()
}

/// One pipeline.
pub(crate) fn pipeline(view: &View, repo: &RepoName, manifest: &Manifest) -> Pipeline {
    let stages = manifest.stages.iter().map(|spec| stage_card(view, repo, manifest, spec));
    let newest = view.state.newest(repo);
    let proving = newest.filter(|bundle| bundle.status == BundleStatus::Checking);
    Pipeline {
        repo: repo.clone(),
        mirror: view.mirrors.get(repo).cloned(),
        newest: newest.map(BundleBrief::of),
        proving: proving.map(|bundle| all_squares(view, bundle)).unwrap_or_default(),
        stages: stages.collect(),
    }
}

fn stage_card(view: &View, repo: &RepoName, manifest: &Manifest, spec: &StageSpec) -> StageCard {
    let stage = &spec.name;
    let slot = view.state.slot(repo, stage);
    let live = slot.current.as_ref().and_then(|id| view.state.bundles.get(id));
    let open = view.state.open(repo, stage).into_iter().map(|p| PromotionCard::of(view, p));
    let fleet = view.fleet.get(&(repo.clone(), stage.clone()));
    StageCard {
        stage: stage.clone(),
        live: live.map(BundleBrief::of),
        epoch: slot.epoch,
        since: slot.since,
        by: slot.by.as_ref().map(ToString::to_string),
        matrix: live.map(|bundle| squares(view, bundle, stage)).unwrap_or_default(),
        fleet: fleet.copied().unwrap_or_default(),
        hold: slot.hold.as_ref().map(HoldBrief::of),
        approvals_needed: spec.approvals,
        auto: spec.auto,
        open: open.collect(),
        candidate: candidate(view, repo, manifest, stage, &slot).map(BundleBrief::of),
        rollback: rollback_target(view, &slot).map(BundleBrief::of),
    }
}

/// The first stage takes the newest bundle, every other what the stage
/// before it serves, unless it, or a bundle that renders to the same, is
/// served already, or it is on its way.
fn candidate<'a>(
    view: &'a View,
    repo: &RepoName,
    manifest: &Manifest,
    stage: &Stage,
    slot: &StageSlot,
) -> Option<&'a BundleRecord> {
    let bundle = match manifest.previous(stage) {
        None => view.state.newest_eligible(repo)?,
        Some(previous) => {
            view.state.bundles.get(&view.state.slot(repo, &previous.name).current?)?
        }
    };
    let live = slot.current.as_ref().and_then(|id| view.state.bundles.get(id));
    let output = |bundle: &BundleRecord| bundle.render.get(stage).copied();
    let same = |live: &BundleRecord| output(live).is_some() && output(live) == output(bundle);
    let served = live.is_some_and(|live| live.id == bundle.id || same(live));
    let asked = view.state.open(repo, stage).iter().any(|open| open.bundle == bundle.id);
    (!served && !asked).then_some(bundle)
}

fn rollback_target<'a>(view: &'a View, slot: &StageSlot) -> Option<&'a BundleRecord> {
    let current = slot.current.as_ref()?;
    let mut good = [&slot.last_good, &slot.before_last_good].into_iter().flatten();
    view.state.bundles.get(good.find(|id| *id != current)?)
}

/// Every square that the bundle's manifest asks for in `stage`.
pub(crate) fn squares(view: &View, bundle: &BundleRecord, stage: &Stage) -> Vec<Square> {
    let square = |cell| match bundle.result(&cell) {
        Some(result) => Square {
            stage: cell.stage,
            version: cell.version,
            state: SquareState::of(result.outcome),
            reasons: result.reasons.clone(),
            took_ms: result.took_ms,
            checks: result.checks,
            cached: result.cached,
        },
        None => {
            let running = view.running.contains(&(bundle.id.clone(), cell.clone()));
            let state = if running { SquareState::Running } else { SquareState::Waiting };
            Square {
                stage: cell.stage,
                version: cell.version,
                state,
                reasons: Vec::new(),
                took_ms: 0,
                checks: 0,
                cached: false,
            }
        }
    };
    bundle.cells(stage).into_iter().map(square).collect()
}

/// Every square of every stage.
pub(crate) fn all_squares(view: &View, bundle: &BundleRecord) -> Vec<Square> {
    let stages = bundle.manifest.stages.iter();
    stages.flat_map(|spec| squares(view, bundle, &spec.name)).collect()
}

impl SquareState {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed => Self::Failed,
            Outcome::Errored => Self::Errored,
        }
    }
}

impl HoldBrief {
    fn of(hold: &Hold) -> Self {
        Self { by: hold.by.to_string(), reason: hold.reason.clone(), at: hold.at }
    }
}

impl BundleBrief {
    /// The bundle in one line.
    pub(crate) fn of(bundle: &BundleRecord) -> Self {
        Self {
            id: bundle.id.clone(),
            revision: bundle.commit.revision,
            commit: bundle.commit.commit,
            short: bundle.commit.commit.short(),
            subject: bundle.commit.subject().into(),
            author: bundle.commit.author_name.clone(),
            at: bundle.at,
            status: bundle.status,
            problems: bundle.problems.len(),
            findings: bundle.findings.len(),
        }
    }
}

impl PromotionCard {
    /// The promotion with what belongs to it.
    pub(crate) fn of(view: &View, promotion: &Promotion) -> Self {
        let content = view.state.bundles.get(&promotion.bundle);
        let spec = content.and_then(|bundle| bundle.manifest.stage(&promotion.stage));
        let Promotion { id, repo, stage, kind, status, bundle, .. } = promotion.clone();
        Self {
            matrix: content.map(|bundle| squares(view, bundle, &stage)).unwrap_or_default(),
            content: content.map(BundleBrief::of),
            from: promotion.plan.from.clone(),
            plan: promotion.plan.digest,
            plan_short: promotion.plan.digest.short(),
            diff: promotion.plan.diff,
            requested_by: promotion.requested_by.to_string(),
            requested_via: promotion.requested_by.via,
            requested_at: promotion.requested_at,
            reason: promotion.reason.clone(),
            gates: promotion.gates.iter().map(GateLine::of).collect(),
            approvals: promotion.approvals.iter().map(|a| line_of(promotion, a)).collect(),
            approvals_needed: spec.map_or(0, |spec| spec.approvals),
            applied_at: promotion.applied_at,
            ending: promotion.ending.as_ref().map(EndingLine::of),
            word: status.word(),
            ended: status.is_terminal(),
            id,
            repo,
            stage,
            kind,
            status,
            bundle,
        }
    }
}

impl GateLine {
    fn of(gate: &Gate) -> Self {
        let title = match gate.kind {
            GateKind::Valid => "No problems",
            GateKind::Matrix => "Smoke matrix",
            GateKind::Verified => "Verified before",
            GateKind::Soak => "Soak time",
            GateKind::Approvals => "Approvals",
            GateKind::Free => "Stage is free",
        };
        Self { kind: gate.kind, title, open: gate.open, detail: gate.detail.clone() }
    }
}

fn line_of(promotion: &Promotion, approval: &Approval) -> ApprovalLine {
    ApprovalLine {
        by: approval.by.clone(),
        via: approval.via,
        at: approval.at,
        note: approval.note.clone(),
        valid: approval.plan == promotion.plan.digest,
    }
}

impl EndingLine {
    fn of(ending: &Ending) -> Self {
        Self { by: ending.by.to_string(), at: ending.at, reason: ending.reason.clone() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use super::*;
    use crate::model::{Actor, Cell, CellResult, CommitInfo, SmokePolicy};
    use crate::promote::{Plan, State};

    pub(crate) fn repo() -> RepoName {
        RepoName::new("mesh/config").expect("a name")
    }

    pub(crate) fn stage(name: &str) -> Stage {
        Stage::new(name).expect("a name")
    }

    fn spec(name: &str, approvals: usize) -> StageSpec {
        StageSpec {
            name: stage(name),
            envoy_versions: vec!["1.36.4".into(), "1.40.0".into()],
            approvals,
            auto: approvals == 0,
            soak_seconds: 0,
            approvers: Vec::new(),
            nodes: Vec::new(),
            smoke: SmokePolicy::default(),
        }
    }

    pub(crate) fn bundle(number: u8, results: &[(&str, &str, Outcome)]) -> BundleRecord {
        let result = |(name, version, outcome): &(&str, &str, Outcome)| CellResult {
            cell: Cell { stage: stage(name), version: (*version).into() },
            outcome: *outcome,
            reasons: vec!["listener <front> refused".into()],
            took_ms: 1200,
            checks: 3,
            cached: false,
        };
        BundleRecord {
            id: BundleId::of(&ContentHash::of(&[number])),
            repo: repo(),
            commit: CommitInfo {
                markup: Default::default(),
                origin: None,
                revision: Revision(number.into()),
                commit: CommitId([number; 20]),
                author_name: "Ann <b>".into(),
                author_email: "ann@example.com".into(),
                co_authors: Vec::new(),
                time: Timestamp::UNIX_EPOCH,
                message: format!("Change {number} <script>alert(1)</script>\n\nmore"),
            },
            authors: BTreeSet::new(),
            at: Timestamp::UNIX_EPOCH,
            status: BundleStatus::Eligible,
            manifest: Manifest {
                stages: vec![spec("beta", 0), spec("release", 1)],
                groups: Vec::new(),
            },
            problems: Vec::new(),
            findings: Vec::new(),
            render: BTreeMap::new(),
            matrix: results.iter().map(result).collect(),
            verified: BTreeMap::new(),
            held_seconds: BTreeMap::new(),
            mails: BTreeSet::new(),
        }
    }

    /// Two bundles: the second live in beta and on its way to release, which
    /// serves the first.
    pub(crate) fn view() -> View {
        let first = bundle(1, &[]);
        let second = bundle(2, &[("beta", "1.36.4", Outcome::Failed)]);
        let slot = |name: &str, current: &BundleRecord, before: Option<&BundleRecord>| StageSlot {
            current: Some(current.id.clone()),
            last_good: Some(current.id.clone()),
            before_last_good: before.map(|bundle| bundle.id.clone()),
            epoch: 3,
            since: Some(Timestamp::UNIX_EPOCH),
            by: Some(Actor::system()),
            ..StageSlot::empty(&repo(), &stage(name))
        };
        let promotion = promotion(&second);
        let slots = [slot("beta", &second, Some(&first)), slot("release", &first, None)];
        let manifest = first.manifest.clone();
        let state = State {
            bundles: Arc::new([first, second.clone()].map(|b| (b.id.clone(), b)).into()),
            slots: slots.map(|slot| ((repo(), slot.stage.clone()), slot)).into(),
            promotions: Arc::new([(promotion.id.clone(), promotion)].into()),
        };
        let cell = Cell { stage: stage("beta"), version: "1.40.0".into() };
        View {
            state: Arc::new(state),
            manifests: [(repo(), manifest)].into(),
            running: [(second.id, cell)].into(),
            ..View::default()
        }
    }

    fn promotion(bundle: &BundleRecord) -> Promotion {
        let ann = Person::new("ann").expect("a name");
        let plan = Plan {
            digest: ContentHash::of(b"plan"),
            epoch: 3,
            from: None,
            to: bundle.id.clone(),
            diff: DiffStat { added: 1, changed: 2, removed: 0 },
        };
        let vote = |plan: &[u8]| Approval {
            by: Person::new("bea").expect("a name"),
            via: Via::Slack,
            plan: ContentHash::of(plan),
            at: Timestamp::UNIX_EPOCH,
            note: "looks <good>".into(),
        };
        Promotion {
            id: PromotionId::numbered(7),
            repo: repo(),
            stage: stage("release"),
            bundle: bundle.id.clone(),
            kind: Kind::Promote,
            requested_by: Actor::person(ann, Via::Web),
            requested_at: Timestamp::UNIX_EPOCH,
            reason: "ship & see".into(),
            status: Status::Gated,
            plan,
            approvals: vec![vote(b"earlier plan"), vote(b"plan")],
            gates: vec![Gate { kind: GateKind::Matrix, open: false, detail: "1 failed".into() }],
            applied_at: None,
            ending: None,
        }
    }

    #[test]
    fn the_board_shows_what_each_stage_serves() {
        let pipelines = pipelines(&view());
        let stages = &pipelines[0].stages;
        let live = |at: usize| stages[at].live.as_ref().map(|bundle| bundle.revision.0);
        assert_eq!((live(0), live(1)), (Some(2), Some(1)));
        assert_eq!(stages[0].by.as_deref(), Some("convoy"));
        assert_eq!(stages[1].open[0].id, PromotionId::numbered(7));
    }

    #[test]
    fn a_square_is_a_result_or_runs_or_waits() {
        let board = pipelines(&view());
        let states = |at: usize| -> Vec<_> {
            board[0].stages[at].matrix.iter().map(|square| square.state).collect()
        };
        assert_eq!(states(0), [SquareState::Failed, SquareState::Running]);
        assert_eq!(states(1), [SquareState::Waiting, SquareState::Waiting]);
    }

    #[test]
    fn nothing_is_offered_that_is_served_or_asked_for() {
        let board = pipelines(&view());
        assert_eq!(board[0].stages[0].candidate, None);
        assert_eq!(board[0].stages[1].candidate, None);
        let mut view = view();
        Arc::make_mut(&mut view.state).promotions = Arc::default();
        let offered = pipelines(&view)[0].stages[1].candidate.clone();
        assert_eq!(offered.map(|bundle| bundle.revision), Some(Revision(2)));
    }

    #[test]
    fn a_rollback_leads_to_what_was_good_before() {
        let board = pipelines(&view());
        let target = |at: usize| board[0].stages[at].rollback.as_ref().map(|b| b.revision.0);
        assert_eq!((target(0), target(1)), (Some(1), None));
    }

    #[test]
    fn a_vote_for_an_earlier_plan_does_not_count() {
        let board = pipelines(&view());
        let votes: Vec<_> = board[0].stages[1].open[0].approvals.iter().map(|v| v.valid).collect();
        assert_eq!(votes, [false, true]);
    }
}
