//! Virtual hosts that a real Envoy asks for when a request names their host.

use std::sync::Arc;
use std::time::Duration;

use convoy::model::{Resource, ResourceKind};
use convoy::snapshot::Snapshot;
use serde_json::{Value, json};

use super::Server;
use super::mesh::snapshot;
use super::real::{Setup, Transport, any, http_manager, listener, rds, resource, status};
use crate::harness::convoy::{free_port, wait_for};

/// A virtual host of route configuration `r`, which answers with its own name.
fn host(name: &str, domain: &str) -> Arc<Resource> {
    let answer = json!({"status": 200, "body": {"inline_string": name}});
    resource(
        ResourceKind::VirtualHosts,
        &json!({"name": format!("r/{name}"), "domains": [domain],
        "routes": [{"match": {"prefix": "/"}, "direct_response": answer}]}),
    )
}

/// A listener whose routes have no virtual host but those that are asked for.
fn world(source: &Value, port: u16, hosts: &[Arc<Resource>]) -> Arc<Snapshot> {
    let on_demand = any("envoy.extensions.filters.http.on_demand.v3.OnDemand", json!({}));
    let filter = json!({"name": "on_demand", "typed_config": on_demand});
    let manager = http_manager(&rds("r", source), &[filter]);
    let routes = json!({"name": "r", "vhds": {"config_source": source}});
    let routes = resource(ResourceKind::Routes, &routes);
    snapshot(&[&[listener("l", port.into(), &manager), routes], hosts].concat())
}

/// What a request for `host` is answered with.
fn ask(port: u16, host: &str) -> Result<(u16, String), String> {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build();
    let request = client.unwrap().get(format!("http://127.0.0.1:{port}/")).header("host", host);
    let answer = request.send().map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().map_err(|error| error.to_string())?))
}

fn live(version: &'static str, transport: Transport) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let port = free_port();
    let source = transport.source();
    let first = [host("exact", "a.test"), host("suffix", "*.b.test")];
    let server = runtime.block_on(Server::start(world(&source, port, &first)));
    let envoy = Setup::new(version, transport).boot(&server);
    envoy.wait_ready();
    wait_for("the listener", || ask(port, "a.test").map(drop));
    let shown = format!("{version} {transport:?}");
    assert_eq!(ask(port, "a.test"), Ok((200, "exact".to_owned())), "{shown}: {}", envoy.log());
    assert_eq!(ask(port, "x.b.test"), Ok((200, "suffix".to_owned())), "{shown}");
    // Nobody's host: the request goes on at once, and finds nothing.
    assert_eq!(ask(port, "later.test").map(|(status, _)| status), Ok(404), "{shown}");
    let more = [first.as_slice(), &[host("later", "later.test")]].concat();
    server.hub.publish(world(&source, port, &more));
    wait_for("the host that came later", || match ask(port, "later.test")? {
        (200, body) if body == "later" => Ok(()),
        other => Err(format!("{other:?}; its log: {}", envoy.log())),
    });
    let hosts = status(&server, ResourceKind::VirtualHosts).expect("hosts were asked for");
    assert_eq!(hosts.nacked, None, "{shown}");
}

#[test]
fn virtual_hosts_are_served_on_demand_over_the_aggregated_stream() {
    live("1.36.4", Transport::DeltaAds);
    live("1.40.0", Transport::DeltaAds);
}

#[test]
fn virtual_hosts_are_served_on_demand_over_a_stream_of_their_own() {
    live("1.38.3", Transport::DeltaSingle);
    live("1.40.0", Transport::DeltaSingle);
}
