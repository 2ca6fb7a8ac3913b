//! What a stage asks of one promotion: of the candidate's manifest and the
//! manifest of what the stage serves now, the stricter, key by key.

use crate::model::{
    FleetRule, Manifest, MetricRule, Number, OnFailure, OnInconclusive, OwnerRule, Rollout, Stage,
    StageSpec, Voter, Voters, Window,
};

use super::bundle::BundleRecord;
use super::owners::owners_of;
use super::state::State;

/// What a stage asks of a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many people must approve.
    pub approvals: usize,
    /// Each list that is not empty must name the approver.
    pub approvers: Vec<Vec<String>>,
    /// Quorums besides.
    pub quorums: Vec<Asked>,
    /// How long the stage before must have held the bundle, in seconds.
    pub soak_seconds: u64,
    /// The windows of each manifest; all must be open.
    pub windows: Vec<Vec<Window>>,
    /// How the nodes of the stage before must stand.
    pub fleet: Option<FleetRule>,
    /// What is measured.
    pub metrics: Vec<MetricRule>,
    /// By which steps.
    pub rollout: Option<Rollout>,
    /// How long a request may wait, in seconds.
    pub expires_seconds: Option<u64>,
}

/// A quorum, with the owners found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How many.
    pub count: usize,
    /// Out of whom; `None`: of everybody. For owners there is one of these for
    /// each list of owners that a changed file has.
    pub from: Option<Vec<Voter>>,
    /// Whether they are asked as owners.
    pub as_owners: bool,
}

impl Policy {
    /// The policy for bringing `bundle` to `stage`.
    pub fn of(state: &State, bundle: &BundleRecord, stage: &Stage) -> Self {
        let current = state.current(&bundle.repo, stage);
        let manifests: Vec<&Manifest> =
            [Some(bundle), current].into_iter().flatten().map(|bundle| &bundle.manifest).collect();
        let specs: Vec<&StageSpec> =
            manifests.iter().filter_map(|manifest| manifest.stage(stage)).collect();
        let mut approvers: Vec<Vec<String>> = specs
            .iter()
            .map(|spec| spec.approvers.clone())
            .filter(|list| !list.is_empty())
            .collect();
        approvers.dedup();
        let mut windows: Vec<Vec<Window>> =
            specs.iter().map(|spec| spec.windows.clone()).filter(|list| !list.is_empty()).collect();
        windows.dedup();
        // What the stage serves comes first where only one of both can hold.
        let served_first = || specs.iter().rev().copied();
        Self {
            approvals: specs.iter().map(|spec| spec.approvals).max().unwrap_or(0),
            approvers,
            quorums: quorums(state, bundle, stage, &manifests),
            soak_seconds: specs.iter().map(|spec| spec.soak_seconds).max().unwrap_or(0),
            windows,
            fleet: specs.iter().filter_map(|spec| spec.fleet).max_by_key(|rule| rule.acked_percent),
            metrics: metrics(served_first()),
            rollout: rollout(served_first()),
            expires_seconds: specs.iter().filter_map(|spec| spec.expires_seconds).min(),
        }
    }

    /// Whether the lists of approvers, if any, name `person`.
    pub fn allows(&self, person: &str) -> bool {
        self.approvers.iter().all(|list| list.iter().any(|name| name == person))
    }
}

/// The quorums of every manifest; owners as each of them names them.
fn quorums(
    state: &State,
    bundle: &BundleRecord,
    stage: &Stage,
    manifests: &[&Manifest],
) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for manifest in manifests {
        let Some(spec) = manifest.stage(stage) else { continue };
        for quorum in &spec.quorums {
            let count = quorum.count;
            let found = match &quorum.from {
                Voters::Anyone => vec![Asked { count, from: None, as_owners: false }],
                Voters::Of(list) => {
                    vec![Asked { count, from: Some(list.clone()), as_owners: false }]
                }
                Voters::Owners => owners(state, bundle, stage, &manifest.owners)
                    .into_iter()
                    .map(|list| Asked { count, from: Some(list), as_owners: true })
                    .collect(),
            };
            for one in found {
                if !asked.contains(&one) {
                    asked.push(one);
                }
            }
        }
    }
    asked
}

fn owners(
    state: &State,
    bundle: &BundleRecord,
    stage: &Stage,
    rules: &[OwnerRule],
) -> Vec<Vec<Voter>> {
    let changed = state.changed_paths(bundle, stage);
    owners_of(rules, changed.as_ref()).into_iter().collect()
}

/// Every metric of every manifest. The same query with other bounds is one
/// metric with the narrower ones; another query of the same name is another.
fn metrics<'a>(specs: impl Iterator<Item = &'a StageSpec>) -> Vec<MetricRule> {
    let mut all: Vec<MetricRule> = Vec::new();
    for rule in specs.flat_map(|spec| &spec.metrics) {
        let same =
            |known: &&mut MetricRule| known.query == rule.query && known.baseline == rule.baseline;
        match all.iter_mut().find(same) {
            Some(known) => narrow(known, rule),
            None => {
                let mut rule = rule.clone();
                while all.iter().any(|known| known.name == rule.name) {
                    rule.name.push_str(" (new)");
                }
                all.push(rule);
            }
        }
    }
    all
}

fn narrow(known: &mut MetricRule, other: &MetricRule) {
    type Pick = fn(f64, f64) -> bool;
    let (less, more): (Pick, Pick) = (|a, b| a < b, |a, b| a > b);
    let bounds = [
        (&mut known.at_most, &other.at_most, less),
        (&mut known.at_least, &other.at_least, more),
        (&mut known.at_most_times_baseline, &other.at_most_times_baseline, less),
    ];
    for (mine, theirs, stricter) in bounds {
        let Some(theirs) = theirs else { continue };
        let keep =
            mine.as_ref().is_some_and(|mine: &Number| !stricter(theirs.value(), mine.value()));
        if !keep {
            *mine = Some(theirs.clone());
        }
    }
    if other.inconclusive == OnInconclusive::Pause {
        known.inconclusive = OnInconclusive::Pause;
    }
}

/// The ladder that stands, where what is served has one: a commit changes it
/// for those that follow, not for itself. The rest is the stricter of both.
fn rollout<'a>(specs: impl Iterator<Item = &'a StageSpec>) -> Option<Rollout> {
    let mut rollouts = specs.filter_map(|spec| spec.rollout.as_ref());
    let mut rollout = rollouts.next()?.clone();
    for other in rollouts {
        if rollout.steps.is_empty() {
            rollout.steps = other.steps.clone();
        }
        rollout.acked_percent = rollout.acked_percent.max(other.acked_percent);
        rollout.deadline_seconds = rollout.deadline_seconds.min(other.deadline_seconds);
        rollout.bake_seconds = rollout.bake_seconds.max(other.bake_seconds);
        if other.on_failure == OnFailure::RollBack {
            rollout.on_failure = OnFailure::RollBack;
        }
    }
    Some(rollout)
}
