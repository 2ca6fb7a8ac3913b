//! What the board shows, of a small view that other tests use, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::model::{
    Actor, BundleId, Cell, CellResult, CommitId, CommitInfo, ContentHash, Outcome, Person,
    PromotionId, Revision, Via,
};
use crate::promote::{
    Approval, DiffStat, Gate, GateKind, Kind, Plan, Promotion, State, Status, Veto,
};

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
        ..StageSpec::new(stage(name))
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
        proof: crate::model::Proof::default(),
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
            ..Manifest::default()
        },
        problems: Vec::new(),
        findings: Vec::new(),
        render: BTreeMap::new(),
        matrix: results.iter().map(result).collect(),
        verified: BTreeMap::new(),
        held_seconds: BTreeMap::new(),
        mails: BTreeSet::new(),
        paths: None,
        vetoes: Vec::new(),
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
        ..State::default()
    };
    let cell = Cell { stage: stage("beta"), version: "1.40.0".into() };
    View {
        state: Arc::new(state),
        manifests: [(repo(), manifest)].into(),
        running: [((second.id, cell), jiff::Timestamp::UNIX_EPOCH)].into(),
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
        after: None,
        step: None,
        course: None,
        metrics: BTreeMap::new(),
        cause: None,
        breakglass: None,
    }
}

#[test]
fn the_board_shows_what_each_stage_serves() {
    let pipelines = pipelines(&view(), Timestamp::UNIX_EPOCH);
    let stages = &pipelines[0].stages;
    let live = |at: usize| stages[at].live.as_ref().map(|bundle| bundle.revision.0);
    assert_eq!((live(0), live(1)), (Some(2), Some(1)));
    assert_eq!(stages[0].by.as_deref(), Some("convoy"));
    assert_eq!(stages[1].open[0].id, PromotionId::numbered(7));
}

#[test]
fn a_square_is_a_result_or_runs_or_waits() {
    let board = pipelines(&view(), Timestamp::UNIX_EPOCH);
    let states = |at: usize| -> Vec<_> {
        board[0].stages[at].matrix.iter().map(|square| square.state).collect()
    };
    assert_eq!(states(0), [SquareState::Failed, SquareState::Running]);
    assert_eq!(states(1), [SquareState::Waiting, SquareState::Waiting]);
}

#[test]
fn nothing_is_offered_that_is_served_or_asked_for() {
    let board = pipelines(&view(), Timestamp::UNIX_EPOCH);
    assert_eq!(board[0].stages[0].candidate, None);
    assert_eq!(board[0].stages[1].candidate, None);
    let mut view = view();
    Arc::make_mut(&mut view.state).promotions = Arc::default();
    let offered = pipelines(&view, Timestamp::UNIX_EPOCH)[0].stages[1].candidate.clone();
    assert_eq!(offered.map(|bundle| bundle.revision), Some(Revision(2)));
}

#[test]
fn what_nobody_may_ask_for_says_why() {
    let mut view = view();
    Arc::make_mut(&mut view.state).promotions = Arc::default();
    let id = pipelines(&view, Timestamp::UNIX_EPOCH)[0].stages[1].candidate.clone().unwrap().id;
    let veto = Veto {
        stage: Some(stage("release")),
        by: Actor::person(Person::new("bob").unwrap(), Via::Slack),
        reason: "it is slow".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        promotion: None,
    };
    let state = Arc::make_mut(&mut view.state);
    Arc::make_mut(&mut state.bundles).get_mut(&id).unwrap().vetoes.push(veto);
    let shown = &pipelines(&view, Timestamp::UNIX_EPOCH)[0].stages[1];
    let obstacle = shown.obstacle.as_ref().unwrap();
    assert!(obstacle.message.contains("vetoed in release by bob: it is slow"), "{obstacle:?}");
    assert!(obstacle.hint.contains("unveto"), "{obstacle:?}");
}

#[test]
fn a_rollback_leads_to_what_was_good_before() {
    let board = pipelines(&view(), Timestamp::UNIX_EPOCH);
    let target = |at: usize| board[0].stages[at].rollback.as_ref().map(|b| b.revision.0);
    assert_eq!((target(0), target(1)), (Some(1), None));
}

#[test]
fn a_vote_for_an_earlier_plan_does_not_count() {
    let board = pipelines(&view(), Timestamp::UNIX_EPOCH);
    let votes: Vec<_> = board[0].stages[1].open[0].approvals.iter().map(|v| v.valid).collect();
    assert_eq!(votes, [false, true]);
}
