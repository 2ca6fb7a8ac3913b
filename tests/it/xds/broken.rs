//! What becomes of a stream whose client is gone without a word, and of
//! resources whose last user goes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoy::model::{Resource, ResourceKind};
use convoy::tasks::Tasks;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{pause, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::Server;
use super::mesh::{cluster, snapshot};
use super::real::{Transport, address, any, http_manager, resource};
use super::truth::{ack, ask, take, wait_acks};
use super::wire::{Delta, delta};

/// A way to a server that goes dead when told: nothing is carried any more,
/// and nothing is closed.
struct Way {
    address: SocketAddr,
    dead: Arc<Notify>,
    _tasks: Tasks,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (dead, tasks) = (Arc::new(Notify::new()), Tasks::default());
        let told = dead.clone();
        tasks.spawn("a way", async move {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(server).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = told.notified() => std::future::pending().await,
            }
        });
        Self { address, dead, _tasks: tasks }
    }

    async fn delta(&self) -> Delta {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel.connect().await.unwrap());
        let (requests, receiver) = mpsc::channel(16);
        let stream = client.delta_aggregated_resources(ReceiverStream::new(receiver));
        Delta { requests, responses: stream.await.unwrap().into_inner() }
    }
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_dropped_by_keepalive() {
    let server = Server::start(snapshot(&[cluster("a", 1)])).await;
    let way = Way::to(server.address).await;
    let mut stream = way.delta().await;
    ask(&stream, "n", ResourceKind::Clusters, &[]).await;
    take(&mut stream).await;
    wait_acks(&server, 1).await;
    way.dead.notify_one();
    tokio::task::yield_now().await;
    // From here on the clock is a virtual one.
    pause();
    sleep(Duration::from_secs(25)).await;
    assert_eq!((server.hub.counters().streams, server.hub.nodes().len()), (1, 1));
    let gone = async {
        while server.hub.counters().streams > 0 {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.expect("it is asked, and does not answer");
    assert_eq!(server.hub.nodes().len(), 0);
    drop(stream);
}

/// A listener that may need a secret and a filter that come on their own.
fn entry(needs: bool) -> Arc<Resource> {
    let source = Transport::DeltaAds.source();
    let fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
    let filter = json!({"name": "fault",
        "config_discovery": {"config_source": source, "type_urls": [fault]}});
    let context = any(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        json!({"common_tls_context": {"tls_certificate_sds_secret_configs":
            [{"name": "tls", "sds_config": source}]}}),
    );
    let filters = if needs { vec![filter] } else { Vec::new() };
    let inline = json!({"route_config": {"name": "r"}});
    let manager = http_manager(&inline, &filters);
    let mut chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
    if needs {
        chain["transport_socket"] = json!({"name": "tls", "typed_config": context});
    }
    let message = json!({"name": "l", "address": address(0_u16), "filter_chains": [chain]});
    resource(ResourceKind::Listeners, &message)
}

#[tokio::test]
async fn secrets_and_extensions_go_once_the_listener_that_uses_them_no_more_was_taken() {
    let [listeners, secrets, extensions] =
        [ResourceKind::Listeners, ResourceKind::Secrets, ResourceKind::ExtensionConfigs];
    let secret = json!({"name": "tls", "generic_secret": {"secret": {"inline_string": "x"}}});
    let fault = any("envoy.extensions.filters.http.fault.v3.HTTPFault", json!({}));
    let fault = json!({"name": "fault", "typed_config": fault});
    let all = [entry(true), resource(secrets, &secret), resource(extensions, &fault)];
    let server = Server::start(snapshot(&all)).await;
    let mut stream = delta(&server).await;
    for (kind, names) in [(listeners, vec![]), (secrets, vec!["tls"]), (extensions, vec!["fault"])]
    {
        ask(&stream, "n", kind, &names).await;
        assert_eq!(take(&mut stream).await.resources.len(), 1, "{kind:?}");
    }
    wait_acks(&server, 3).await;
    server.hub.publish(snapshot(&[entry(false)]));
    let changed = stream.next().await.unwrap();
    assert_eq!(changed.type_url, listeners.type_url().to_string());
    assert_eq!(changed.resources.len(), 1);
    // What is answered before the listener is taken comes before the removals.
    ask(&stream, "n", ResourceKind::Runtime, &["none"]).await;
    let between = take(&mut stream).await;
    assert_eq!(between.type_url, ResourceKind::Runtime.type_url().to_string());
    ack(&stream, &changed).await;
    let mut gone = [take(&mut stream).await, take(&mut stream).await];
    gone.sort_by(|one, other| one.type_url.cmp(&other.type_url));
    let expected = [(extensions, "fault"), (secrets, "tls")];
    for (response, (kind, name)) in gone.iter().zip(expected) {
        assert_eq!(response.type_url, kind.type_url().to_string());
        assert_eq!(response.removed_resources, [name]);
    }
}
