//! The life of streams: what ends them and what must not.

use super::super::bench::Bench;
use super::super::message::Message;
use super::super::rule::{Rule, Stop, ensure};
use super::super::transport::{ADS, DELTA, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

/// How many streams come and go in one case.
const CROWD: usize = 50;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "stream.unknown-type-survived",
        ADS,
        "a subscription to a type that the server does not know ends no stream",
        "xDS protocol, ADS: types are independent of each other",
        |b| Box::pin(unknown_type_survived(b)),
    )
    .practice(),
    Rule::new(
        "stream.odd-names-survived",
        STREAMS,
        "names that can't exist end no stream",
        "xDS protocol, subscribing to resources: names are opaque",
        |b| Box::pin(odd_names_survived(b)),
    )
    .practice(),
    Rule::new(
        "stream.unsubscribed-survives",
        DELTA,
        "unsubscribing from everything ends no stream",
        "xDS protocol, unsubscribing from resources; istio: cannot subscribe to nothing",
        |b| Box::pin(unsubscribed_survives(b)),
    ),
    Rule::new(
        "stream.half-closed-ends",
        STREAMS,
        "a client that closes its half is let go without an error",
        "gRPC over HTTP/2: half-close",
        |b| Box::pin(half_closed_ends(b)),
    )
    .practice(),
    Rule::new(
        "stream.two-of-a-node",
        STREAMS,
        "two streams of one node are both served",
        "xDS protocol, variants: Envoy opens a stream for each resource name where it does not aggregate",
        |b| Box::pin(two_of_a_node(b)),
    ),
    Rule::new(
        "stream.crowd",
        STREAMS,
        "streams that come and go leave the next one as well served as the first",
        "go-control-plane#570, #597, #1298",
        |b| Box::pin(crowd(b)),
    )
    .practice(),
];

async fn unknown_type_survived(bench: &Bench) -> Done {
    let url = "type.googleapis.com/convoy.conformance.v1.NoSuchType";
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(Message::new(bench.transport.is_delta(), url).names(&["x"])).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    let first = line.hear().await?;
    let clusters = Kind::Clusters.type_url();
    let answer = if first.type_url == url { line.hear().await? } else { first };
    ensure(answer.type_url == *clusters.0, || {
        format!("an answer about {} came where one about clusters was due", answer.type_url)
    })
}

async fn odd_names_survived(bench: &Bench) -> Done {
    let known = bench.some(Kind::Endpoints, 1)?;
    let long = "x".repeat(64 << 10);
    let odd = ["", " ", "a\nb", "\u{fffd}\u{1f600}", "../..", "x/*", &long];
    let mut line = bench.line(Kind::Endpoints).await?;
    let mut all: Vec<&str> = odd.to_vec();
    all.push(&known[0]);
    line.ask(Kind::Endpoints, &all).await?;
    line.gather(Kind::Endpoints, &known[..1]).await.map(drop)
}

async fn unsubscribed_survives(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 1)?;
    let mut line = bench.line(Kind::Endpoints).await?;
    line.ask(Kind::Endpoints, &names).await?;
    line.gather(Kind::Endpoints, &names).await?;
    line.drop_names(Kind::Endpoints, &names).await?;
    line.drain(Kind::Endpoints).await?;
    line.add(Kind::Endpoints, &names).await?;
    line.gather(Kind::Endpoints, &names).await.map(drop)
}

async fn half_closed_ends(bench: &Bench) -> Done {
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.take(Kind::Clusters).await?;
    line.close();
    let status = line.end().await?;
    ensure(status.is_none(), || format!("the stream ended with {status:?}"))
}

async fn two_of_a_node(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 2)?;
    let mut one = bench.line(Kind::Endpoints).await?;
    let mut two = bench.line(Kind::Endpoints).await?;
    one.ask(Kind::Endpoints, &names[..1]).await?;
    two.ask(Kind::Endpoints, &names[1..2]).await?;
    one.gather(Kind::Endpoints, &names[..1]).await?;
    two.gather(Kind::Endpoints, &names[1..2]).await.map(drop)
}

async fn crowd(bench: &Bench) -> Done {
    let before = everything(bench).await?;
    for _ in 0..CROWD {
        let mut line = bench.line(Kind::Clusters).await?;
        line.ask::<&str>(Kind::Clusters, &[]).await?;
    }
    let after = everything(bench).await?;
    ensure(before == after, || {
        let (before, after) = (before.len(), after.len());
        format!("a stream got {before} clusters before the others, and {after} or other ones after")
    })
}

/// What a new stream is sent of all clusters.
async fn everything(bench: &Bench) -> Result<Vec<(String, Option<Vec<u8>>)>, Stop> {
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    let all = line.gather(Kind::Clusters, &bench.all(Kind::Clusters)).await?;
    let mut all: Vec<_> = all.resources.into_iter().map(|one| (one.name, one.body)).collect();
    all.sort();
    Ok(all)
}
