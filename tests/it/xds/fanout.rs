//! Many streams at once: what each is sent, and what is left of them.

use std::sync::Arc;
use std::time::Duration;

use convoy::model::ResourceKind;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc::Status as RpcStatus;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::Server;
use super::mesh::{cluster, snapshot};
use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::upstream::{ADA, Upstream};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Streams that share a connection; Envoys don't, but files are few.
const PER_CONNECTION: usize = 200;

/// A stream that asked for all clusters.
pub(super) struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    pub(super) got: Vec<DeltaDiscoveryResponse>,
}

impl Client {
    async fn open(channel: Channel, number: usize) -> Self {
        let (requests, receiver) = mpsc::channel(4);
        let stage = Value { kind: Some(Kind::StringValue("beta".into())) };
        let metadata = Some(Struct { fields: [("stage".to_owned(), stage)].into() });
        let node = Some(Node { id: format!("n{number}"), metadata, ..Node::default() });
        requests.send(DeltaDiscoveryRequest { node, ..ask() }).await.unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.delta_aggregated_resources(ReceiverStream::new(receiver));
        Self { requests, responses: responses.await.unwrap().into_inner(), got: Vec::new() }
    }

    /// Waits for a response.
    pub(super) async fn next(&mut self) -> &DeltaDiscoveryResponse {
        let next = timeout(PATIENCE, self.responses.message()).await.expect("a response comes");
        self.got.push(next.unwrap().expect("the stream goes on"));
        self.got.last().unwrap()
    }

    /// Answers what came last.
    pub(super) async fn answer(&self, error: Option<&str>) {
        let response_nonce = self.got.last().expect("something came").nonce.clone();
        let status = |message: &str| RpcStatus { message: message.into(), ..Default::default() };
        let error_detail = error.map(status);
        let request = DeltaDiscoveryRequest { response_nonce, error_detail, ..ask() };
        self.requests.send(request).await.expect("the stream is open");
    }
}

fn ask() -> DeltaDiscoveryRequest {
    let type_url = ResourceKind::Clusters.type_url().to_string();
    DeltaDiscoveryRequest { type_url, ..Default::default() }
}

/// Opens streams, a few connections' worth.
async fn open(address: &str, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for first in (0..count).step_by(PER_CONNECTION) {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let channel = channel.connect().await.unwrap();
        let numbers = first..count.min(first + PER_CONNECTION);
        clients.extend(join_all(numbers.map(|n| Client::open(channel.clone(), n))).await);
    }
    clients
}

/// Opens streams that have taken their first response.
pub(super) async fn settled(server: &Server, count: usize) -> Vec<Client> {
    let before = server.hub.counters().acks;
    let mut clients = open(&server.address.to_string(), count).await;
    join_all(clients.iter_mut().map(async |client| {
        client.next().await;
        client.answer(None).await;
    }))
    .await;
    wait_until("answers", || server.hub.counters().acks == before + count as u64).await;
    clients
}

pub(super) async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, reached).await.is_ok(), "gave up waiting for {what}");
}

#[tokio::test]
async fn a_hundred_clients_that_refuse_get_exactly_one_response_each() {
    let server = Server::start(snapshot(&[cluster("a", 1), cluster("b", 1)])).await;
    let mut clients = settled(&server, 100).await;
    server.hub.publish(snapshot(&[cluster("a", 2), cluster("b", 1)]));
    join_all(clients.iter_mut().map(async |client| {
        assert_eq!(client.next().await.resources.len(), 1);
        client.answer(Some("no")).await;
    }))
    .await;
    wait_until("the refusals", || server.hub.counters().nacks == 100).await;
    // The same again is no reason to send it again, nor is another request.
    server.hub.publish(snapshot(&[cluster("a", 2), cluster("b", 1)]));
    let before = server.hub.counters();
    join_all(clients.iter().map(async |client| client.requests.send(ask()).await.unwrap())).await;
    wait_until("the requests", || server.hub.counters().requests == before.requests + 100).await;
    assert_eq!(server.hub.counters().pushes, 200);
    // What comes next is the good one, and nothing before it.
    server.hub.publish(snapshot(&[cluster("a", 3), cluster("b", 1)]));
    join_all(clients.iter_mut().map(async |client| {
        client.next().await;
        assert_eq!(client.got.len(), 3);
    }))
    .await;
    assert_eq!(server.hub.counters().pushes, 300);
}

#[tokio::test]
async fn publishing_what_is_served_already_sends_not_a_byte() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let mut clients = settled(&server, 50).await;
    let before = server.hub.counters();
    for _ in 0..10 {
        server.hub.publish(snapshot(&[cluster("a", 1)]));
    }
    // A change behind them shows that they were seen, and skipped.
    server.hub.publish(snapshot(&[cluster("a", 2)]));
    join_all(clients.iter_mut().map(async |client| {
        client.next().await;
    }))
    .await;
    let after = server.hub.counters();
    assert_eq!(after.pushes - before.pushes, 50);
    let sizes = clients.iter().map(|client| {
        use prost::Message as _;
        client.got[1].encoded_len() as u64
    });
    assert_eq!(after.bytes_sent - before.bytes_sent, sizes.sum::<u64>());
}

#[tokio::test]
async fn a_burst_of_publications_is_taken_in_a_few_steps_and_ends_with_the_newest() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let mut clients = settled(&server, 20).await;
    let newest = snapshot(&[cluster("a", 1000)]);
    for version in 2..1000 {
        server.hub.publish(snapshot(&[cluster("a", version)]));
    }
    server.hub.publish(Arc::clone(&newest));
    let version = &newest.types[&ResourceKind::Clusters.type_url()].version;
    join_all(clients.iter_mut().map(async |client| {
        while client.next().await.system_version_info != **version {
            client.answer(None).await;
        }
        client.answer(None).await;
    }))
    .await;
    let most = clients.iter().map(|client| client.got.len()).max().unwrap();
    assert!(most < 200, "{most} responses for 999 publications");
}

#[tokio::test]
async fn streams_that_share_a_state_are_sent_the_same_bytes_but_for_their_nonces() {
    let many: Vec<_> = (0..100).map(|n| cluster(&format!("c{n:03}"), 1)).collect();
    let server = Server::start(snapshot(&many)).await;
    let clients = settled(&server, 10).await;
    let resources = |client: &Client| client.got[0].resources.clone();
    assert_eq!(resources(&clients[0]).len(), 100);
    assert!(clients.iter().all(|client| resources(client) == resources(&clients[0])));
}

/// How many streams come and go.
fn crowd() -> usize {
    if std::env::var_os("CONVOY_LONG").is_some() { 10_000 } else { 2_000 }
}

#[test]
fn streams_that_come_and_go_leave_no_task_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let metrics = runtime.metrics();
    let server = runtime.block_on(Server::start(snapshot(&[cluster("a", 1)])));
    let base = metrics.num_alive_tasks();
    let count = crowd();
    let clients = runtime.block_on(settled(&server, count));
    assert_eq!((server.hub.counters().streams, server.hub.nodes().len()), (count as u64, count));
    assert!(metrics.num_alive_tasks() >= base + count);
    drop(clients);
    wait_for("the streams to be gone", || {
        let (counted, tasks) = (server.hub.counters(), metrics.num_alive_tasks());
        let left = (counted.streams, server.hub.nodes().len(), tasks);
        if left == (0, 0, base) { Ok(()) } else { Err(format!("{left:?}, base {base}")) }
    });
    drop(server);
}

/// Opens and closes streams of a program, and gives the memory that it holds
/// then, in KiB.
fn come_and_go(runtime: &tokio::runtime::Runtime, convoy: &Convoy, count: usize) -> u64 {
    let clients = runtime.block_on(async {
        let mut clients = open(&convoy.xds_address(), count).await;
        join_all(clients.iter_mut().map(async |client| {
            client.next().await;
            client.answer(None).await;
        }))
        .await;
        clients
    });
    let wait_streams = |expected: usize| {
        let line = format!("\nconvoy_xds_streams{{}} {expected}.0\n");
        wait_for(&format!("{expected} streams"), || {
            let page = convoy.try_get("/metrics")?;
            let page = page.as_str().unwrap_or_default();
            if page.contains(&line) { Ok(()) } else { Err(page.to_owned()) }
        });
    };
    wait_streams(count);
    drop(clients);
    wait_streams(0);
    convoy.memory_kib()
}

#[test]
fn streams_that_come_and_go_leave_no_memory_behind() {
    let upstream = Upstream::start();
    let convoy = Convoy::with().upstream(upstream.url(), "1s").people().start();
    let files = [
        ("convoy.yaml", "stages:\n  - {name: beta, auto: true}\n"),
        ("resources/clusters/a.yaml", "name: a\nconnect_timeout: 1s\ntype: STATIC\n"),
    ];
    let commit = upstream.commit(&files, "one cluster", ADA).to_string();
    convoy.wait_served("beta", &commit);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // What an allocator keeps for the next crowd is kept after the first one.
    let base = come_and_go(&runtime, &convoy, 2_000);
    for _ in 0..crowd() / 2_000 {
        come_and_go(&runtime, &convoy, 2_000);
    }
    let left = convoy.memory_kib();
    assert!(left < base + base / 10 + (8 << 10), "{base} KiB grew to {left} KiB");
}
