//! Resources with a time to live, and the heartbeats that keep them.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;

use super::super::answer::Given;
use super::super::bench::Bench;
use super::super::item::{cluster, item};
use super::super::line::Line;
use super::super::rule::{Rule, Stop, ensure, fail};
use super::super::say::exactly;
use super::super::transport::{SOTW, STREAMS};
use super::super::wait::Wait;
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const SOURCE: &str = "xDS protocol, TTL";
/// Long enough that half of it is no race on a busy machine, short enough to be
/// waited for.
const TTL: Duration = Duration::from_secs(2);
const FEATURES: [&str; 2] =
    ["xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"];

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "ttl.told",
        STREAMS,
        "a time to live reaches the clients that say they know it",
        SOURCE,
        |b| Box::pin(told(b)),
    )
    .driven(),
    Rule::new(
        "ttl.heartbeat",
        STREAMS,
        "a resource is kept alive by its name and version alone, in time",
        SOURCE,
        |b| Box::pin(heartbeat(b)),
    )
    .driven(),
    Rule::new(
        "ttl.full-state-kept",
        SOTW,
        "what keeps one cluster alive removes no other",
        "xDS protocol, TTL and deleting resources: absence means removal",
        |b| Box::pin(full_state_kept(b)),
    )
    .driven(),
    Rule::new(
        "ttl.unknown-to-others",
        STREAMS,
        "a client that does not say it knows times to live is sent none, and no heartbeat",
        SOURCE,
        |b| Box::pin(unknown_to_others(b)),
    )
    .driven(),
    Rule::new(
        "ttl.change-sent",
        STREAMS,
        "a resource that is kept alive is sent when it changes",
        SOURCE,
        |b| Box::pin(change_sent(b)),
    )
    .driven(),
];

fn knowing(bench: &Bench) -> Node {
    let mut node = bench.identity();
    node.client_features = FEATURES.map(str::to_owned).to_vec();
    node
}

/// A stream that holds the resource `a` of `kind`, which has a time to live.
async fn begin(bench: &Bench, node: Node, kind: Kind) -> Result<(Line, Given), Stop> {
    bench.able("resources with a time to live", |can| can.ttl)?;
    bench.hold(&[item(kind, "a", 1).with_ttl(TTL)]).await?;
    let mut line = bench.line_of(kind, node).await?;
    line.ask(kind, &["a"]).await?;
    let answer = line.gather(kind, &["a"]).await?;
    let given = answer.get("a").cloned().ok_or_else(|| fail("`a` did not come"))?;
    ensure(given.body.is_some(), || "`a` came without a body at first".into())?;
    Ok((line, given))
}

async fn told(bench: &Bench) -> Done {
    let (_line, given) = begin(bench, knowing(bench), CDS).await?;
    ensure(given.ttl == Some(TTL), || format!("the time to live is {:?}", given.ttl))
}

async fn heartbeat(bench: &Bench) -> Done {
    let (mut line, first) = begin(bench, knowing(bench), Kind::Endpoints).await?;
    for _ in 0..2 {
        let beat = line.hear_within(&mut Wait::of(TTL)).await?;
        let beat = beat.ok_or_else(|| fail(format!("no heartbeat came within {TTL:?}")))?;
        let given = beat.get("a").ok_or_else(|| fail("the heartbeat is not about `a`"))?;
        ensure(given.body.is_none(), || "the heartbeat has a body: an update".into())?;
        ensure(given.version == first.version, || "the heartbeat has another version".into())?;
        ensure(given.ttl == Some(TTL), || format!("its time to live is {:?}", given.ttl))?;
        line.ack(Kind::Endpoints, &beat).await?;
    }
    Ok(())
}

async fn full_state_kept(bench: &Bench) -> Done {
    bench.able("resources with a time to live", |can| can.ttl)?;
    bench.hold(&[cluster("a", 1).with_ttl(TTL), cluster("b", 1)]).await?;
    let mut line = bench.line_of(CDS, knowing(bench)).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.gather(CDS, &["a", "b"]).await?;
    let beat = line.hear_within(&mut Wait::of(TTL)).await?;
    let beat = beat.ok_or_else(|| fail(format!("no heartbeat came within {TTL:?}")))?;
    exactly(&beat, &["a", "b"])
}

async fn unknown_to_others(bench: &Bench) -> Done {
    let (mut line, given) = begin(bench, bench.identity(), CDS).await?;
    ensure(given.ttl.is_none(), || "it came with a time to live".into())?;
    ensure(given.wrapped == bench.transport.is_delta(), || "it came in a Resource".into())?;
    match line.hear_within(&mut Wait::of(TTL)).await? {
        None => Ok(()),
        Some(answer) => Err(fail(format!("a message came: {}", answer.shown()))),
    }
}

async fn change_sent(bench: &Bench) -> Done {
    let (mut line, _) = begin(bench, knowing(bench), CDS).await?;
    let changed = cluster("a", 2);
    bench.hold(&[changed.clone().with_ttl(TTL)]).await?;
    let is_new = |answer: &super::super::answer::Answer| {
        answer.resources.iter().any(|one| one.body.as_ref().is_some_and(|b| *b == changed.body))
    };
    line.until(CDS, "the changed cluster", is_new).await.map(drop)
}
