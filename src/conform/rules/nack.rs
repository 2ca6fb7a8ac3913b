//! Refusals: remembered, never argued with.

use futures_util::future::try_join;

use super::super::bench::Bench;
use super::super::item::cluster;
use super::super::line::Line;
use super::super::rule::{Rule, Stop};
use super::super::transport::{ADS, DELTA, SOTW, STREAMS};
use super::Done;
use super::pair::{Reply, subscribing, unsubscribing};
use crate::model::ResourceKind as Kind;

const EDS: Kind = Kind::Endpoints;
const CDS: Kind = Kind::Clusters;
const SOURCE: &str = "xDS protocol, ACK and NACK: a NACK is not answered until something changes";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "nack.no-loop",
        STREAMS,
        "a refused response is not sent again",
        "xDS protocol, ACK and NACK; go-control-plane#46, #794, #962",
        |b| Box::pin(no_loop(b)),
    ),
    Rule::new(
        "nack.no-op-silent",
        STREAMS,
        "a refused response is not sent again when nothing changed",
        SOURCE,
        |b| Box::pin(no_op_silent(b)),
    )
    .driven(),
    Rule::new("nack.change-sent", STREAMS, "what changes after a refusal is sent", SOURCE, |b| {
        Box::pin(change_sent(b))
    })
    .driven(),
    Rule::new(
        "nack.subscribes",
        STREAMS,
        "a NACK may change the subscription, and is answered for what is new",
        "xDS protocol, ACK and NACK; Istio returns early and loses it",
        |b| Box::pin(subscribing(b, Reply::Nack)),
    ),
    Rule::new(
        "nack.unsubscribes",
        DELTA,
        "a NACK may unsubscribe",
        "xDS protocol, ACK and NACK; Istio returns early and loses it",
        |b| Box::pin(unsubscribing(b, Reply::Nack)),
    )
    .driven(),
    Rule::new(
        "nack.other-types-served",
        ADS,
        "a refusal of one type holds no other back for ever",
        "xDS protocol, ADS: types are independent",
        |b| Box::pin(other_types_served(b)),
    ),
    Rule::new(
        "nack.by-error-only",
        SOTW,
        "only error_detail makes a NACK, never an older version_info",
        "envoy#14841; discovery.proto, error_detail",
        |b| Box::pin(by_error_only(b)),
    ),
];

async fn no_loop(bench: &Bench) -> Done {
    let names = bench.some(EDS, 1)?;
    try_join(no_loop_of(bench, CDS, &[]), no_loop_of(bench, EDS, &names)).await.map(drop)
}

async fn no_loop_of(bench: &Bench, kind: Kind, names: &[String]) -> Done {
    let mut line = bench.line(kind).await?;
    line.ask(kind, names).await?;
    let answer = line.next(kind).await?;
    line.nack(kind, &answer).await?;
    line.silent().await
}

/// A stream that refused cluster `a`.
async fn refused(bench: &Bench) -> Result<Line, Stop> {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let answer = line.next(CDS).await?;
    line.nack(CDS, &answer).await?;
    line.drain(CDS).await?;
    Ok(line)
}

async fn no_op_silent(bench: &Bench) -> Done {
    let mut line = refused(bench).await?;
    bench.hold(&[cluster("a", 1)]).await?;
    line.silent().await
}

async fn change_sent(bench: &Bench) -> Done {
    let mut line = refused(bench).await?;
    bench.hold(&[cluster("a", 2)]).await?;
    line.changed(CDS, "a").await?;
    bench.hold(&[cluster("a", 3)]).await?;
    line.changed(CDS, "a").await.map(drop)
}

async fn other_types_served(bench: &Bench) -> Done {
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let answer = line.next(CDS).await?;
    line.nack(CDS, &answer).await?;
    line.ask::<&str>(Kind::Listeners, &[]).await?;
    let all = bench.all(Kind::Listeners);
    let mut held = Vec::new();
    while held.len() < all.len() {
        let answer = line.next_of(Kind::Listeners).await?;
        line.ack(Kind::Listeners, &answer).await?;
        held = line.held(Kind::Listeners);
    }
    Ok(())
}

async fn by_error_only(bench: &Bench) -> Done {
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let answer = line.next(CDS).await?;
    line.say(line.about(CDS).version("older").nonce(&answer.nonce)).await?;
    line.silent().await
}
