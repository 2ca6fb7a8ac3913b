//! Names that there are not, or not yet.

use super::super::bench::Bench;
use super::super::item::{cluster, endpoints};
use super::super::rule::Rule;
use super::super::say::exactly;
use super::super::transport::{DELTA, SOTW, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

const NOWHERE: &str = "conform-missing";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "missing.told",
        DELTA,
        "a name that there is not is told in removed_resources at once",
        "xDS protocol, when a requested resource does not exist; go-control-plane#488",
        |b| Box::pin(told(b, Kind::Endpoints)),
    ),
    Rule::new(
        "missing.cluster-told",
        DELTA,
        "a cluster asked for on demand that there is not is told in removed_resources",
        "Envoy, on-demand CDS: a request waits for its timeout otherwise",
        |b| Box::pin(told(b, Kind::Clusters)),
    ),
    Rule::new(
        "missing.told-under-wildcard",
        DELTA,
        "a name that there is not is told also where a wildcard is held",
        "xDS protocol, when a requested resource does not exist",
        |b| Box::pin(told_under_wildcard(b)),
    ),
    Rule::new(
        "missing.full-state-answered",
        SOTW,
        "a request for a cluster or listener that there is not is answered without it",
        "xDS protocol, deleting resources: absence is the answer for LDS and CDS",
        |b| Box::pin(full_state_answered(b)),
    ),
    Rule::new(
        "missing.others-answered",
        STREAMS,
        "a name that there is not keeps back no other",
        "xDS protocol, grouping resources into responses",
        |b| Box::pin(others_answered(b)),
    ),
    Rule::new(
        "missing.sent-when-made",
        STREAMS,
        "a name that there was not is sent when it appears",
        "xDS protocol, when a requested resource does not exist",
        |b| Box::pin(sent_when_made(b)),
    )
    .driven(),
    Rule::new(
        "missing.sent-when-made-again",
        STREAMS,
        "a resource that went and comes back unchanged is sent again",
        "xDS protocol, deleting resources",
        |b| Box::pin(sent_when_made_again(b)),
    )
    .driven(),
];

async fn told(bench: &Bench, kind: Kind) -> Done {
    let mut line = bench.line(kind).await?;
    line.ask(kind, &[NOWHERE]).await?;
    line.until(kind, "a removal", |all| all.removes(NOWHERE)).await.map(drop)
}

async fn told_under_wildcard(bench: &Bench) -> Done {
    let all = bench.all(Kind::Clusters);
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask(Kind::Clusters, &["*"]).await?;
    line.gather(Kind::Clusters, &all).await?;
    line.add(Kind::Clusters, &[NOWHERE]).await?;
    line.until(Kind::Clusters, "a removal", |all| all.removes(NOWHERE)).await.map(drop)
}

async fn full_state_answered(bench: &Bench) -> Done {
    for kind in [Kind::Clusters, Kind::Listeners] {
        let mut line = bench.line(kind).await?;
        line.ask(kind, &[NOWHERE]).await?;
        exactly::<&str>(&line.next(kind).await?, &[])?;
    }
    Ok(())
}

async fn others_answered(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 1)?;
    let mut line = bench.line(Kind::Endpoints).await?;
    line.ask(Kind::Endpoints, &[NOWHERE, &names[0]]).await?;
    line.gather(Kind::Endpoints, &names[..1]).await.map(drop)
}

async fn sent_when_made(bench: &Bench) -> Done {
    for kind in [Kind::Endpoints, Kind::Clusters] {
        bench.hold(&[endpoints("a", 1), cluster("a", 1)]).await?;
        let mut line = bench.line(kind).await?;
        line.ask(kind, &["a", "late"]).await?;
        line.gather(kind, &["a"]).await?;
        line.drain(kind).await?;
        let made = [endpoints("a", 1), cluster("a", 1), endpoints("late", 1), cluster("late", 1)];
        bench.hold(&made).await?;
        line.gather(kind, &["late"]).await?;
    }
    Ok(())
}

async fn sent_when_made_again(bench: &Bench) -> Done {
    let both = [cluster("a", 1), cluster("b", 1)];
    bench.hold(&both).await?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask(Kind::Clusters, &["a", "b"]).await?;
    line.gather(Kind::Clusters, &["a", "b"]).await?;
    bench.hold(&both[..1]).await?;
    line.take(Kind::Clusters).await?;
    bench.hold(&both).await?;
    line.gather(Kind::Clusters, &["b"]).await.map(drop)
}
