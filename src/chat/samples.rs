//! A small pipeline's state for tests of messages and hooks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{
    Actor, BundleId, Cell, CellResult, CommitId, CommitInfo, ContentHash, Manifest, Outcome,
    Person, PromotionId, RepoName, Revision, Stage, StageSpec, Via,
};
use crate::promote::{
    BundleRecord, BundleStatus, DiffStat, Document, Gate, GateKind, Kind, Plan, Promotion,
    StageSlot, State, Status,
};
use crate::snapshot::{Change, Impact, ResourceChange, Summary};

pub(crate) fn repo() -> RepoName {
    RepoName::new("mesh/config").unwrap()
}

pub(crate) fn stage(name: &str) -> Stage {
    Stage::new(name).unwrap()
}

pub(crate) fn bundle_id(name: &str) -> BundleId {
    BundleId::new(name).unwrap()
}

pub(crate) fn person(name: &str) -> Actor {
    Actor::person(Person::new(name).unwrap(), Via::Slack)
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + second).unwrap()
}

pub(crate) fn manifest() -> Manifest {
    let spec = |name: &str, approvals| StageSpec {
        name: stage(name),
        envoy_versions: vec!["1.36.4".into(), "1.38.3".into()],
        approvals,
        auto: approvals == 0,
        soak_seconds: 0,
        approvers: Vec::new(),
        nodes: Vec::new(),
        ..StageSpec::new(stage(name))
    };
    Manifest {
        stages: vec![spec("beta", 0), spec("canary", 1), spec("release", 2)],
        ..Manifest::default()
    }
}

pub(crate) fn bundle(id: &str, revision: u64) -> BundleRecord {
    let cell = |stage_name: &str, version: &str, outcome| CellResult {
        cell: Cell { stage: stage(stage_name), version: version.into() },
        outcome,
        reasons: match outcome {
            Outcome::Passed => Vec::new(),
            _ => vec!["checks/routes.yaml: expected 200, got <503> & more".into()],
        },
        took_ms: 812,
        checks: 4,
        cached: false,
        proof: crate::model::Proof::default(),
    };
    BundleRecord {
        id: bundle_id(id),
        repo: repo(),
        commit: CommitInfo {
            markup: Default::default(),
            origin: None,
            revision: Revision(revision),
            commit: CommitId([revision as u8; 20]),
            author_name: "Ann <!here> Author".into(),
            author_email: "ann@example.com".into(),
            co_authors: Vec::new(),
            time: at(0),
            message: "Retry /pay <!channel> & more\n\nbody".into(),
        },
        authors: BTreeSet::from([Person::new("ann").unwrap()]),
        at: at(10),
        status: BundleStatus::Eligible,
        manifest: manifest(),
        problems: Vec::new(),
        findings: Vec::new(),
        render: BTreeMap::new(),
        matrix: vec![
            cell("beta", "1.36.4", Outcome::Passed),
            cell("beta", "1.38.3", Outcome::Passed),
            cell("canary", "1.36.4", Outcome::Passed),
            cell("canary", "1.38.3", Outcome::Failed),
            cell("release", "1.36.4", Outcome::Errored),
        ],
        held_seconds: BTreeMap::new(),
        mails: BTreeSet::new(),
        verified: BTreeMap::new(),
        paths: None,
        vetoes: Vec::new(),
    }
}

pub(crate) fn promotion(number: u64, to_stage: &str) -> Promotion {
    let gate = |kind, open, detail: &str| Gate { kind, open, detail: detail.into() };
    Promotion {
        id: PromotionId::numbered(number),
        repo: repo(),
        stage: stage(to_stage),
        bundle: bundle_id("b-new"),
        kind: Kind::Promote,
        requested_by: person("rita"),
        requested_at: at(20),
        reason: "faster <https://evil.example|retries>".into(),
        status: Status::Gated,
        plan: Plan {
            digest: ContentHash([0xab; 32]),
            epoch: 3,
            from: Some(bundle_id("b-old")),
            to: bundle_id("b-new"),
            diff: DiffStat { added: 1, changed: 2, removed: 3 },
        },
        approvals: Vec::new(),
        gates: vec![
            gate(GateKind::Valid, true, "no problems"),
            gate(GateKind::Matrix, false, "1 of 2 cells passed"),
            gate(GateKind::Approvals, false, "0 of 1 approvals"),
        ],
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

pub(crate) fn state(promotions: Vec<Promotion>) -> State {
    let mut state = State::default();
    for bundle in [bundle("b-old", 11), bundle("b-new", 12)] {
        state.put(Document::Bundle(Box::new(bundle)));
    }
    let mut slot = StageSlot::empty(&repo(), &stage("canary"));
    slot.current = Some(bundle_id("b-old"));
    slot.since = Some(at(5));
    slot.by = Some(person("bob"));
    state.slots.insert((repo(), stage("canary")), slot);
    state.promotions = Arc::new(promotions.into_iter().map(|p| (p.id.clone(), p)).collect());
    state
}

/// What differs, with texts that try the limits.
pub(crate) fn summary(changes: usize) -> Summary {
    let change = Change {
        what: "cluster <!channel>".into(),
        change: ResourceChange::Changed,
        details: vec!["connect_timeout: 1s → 3s".into(), "x: & → <https://evil.example|x>".into()],
        impact: Impact::RecreatesCluster,
        places: vec!["default".into()],
        nodes: 3,
    };
    Summary {
        changed: changes,
        nodes: 3,
        effects: vec![("made anew".into(), changes)],
        changes: vec![change; changes],
        ..Summary::default()
    }
}

/// One of each form and home page, with texts that try the limits.
pub(crate) fn views() -> Vec<super::View> {
    let long = "<!channel> & <https://evil.example|x> 😀 ".repeat(500);
    let mut last = promotion(142, "release");
    last.reason.clone_from(&long);
    let state = state((1..120).map(|n| promotion(n, "canary")).chain([last.clone()]).collect());
    let (repo, to, of) = (repo(), stage("release"), bundle_id("b-new"));
    let stages: Vec<_> = (0..150).map(|n| (repo.clone(), stage(&format!("stage-{n}")))).collect();
    let urgent = super::Urgent {
        repo: &repo,
        stage: &to,
        bundle: &of,
        incident: &long,
        reason: &long,
        closed: &vec![Gate { kind: GateKind::Soak, open: false, detail: long.clone() }; 40],
    };
    let person = Person::new("kim").unwrap();
    let home = super::Home {
        person: Some(&person),
        state: &state,
        manifests: &BTreeMap::from([(repo.clone(), manifest())]),
        nodes: &BTreeMap::new(),
        offer: &|_| {
            super::Offer::of(|decide| {
                matches!(decide, super::Decide::Approve | super::Decide::Reject)
            })
        },
        links: &super::Links::new("https://convoy.example.com"),
    };
    let lines = super::changes(&summary(500), 500, "https://convoy.example.com/diff");
    vec![
        super::approve_form(&last, &state, lines, true, "C1"),
        super::approve_form(&last, &state, Vec::new(), false, "C1"),
        super::reject_form(&last, "C1"),
        super::promote_form(&stages, &state, "C1").unwrap(),
        super::breakglass_form(&urgent, "C1"),
        super::home(&home),
    ]
}
