//! Names that come, go and come again.

use super::super::bench::Bench;
use super::super::item::endpoints;
use super::super::rule::{Rule, ensure};
use super::super::say::exactly;
use super::super::transport::{DELTA, SOTW, STREAMS};
use super::Done;
use super::pair::{ab, begin, only_a_is_pushed};
use crate::model::ResourceKind as Kind;

const EDS: Kind = Kind::Endpoints;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "subscribe.only-asked",
        STREAMS,
        "a named subscription is answered with these names and no others",
        "xDS protocol, how the client specifies what resources to return",
        |b| Box::pin(only_asked(b)),
    ),
    Rule::new(
        "subscribe.grown",
        STREAMS,
        "a name that is added is answered",
        "xDS protocol, resource updates",
        |b| Box::pin(grown(b)),
    ),
    Rule::new(
        "subscribe.named-twice",
        STREAMS,
        "a name that is given twice in one request is answered once",
        "xDS protocol: a response has no resource twice",
        |b| Box::pin(named_twice(b)),
    ),
    Rule::new(
        "subscribe.again",
        DELTA,
        "a name that is subscribed to again is sent again",
        "discovery.proto, resource_names_subscribe: the server must send it even if it was sent",
        |b| Box::pin(again(b)),
    ),
    Rule::new(
        "subscribe.again-under-wildcard",
        DELTA,
        "a name that a wildcard covers is sent again when it is subscribed to",
        "discovery.proto, resource_names_subscribe",
        |b| Box::pin(again_under_wildcard(b)),
    ),
    Rule::new(
        "subscribe.dropped-and-again",
        STREAMS,
        "a name that was unsubscribed from and is subscribed to again is sent again",
        "go-control-plane#431, #585, #1293; java-control-plane#339",
        |b| Box::pin(dropped_and_again(b)),
    ),
    Rule::new(
        "subscribe.shrunk-silent",
        SOTW,
        "a list that only shrinks is not answered",
        "xDS protocol, unsubscribing from resources: the server need not respond",
        |b| Box::pin(shrunk_silent(b)),
    )
    .practice(),
    Rule::new(
        "subscribe.dropped-not-pushed",
        STREAMS,
        "a name that was unsubscribed from is not sent when it changes",
        "xDS protocol, unsubscribing from resources",
        |b| Box::pin(dropped_not_pushed(b)),
    )
    .driven(),
    Rule::new(
        "subscribe.nothing-left",
        STREAMS,
        "a client that unsubscribed from its last name is sent nothing",
        "xDS protocol, how the client specifies what resources to return",
        |b| Box::pin(nothing_left(b)),
    )
    .driven(),
    Rule::new(
        "subscribe.phantom-dropped",
        DELTA,
        "unsubscribing from a name that was not asked for does nothing",
        "xDS protocol, unsubscribing from resources",
        |b| Box::pin(phantom_dropped(b)),
    ),
];

async fn only_asked(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    exactly(&line.gather(EDS, &names[..1]).await?, &names[..1])
}

async fn grown(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    line.gather(EDS, &names[..1]).await?;
    line.add(EDS, &names[1..2]).await?;
    line.gather(EDS, &names[1..2]).await.map(drop)
}

async fn named_twice(bench: &Bench) -> Done {
    let names = bench.some(EDS, 1)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &[&names[0], &names[0]]).await?;
    let given = line.next(EDS).await?;
    ensure(given.names() == names[..1], || format!("{:?} came", given.names()))
}

async fn again(bench: &Bench) -> Done {
    let names = bench.some(EDS, 1)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names).await?;
    line.gather(EDS, &names[..1]).await?;
    line.add(EDS, &names[..1]).await?;
    line.gather(EDS, &names[..1]).await.map(drop)
}

async fn again_under_wildcard(bench: &Bench) -> Done {
    let all = bench.all(Kind::Clusters);
    let one = bench.some(Kind::Clusters, 1)?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.gather(Kind::Clusters, &all).await?;
    line.add(Kind::Clusters, &one).await?;
    line.gather(Kind::Clusters, &one).await.map(drop)
}

async fn dropped_and_again(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..2]).await?;
    line.gather(EDS, &names[..2]).await?;
    line.drop_names(EDS, &names[1..2]).await?;
    line.drain(EDS).await?;
    line.add(EDS, &names[1..2]).await?;
    line.gather(EDS, &names[1..2]).await.map(drop)
}

async fn shrunk_silent(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..2]).await?;
    line.gather(EDS, &names[..2]).await?;
    line.drop_names(EDS, &names[1..2]).await?;
    line.silent().await
}

async fn dropped_not_pushed(bench: &Bench) -> Done {
    let (mut line, _) = begin(bench, &["a", "b"]).await?;
    line.drop_names(EDS, &["b"]).await?;
    only_a_is_pushed(bench, &mut line, ab(2, 2)).await
}

async fn nothing_left(bench: &Bench) -> Done {
    bench.hold(&[endpoints("a", 1)]).await?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &["a"]).await?;
    line.gather(EDS, &["a"]).await?;
    line.drop_names(EDS, &["a"]).await?;
    line.drain(EDS).await?;
    bench.hold(&[endpoints("a", 2)]).await?;
    line.silent().await
}

async fn phantom_dropped(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    line.gather(EDS, &names[..1]).await?;
    line.drop_names(EDS, &["conform-never-asked"]).await?;
    let before = line.held(EDS);
    line.add(EDS, &names[1..2]).await?;
    line.gather(EDS, &names[1..2]).await?;
    ensure(before == names[..1], || "the client lost what it held".into())
}
