//! The first look, before any rule is tried: whether the server can be reached,
//! lets us in, and shows what there is to start from.
//!
//! Not a rule: a server that breaks one here is looked at another way, and
//! what it breaks is found by the rule that says so.

use std::sync::Arc;

use futures_util::future::join_all;
use tonic::{Code, Status};

use super::driver::Driver;
use super::exchange::Exchange;
use super::known::{Known, base};
use super::line::Line;
use super::obstacle::{Obstacle, diagnose};
use super::rule::Stop;
use super::target::Target;
use super::transport::{STREAMS, Transport};
use super::wait::Wait;
use crate::model::ResourceKind;

/// The node of all cases that change nothing.
pub(super) const STILL: &str = "conform-still";
/// How gRPC begins to tell of an answer that is none of its own.
const HTTP_STATUS: &str = "while receiving response with status";
/// How many load assignments are looked at.
const ASSIGNMENTS_MAX: usize = 20;

/// Looks at the server, over whatever stream shows something.
pub(super) async fn survey(
    target: &Target,
    driver: Option<&Arc<dyn Driver>>,
) -> Result<Known, Obstacle> {
    if let Some(driver) = driver {
        let node = target.node.node(STILL).id;
        driver.set(&node, &base()).await.map_err(Obstacle::Driver)?;
    }
    let looks = STREAMS.iter().map(|transport| look(target, *transport, driver.is_some()));
    let mut misses = Vec::new();
    for looked in join_all(looks).await {
        match looked {
            Ok(known) => return Ok(known),
            Err(miss) => misses.push(miss),
        }
    }
    Err(obstacle(target, driver.is_some(), misses).await)
}

/// A look that came to nothing.
struct Miss {
    reason: String,
    status: Option<Status>,
}

impl From<Stop> for Miss {
    fn from(stop: Stop) -> Self {
        let (Stop::Fail(reason) | Stop::Skip(reason) | Stop::Stuck(reason)) = stop;
        Self { reason, status: None }
    }
}

async fn look(target: &Target, transport: Transport, driven: bool) -> Result<Known, Miss> {
    let node = target.node.node(STILL);
    let clusters = ResourceKind::Clusters;
    let open = |kind| Line::open(target, transport, kind, node.clone(), Exchange::begin(), 1);
    let mut line = open(clusters).await?;
    let seen = match driven {
        true => find(&mut line).await,
        false => show(&mut line, clusters).await,
    };
    let mut known = seen.map_err(|stop| Miss { status: line.status.take(), ..stop.into() })?;
    if !driven {
        let listeners = ResourceKind::Listeners;
        known.add_all(show(&mut open(listeners).await?, listeners).await?);
        let assignments = known.names(ResourceKind::Endpoints);
        let mut line = open(ResourceKind::Endpoints).await?;
        let there = present(&mut line, &assignments).await?;
        known.keep(ResourceKind::Endpoints, &there);
    }
    Ok(known)
}

/// Finds what the driver had the server hold.
async fn find(line: &mut Line) -> Result<Known, Stop> {
    let (clusters, known) = (ResourceKind::Clusters, Known::of(&base()));
    let names = known.names(clusters);
    line.ask(clusters, &names).await?;
    line.gather(clusters, &names).await?;
    Ok(known)
}

/// Looks at everything that a wildcard shows, and at what it names.
async fn show(line: &mut Line, kind: ResourceKind) -> Result<Known, Stop> {
    line.ask::<&str>(kind, &[]).await?;
    let answer = line.next(kind).await?;
    let mut known = Known::default();
    known.learn(kind, &answer);
    Ok(known)
}

/// Which of the load assignments that clusters name there are.
async fn present(line: &mut Line, names: &[String]) -> Result<Vec<String>, Stop> {
    let kind = ResourceKind::Endpoints;
    let names = &names[..names.len().min(ASSIGNMENTS_MAX)];
    if names.is_empty() {
        return Ok(Vec::new());
    }
    line.ask(kind, names).await?;
    let mut wait = Wait::of(line.patience);
    while line.held(kind).len() < names.len() {
        let Some(answer) = line.hear_within(&mut wait).await? else { break };
        line.ack(kind, &answer).await?;
        // Servers may give one after the other, but not for ever.
        wait = Wait::of(line.quiet.max(line.patience / 10));
    }
    Ok(line.held(kind))
}

/// What the misses have in common.
async fn obstacle(target: &Target, driven: bool, misses: Vec<Miss>) -> Obstacle {
    let code = |miss: &Miss| miss.status.as_ref().map(Status::code);
    let away =
        |miss: &&Miss| matches!(code(miss), Some(Code::Unauthenticated | Code::PermissionDenied));
    if let Some(status) = misses.iter().find(away).and_then(|miss| miss.status.as_ref()) {
        let text = format!("{:?}: {}", status.code(), status.message());
        return Obstacle::TurnedAway(text);
    }
    if misses.iter().all(|miss| code(miss) == Some(Code::Unimplemented)) {
        return Obstacle::NoDiscovery(target.address.clone());
    }
    // What is no gRPC over HTTP/2, gRPC shows with the status of HTTP.
    let message = |miss: &Miss| miss.status.as_ref().map(|one| one.message().to_owned());
    let foreign = misses.iter().filter_map(message).find(|text| text.contains(HTTP_STATUS));
    if let Some(reason) = foreign {
        return Obstacle::NoGrpc { address: target.address.clone(), reason };
    }
    let has = |miss: &&Miss| code(miss) != Some(Code::Unimplemented);
    let reason = misses.iter().find(has).map(|miss| miss.reason.clone()).unwrap_or_default();
    if let Some(obstacle) = diagnose(target, &reason).await {
        return obstacle;
    }
    let due = match driven {
        true => "the clusters that the driver was told to set",
        false => "its clusters and listeners",
    };
    Obstacle::ShowsNothing { due, node: target.node.node(STILL).id, reason }
}
