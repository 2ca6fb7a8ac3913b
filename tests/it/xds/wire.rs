//! What goes over the wire, seen by the client that envoy-types generates.

use std::sync::Arc;
use std::time::Duration;

use convoy::model::{ContentHash, ResourceKind};
use convoy::snapshot::{Routing, build};
use convoy::xds::{Report, listen_private};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::cluster::v3::cluster_discovery_service_client::ClusterDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc::Status as RpcStatus;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::mesh::{cluster, listener, mesh, snapshot};
use super::{Server, key, route};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An aggregated stream seen from the client.
pub(super) struct Stream<R, S> {
    pub(super) requests: mpsc::Sender<R>,
    pub(super) responses: Streaming<S>,
}

type Sotw = Stream<DiscoveryRequest, DiscoveryResponse>;
pub(super) type Delta = Stream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

impl<R, S> Stream<R, S> {
    pub(super) async fn say(&self, request: R) {
        self.requests.send(request).await.expect("the stream is open");
    }

    pub(super) async fn next(&mut self) -> Result<S, Status> {
        let next = timeout(PATIENCE, self.responses.message()).await.expect("an answer comes");
        next.map(|message| message.expect("the stream goes on"))
    }
}

async fn client(server: &Server) -> AggregatedDiscoveryServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = channel.connect().await.unwrap();
    AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(64 << 20)
}

async fn sotw(server: &Server) -> Sotw {
    let (requests, receiver) = mpsc::channel(16);
    let mut client = client(server).await;
    let stream = client.stream_aggregated_resources(ReceiverStream::new(receiver));
    Stream { requests, responses: stream.await.unwrap().into_inner() }
}

pub(super) async fn delta(server: &Server) -> Delta {
    let (requests, receiver) = mpsc::channel(16);
    let mut client = client(server).await;
    let stream = client.delta_aggregated_resources(ReceiverStream::new(receiver));
    Stream { requests, responses: stream.await.unwrap().into_inner() }
}

pub(super) fn node(id: &str) -> Option<Node> {
    let stage = Value { kind: Some(Kind::StringValue("beta".into())) };
    let metadata = Some(Struct { fields: [("stage".to_owned(), stage)].into() });
    Some(Node { id: id.into(), metadata, ..Node::default() })
}

fn ask(kind: ResourceKind) -> DiscoveryRequest {
    DiscoveryRequest { type_url: kind.type_url().to_string(), ..Default::default() }
}

pub(super) fn ask_delta(kind: ResourceKind) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: kind.type_url().to_string(), ..Default::default() }
}

fn hello(kind: ResourceKind) -> DiscoveryRequest {
    DiscoveryRequest { node: node("n"), ..ask(kind) }
}

fn ack(response: &DiscoveryResponse) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: response.type_url.clone(),
        version_info: response.version_info.clone(),
        response_nonce: response.nonce.clone(),
        ..Default::default()
    }
}

/// Waits until what the hub shows of its one node satisfies `holds`.
async fn wait_shown(server: &Server, holds: impl Fn(&convoy::xds::NodeStatus) -> bool) {
    let mut changes = server.hub.changes();
    let shown = async {
        while !server.hub.nodes().first().is_some_and(&holds) {
            changes.changed().await.unwrap();
        }
    };
    let waited = timeout(PATIENCE, shown).await;
    assert!(waited.is_ok(), "still {:?}", server.hub.nodes());
}

#[tokio::test]
async fn a_sotw_stream_is_served_acknowledged_and_updated() {
    let mut server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let mut stream = sotw(&server).await;
    stream.say(hello(ResourceKind::Clusters)).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.resources.len(), 1);
    assert_eq!(first.control_plane.as_ref().unwrap().identifier, "convoy");
    stream.say(ack(&first)).await;
    wait_shown(&server, |node| node.types.iter().any(|one| one.acked.is_some())).await;
    server.hub.publish(snapshot(&[cluster("a", 2), cluster("b", 1)]));
    let second = stream.next().await.unwrap();
    assert_eq!((second.resources.len(), second.control_plane), (2, None));
    assert_ne!((&first.version_info, &first.nonce), (&second.version_info, &second.nonce));
    let mut reports = Vec::new();
    while let Ok(report) = server.reports.try_recv() {
        reports.push(report);
    }
    assert!(
        reports.iter().any(|one| matches!(one, Report::Acked { version, .. }
            if **version == *first.version_info)),
        "{reports:?}"
    );
}

#[tokio::test]
async fn a_delta_stream_is_sent_only_what_changes() {
    let server = Server::start(snapshot(&[cluster("a", 1), cluster("b", 1)])).await;
    let mut stream = delta(&server).await;
    stream
        .say(DeltaDiscoveryRequest { node: node("n"), ..ask_delta(ResourceKind::Clusters) })
        .await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.resources.len(), 2);
    let nonce = first.nonce.clone();
    stream
        .say(DeltaDiscoveryRequest { response_nonce: nonce, ..ask_delta(ResourceKind::Clusters) })
        .await;
    wait_shown(&server, |node| node.types.iter().any(|one| one.acked.is_some())).await;
    server.hub.publish(snapshot(&[cluster("a", 2)]));
    let second = stream.next().await.unwrap();
    let names: Vec<_> = second.resources.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names, second.removed_resources), (vec!["a"], vec!["b".to_owned()]));
}

#[tokio::test]
async fn a_refusal_is_reported_in_the_clients_words_and_not_answered() {
    let mut server = Server::start(mesh("a", 0)).await;
    let mut stream = sotw(&server).await;
    stream.say(hello(ResourceKind::Listeners)).await;
    let first = stream.next().await.unwrap();
    let error = RpcStatus { message: "not with me".into(), ..RpcStatus::default() };
    stream
        .say(DiscoveryRequest {
            version_info: String::new(),
            error_detail: Some(error),
            ..ack(&first)
        })
        .await;
    // The next thing on the stream is the answer to the next question.
    stream.say(ask(ResourceKind::Clusters)).await;
    let next = stream.next().await.unwrap();
    assert_eq!(next.type_url, ResourceKind::Clusters.type_url().to_string());
    let report = loop {
        match server.reports.recv().await.unwrap() {
            Report::Nacked { message, version, .. } => break (message, version.to_string()),
            _ => continue,
        }
    };
    assert_eq!(report, ("not with me".to_owned(), first.version_info));
    let counters = server.hub.counters();
    assert_eq!((counters.nacks, counters.pushes, counters.streams), (1, 2, 1));
}

#[tokio::test]
async fn another_node_named_later_is_counted_and_changes_nothing() {
    let server = Server::start(mesh("a", 0)).await;
    let mut stream = sotw(&server).await;
    stream.say(hello(ResourceKind::Listeners)).await;
    stream.next().await.unwrap();
    let same = hello(ResourceKind::Clusters).node;
    for (named, kind, counted) in
        [(same, ResourceKind::Clusters, 0), (node("somebody-else"), ResourceKind::Routes, 1)]
    {
        let names = if kind == ResourceKind::Routes { vec!["r".to_owned()] } else { vec![] };
        let asked = DiscoveryRequest { node: named, resource_names: names, ..ask(kind) };
        stream.say(asked).await;
        assert_eq!(stream.next().await.unwrap().type_url, kind.type_url().to_string());
        assert_eq!(server.hub.counters().other_nodes, counted);
    }
    assert_eq!(server.hub.nodes().len(), 1);
}

#[tokio::test]
async fn a_stream_for_one_type_fills_it_in_and_refuses_others() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let channel = Channel::from_shared(format!("http://{}", server.address)).unwrap();
    let mut client = ClusterDiscoveryServiceClient::new(channel.connect().await.unwrap());
    let (requests, receiver) = mpsc::channel(4);
    let responses = client.stream_clusters(ReceiverStream::new(receiver)).await.unwrap();
    let mut stream = Stream { requests, responses: responses.into_inner() };
    stream.say(DiscoveryRequest { node: node("n"), ..Default::default() }).await;
    assert_eq!(stream.next().await.unwrap().resources.len(), 1);
    stream.say(ask(ResourceKind::Listeners)).await;
    assert_eq!(stream.next().await.unwrap_err().code(), Code::InvalidArgument);
    let nobody = client.fetch_clusters(DiscoveryRequest::default()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::InvalidArgument);
    let asked = DiscoveryRequest { node: node("n"), ..Default::default() };
    let fetched = client.fetch_clusters(asked).await.unwrap().into_inner();
    assert_eq!((fetched.resources.len(), fetched.nonce), (1, fetched.version_info));
}

#[tokio::test]
async fn a_stream_that_does_not_say_who_or_what_is_refused() {
    let server = Server::start(snapshot(&[])).await;
    let no_type = DiscoveryRequest { node: node("n"), ..Default::default() };
    let no_id = DiscoveryRequest { node: node(""), ..ask(ResourceKind::Clusters) };
    for wrong in [ask(ResourceKind::Clusters), no_id, no_type] {
        let mut stream = sotw(&server).await;
        stream.say(wrong).await;
        assert_eq!(stream.next().await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert_eq!(server.hub.counters().streams_refused, 3);
}

#[tokio::test]
async fn only_a_known_token_opens_a_stream() {
    let tokens = vec![ContentHash::of(b"sesame")];
    let server = Server::start_with(snapshot(&[cluster("a", 1)]), tokens).await;
    for (token, expected) in
        [(None, false), (Some("Bearer open"), false), (Some("Bearer sesame"), true)]
    {
        let mut request = Request::new(tokio_stream::iter([hello(ResourceKind::Clusters)]));
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token.parse().unwrap());
        }
        let opened = client(&server).await.stream_aggregated_resources(request).await;
        match opened {
            Ok(mut stream) => {
                assert!(expected, "{token:?} was let in");
                assert!(stream.get_mut().message().await.unwrap().is_some());
            }
            Err(status) => {
                assert!(!expected, "{token:?} was refused");
                assert_eq!(status.code(), Code::Unauthenticated);
            }
        }
    }
}

#[tokio::test]
async fn a_hundred_thousand_versions_of_a_returning_client_are_read() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let mut stream = delta(&server).await;
    let version = |number| (format!("{number:0>60}"), "0123456789abcdef".to_owned());
    let initial_resource_versions = (0..100_000).map(version).collect();
    let first = DeltaDiscoveryRequest {
        node: node("n"),
        initial_resource_versions,
        ..ask_delta(ResourceKind::Clusters)
    };
    assert!(prost::Message::encoded_len(&first) > 4 << 20);
    stream.say(first).await;
    let (mut sent, mut removed) = (0, 0);
    while removed < 100_000 {
        let part = stream.next().await.unwrap();
        assert!(prost::Message::encoded_len(&part) < 4 << 20, "clients commonly take no more");
        sent += part.resources.len();
        removed += part.removed_resources.len();
        // What is gone goes last, once the client took what is new.
        let response_nonce = part.nonce;
        stream
            .say(DeltaDiscoveryRequest { response_nonce, ..ask_delta(ResourceKind::Clusters) })
            .await;
    }
    assert_eq!((sent, removed), (1, 100_000));
}

#[tokio::test]
async fn a_node_follows_the_rules_from_snapshot_to_snapshot() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    server.hub.publish(Arc::new(build(key("release"), &[cluster("b", 1)])));
    let mut stream = delta(&server).await;
    stream
        .say(DeltaDiscoveryRequest { node: node("n"), ..ask_delta(ResourceKind::Clusters) })
        .await;
    let first = stream.next().await.unwrap();
    let nonce = first.nonce;
    stream
        .say(DeltaDiscoveryRequest { response_nonce: nonce, ..ask_delta(ResourceKind::Clusters) })
        .await;
    // Nobody's: it keeps its stream and what it has.
    server.hub.route(Arc::new(Routing::default()));
    wait_shown(&server, |node| node.key.is_none()).await;
    let mut everyone = route("release");
    everyone.nodes = vec![convoy::model::NodeRule::default()];
    server.hub.route(Arc::new(Routing::new(vec![everyone])));
    let second = stream.next().await.unwrap();
    assert_eq!(second.resources[0].name, "b");
    assert_eq!(second.removed_resources, ["a"]);
    wait_shown(&server, |node| node.key == Some(key("release"))).await;
}

#[tokio::test]
async fn a_client_that_never_reads_delays_nobody() {
    let server = Server::start(mesh("a", 0)).await;
    let mute = sotw(&server).await;
    mute.say(hello(ResourceKind::Clusters)).await;
    let mut reader = sotw(&server).await;
    reader.say(DiscoveryRequest { node: node("reader"), ..ask(ResourceKind::Clusters) }).await;
    let mut version = reader.next().await.unwrap();
    for round in 2..50 {
        server.hub.publish(snapshot(&[cluster("a", round)]));
        reader.say(ack(&version)).await;
        version = reader.next().await.unwrap();
    }
    drop(mute);
}

#[tokio::test]
async fn a_node_goes_with_its_stream() {
    let server = Server::start(snapshot(&[])).await;
    let mut stream = sotw(&server).await;
    stream.say(hello(ResourceKind::Clusters)).await;
    stream.next().await.unwrap();
    assert_eq!(server.hub.nodes().len(), 1);
    let mut changes = server.hub.changes();
    drop(stream);
    let gone = async {
        while !server.hub.nodes().is_empty() {
            changes.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, gone).await.expect("the node is signed off");
    assert_eq!(server.hub.counters().streams, 0);
}

#[tokio::test]
async fn streams_end_in_order_when_the_server_stops() {
    let mut server = Server::start(snapshot(&[])).await;
    let mut stream = sotw(&server).await;
    stream.say(hello(ResourceKind::Clusters)).await;
    stream.next().await.unwrap();
    timeout(PATIENCE, server.shut_down()).await.expect("it ends");
    assert_eq!(stream.next().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.hub.nodes(), []);
}

#[tokio::test]
async fn a_private_listener_serves_anybody_until_it_is_dropped() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let private = listen_private(snapshot(&[listener("l", 0)]), port).unwrap();
    let address = private.address();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(channel.connect().await.unwrap());
    let (requests, receiver) = mpsc::channel(4);
    let responses = client.stream_aggregated_resources(ReceiverStream::new(receiver)).await;
    let mut stream = Stream { requests, responses: responses.unwrap().into_inner() };
    let nobody = Some(Node { id: "stranger".into(), ..Node::default() });
    stream.say(DiscoveryRequest { node: nobody, ..ask(ResourceKind::Listeners) }).await;
    let first = stream.next().await.unwrap();
    let error = Some(RpcStatus { message: "bad".into(), ..RpcStatus::default() });
    stream.say(DiscoveryRequest { error_detail: error, ..ack(&first) }).await;
    stream.say(ask(ResourceKind::Clusters)).await;
    stream.next().await.unwrap();
    let refusal = (ResourceKind::Listeners.type_url().to_string(), "bad".to_owned());
    assert_eq!(private.refusals(), [refusal]);
    drop(private);
    let ended = timeout(PATIENCE, stream.responses.message()).await.expect("the stream ends");
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
}
