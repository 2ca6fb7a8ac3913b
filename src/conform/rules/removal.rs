//! Resources that go.

use super::super::bench::Bench;
use super::super::item::{cluster, endpoints, listener};
use super::super::rule::Rule;
use super::super::say::exactly;
use super::super::transport::{DELTA, SOTW, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const EDS: Kind = Kind::Endpoints;
const SOURCE: &str = "xDS protocol, deleting resources";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "removal.told-to-wildcard",
        DELTA,
        "what goes is told to a wildcard in removed_resources",
        SOURCE,
        |b| Box::pin(told(b, &[])),
    )
    .driven(),
    Rule::new(
        "removal.told-to-names",
        DELTA,
        "what goes is told to who asked for it by name",
        SOURCE,
        |b| Box::pin(told(b, &["a", "b"])),
    )
    .driven(),
    Rule::new(
        "removal.untold-to-others",
        DELTA,
        "what goes is not told to who did not ask for it",
        SOURCE,
        |b| Box::pin(untold_to_others(b)),
    )
    .driven(),
    Rule::new(
        "removal.by-absence",
        SOTW,
        "a cluster that goes is absent from the next response",
        SOURCE,
        |b| Box::pin(by_absence(b)),
    )
    .driven(),
    Rule::new(
        "removal.last-one",
        STREAMS,
        "the removal of the last cluster is sent",
        "xDS protocol, deleting resources: an empty response deletes all",
        |b| Box::pin(last_one(b)),
    )
    .driven(),
    Rule::new(
        "removal.keeps-the-rest",
        STREAMS,
        "a removal leaves the stream serving what remains",
        SOURCE,
        |b| Box::pin(keeps_the_rest(b)),
    )
    .driven(),
];

async fn told(bench: &Bench, names: &[&str]) -> Done {
    bench.hold(&[cluster("a", 1), cluster("b", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask(CDS, names).await?;
    line.gather(CDS, &["a", "b"]).await?;
    bench.hold(&[cluster("a", 1)]).await?;
    line.until(CDS, "a removal", |all| all.removes("b")).await.map(drop)
}

async fn untold_to_others(bench: &Bench) -> Done {
    bench.hold(&[endpoints("a", 1), endpoints("b", 1)]).await?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &["a"]).await?;
    line.gather(EDS, &["a"]).await?;
    bench.hold(&[endpoints("a", 1)]).await?;
    line.never(EDS, "a removal of `b`", |answer| answer.removes("b")).await
}

async fn by_absence(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1), cluster("b", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.gather(CDS, &["a", "b"]).await?;
    bench.hold(&[cluster("a", 1)]).await?;
    exactly(&line.take(CDS).await?, &["a"])
}

async fn last_one(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.gather(CDS, &["a"]).await?;
    bench.hold_only(&[listener("background", 1)]).await?;
    let answer = line.take(CDS).await?;
    exactly::<&str>(&answer, &[])?;
    match bench.transport.is_delta() && !answer.removes("a") {
        true => Err(super::super::rule::fail("`a` is not in removed_resources")),
        false => Ok(()),
    }
}

async fn keeps_the_rest(bench: &Bench) -> Done {
    bench.hold(&[endpoints("a", 1), endpoints("b", 1)]).await?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &["a", "b"]).await?;
    line.gather(EDS, &["a", "b"]).await?;
    bench.hold(&[endpoints("a", 1)]).await?;
    line.drain(EDS).await?;
    bench.hold(&[endpoints("a", 2)]).await?;
    line.gather(EDS, &["a"]).await.map(drop)
}
