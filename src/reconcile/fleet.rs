//! How the nodes of a stage stand, and what that means for a promotion.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Fleet;
use crate::model::{NodeId, RepoName, Stage, TypeUrl};
use crate::snapshot::{Routing, Snapshot};
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

/// What the nodes of a stage say to what `hub` serves it now. Who belongs to
/// the stage is what `routing` says now: a node that its stream has not moved
/// over yet has not answered. A refusal counts when it is of what is served
/// now, or was made since the pointer moved (a step on the way there).
pub(super) fn word(
    hub: &Hub,
    routing: &Routing,
    (repo, stage): (&RepoName, &Stage),
    applied_at: Option<Timestamp>,
) -> Word {
    let (mut taken, mut waiting) = (0, 0);
    for node in hub.nodes() {
        let Some(key) = routing.assign(&node.identity) else { continue };
        if &key.repo != repo || &key.stage != stage {
            continue;
        }
        if node.key.as_ref() != Some(&key) {
            waiting += 1;
            continue;
        }
        let snapshot = hub.snapshot(&key);
        match answer(&node, snapshot.as_deref(), applied_at) {
            Answer::Refused(refused) => return Word::Refused(refused),
            Answer::Taken => taken += 1,
            Answer::Waiting => waiting += 1,
        }
    }
    if waiting == 0 { Word::Taken { nodes: taken } } else { Word::Waiting }
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
