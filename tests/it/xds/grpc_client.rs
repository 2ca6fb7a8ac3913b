//! gRPC's own xDS client (Python's grpcio over the C core), which finds its
//! backends through us: listener, routes, cluster, endpoints.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use convoy::model::{Resource, ResourceKind};
use convoy::snapshot::Snapshot;
use serde_json::json;

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Transport, address, cluster, http_manager, rds, resource, routes, status, wait_taken,
};
use crate::harness::process::Beside;

const SERVICE: &str = "echo.test";

/// The client, and its two backends `a` and `b`.
struct Client {
    running: Beside,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Of `a` and of `b`.
    ports: [u16; 2],
    _home: tempfile::TempDir,
}

impl Client {
    fn start(server: &Server) -> Self {
        let python = std::env::var("CONVOY_PY")
            .expect("CONVOY_PY must name a python that has grpcio (ci/test sets it up)");
        let home = tempfile::tempdir().unwrap();
        let bootstrap = home.path().join("bootstrap.json");
        let told = json!({
            "xds_servers": [{"server_uri": server.address.to_string(),
                "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
            "node": {"id": "grpc-1", "cluster": "web", "metadata": {"stage": "beta"}}});
        std::fs::write(&bootstrap, told.to_string()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/xds_client.py");
        let mut command = Command::new(python);
        command.args([script, &format!("xds:///{SERVICE}")]);
        command.env("GRPC_XDS_BOOTSTRAP", &bootstrap);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Beside::start(&mut command);
        let input = running.child.stdin.take().unwrap();
        let output = BufReader::new(running.child.stdout.take().unwrap());
        let mut client = Self { running, input, output, ports: [0; 2], _home: home };
        let line = client.line();
        let ports: Vec<u16> = line.split(' ').filter_map(|port| port.parse().ok()).collect();
        client.ports = ports.try_into().expect("two ports");
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the client speaks");
        let ended = self.running.child.try_wait();
        assert!(!line.is_empty(), "the client ended: {ended:?}");
        line.trim().to_owned()
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").expect("the client listens");
        self.line()
    }

    /// Calls until the backend `name` answers.
    fn expect(&mut self, name: &str) {
        assert_eq!(self.ask(&format!("expect {name}")), "ok");
    }
}

/// A service with one backend. gRPC passes over localities without a weight.
fn service(port: u16) -> Arc<Snapshot> {
    let source = Transport::Ads.source();
    let manager = http_manager(&rds("echo-routes", &source), &[]);
    let listener = json!({"name": SERVICE, "api_listener": {"api_listener": manager}});
    let place = json!({"locality": {"region": "here"}, "load_balancing_weight": 1,
        "lb_endpoints": [{"endpoint": {"address": address(port)}}]});
    let endpoints = json!({"cluster_name": "echo", "endpoints": [place]});
    let parts: [Arc<Resource>; 4] = [
        resource(ResourceKind::Listeners, &listener),
        routes("echo-routes", "echo"),
        cluster("echo", &source),
        resource(ResourceKind::Endpoints, &endpoints),
    ];
    snapshot(&parts)
}

#[test]
fn grpcs_own_client_resolves_follows_and_survives_a_restart() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut server = runtime.block_on(Server::start(snapshot(&[])));
    let mut client = Client::start(&server);
    let [a, b] = client.ports;
    server.hub.publish(service(a));
    client.expect("a");
    assert_eq!(client.ask("hammer"), "ok");
    // An endpoint switch.
    let switched = service(b);
    server.hub.publish(switched.clone());
    client.expect("b");
    for kind in [ResourceKind::Listeners, ResourceKind::Routes, ResourceKind::Clusters] {
        let status = status(&server, kind).expect("it asked for all of them");
        assert_eq!((status.nacked, status.sent), (None, status.acked), "{kind:?}");
    }
    let endpoints = &switched.types[&ResourceKind::Endpoints.type_url()].version;
    wait_taken(&server, ResourceKind::Endpoints, endpoints);
    assert_eq!(server.hub.counters().nacks, 0);
    // We go away and come back on the same port, with news.
    let address = server.address;
    runtime.block_on(server.shut_down());
    client.expect("b");
    server = runtime.block_on(Server::start_at(address, service(a)));
    client.expect("a");
    assert_eq!(server.hub.counters().nacks, 0);
    let counted = client.ask("count");
    let (good, bad) = counted.split_once(' ').expect("two numbers");
    assert_eq!(bad, "0", "{counted}");
    assert!(good.parse::<u64>().unwrap() > 20, "{counted}");
}
