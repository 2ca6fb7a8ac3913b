//! The other kinds of resource in real Envoys: secrets, runtime, extensions
//! and scoped routes arrive, change, and show where Envoy shows them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use convoy::model::{Resource, ResourceKind};
use convoy::snapshot::Snapshot;
use serde_json::{Value, json};

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Envoy, Setup, Transport, VERSIONS, address, any, http_manager, listener, rds, resource,
};
use crate::harness::convoy::{free_port, wait_for};
use crate::harness::process::{Beside, run};

/// A certificate of its own, with its serial number.
struct Pair {
    certificate: String,
    key: String,
    serial: String,
}

impl Pair {
    fn new(home: &Path, serial: &str) -> Self {
        let file = |name: &str| home.join(format!("{serial}.{name}")).display().to_string();
        let (certificate, key) = (file("crt"), file("key"));
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                "/CN=test",
                "-days",
                "2",
                "-set_serial",
                &format!("0x{serial}"),
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        );
        let read = |path: &str| std::fs::read_to_string(path).unwrap();
        Self { certificate: read(&certificate), key: read(&key), serial: serial.to_owned() }
    }
}

/// A TLS connection that is kept, and asked over again and again.
struct Kept {
    _running: Beside,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Kept {
    fn open(port: u16) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Beside::start(&mut command);
        let input = running.child.stdin.take().unwrap();
        let output = BufReader::new(running.child.stdout.take().unwrap());
        Self { _running: running, input, output }
    }

    /// The status line of the answer to one more request.
    fn ask(&mut self) -> String {
        self.input.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").expect("the connection is open");
        let mut first = String::new();
        self.output.read_line(&mut first).expect("the connection answers");
        let mut line = String::from("x");
        // The body is as long as its last line, which has no end of line.
        while !line.trim().is_empty() {
            line.clear();
            self.output.read_line(&mut line).expect("the head is whole");
        }
        let mut body = [0; BODY.len()];
        std::io::Read::read_exact(&mut self.output, &mut body).expect("the body is whole");
        first.trim().to_owned()
    }
}

/// What every route answers.
const BODY: &str = "here";

/// What is served: every choice that a test changes.
struct World {
    transport: Transport,
    ports: [u16; 2],
    /// What the runtime's key says.
    runtime: u32,
    /// What the fault filter answers with; 0 is to let requests through.
    fault: u32,
    /// The value of `x-scope` that has routes.
    scope: &'static str,
}

const FAULT: &str = "envoy.extensions.filters.http.fault.v3.HTTPFault";

impl World {
    fn snapshot(&self, pair: &Pair) -> Arc<Snapshot> {
        let source = self.transport.source();
        let mut parts = vec![self.secret(pair), self.runtime(), self.fault(), direct()];
        parts.extend([self.secure(&source), self.scoped(&source), self.scope()]);
        snapshot(&parts)
    }

    fn secret(&self, pair: &Pair) -> Arc<Resource> {
        resource(
            ResourceKind::Secrets,
            &json!({"name": "server", "tls_certificate": {
            "certificate_chain": {"inline_string": pair.certificate},
            "private_key": {"inline_string": pair.key}}}),
        )
    }

    fn runtime(&self) -> Arc<Resource> {
        let layer = json!({"name": "rt", "layer": {"convoy.test": self.runtime}});
        resource(ResourceKind::Runtime, &layer)
    }

    fn fault(&self) -> Arc<Resource> {
        let share = if self.fault == 0 { 0 } else { 100 };
        let abort = json!({"abort": {"http_status": self.fault.max(200), "percentage": {"numerator": share}}});
        let config = json!({"name": "fault", "typed_config": any(FAULT, abort)});
        resource(ResourceKind::ExtensionConfigs, &config)
    }

    /// A listener whose certificate comes by SDS and one of whose filters comes
    /// by ECDS.
    fn secure(&self, source: &Value) -> Arc<Resource> {
        let fault = json!({"name": "fault", "config_discovery": {"config_source": source,
            "type_urls": [format!("type.googleapis.com/{FAULT}")]}});
        let context = any(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            json!({"common_tls_context": {"tls_certificate_sds_secret_configs":
                [{"name": "server", "sds_config": source}]}}),
        );
        let manager = http_manager(&rds("r", source), &[fault]);
        resource(
            ResourceKind::Listeners,
            &json!({"name": "secure", "address": address(self.ports[0]),
            "filter_chains": [{
                "filters": [{"name": "http", "typed_config": manager}],
                "transport_socket": {"name": "tls", "typed_config": context}}]}),
        )
    }

    /// A listener whose routes depend on a header.
    fn scoped(&self, source: &Value) -> Arc<Resource> {
        let fragment = json!({"header_value_extractor": {"name": "x-scope", "index": 0}});
        let routes = json!({"scoped_routes": {"name": "scopes", "rds_config_source": source,
            "scope_key_builder": {"fragments": [fragment]},
            "scoped_rds": {"scoped_rds_config_source": source}}});
        listener("scoped", self.ports[1].into(), &http_manager(&routes, &[]))
    }

    fn scope(&self) -> Arc<Resource> {
        resource(
            ResourceKind::ScopedRoutes,
            &json!({"name": "scope", "route_configuration_name": "r",
            "key": {"fragments": [{"string_key": self.scope}]}}),
        )
    }
}

fn direct() -> Arc<Resource> {
    resource(
        ResourceKind::Routes,
        &json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"],
        "routes": [{"match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": BODY}}}]}]}),
    )
}

/// The status of a plain request with a scope.
fn scoped(port: u16, scope: &str) -> Result<u16, String> {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build();
    let request = client.unwrap().get(format!("http://127.0.0.1:{port}/")).header("x-scope", scope);
    request.send().map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

fn wait_scoped(port: u16, scope: &str, expected: u16) {
    wait_for(&format!("scope {scope} to answer {expected}"), || match scoped(port, scope) {
        Ok(status) if status == expected => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Waits until a new TLS connection is answered with `expected`.
fn wait_secure(port: u16, expected: &str) {
    wait_for(&format!("TLS to answer {expected}"), || {
        let said = Kept::open(port).ask();
        if said.contains(expected) { Ok(()) } else { Err(said) }
    });
}

fn wait_serial(envoy: &Envoy, pair: &Pair, gone: Option<&Pair>) {
    wait_for(&format!("/certs to show {}", pair.serial), || {
        let page = envoy.admin("/certs")?;
        let shows = |pair: &Pair| page.contains(&format!("\"serial_number\": \"{}\"", pair.serial));
        match shows(pair) && !gone.is_some_and(shows) {
            true => Ok(()),
            false => Err(format!("{page}; its log: {}", envoy.log())),
        }
    });
}

fn live(setup: Setup) {
    let transport = setup.transport;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = tempfile::tempdir().unwrap();
    let [old, new] = ["aa11", "bb22"].map(|serial| Pair::new(home.path(), serial));
    let ports = [free_port(), free_port()];
    let mut world = World { transport, ports, runtime: 1, fault: 0, scope: "blue" };
    let server = runtime.block_on(Server::start(world.snapshot(&old)));
    let layer =
        json!({"name": "rt", "rtds_layer": {"name": "rt", "rtds_config": transport.source()}});
    let envoy = Setup { layers: vec![layer], ..setup }.boot(&server);
    envoy.wait_ready();
    wait_serial(&envoy, &old, None);
    envoy.wait_page("/runtime", &["convoy.test", "\"1\""]);
    wait_scoped(ports[1], "blue", 200);
    wait_scoped(ports[1], "red", 404);
    let mut kept = Kept::open(ports[0]);
    assert_eq!(kept.ask(), "HTTP/1.1 200 OK");
    // A new certificate: what is open lives, what is opened has the new one.
    server.hub.publish(world.snapshot(&new));
    wait_serial(&envoy, &new, Some(&old));
    assert_eq!(kept.ask(), "HTTP/1.1 200 OK");
    (world.runtime, world.fault, world.scope) = (2, 418, "red");
    server.hub.publish(world.snapshot(&new));
    envoy.wait_page("/runtime", &["convoy.test", "\"2\""]);
    wait_scoped(ports[1], "red", 200);
    wait_scoped(ports[1], "blue", 404);
    wait_secure(ports[0], "418");
    assert_eq!(server.hub.counters().nacks, 0, "{}", envoy.log());
    let rejected = envoy.admin("/stats?filter=update_rejected").unwrap();
    assert!(rejected.lines().all(|line| line.ends_with(": 0")), "{rejected}");
}

/// Every version; the muxes in turn.
fn live_with_every_version(transport: Transport) {
    std::thread::scope(|scope| {
        for (at, version) in VERSIONS.into_iter().enumerate() {
            let unified_mux = at % 2 == 1;
            let setup = Setup { unified_mux, ..Setup::new(version, transport) };
            scope.spawn(move || live(setup));
        }
    });
}

#[test]
fn secrets_runtime_extensions_and_scopes_come_over_sotw() {
    live_with_every_version(Transport::Ads);
}

#[test]
fn secrets_runtime_extensions_and_scopes_come_over_delta() {
    live_with_every_version(Transport::DeltaAds);
}

#[test]
fn secrets_runtime_extensions_and_scopes_come_over_streams_of_their_own() {
    live_with_every_version(Transport::Single);
}

#[test]
fn secrets_runtime_extensions_and_scopes_come_over_delta_streams_of_their_own() {
    live_with_every_version(Transport::DeltaSingle);
}

#[test]
fn secrets_runtime_extensions_and_scopes_come_over_rest() {
    live_with_every_version(Transport::Rest);
}
