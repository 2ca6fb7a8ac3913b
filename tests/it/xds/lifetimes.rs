//! Resources with a time to live in a real Envoy: heartbeats keep them, and
//! without us they go.

use std::sync::Arc;
use std::time::Duration;

use convoy::model::{Resource, ResourceKind, Wrapping};

use super::Server;
use super::mesh::snapshot;
use super::real::{Setup, Transport, cluster, endpoints, wait_taken};
use crate::harness::convoy::wait_for;

/// How long a client keeps the mortal cluster.
const TTL: Duration = Duration::from_secs(2);

fn mortal(resource: &Resource) -> Arc<Resource> {
    let Resource { type_url, name, body, place, .. } = resource.clone();
    let wrapping = Wrapping { ttl: Some(TTL), ..Wrapping::default() };
    Arc::new(Resource::wrapped(type_url, name, body, wrapping, place))
}

fn live(version: &'static str, transport: Transport) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let source = transport.source();
    let parts = [
        mortal(&cluster("mortal", &source)),
        cluster("lasting", &source),
        endpoints("mortal", &[]),
        endpoints("lasting", &[]),
    ];
    let all = snapshot(&parts);
    let mut server = runtime.block_on(Server::start(all.clone()));
    let envoy = Setup::new(version, transport).boot(&server);
    envoy.wait_ready();
    envoy.wait_config(&["mortal", "lasting"], &[]);
    let clusters = &all.types[&ResourceKind::Clusters.type_url()].version;
    wait_taken(&server, ResourceKind::Clusters, clusters);
    // Each heartbeat comes within half of the time to live, so that five of
    // them take longer than it.
    let before = server.hub.counters();
    wait_for("five heartbeats", || match server.hub.counters().pushes - before.pushes {
        0..5 => Err(format!("{:?}", server.hub.counters())),
        _ => Ok(()),
    });
    envoy.wait_config(&["mortal", "lasting"], &[]);
    assert_eq!(envoy.stat("cluster_manager.cluster_modified"), 0, "a heartbeat is no update");
    assert_eq!(server.hub.counters().nacks, 0);
    runtime.block_on(server.shut_down());
    envoy.wait_config(&["lasting"], &["mortal"]);
}

#[test]
fn heartbeats_keep_what_would_expire_over_delta() {
    live("1.40.0", Transport::DeltaAds);
}

#[test]
fn heartbeats_keep_what_would_expire_over_sotw() {
    live("1.36.4", Transport::Ads);
}
