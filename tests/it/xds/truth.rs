//! What is said of a client while it takes, lacks and misses things: since when
//! it is behind, and each state in the words of the client status service.

use std::time::Duration;

use convoy::model::ResourceKind;
use convoy::telemetry::clock;
use envoy_types::pb::envoy::admin::v3::ClientResourceStatus as Client;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_client::ClientStatusDiscoveryServiceClient;
use envoy_types::pb::envoy::service::status::v3::{
    ClientConfig, ClientStatusRequest, ClientStatusResponse, ConfigStatus,
};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{NodeMatcher, StringMatcher};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::Server;
use super::fanout::wait_until;
use super::mesh::{cluster, snapshot};
use super::real::resource;
use super::wire::{Delta, ask_delta, delta, node};

const CLUSTERS: ResourceKind = ResourceKind::Clusters;
const SECRETS: ResourceKind = ResourceKind::Secrets;

/// Asks for names of a kind, all where there is none.
pub(super) async fn ask(stream: &Delta, id: &str, kind: ResourceKind, names: &[&str]) {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    let asked = DeltaDiscoveryRequest {
        node: node(id),
        resource_names_subscribe: names,
        ..ask_delta(kind)
    };
    stream.say(asked).await;
}

pub(super) async fn ack(stream: &Delta, response: &DeltaDiscoveryResponse) {
    let request = DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    };
    stream.say(request).await;
}

/// Takes what comes next.
pub(super) async fn take(stream: &mut Delta) -> DeltaDiscoveryResponse {
    let response = stream.next().await.unwrap();
    ack(stream, &response).await;
    response
}

/// Waits until so many responses were taken.
pub(super) async fn wait_acks(server: &Server, count: u64) {
    wait_until("answers", || server.hub.counters().acks >= count).await;
}

fn behind_since(server: &Server) -> Option<Timestamp> {
    server.hub.nodes()[0].types[0].behind_since
}

#[tokio::test]
async fn a_node_is_behind_since_the_first_version_that_it_lacks_was_published() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let mut stream = delta(&server).await;
    ask(&stream, "n", CLUSTERS, &[]).await;
    take(&mut stream).await;
    wait_acks(&server, 1).await;
    assert_eq!(behind_since(&server), None);
    let before = clock::now();
    server.hub.publish(snapshot(&[cluster("a", 2)]));
    let second = stream.next().await.unwrap();
    let since = behind_since(&server).expect("it did not answer yet");
    assert!(before <= since && since <= clock::now(), "{before} {since}");
    // What is published later does not make it look younger.
    for seconds in 3..6 {
        server.hub.publish(snapshot(&[cluster("a", seconds)]));
        assert_eq!(behind_since(&server), Some(since));
    }
    // The second it took; what it lacks now came after.
    ack(&stream, &second).await;
    let newest = stream.next().await.unwrap();
    let later = behind_since(&server).expect("it did not answer yet");
    assert!(since < later, "{since} {later}");
    ack(&stream, &newest).await;
    wait_acks(&server, 3).await;
    assert_eq!(behind_since(&server), None);
}

async fn service(server: &Server) -> ClientStatusDiscoveryServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", server.address)).unwrap();
    ClientStatusDiscoveryServiceClient::new(channel.connect().await.unwrap())
}

/// What both methods of the service say to a question; the same.
async fn status(server: &Server, asked: ClientStatusRequest) -> ClientStatusResponse {
    let mut service = service(server).await;
    let fetched = service.fetch_client_status(asked.clone()).await.unwrap().into_inner();
    let streamed = service.stream_client_status(tokio_stream::iter([asked])).await.unwrap();
    let streamed = streamed.into_inner().message().await.unwrap().expect("an answer");
    assert_eq!(fetched, streamed);
    fetched
}

/// What is said of a resource of a client.
async fn words(server: &Server, id: &str, name: &str) -> Option<(ConfigStatus, Client)> {
    let asked = ClientStatusRequest::default();
    let all = service(server).await.fetch_client_status(asked).await.unwrap().into_inner();
    let is_it = |one: &ClientConfig| one.node.as_ref().is_some_and(|node| node.id == id);
    let client = all.config.into_iter().find(is_it)?;
    let one = client.generic_xds_configs.into_iter().find(|one| one.name == name)?;
    Some((one.config_status(), one.client_status()))
}

/// Waits until that is said of it.
async fn wait_words(server: &Server, id: &str, name: &str, ours: ConfigStatus, client: Client) {
    let mut seen = None;
    let said = async {
        while seen != Some((ours, client)) {
            sleep(Duration::from_millis(5)).await;
            seen = words(server, id, name).await;
        }
    };
    let said = timeout(Duration::from_secs(20), said).await;
    assert!(said.is_ok(), "{id} {name}: {seen:?} and not {ours:?}, {client:?}");
}

#[tokio::test]
async fn client_status_has_the_words_of_the_field_for_every_state() {
    let server = Server::start(snapshot(&[cluster("a", 1), cluster("b", 1)])).await;
    let (mut good, mut mute) = (delta(&server).await, delta(&server).await);
    ask(&good, "good", CLUSTERS, &[]).await;
    take(&mut good).await;
    ask(&mute, "mute", CLUSTERS, &["a", "none"]).await;
    let first = mute.next().await.unwrap();
    assert_eq!(first.removed_resources, ["none"]);
    wait_acks(&server, 1).await;
    wait_words(&server, "good", "a", ConfigStatus::Synced, Client::Acked).await;
    wait_words(&server, "mute", "a", ConfigStatus::Stale, Client::Requested).await;
    // It never took one, and there is another by now.
    server.hub.publish(snapshot(&[cluster("a", 2), cluster("b", 1)]));
    good.next().await.unwrap();
    wait_words(&server, "mute", "a", ConfigStatus::Stale, Client::Requested).await;
    wait_words(&server, "good", "b", ConfigStatus::Synced, Client::Acked).await;
    // One that it took waits behind one that it did not answer.
    server.hub.publish(snapshot(&[cluster("a", 2), cluster("b", 2), cluster("c", 1)]));
    wait_words(&server, "good", "b", ConfigStatus::Stale, Client::Acked).await;
    wait_words(&server, "good", "c", ConfigStatus::NotSent, Client::Requested).await;
    ack(&mute, &first).await;
    wait_acks(&server, 2).await;
    wait_words(&server, "mute", "none", ConfigStatus::NotSent, Client::DoesNotExist).await;
}

#[tokio::test]
async fn client_status_names_secrets_and_never_shows_them_and_is_of_the_nodes_asked_for() {
    let hush = json!({"name": "tls", "generic_secret": {"secret": {"inline_string": "hush-hush"}}});
    let server = Server::start(snapshot(&[cluster("a", 1), resource(SECRETS, &hush)])).await;
    let mut stream = delta(&server).await;
    ask(&stream, "n-1", SECRETS, &["tls"]).await;
    let sent = take(&mut stream).await;
    assert!(String::from_utf8_lossy(&sent.encode_to_vec()).contains("hush-hush"));
    ask(&stream, "n-1", CLUSTERS, &[]).await;
    take(&mut stream).await;
    let mut other = delta(&server).await;
    ask(&other, "n-2", CLUSTERS, &[]).await;
    take(&mut other).await;
    wait_acks(&server, 3).await;
    let pattern = MatchPattern::Exact("n-1".into());
    let node_id = Some(StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() });
    let one = NodeMatcher { node_id, ..NodeMatcher::default() };
    let asked = ClientStatusRequest { node_matchers: vec![one], ..ClientStatusRequest::default() };
    let said = status(&server, asked).await;
    let [client] = said.config.as_slice() else { panic!("{said:?}") };
    let shown = |name: &str| {
        let one = client.generic_xds_configs.iter().find(|one| one.name == name);
        one.unwrap_or_else(|| panic!("no {name} in {client:?}")).clone()
    };
    let (secret, open) = (shown("tls"), shown("a"));
    assert_eq!(secret.config_status(), ConfigStatus::Synced);
    assert_eq!((secret.xds_config, open.xds_config.is_some()), (None, true));
    let everything = status(&server, ClientStatusRequest::default()).await;
    assert_eq!(everything.config.len(), 2);
    assert!(!String::from_utf8_lossy(&everything.encode_to_vec()).contains("hush"));
}
