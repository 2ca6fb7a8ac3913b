//! What is measured: Convoy's xDS server over its hub, and the floor, a bare
//! HTTP/2 server that writes the same bytes to as many streams and obeys no
//! protocol. Each runs in a process of its own and takes its orders from
//! standard input, one per line, each answered by one line.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead as _, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convoy::access::{NamePattern, NodeScope};
use convoy::model::{
    FilePath, NodeGroup, NodeRule, Place, RepoName, Resource, ResourceKind, ResourceName,
    SnapshotKey, Stage,
};
use convoy::snapshot::{Route, Routing, Snapshot, build, build_on, wire};
use convoy::tasks::Tasks;
use convoy::xds::{Credential, Credentials, Guard, Hub, Tls, listen, serve};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::google::protobuf::Duration as ProtoDuration;
use futures_util::stream::unfold;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::pki;

pub const STAGES: [&str; 2] = ["beta", "release"];

/// Cluster `number` in its `edition`; about half a kilobyte.
fn cluster(number: usize, edition: usize) -> Arc<Resource> {
    let message = Cluster {
        name: name(number),
        alt_stat_name: format!("{}-{edition:06}-{}", name(number), "x".repeat(400)),
        connect_timeout: Some(ProtoDuration { seconds: 1, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig::default()),
        ..Default::default()
    };
    resource(ResourceKind::Clusters, number, &message)
}

/// The endpoints of cluster `number`; the edition is the port.
fn endpoints(number: usize, edition: usize) -> Arc<Resource> {
    let endpoint = |host: u32| {
        let socket = SocketAddress {
            address: format!("10.0.{}.{host}", number % 250),
            port_specifier: Some(PortSpecifier::PortValue(1 + edition as u32 % 65_000)),
            ..Default::default()
        };
        let address = Address { address: Some(address::Address::SocketAddress(socket)) };
        let endpoint = Endpoint { address: Some(address), ..Default::default() };
        LbEndpoint {
            host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
            ..Default::default()
        }
    };
    let locality =
        LocalityLbEndpoints { lb_endpoints: (1..=4).map(endpoint).collect(), ..Default::default() };
    let message = ClusterLoadAssignment {
        cluster_name: name(number),
        endpoints: vec![locality],
        ..Default::default()
    };
    resource(ResourceKind::Endpoints, number, &message)
}

pub fn name(number: usize) -> String {
    format!("cluster-{number:05}")
}

fn resource(kind: ResourceKind, number: usize, message: &impl Message) -> Arc<Resource> {
    let place = Place::file(FilePath::new("resources/x.yaml").expect("a path"));
    let body = message.encode_to_vec().into();
    Arc::new(Resource::new(kind.type_url(), ResourceName(name(number).into()), body, place))
}

fn key(stage: &str) -> SnapshotKey {
    SnapshotKey {
        repo: RepoName::new("bench/mesh").expect("a name"),
        stage: Stage::new(stage).expect("a stage"),
        group: NodeGroup::default(),
    }
}

/// Nodes are of the stage that their metadata names.
fn route(stage: &str) -> Route {
    let rule = NodeRule { metadata: vec![("stage".into(), stage.into())], ..NodeRule::default() };
    Route { repo: key(stage).repo, stage: key(stage).stage, nodes: vec![rule], groups: vec![] }
}

/// What is served: `count` clusters and as many endpoints, in each stage.
struct Content {
    resources: Vec<Arc<Resource>>,
    served: BTreeMap<&'static str, Arc<Snapshot>>,
    count: usize,
    edition: usize,
}

impl Content {
    fn new(count: usize) -> Self {
        let both = |n| [cluster(n, 0), endpoints(n, 0)];
        let resources: Vec<_> = (0..count).flat_map(both).collect();
        let served = STAGES.map(|stage| (stage, Arc::new(build(key(stage), &resources)))).into();
        Self { resources, served, count, edition: 0 }
    }

    /// Changes one cluster, or the endpoints of one; gives the new snapshot.
    fn change(&mut self, stage: &'static str, what: &str) -> Arc<Snapshot> {
        self.edition += 1;
        let number = self.edition * 7 % self.count;
        match what {
            "cluster" => self.resources[number * 2] = cluster(number, self.edition),
            "endpoints" => self.resources[number * 2 + 1] = endpoints(number, self.edition),
            _ => {}
        }
        let before = self.served.get(stage).map(|one| &**one);
        let next = Arc::new(build_on(before, key(stage), &self.resources));
        self.served.insert(stage, next.clone());
        next
    }
}

/// Everybody is served; over TLS, who comes with a certificate of the folder's
/// authority.
fn guard(certificates: Option<&Path>) -> Guard {
    let Some(folder) = certificates else { return Guard::open() };
    let scope = Arc::new(NodeScope::everything().compile().expect("a scope"));
    let credential = Arc::new(Credential { name: "bench".into(), expires: None, scope });
    let pattern = NamePattern::new(pki::CLIENTS).expect("a pattern");
    let known = Credentials { certificates: vec![(pattern, credential)], ..Credentials::default() };
    let tls = Tls::load(pki::files(folder)).expect("files that can be used");
    Guard::new(watch::Sender::new(Arc::new(known)).subscribe()).over(tls)
}

/// Serves until its standard input ends, over TLS where there is a folder of
/// certificates. Orders: `STAGE cluster|endpoints|same`.
pub async fn convoy(count: usize, certificates: Option<&Path>) {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (reports, mut read) = mpsc::channel(4096);
    let hub = Hub::new(reports);
    hub.route(Arc::new(Routing::new(STAGES.map(route).into())));
    let mut content = Content::new(count);
    content.served.values().for_each(|one| hub.publish(one.clone()));
    let tasks = Tasks::default();
    let served = serve(listener, hub.clone(), guard(certificates), None, tasks.stopping());
    tasks.spawn("xds", async move { served.await.expect("a server that ends well") });
    tasks.spawn("reports", async move { while read.recv().await.is_some() {} });
    tell(&json!({ "port": port }));
    orders(move |order| {
        let (stage, what) = order.split_once(' ').expect("a stage and what to do");
        let stage = *STAGES.iter().find(|known| **known == stage).expect("a known stage");
        let began = Instant::now();
        if what != "count" {
            hub.publish(content.change(stage, what));
        }
        let version = |kind: ResourceKind| &content.served[stage].types[&kind.type_url()].version;
        let counted = hub.counters();
        json!({
            "published_us": began.elapsed().as_micros() as u64, "pushes": counted.pushes,
            "resources": counted.resources_sent, "bytes": counted.bytes_sent,
            "nacks": counted.nacks, "streams": counted.streams,
            "endpoints": version(ResourceKind::Endpoints),
        })
    })
    .await;
    tasks.stop();
}

/// Writes what Convoy would: the whole state first, then on every order the
/// same small or whole message.
pub async fn floor(count: usize, delta: bool) {
    let content = Content::new(count);
    let type_url = ResourceKind::Clusters.type_url();
    let all = content.served["beta"].types[&type_url].all();
    let one = all[..1].iter().cloned().collect::<convoy::snapshot::Batch>();
    let framed = |resources: &Bytes| {
        let mut own = Vec::new();
        for (number, text) in [(1, "0123456789abcdef"), (4, &*type_url.0), (5, "1")] {
            wire::put_field(number, text.as_bytes(), &mut own);
        }
        let length = u32::try_from(own.len() + resources.len()).expect("it fits").to_be_bytes();
        Bytes::from([&[0], length.as_slice(), &own, resources].concat())
    };
    let (whole, change) = match delta {
        true => (framed(all.entries()), framed(one.entries())),
        false => (framed(all.anys()), framed(all.anys())),
    };
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    tell(&json!({ "port": listener.local_addr().expect("an address").port() }));
    let latest = watch::Sender::new(whole);
    let tasks = Tasks::default();
    tasks.spawn("floor", accept(listener, latest.clone(), tasks.clone()));
    orders(move |_| {
        latest.send_replace(change.clone());
        json!({ "published_us": 0, "pushes": 0, "resources": 0, "bytes": 0, "nacks": 0, "streams": 0 })
    })
    .await;
    tasks.stop();
}

async fn accept(listener: TcpListener, latest: watch::Sender<Bytes>, tasks: Tasks) {
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).expect("an option");
        let latest = latest.clone();
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let response = bare(request, latest.subscribe());
            std::future::ready(Ok::<_, Infallible>(response))
        });
        tasks.spawn("connection", async move {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

type BareBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// Every state as it comes, and whatever is asked read and forgotten.
fn bare(
    request: http::Request<Incoming>,
    mut latest: watch::Receiver<Bytes>,
) -> http::Response<BareBody> {
    latest.mark_changed();
    let stream = unfold((request.into_body(), latest), |(mut asked, mut latest)| async move {
        let bytes = loop {
            tokio::select! {
                changed = latest.changed() => {
                    changed.ok()?;
                    break latest.borrow_and_update().clone();
                }
                piece = asked.frame() => {
                    piece?.ok()?;
                }
            }
        };
        Some((Ok(Frame::data(bytes)), (asked, latest)))
    });
    http::Response::new(BareBody::new(StreamBody::new(stream)))
}

fn tell(answer: &serde_json::Value) {
    println!("{answer}");
    std::io::stdout().flush().expect("a reader");
}

/// Carries out each line of standard input.
async fn orders(mut carry_out: impl FnMut(&str) -> serde_json::Value + Send + 'static) {
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            tell(&carry_out(line.expect("a line").trim()));
        }
    });
    reading.await.expect("orders that end well");
}
