//! How the nodes of a stage stand, and what that means for a promotion.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Fleet;
use crate::model::{RepoName, Stage};
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

/// What the nodes of a stage say to what `hub` serves it now.
/// A refusal counts when it is of what is served now, or was made since the
/// pointer moved (a step on the way to what is served).
pub(super) fn word(
    hub: &Hub,
    nodes: &[NodeStatus],
    (repo, stage): (&RepoName, &Stage),
    applied_at: Option<Timestamp>,
) -> Word {
    let of_stage = |node: &&NodeStatus| {
        node.key.as_ref().is_some_and(|key| &key.repo == repo && &key.stage == stage)
    };
    let (mut taken, mut waiting) = (0, 0);
    for node in nodes.iter().filter(of_stage) {
        let snapshot = node.key.as_ref().and_then(|key| hub.snapshot(key));
        let current = |status: &TypeStatus| {
            let served = snapshot.as_ref().and_then(|s| s.types.get(&status.type_url));
            served.map(|of_type| of_type.version.clone())
        };
        for status in &node.types {
            let refused = status.nacked.as_ref();
            let refused = refused.filter(|nack| {
                let since = applied_at.is_some_and(|applied| nack.at >= applied);
                since || current(status).is_some_and(|version| version == nack.version)
            });
            if let Some(nack) = refused {
                let kind = status.type_url.message().rsplit('.').next().unwrap_or("");
                return Word::Refused(format!(
                    "{} refused {kind}: {}",
                    node.identity.id, nack.message
                ));
            }
        }
        let in_step = node.types.iter().all(|status| {
            is_in_step(status) && current(status).is_none_or(|v| status.acked.as_ref() == Some(&v))
        });
        if in_step { taken += 1 } else { waiting += 1 }
    }
    if waiting == 0 { Word::Taken { nodes: taken } } else { Word::Waiting }
}
