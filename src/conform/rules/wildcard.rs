//! Asking for everything, by saying nothing and by saying `*`.

use super::super::bench::Bench;
use super::super::item::{Item, cluster, listener};
use super::super::rule::{Rule, ensure};
use super::super::say::exactly;
use super::super::transport::{DELTA, SOTW, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

const SOURCE: &str = "xDS protocol, how the client specifies what resources to return";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "wildcard.legacy",
        STREAMS,
        "a first request without names is for every cluster or listener",
        SOURCE,
        |b| Box::pin(everything(b, &[])),
    ),
    Rule::new(
        "wildcard.explicit",
        STREAMS,
        "`*` is for every cluster or listener",
        "envoy#16861; xDS protocol, how the client specifies what resources to return",
        |b| Box::pin(everything(b, &["*"])),
    ),
    Rule::new(
        "wildcard.beside-a-name",
        STREAMS,
        "`*` beside a name is for everything",
        SOURCE,
        |b| Box::pin(beside_a_name(b)),
    ),
    Rule::new(
        "wildcard.legacy-stays",
        STREAMS,
        "a legacy wildcard lasts as long as no name is given",
        SOURCE,
        |b| Box::pin(legacy_stays(b)),
    )
    .driven(),
    Rule::new(
        "wildcard.empty-answered",
        STREAMS,
        "a wildcard is answered at once even where there is nothing",
        "go-control-plane#473: Envoy waits for its fetch timeout otherwise",
        |b| Box::pin(empty_answered(b)),
    )
    .driven(),
    Rule::new(
        "wildcard.sotw-left",
        SOTW,
        "a list of names without `*` ends the wildcard",
        SOURCE,
        |b| Box::pin(sotw_left(b)),
    )
    .driven(),
    Rule::new(
        "wildcard.sotw-empty-is-nothing",
        SOTW,
        "an empty list after names is for nothing",
        SOURCE,
        |b| Box::pin(sotw_empty_is_nothing(b)),
    )
    .driven(),
    Rule::new(
        "wildcard.delta-left",
        DELTA,
        "unsubscribing from `*` leaves the names that were given",
        SOURCE,
        |b| Box::pin(delta_left(b)),
    )
    .driven(),
    Rule::new(
        "wildcard.delta-name-keeps-legacy",
        DELTA,
        "a name subscribed to later adds to a legacy wildcard",
        SOURCE,
        |b| Box::pin(delta_name_keeps_legacy(b)),
    )
    .driven(),
    Rule::new(
        "wildcard.name-dropped",
        DELTA,
        "unsubscribing from a name while `*` is held is answered with that name",
        "xDS protocol, unsubscribing from resources: the server must say whether it is still there",
        |b| Box::pin(name_dropped(b)),
    ),
    Rule::new(
        "wildcard.unsubscribing-first",
        DELTA,
        "a first request that only unsubscribes is a legacy wildcard",
        "xDS protocol: legacy needs an empty resource_names_subscribe; the text is ambiguous",
        |b| Box::pin(unsubscribing_first(b)),
    )
    .practice(),
    Rule::new(
        "wildcard.both-lists",
        DELTA,
        "`*` in both lists of the first request is for nothing",
        "Istio's clients say nothing so",
        |b| Box::pin(both_lists(b)),
    )
    .practice(),
    Rule::new(
        "wildcard.names-are-not",
        STREAMS,
        "a subscription that begins with names sees only these",
        SOURCE,
        |b| Box::pin(names_are_not(b)),
    )
    .driven(),
];

async fn everything(bench: &Bench, names: &[&str]) -> Done {
    for kind in [Kind::Clusters, Kind::Listeners] {
        let all = bench.all(kind);
        let mut line = bench.line(kind).await?;
        line.ask(kind, names).await?;
        let answer = line.gather(kind, &all).await?;
        exactly(&answer, &all)?;
    }
    Ok(())
}

async fn beside_a_name(bench: &Bench) -> Done {
    let all = bench.all(Kind::Clusters);
    let one = bench.some(Kind::Clusters, 1)?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask(Kind::Clusters, &["*", &one[0]]).await?;
    line.gather(Kind::Clusters, &all).await?;
    ensure(line.held(Kind::Clusters).len() == all.len(), || "more than everything came".into())
}

/// Clusters `a`, `b`, `c` of these revisions.
fn abc(a: u32, b: u32, c: u32) -> [Item; 3] {
    [cluster("a", a), cluster("b", b), cluster("c", c)]
}

async fn legacy_stays(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.gather(Kind::Clusters, &["a"]).await?;
    bench.hold(&abc(1, 1, 1)).await?;
    line.gather(Kind::Clusters, &["b", "c"]).await.map(drop)
}

async fn empty_answered(bench: &Bench) -> Done {
    bench.hold_only(&[]).await?;
    for kind in [Kind::Clusters, Kind::Listeners] {
        let mut line = bench.line(kind).await?;
        line.ask::<&str>(kind, &[]).await?;
        let answer = line.next(kind).await?;
        exactly::<&str>(&answer, &[])?;
    }
    Ok(())
}

async fn sotw_left(bench: &Bench) -> Done {
    bench.hold(&abc(1, 1, 1)).await?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.gather(Kind::Clusters, &["a", "b", "c"]).await?;
    line.ask(Kind::Clusters, &["*", "a"]).await?;
    line.drain(Kind::Clusters).await?;
    bench.hold(&abc(1, 2, 1)).await?;
    exactly(&line.changed(Kind::Clusters, "b").await?, &["a", "b", "c"])?;
    line.ask(Kind::Clusters, &["a"]).await?;
    line.drain(Kind::Clusters).await?;
    bench.hold(&abc(2, 3, 1)).await?;
    exactly(&line.changed(Kind::Clusters, "a").await?, &["a"])
}

async fn sotw_empty_is_nothing(bench: &Bench) -> Done {
    bench.hold(&abc(1, 1, 1)).await?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask(Kind::Clusters, &["a"]).await?;
    line.gather(Kind::Clusters, &["a"]).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.never(Kind::Clusters, "a cluster", |answer| !answer.resources.is_empty()).await?;
    bench.hold(&abc(2, 2, 2)).await?;
    line.never(Kind::Clusters, "a cluster", |answer| !answer.resources.is_empty()).await
}

async fn delta_left(bench: &Bench) -> Done {
    bench.hold(&abc(1, 1, 1)).await?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask(Kind::Clusters, &["*", "a"]).await?;
    line.gather(Kind::Clusters, &["a", "b", "c"]).await?;
    line.drop_names(Kind::Clusters, &["*"]).await?;
    line.drain(Kind::Clusters).await?;
    bench.hold(&abc(2, 2, 1)).await?;
    exactly(&line.changed(Kind::Clusters, "a").await?, &["a"])?;
    line.drop_names(Kind::Clusters, &["a"]).await?;
    line.drain(Kind::Clusters).await?;
    bench.hold(&abc(3, 3, 1)).await?;
    line.silent().await
}

async fn delta_name_keeps_legacy(bench: &Bench) -> Done {
    bench.hold(&abc(1, 1, 1)).await?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.gather(Kind::Clusters, &["a", "b", "c"]).await?;
    line.add(Kind::Clusters, &["a"]).await?;
    line.drain(Kind::Clusters).await?;
    bench.hold(&abc(1, 2, 1)).await?;
    line.gather(Kind::Clusters, &["b"]).await.map(drop)
}

async fn name_dropped(bench: &Bench) -> Done {
    let all = bench.all(Kind::Clusters);
    let one = bench.some(Kind::Clusters, 1)?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask(Kind::Clusters, &["*", &one[0]]).await?;
    line.gather(Kind::Clusters, &all).await?;
    line.drop_names(Kind::Clusters, &one).await?;
    let answer = line.next(Kind::Clusters).await?;
    let told = answer.get(&one[0]).is_some() || answer.removes(&one[0]);
    ensure(told, || format!("the answer does not say what is of `{}`", one[0]))
}

async fn unsubscribing_first(bench: &Bench) -> Done {
    let all = bench.all(Kind::Clusters);
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(line.about(Kind::Clusters).without(&["conform-never-asked"])).await?;
    line.gather(Kind::Clusters, &all).await.map(drop)
}

async fn both_lists(bench: &Bench) -> Done {
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(line.about(Kind::Clusters).names(&["*"]).without(&["*"])).await?;
    line.never(Kind::Clusters, "a cluster", |answer| !answer.resources.is_empty()).await
}

async fn names_are_not(bench: &Bench) -> Done {
    let items = |revision| {
        [
            cluster("a", revision),
            cluster("b", revision),
            listener("a", revision),
            listener("b", revision),
        ]
    };
    bench.hold(&items(1)).await?;
    for (kind, revision) in [(Kind::Clusters, 2), (Kind::Listeners, 3)] {
        let mut line = bench.line(kind).await?;
        line.ask(kind, &["a"]).await?;
        exactly(&line.gather(kind, &["a"]).await?, &["a"])?;
        bench.hold(&items(revision)).await?;
        exactly(&line.changed(kind, "a").await?, &["a"])?;
    }
    Ok(())
}
