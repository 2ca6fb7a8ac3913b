//! How the nodes of a stage stand, and what that means for a promotion.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Fleet;
use crate::model::{RepoName, Stage};
use crate::snapshot::{Routing, Snapshot};
use crate::xds::{Hub, NodeStatus, TypeStatus};

/// What the nodes' answers mean for a promotion that is being applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Somebody has not answered.
    Waiting,
    /// Everybody who is connected took it.
    Taken { nodes: usize },
    /// Somebody refused it.
    Refused(String),
}

/// How every stage's nodes stand.
pub(super) fn standing(nodes: &[NodeStatus]) -> BTreeMap<(RepoName, Stage), Fleet> {
    let mut fleet: BTreeMap<_, Fleet> = BTreeMap::new();
    for node in nodes {
        let Some(key) = &node.key else { continue };
        let of_stage = fleet.entry((key.repo.clone(), key.stage.clone())).or_default();
        of_stage.nodes += 1;
        of_stage.acked += usize::from(node.types.iter().all(is_in_step));
        of_stage.nacked += usize::from(node.types.iter().any(|one| one.nacked.is_some()));
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
            Answer::Refused(detail) => return Word::Refused(detail),
            Answer::Taken => taken += 1,
            Answer::Waiting => waiting += 1,
        }
    }
    if waiting == 0 { Word::Taken { nodes: taken } } else { Word::Waiting }
}

enum Answer {
    Taken,
    Waiting,
    Refused(String),
}

fn answer(node: &NodeStatus, snapshot: Option<&Snapshot>, applied_at: Option<Timestamp>) -> Answer {
    let mut in_step = true;
    for status in &node.types {
        let served = snapshot.and_then(|snapshot| snapshot.types.get(&status.type_url));
        let current = served.map(|of_type| &of_type.version);
        if let Some(nack) = &status.nacked {
            let since = applied_at.is_some_and(|applied| nack.at >= applied);
            if since || current == Some(&nack.version) {
                let kind = status.type_url.message().rsplit('.').next().unwrap_or("");
                let words = format!("{} refused {kind}: {}", node.identity.id, nack.message);
                return Answer::Refused(words);
            }
        }
        let has_current = current.is_none() || current == status.acked.as_ref();
        in_step &= is_in_step(status) && has_current;
    }
    // A node that may not see all has other versions than the stage; it knows
    // itself whether it took all that it is served of the newest.
    if in_step || node.in_step { Answer::Taken } else { Answer::Waiting }
}
