//! Responses that wait for their answer, and clients that never give one.

use super::super::bench::Bench;
use super::super::item::cluster;
use super::super::rule::{Rule, ensure};
use super::super::transport::{ADS, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;

/// How many changes a reader sees while another client is mute.
const CHANGES: u32 = 8;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "flight.one-at-a-time",
        STREAMS,
        "while a response is unanswered no other of its type is sent",
        "istio#25685, #28261: Envoy's main thread lags behind under churn",
        |b| Box::pin(one_at_a_time(b)),
    )
    .driven()
    .practice(),
    Rule::new(
        "flight.latest-wins",
        STREAMS,
        "after the answer comes the newest content, once",
        "istio#28261",
        |b| Box::pin(latest_wins(b)),
    )
    .driven()
    .practice(),
    Rule::new(
        "flight.other-types-served",
        ADS,
        "an unanswered response of one type keeps no first request of another waiting",
        "xDS protocol, ADS: types are independent",
        |b| Box::pin(other_types_served(b)),
    ),
    Rule::new(
        "flight.mute-client",
        STREAMS,
        "a client that neither reads nor answers delays no other",
        "go-control-plane#503, #875; consul#9689; istio#7852, #19112",
        |b| Box::pin(mute_client(b)),
    )
    .driven(),
];

async fn one_at_a_time(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let first = line.next(CDS).await?;
    bench.hold(&[cluster("a", 2)]).await?;
    line.silent().await?;
    line.ack(CDS, &first).await?;
    line.gather(CDS, &["a"]).await.map(drop)
}

async fn latest_wins(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let first = line.next(CDS).await?;
    for revision in 2..=4 {
        bench.hold(&[cluster("a", revision)]).await?;
    }
    line.ack(CDS, &first).await?;
    let newest = cluster("a", 4).body;
    let answer = line.take(CDS).await?;
    let body = answer.get("a").and_then(|one| one.body.as_ref());
    ensure(body == Some(&newest), || "what came is not the newest content".into())?;
    line.silent().await
}

async fn other_types_served(bench: &Bench) -> Done {
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.next(CDS).await?;
    line.ask::<&str>(Kind::Listeners, &[]).await?;
    line.next(Kind::Listeners).await.map(drop)
}

async fn mute_client(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut mute = bench.line(CDS).await?;
    mute.ask::<&str>(CDS, &[]).await?;
    let mut reader = bench.line(CDS).await?;
    reader.ask::<&str>(CDS, &[]).await?;
    reader.gather(CDS, &["a"]).await?;
    for revision in 2..2 + CHANGES {
        bench.hold(&[cluster("a", revision)]).await?;
        reader.changed(CDS, "a").await?;
    }
    drop(mute);
    Ok(())
}
