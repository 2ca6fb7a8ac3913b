//! Which response a request answers, and what follows from it.

use futures_util::future::try_join;

use super::super::answer::{Answer, Given};
use super::super::bench::Bench;
use super::super::item::Item;
use super::super::rule::{Rule, ensure};
use super::super::transport::{DELTA, SOTW, STREAMS};
use super::Done;
use super::pair::{Reply, ab, begin, only_a_is_pushed, subscribing, unsubscribing};
use crate::model::ResourceKind as Kind;

const EDS: Kind = Kind::Endpoints;
const ACKS: &str = "xDS protocol, ACK/NACK and resource type instance version";
const STALE: &str = "xDS protocol, knowing when a requested resource does not exist; resource updates: \
                     a stale nonce";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "nonce.own",
        STREAMS,
        "every response has a nonce that no other on its stream has",
        ACKS,
        |b| Box::pin(own(b)),
    ),
    Rule::new("nonce.ack-silent", STREAMS, "an ACK is not answered", ACKS, |b| {
        Box::pin(ack_silent(b))
    }),
    Rule::new(
        "nonce.repeat-silent",
        SOTW,
        "a request that says again what is known is not answered",
        ACKS,
        |b| Box::pin(repeat_silent(b)),
    ),
    Rule::new(
        "nonce.first-ignored",
        STREAMS,
        "the nonce in the first request of a type means nothing",
        "xDS protocol: nonces are scoped to a stream; a client that returns may send an old one",
        |b| Box::pin(first_ignored(b)),
    ),
    Rule::new(
        "nonce.stale-unanswered",
        SOTW,
        "a request that answers an older response is not answered",
        STALE,
        |b| Box::pin(stale_unanswered(b)),
    )
    .driven(),
    Rule::new(
        "nonce.stale-subscribes",
        DELTA,
        "a request that answers an older response keeps what it subscribes to",
        "xDS protocol, incremental: a stale nonce must not drop subscription changes",
        |b| Box::pin(stale_subscribes(b)),
    )
    .driven(),
    Rule::new(
        "nonce.stale-unsubscribes",
        DELTA,
        "a request that answers an older response keeps what it unsubscribes from",
        "xDS protocol, incremental: a stale nonce must not drop subscription changes",
        |b| Box::pin(stale_unsubscribes(b)),
    )
    .driven(),
    Rule::new(
        "nonce.spontaneous",
        DELTA,
        "a request without a nonce changes the subscription while a response is unanswered",
        "discovery.proto, DeltaDiscoveryRequest: spontaneous requests have no nonce",
        |b| Box::pin(spontaneous(b)),
    ),
    Rule::new(
        "nonce.ack-subscribes",
        STREAMS,
        "an ACK may change the subscription at the same time",
        "discovery.proto, DeltaDiscoveryRequest; quilkin passes over it",
        |b| Box::pin(subscribing(b, Reply::Ack)),
    ),
    Rule::new(
        "nonce.ack-unsubscribes",
        DELTA,
        "an ACK may unsubscribe at the same time",
        "discovery.proto, DeltaDiscoveryRequest",
        |b| Box::pin(unsubscribing(b, Reply::Ack)),
    )
    .driven(),
    Rule::new(
        "nonce.two-requests",
        SOTW,
        "two requests under way at once lose no name",
        "xDS protocol, resource updates: a later request supersedes an earlier one",
        |b| Box::pin(two_requests(b)),
    ),
    Rule::new(
        "nonce.requests-race-push",
        STREAMS,
        "two requests that cross a push lose neither a name nor the push",
        "xDS protocol, resource updates: requests and responses may cross; a stale one is superseded",
        |b| Box::pin(requests_race_push(b)),
    )
    .driven(),
];

async fn own(bench: &Bench) -> Done {
    let names = bench.some(EDS, 3)?;
    let mut line = bench.line(EDS).await?;
    let mut nonces = Vec::new();
    for name in &names {
        line.add(EDS, &[name]).await?;
        let answer = line.take(EDS).await?;
        ensure(!answer.nonce.is_empty(), || "a response has no nonce".into())?;
        ensure(!nonces.contains(&answer.nonce), || format!("{:?} came twice", answer.nonce))?;
        nonces.push(answer.nonce);
    }
    Ok(())
}

async fn ack_silent(bench: &Bench) -> Done {
    let (all, names) = (bench.all(Kind::Clusters), bench.some(EDS, 1)?);
    let everything = ack_silent_of(bench, Kind::Clusters, &[], &all);
    try_join(everything, ack_silent_of(bench, EDS, &names, &names)).await.map(drop)
}

async fn ack_silent_of(bench: &Bench, kind: Kind, asked: &[String], due: &[String]) -> Done {
    let mut line = bench.line(kind).await?;
    line.ask(kind, asked).await?;
    line.gather(kind, due).await?;
    line.silent().await
}

async fn repeat_silent(bench: &Bench) -> Done {
    let names = bench.some(EDS, 1)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names).await?;
    let answer = line.gather(EDS, &names).await?;
    line.ack(EDS, &answer).await?;
    line.ack(EDS, &answer).await?;
    line.silent().await
}

async fn first_ignored(bench: &Bench) -> Done {
    let names = bench.some(EDS, 1)?;
    let mut line = bench.line(EDS).await?;
    line.say(line.about(EDS).names(&names).nonce("left-over").version("left-over")).await?;
    line.talk(EDS).names.extend(names.iter().cloned());
    line.gather(EDS, &names).await?;
    let all = bench.all(Kind::Clusters);
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(line.about(Kind::Clusters).nonce("left-over").version("left-over")).await?;
    line.gather(Kind::Clusters, &all).await.map(drop)
}

async fn stale_unanswered(bench: &Bench) -> Done {
    let (mut line, old) = begin(bench, &["a"]).await?;
    bench.hold(&ab(2, 1)).await?;
    let new = line.next(EDS).await?;
    let stale = line.about(EDS).names(&["a", "b"]).version(&old.version).nonce(&old.nonce);
    line.say(stale).await?;
    line.silent().await?;
    line.ack(EDS, &new).await?;
    line.add(EDS, &["b"]).await?;
    line.gather(EDS, &["b"]).await.map(drop)
}

async fn stale_subscribes(bench: &Bench) -> Done {
    let (mut line, old) = begin(bench, &["a"]).await?;
    bench.hold(&ab(2, 1)).await?;
    let new = line.next(EDS).await?;
    line.say(line.about(EDS).names(&["b"]).nonce(&old.nonce)).await?;
    line.ack(EDS, &new).await?;
    line.gather(EDS, &["b"]).await.map(drop)
}

async fn stale_unsubscribes(bench: &Bench) -> Done {
    let (mut line, old) = begin(bench, &["a", "b"]).await?;
    bench.hold(&ab(2, 1)).await?;
    let new = line.next(EDS).await?;
    line.say(line.about(EDS).without(&["b"]).nonce(&old.nonce)).await?;
    line.ack(EDS, &new).await?;
    only_a_is_pushed(bench, &mut line, ab(3, 2)).await
}

async fn spontaneous(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    let answer = line.next(EDS).await?;
    line.add(EDS, &names[1..2]).await?;
    line.ack(EDS, &answer).await?;
    line.gather(EDS, &names[1..2]).await.map(drop)
}

async fn two_requests(bench: &Bench) -> Done {
    let names = bench.some(EDS, 3)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    line.gather(EDS, &names[..1]).await?;
    line.ask(EDS, &names[..2]).await?;
    line.ask(EDS, &names[..3]).await?;
    line.gather(EDS, &names[1..3]).await.map(drop)
}

async fn requests_race_push(bench: &Bench) -> Done {
    let (mut line, _) = begin(bench, &["a"]).await?;
    // What is pushed now, the client has not read when it asks twice.
    let pushed = ab(2, 2);
    bench.hold(&pushed).await?;
    line.add(EDS, &["b"]).await?;
    line.add(EDS, &["b"]).await?;
    let is_there = |all: &Answer, item: &Item| {
        let same = |one: &Given| one.name == item.name && one.body.as_ref() == Some(&item.body);
        all.resources.iter().any(same)
    };
    let all_there = |all: &Answer| pushed.iter().all(|item| is_there(all, item));
    line.until(EDS, "`a` and `b` as they were pushed", all_there).await.map(drop)
}
