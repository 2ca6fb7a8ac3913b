//! How the nodes of a stage stand, and what that means for a promotion.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Fleet;
use crate::model::{NodeId, RepoName, Stage, TypeUrl};
use crate::snapshot::{Cohort, Routing, Snapshot};
use crate::xds::{Hub, Nack, NodeStatus, TypeStatus};

/// What the nodes' answers mean for a promotion that is being applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Somebody has not answered.
    Waiting,
    /// Everybody who is connected took it.
    Taken { nodes: usize },
    /// Somebody refused it.
    Refused(Box<Refused>),
}

/// Who refused what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) node: NodeId,
    pub(super) type_url: TypeUrl,
    pub(super) nack: Nack,
}

/// How every stage's nodes stand.
pub(super) fn standing(hub: &Hub) -> BTreeMap<(RepoName, Stage), Fleet> {
    let mut fleet: BTreeMap<_, Fleet> = BTreeMap::new();
    for (key, tally) in hub.tally() {
        let of_stage = fleet.entry((key.repo, key.stage)).or_default();
        of_stage.nodes += tally.nodes;
        of_stage.acked += tally.in_step;
        of_stage.nacked += tally.refusing;
    }
    fleet
}

fn is_in_step(status: &TypeStatus) -> bool {
    status.nacked.is_none() && status.sent == status.acked
}

/// How the nodes of a step stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Connected.
    pub(super) nodes: u32,
    /// Took all that they are served.
    pub(super) acked: u32,
    /// One that refused it.
    pub(super) refused: Option<Box<Refused>>,
}

impl Facts {
    /// What they mean where nobody is waited for in particular.
    pub(super) fn word(self) -> Word {
        match self.refused {
            Some(refused) => Word::Refused(refused),
            None if self.acked == self.nodes => Word::Taken { nodes: self.nodes as usize },
            None => Word::Waiting,
        }
    }
}

/// The connected nodes of a stage. Who belongs to it is what `routing` says
/// now.
pub(super) fn members(
    hub: &Hub,
    routing: &Routing,
    (repo, stage): (&RepoName, &Stage),
) -> Vec<NodeStatus> {
    let of_stage = |node: &NodeStatus| {
        let key = routing.assign(&node.identity);
        key.is_some_and(|key| &key.repo == repo && &key.stage == stage)
    };
    hub.nodes().into_iter().filter(of_stage).collect()
}

/// What the nodes of a stage, or of the `cohort` of it that a candidate is
/// tried on, say to what `hub` serves them now. A node that its stream has not
/// moved over yet has not answered. A refusal counts when it is of what is
/// served now, or was made `since` the pointer moved (a step on the way there).
pub(super) fn facts(
    hub: &Hub,
    routing: &Routing,
    stage: (&RepoName, &Stage),
    cohort: Option<&Cohort>,
    since: Option<Timestamp>,
) -> Facts {
    let mut facts = Facts::default();
    for node in members(hub, routing, stage) {
        if cohort.is_some_and(|cohort| !cohort.takes(&node.identity)) {
            continue;
        }
        facts.nodes = facts.nodes.saturating_add(1);
        let Some(key) = routing.assign(&node.identity) else { continue };
        if node.key.as_ref() != Some(&key) {
            continue;
        }
        let snapshot = hub.due(&key, &node.identity);
        match answer(&node, snapshot.as_deref(), since) {
            Answer::Refused(refused) => {
                facts.refused.get_or_insert(refused);
            }
            Answer::Taken => facts.acked = facts.acked.saturating_add(1),
            Answer::Waiting => {}
        }
    }
    facts
}

/// A node of a stage that lacks something for longer than `late`, and what: it
/// was there all the time, has not refused it, and does not take it.
pub(super) fn laggard(
    hub: &Hub,
    routing: &Routing,
    stage: (&RepoName, &Stage),
    late: Duration,
    now: Timestamp,
) -> Option<String> {
    members(hub, routing, stage).into_iter().filter(|node| !node.in_step).find_map(|node| {
        let since = |status: &TypeStatus| Some(status.behind_since?.max(node.connected_at));
        let lacks = |status: &&TypeStatus| {
            let waited = since(status).map(|since| now.duration_since(since));
            waited.is_some_and(|waited| waited.is_positive() && waited.unsigned_abs() > late)
        };
        let status = node.types.iter().find(lacks)?;
        let kind = status.type_url.message().rsplit('.').next().unwrap_or_default();
        Some(format!("{} has not taken {kind} for {} s", node.identity.id, late.as_secs()))
    })
}

enum Answer {
    Taken,
    Waiting,
    Refused(Box<Refused>),
}

fn answer(node: &NodeStatus, snapshot: Option<&Snapshot>, applied_at: Option<Timestamp>) -> Answer {
    let mut in_step = true;
    for status in &node.types {
        let served = snapshot.and_then(|snapshot| snapshot.types.get(&status.type_url));
        let current = served.map(|of_type| &of_type.version);
        if let Some(nack) = &status.nacked {
            let since = applied_at.is_some_and(|applied| nack.at >= applied);
            if since || current == Some(&nack.version) {
                return Answer::Refused(Box::new(Refused {
                    node: node.identity.id.clone(),
                    type_url: status.type_url.clone(),
                    nack: nack.clone(),
                }));
            }
        }
        let has_current = current.is_none() || current == status.acked.as_ref();
        in_step &= is_in_step(status) && has_current;
    }
    // A node that may not see all has other versions than the stage; it knows
    // itself whether it took all that it is served of the newest.
    if in_step || node.in_step { Answer::Taken } else { Answer::Waiting }
}
