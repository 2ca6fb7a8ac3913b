//! The envelope: types, nodes, methods, who speaks.

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use futures_util::StreamExt as _;
use futures_util::stream::{once, pending};
use tonic::Code;

use super::super::bench::Bench;
use super::super::line::{Line, Unreadable};
use super::super::message::Message;
use super::super::rule::{Rule, Stop, ensure, fail};
use super::super::transport::{ADS, STREAMS, TYPED, Transport, method};
use super::super::wait::Wait;
use super::Done;
use crate::model::ResourceKind as Kind;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "wire.type-filled-in",
        TYPED,
        "a stream for one type takes an empty type_url for its own",
        "discovery.proto, DiscoveryRequest.type_url: implicit in singleton xDS APIs",
        |b| Box::pin(type_filled_in(b)),
    ),
    Rule::new(
        "wire.other-type-refused",
        TYPED,
        "a stream for one type ends with INVALID_ARGUMENT on another type",
        "discovery.proto, DiscoveryRequest.type_url",
        |b| Box::pin(other_type_refused(b)),
    ),
    Rule::new(
        "wire.type-required",
        ADS,
        "an aggregated stream ends with INVALID_ARGUMENT on an empty type_url",
        "discovery.proto, DiscoveryRequest.type_url: required for ADS",
        |b| Box::pin(type_required(b)),
    ),
    Rule::new(
        "wire.node-first-only",
        STREAMS,
        "requests after the first need no node",
        "xDS protocol, ADS: only the first request on a stream must carry the node",
        |b| Box::pin(node_first_only(b)),
    ),
    Rule::new(
        "wire.node-required",
        STREAMS,
        "a stream whose first request has no node.id ends with INVALID_ARGUMENT",
        "xDS protocol, ADS: the first request must carry the node identifier",
        |b| Box::pin(node_required(b)),
    )
    .practice(),
    Rule::new(
        "wire.later-node-ignored",
        STREAMS,
        "a node that differs in a later request changes nothing",
        "xDS protocol, ADS: the node of the first request is the stream's",
        |b| Box::pin(later_node_ignored(b)),
    ),
    Rule::new(
        "wire.server-named",
        STREAMS,
        "the first response of a type says who the server is",
        "discovery.proto, control_plane; Envoy shows it as control_plane.identifier",
        |b| Box::pin(server_named(b)),
    )
    .practice(),
    Rule::new(
        "wire.server-named-once",
        STREAMS,
        "later responses leave control_plane out",
        "istio#54640: a third of the bytes of small updates",
        |b| Box::pin(server_named_once(b)),
    )
    .practice(),
    Rule::new(
        "wire.unreadable-refused",
        &[Transport::SotwAds, Transport::SotwType],
        "a message that can't be read ends its stream with a status, and nothing else",
        "gRPC status codes",
        |b| Box::pin(unreadable_refused(b)),
    ),
    Rule::new(
        "wire.unknown-method",
        &[Transport::SotwType],
        "a method that there is not is UNIMPLEMENTED",
        "gRPC status codes",
        |b| Box::pin(unknown_method(b)),
    ),
];

async fn type_filled_in(bench: &Bench) -> Done {
    let names = bench.some(Kind::Clusters, 1)?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(Message::new(bench.transport.is_delta(), "").names(&names)).await?;
    line.gather(Kind::Clusters, &names).await.map(drop)
}

async fn other_type_refused(bench: &Bench) -> Done {
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(line.about(Kind::Listeners)).await?;
    ends_with(&mut line, Code::InvalidArgument).await
}

async fn type_required(bench: &Bench) -> Done {
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(Message::new(bench.transport.is_delta(), "")).await?;
    ends_with(&mut line, Code::InvalidArgument).await
}

async fn node_first_only(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 2)?;
    let mut line = bench.line(Kind::Endpoints).await?;
    line.ask(Kind::Endpoints, &names[..1]).await?;
    line.gather(Kind::Endpoints, &names[..1]).await?;
    line.add(Kind::Endpoints, &names[1..]).await?;
    line.gather(Kind::Endpoints, &names[1..]).await?;
    if bench.transport.is_aggregated() {
        line.ask::<&str>(Kind::Clusters, &[]).await?;
        line.next_of(Kind::Clusters).await?;
    }
    Ok(())
}

async fn node_required(bench: &Bench) -> Done {
    let mut line = bench.line(Kind::Clusters).await?;
    line.send(line.about(Kind::Clusters)).await?;
    ends_with(&mut line, Code::InvalidArgument).await
}

async fn later_node_ignored(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 2)?;
    let mut line = bench.line(Kind::Endpoints).await?;
    line.ask(Kind::Endpoints, &names[..1]).await?;
    let answer = line.gather(Kind::Endpoints, &names[..1]).await?;
    let mut other = bench.identity();
    other.id = "conform-somebody-else".into();
    other.metadata = None;
    let message = line.about(Kind::Endpoints).node(other);
    let message = match bench.transport.is_delta() {
        true => message.names(&names[1..2]),
        false => message.names(&names[..2]).version(&answer.version).nonce(&answer.nonce),
    };
    line.say(message).await?;
    line.gather(Kind::Endpoints, &names[1..2]).await.map(drop)
}

async fn server_named(bench: &Bench) -> Done {
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    let answer = line.next(Kind::Clusters).await?;
    let named = answer.server.is_some_and(|server| !server.is_empty());
    ensure(named, || "the first response has no control_plane.identifier".into())
}

async fn server_named_once(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 2)?;
    let mut line = bench.line(Kind::Endpoints).await?;
    line.ask(Kind::Endpoints, &names[..1]).await?;
    line.gather(Kind::Endpoints, &names[..1]).await?;
    line.add(Kind::Endpoints, &names[1..]).await?;
    let later = line.next(Kind::Endpoints).await?;
    ensure(later.server.is_none(), || "a later response has control_plane again".into())
}

async fn unreadable_refused(bench: &Bench) -> Done {
    let path = bench.transport.path(Kind::Clusters);
    let requests = once(async { Unreadable::new() }).chain(pending());
    let client = bench.client().await?;
    let ended = async {
        let mut stream = client.stream::<_, DiscoveryResponse>(&path, requests.boxed()).await?;
        stream.message().await
    };
    bench.exchange.note("#1 → numbers where texts belong");
    let ended = Wait::of(bench.patience()).until(ended).await;
    let ended = ended.ok_or_else(|| fail("the stream was not ended"))?;
    bench.exchange.note(format!("#1 ← {ended:?}"));
    ensure(ended.is_err(), || "the stream ended as if all were well".into())?;
    let mut line = bench.line(Kind::Clusters).await?;
    line.ask::<&str>(Kind::Clusters, &[]).await?;
    line.next(Kind::Clusters).await.map(drop)
}

async fn unknown_method(bench: &Bench) -> Done {
    let path = method(Kind::Clusters, "Guess");
    let asked = bench.client().await?;
    let asked = asked.unary::<_, DiscoveryResponse>(&path, DiscoveryRequest::default()).await;
    bench.exchange.note(format!("{path}: {asked:?}"));
    let code = asked.err().map(|status| status.code());
    ensure(code == Some(Code::Unimplemented), || format!("{code:?} came"))
}

/// Fails unless the server ends the stream with `code`.
async fn ends_with(line: &mut Line, code: Code) -> Result<(), Stop> {
    let status = line.end().await?;
    let given = status.as_ref().map(tonic::Status::code);
    ensure(given == Some(code), || format!("the stream ended with {given:?}, not with {code:?}"))
}
