//! Whether a stage's nodes have a revision: the answer at once, or when it is
//! yes, or when it can't become yes.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::look::no_pipeline;
use crate::model::{At, NodeId, RepoName, Revision, Stage};
use crate::promote::{Promotion, State as Pipelines, Status};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, Path, Query, repo_name};
use crate::web::fleet::{self, NodeCard, SyncState, node_card};
use crate::xds::NodeStatus;

/// How long one question may wait.
const WAIT_MAX_S: u64 = 25;
/// Between two looks at the fleet: a look asks every stream.
const QUIET: Duration = Duration::from_millis(200);
/// More nodes that are waited for than these are counted, not named.
const NAMED_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadyQuery {
    /// The revision that nodes are to have, or a later one; the head.
    #[serde(default)]
    revision: At,
    /// How many of a hundred nodes are to have it.
    ready: Option<u8>,
    /// How many nodes must be connected.
    nodes: Option<usize>,
    /// How many seconds to wait for it.
    wait: Option<u64>,
}

/// How far a stage's nodes are.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Ready {
    repo: RepoName,
    stage: Stage,
    /// What was asked for.
    revision: Revision,
    percent: u8,
    /// Whether enough nodes have it.
    reached: bool,
    /// Whether so many refuse it that it can't be reached, or it was taken
    /// back because somebody refused it.
    refused: bool,
    /// Why it was taken back.
    taken_back: Option<String>,
    /// The repository's newest revision.
    newest: Revision,
    /// The revision that the stage serves.
    serves: Option<Revision>,
    /// How many nodes are connected, have it, refuse it.
    nodes: usize,
    ready: usize,
    refusing: usize,
    /// How many nodes must have it.
    needed: usize,
    /// The first of the others, the worst first.
    waiting: Vec<Straggler>,
}

/// A node that does not have it.
#[derive(Debug, PartialEq, Serialize)]
struct Straggler {
    node: NodeId,
    state: SyncState,
    /// What it has.
    revision: Option<Revision>,
    /// What it refuses, in one line each.
    refuses: Vec<String>,
}

pub(super) async fn ready(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
    Query(query): Query<ReadyQuery>,
) -> Result<Answer<Ready>, Fault> {
    let question = Question::of(&site, repo_name(&project, &repo)?, Stage::new(&stage)?, &query)?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0).min(WAIT_MAX_S));
    let permit = site.streams.clone().try_acquire_owned();
    let _permit = permit.map_err(|_| Fault::busy("too many questions wait already"))?;
    let ends = Instant::now() + wait;
    let (mut nodes, mut view) = (site.web.hub.changes(), site.web.handle.watch());
    loop {
        view.mark_unchanged();
        let found = question.look(&site);
        let over = found.reached || found.refused || Instant::now() >= ends;
        if over {
            return Ok(Answer(question.name(&site, found).await));
        }
        tokio::select! {
            _ = nodes.changed() => {}
            _ = view.changed() => {}
            () = tokio::time::sleep_until(ends) => continue,
            () = site.web.handle.draining() => return Ok(Answer(question.name(&site, found).await)),
        }
        tokio::time::sleep_until((Instant::now() + QUIET).min(ends)).await;
    }
}

/// What is asked for.
struct Question {
    repo: RepoName,
    stage: Stage,
    revision: Revision,
    percent: u8,
    nodes_min: usize,
}

impl Question {
    fn of(site: &Site, repo: RepoName, stage: Stage, query: &ReadyQuery) -> Result<Self, Fault> {
        let view = site.web.handle.view();
        let manifest = view.manifests.get(&repo).ok_or_else(|| no_pipeline(&repo))?;
        if manifest.stage(&stage).is_none() {
            let names: Vec<_> = manifest.stages.iter().map(|spec| spec.name.as_str()).collect();
            let hint = format!("its stages are {}", names.join(", "));
            return Err(Fault::not_found(format!("`{repo}` has no stage `{stage}`"), hint));
        }
        let head = site.web.store.head(&repo)?.revision;
        // One that is still to come can be waited for.
        let revision = query.revision.of(head).filter(|one| one.0 > 0).ok_or_else(|| {
            let message = format!("`{repo}` has no revision {}", query.revision);
            Fault::not_found(message, format!("its newest is {head}"))
        })?;
        let percent = query.ready.unwrap_or(100);
        if !(1..=100).contains(&percent) {
            let hint = "give a whole number from 1 to 100";
            return Err(Fault::invalid(format!("ready: {percent} is no share of nodes"), hint));
        }
        let nodes_min = query.nodes.unwrap_or(1);
        Ok(Self { repo, stage, revision, percent, nodes_min })
    }

    fn look(&self, site: &Site) -> Ready {
        let all = site.web.hub.nodes();
        let of_stage = |node: &&NodeStatus| {
            node.key.as_ref().is_some_and(|key| key.repo == self.repo && key.stage == self.stage)
        };
        let nodes: Vec<_> = all.iter().filter(of_stage).collect();
        let ready = nodes.iter().filter(|node| self.has(node)).count();
        let refusing = nodes.iter().filter(|node| self.is_refused_by(node)).count();
        let share = (nodes.len() * usize::from(self.percent)).div_ceil(100);
        let needed = share.max(self.nodes_min);
        let mut others: Vec<_> =
            nodes.iter().filter(|node| !self.has(node)).map(|node| node_card(node)).collect();
        others.sort_by_key(|card| std::cmp::Reverse(card.state));
        others.truncate(NAMED_MAX);
        let view = site.web.handle.view();
        let serves = view.state.current(&self.repo, &self.stage);
        let serves = serves.map(|bundle| bundle.commit.revision);
        let taken_back = self.taken_back(&view.state).filter(|_| serves < Some(self.revision));
        let too_many = refusing > 0 && nodes.len() - refusing < needed;
        Ready {
            repo: self.repo.clone(),
            stage: self.stage.clone(),
            revision: self.revision,
            percent: self.percent,
            reached: ready >= needed,
            refused: too_many || taken_back.is_some(),
            taken_back,
            newest: site.web.store.head(&self.repo).unwrap_or_default().revision,
            serves,
            nodes: nodes.len(),
            ready,
            refusing,
            needed,
            waiting: others.iter().map(straggler).collect(),
        }
    }

    /// Why the newest promotion that would bring the revision to the stage
    /// failed; `None` where it did not, or there is none.
    fn taken_back(&self, state: &Pipelines) -> Option<String> {
        let brings = |promotion: &&Promotion| {
            let bundle = state.bundles.get(&promotion.bundle);
            promotion.repo == self.repo
                && promotion.stage == self.stage
                && bundle.is_some_and(|bundle| bundle.commit.revision >= self.revision)
        };
        let newest = state.promotions.values().filter(brings);
        let newest = newest.max_by_key(|promotion| promotion.id.number())?;
        match newest.status {
            Status::Failed | Status::RolledBack => {
                newest.ending.as_ref().map(|ending| ending.reason.clone())
            }
            Status::RollingBack | Status::Stuck => newest.cause.clone(),
            _ => None,
        }
    }

    /// Whether a node took all of the revision or of a later one.
    fn has(&self, node: &NodeStatus) -> bool {
        node.release.as_ref().is_some_and(|release| release.revision >= self.revision)
            && !self.is_refused_by(node)
    }

    fn is_refused_by(&self, node: &NodeStatus) -> bool {
        let nacks = node.types.iter().filter_map(|one| one.nacked.as_ref());
        let mut releases = nacks.filter_map(|nack| nack.release.as_ref());
        releases.any(|release| release.revision >= self.revision)
    }

    /// Adds who wrote what the nodes refuse.
    async fn name(&self, site: &Site, mut found: Ready) -> Ready {
        let names: Vec<_> = found.waiting.iter().map(|one| one.node.clone()).collect();
        let statuses = names.iter().filter_map(|node| site.web.hub.node(node));
        let mut cards: Vec<_> = statuses.map(|status| node_card(&status)).collect();
        fleet::attribute(site, &mut cards).await;
        for one in &mut found.waiting {
            if let Some(card) = cards.iter().find(|card| card.identity.id == one.node) {
                *one = straggler(card);
            }
        }
        found
    }
}

fn straggler(card: &NodeCard) -> Straggler {
    let refusals = card.types.iter().filter_map(|one| Some((&one.kind, one.nacked.as_ref()?)));
    let refuses = refusals.map(|(kind, card)| {
        let named: Vec<_> = card.culprits.iter().map(ToString::to_string).collect();
        let space = if named.is_empty() { "" } else { " " };
        format!("{kind}{space}{}: {}", named.join(", "), card.nack.message)
    });
    Straggler {
        node: card.identity.id.clone(),
        state: card.state,
        revision: card.release.as_ref().map(|release| release.revision),
        refuses: refuses.collect(),
    }
}
