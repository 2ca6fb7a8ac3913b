//! Clusters that a real Envoy asks for when a request needs them.

use std::sync::Arc;
use std::time::Duration;

use convoy::model::{Resource, ResourceKind};
use convoy::snapshot::Snapshot;
use serde_json::{Value, json};

use super::Server;
use super::mesh::snapshot;
use super::real::{Setup, Transport, any, endpoint, http_manager, listener, resource, status};
use super::upstream::Upstream;
use crate::harness::convoy::{free_port, wait_for};

/// A cluster that asks for nothing else.
fn fixed(name: &str, port: u16) -> Arc<Resource> {
    resource(
        ResourceKind::Clusters,
        &json!({"name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint(port)]}}),
    )
}

/// A listener that sends each request to the cluster that its header names,
/// and waits long for one that it doesn't know.
fn world(source: &Value, port: u16, clusters: &[Arc<Resource>]) -> Arc<Snapshot> {
    let on_demand = any(
        "envoy.extensions.filters.http.on_demand.v3.OnDemand",
        json!({"odcds": {"source": source, "timeout": "60s"}}),
    );
    let filter = json!({"name": "on_demand", "typed_config": on_demand});
    let routes = json!({"route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}]}]}});
    let listener = listener("l", port.into(), &http_manager(&routes, &[filter]));
    snapshot(&[&[listener], clusters].concat())
}

/// What a request for `cluster` is answered with, long before Envoy would
/// give up waiting for it.
fn ask(port: u16, cluster: &str) -> Result<(u16, String), String> {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build();
    let request =
        client.unwrap().get(format!("http://127.0.0.1:{port}/")).header("x-cluster", cluster);
    let answer = request.send().map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().map_err(|error| error.to_string())?))
}

fn live(version: &'static str, transport: Transport) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let upstream = Upstream::start(&runtime, "here");
    let port = free_port();
    let source = transport.source();
    let known = fixed("known", upstream.port);
    let server =
        runtime.block_on(Server::start(world(&source, port, std::slice::from_ref(&known))));
    let envoy = Setup { on_demand: true, ..Setup::new(version, transport) }.boot(&server);
    envoy.wait_ready();
    wait_for("the listener", || ask(port, "").map(drop));
    // It has no cluster of ours until a request needs one.
    assert!(!envoy.admin("/clusters").unwrap().contains("known::"), "{version} {transport:?}");
    assert_eq!(ask(port, "known"), Ok((200, "here".to_owned())), "{version} {transport:?}");
    // One that is not there is said to be missing, and the request ends.
    assert_eq!(ask(port, "later").map(|(status, _)| status), Ok(503), "{version} {transport:?}");
    server.hub.publish(world(&source, port, &[known, fixed("later", upstream.port)]));
    wait_for("the cluster that came later", || match ask(port, "later")? {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let clusters = status(&server, ResourceKind::Clusters).expect("clusters were asked for");
    assert!(!clusters.wildcard && clusters.nacked.is_none(), "{clusters:?}");
}

#[test]
fn clusters_are_served_on_demand_over_a_stream_of_their_own() {
    live("1.36.4", Transport::DeltaSingle);
    live("1.40.0", Transport::DeltaSingle);
}

#[test]
fn clusters_are_served_on_demand_over_the_aggregated_stream() {
    live("1.38.3", Transport::DeltaAds);
    live("1.40.0", Transport::DeltaAds);
}
