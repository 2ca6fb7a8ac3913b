//! Incremental clients that return, and say which versions they have.

use super::super::bench::Bench;
use super::super::item::endpoints;
use super::super::rule::{Rule, Stop};
use super::super::say::exactly;
use super::super::transport::{DELTA, Transport};
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const EDS: Kind = Kind::Endpoints;
const SOURCE: &str = "discovery.proto, initial_resource_versions";
const GONE: &str = "conform-gone";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "initial.unchanged-unsent",
        DELTA,
        "what a returning client has in its present version is not sent",
        SOURCE,
        |b| Box::pin(unchanged_unsent(b)),
    ),
    Rule::new(
        "initial.changed-sent",
        DELTA,
        "what a returning client has in another version is sent, and nothing else",
        SOURCE,
        |b| Box::pin(changed_sent(b)),
    ),
    Rule::new(
        "initial.gone-removed",
        DELTA,
        "what a returning client has and is no more is removed under a wildcard",
        SOURCE,
        |b| Box::pin(gone_removed(b)),
    ),
    Rule::new(
        "initial.named-unchanged",
        DELTA,
        "a name that a returning client has in its present version is not sent",
        SOURCE,
        |b| Box::pin(named_unchanged(b)),
    ),
    Rule::new(
        "initial.named-gone",
        DELTA,
        "a name that a returning client has and is no more is removed",
        SOURCE,
        |b| Box::pin(named_gone(b)),
    ),
    Rule::new(
        "initial.no-subscription",
        DELTA,
        "a version that a returning client tells subscribes to nothing",
        "discovery.proto, initial_resource_versions; Istio adds them to its set",
        |b| Box::pin(no_subscription(b)),
    )
    .driven(),
    Rule::new(
        "initial.of-each-type",
        &[Transport::DeltaAds],
        "the first request of every type may tell versions, not only that of the stream",
        SOURCE,
        |b| Box::pin(of_each_type(b)),
    ),
];

/// The versions that the server tells for everything of `kind`.
async fn told(bench: &Bench, kind: Kind) -> Result<Vec<(String, String)>, Stop> {
    let all = bench.all(kind);
    let mut line = bench.line(kind).await?;
    line.ask(kind, &all).await?;
    let answer = line.gather(kind, &all).await?;
    Ok(answer.resources.into_iter().map(|one| (one.name, one.version)).collect())
}

async fn unchanged_unsent(bench: &Bench) -> Done {
    let versions = told(bench, CDS).await?;
    let mut line = bench.line(CDS).await?;
    line.say(line.about(CDS).initial(&versions)).await?;
    line.never(CDS, "a resource", |answer| !answer.resources.is_empty()).await
}

async fn changed_sent(bench: &Bench) -> Done {
    let mut versions = told(bench, CDS).await?;
    let Some(first) = versions.first_mut() else {
        return Err(Stop::Skip("the server shows no cluster".into()));
    };
    let name = first.0.clone();
    first.1 = "another".into();
    let mut line = bench.line(CDS).await?;
    line.say(line.about(CDS).initial(&versions)).await?;
    exactly(&line.gather(CDS, &[&name]).await?, &[&name])
}

async fn gone_removed(bench: &Bench) -> Done {
    let mut line = bench.line(CDS).await?;
    let versions = [(GONE.to_owned(), "1".to_owned())];
    line.say(line.about(CDS).initial(&versions)).await?;
    line.until(CDS, "a removal", |all| all.removes(GONE)).await.map(drop)
}

async fn named_unchanged(bench: &Bench) -> Done {
    let versions = told(bench, EDS).await?;
    let names = bench.some(EDS, 1)?;
    let mut line = bench.line(EDS).await?;
    line.say(line.about(EDS).names(&names).initial(&versions)).await?;
    line.never(EDS, "a resource", |answer| !answer.resources.is_empty()).await
}

async fn named_gone(bench: &Bench) -> Done {
    let mut line = bench.line(EDS).await?;
    let versions = [(GONE.to_owned(), "1".to_owned())];
    line.say(line.about(EDS).names(&[GONE]).initial(&versions)).await?;
    line.until(EDS, "a removal", |all| all.removes(GONE)).await.map(drop)
}

async fn no_subscription(bench: &Bench) -> Done {
    bench.hold(&[endpoints("a", 1), endpoints("b", 1)]).await?;
    let mut line = bench.line(EDS).await?;
    let versions = [("b".to_owned(), "another".to_owned())];
    line.say(line.about(EDS).names(&["a"]).initial(&versions)).await?;
    exactly(&line.gather(EDS, &["a"]).await?, &["a"])?;
    bench.hold(&[endpoints("a", 2), endpoints("b", 2)]).await?;
    exactly(&line.changed(EDS, "a").await?, &["a"])?;
    line.never(EDS, "`b`", |answer| answer.get("b").is_some()).await
}

async fn of_each_type(bench: &Bench) -> Done {
    let versions = told(bench, Kind::Listeners).await?;
    let mut line = bench.line(EDS).await?;
    let names = bench.some(EDS, 1)?;
    line.ask(EDS, &names).await?;
    line.gather(EDS, &names).await?;
    line.say(line.about(Kind::Listeners).initial(&versions)).await?;
    let sent = |answer: &super::super::answer::Answer| !answer.resources.is_empty();
    line.never(Kind::Listeners, "a resource", sent).await
}
