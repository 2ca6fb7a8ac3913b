//! Real Envoys of the oldest and the newest supported version, in both
//! variants of the protocol.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use convoy::model::ResourceKind;
use convoy::xds::TypeStatus;

use super::Server;
use super::mesh::{cluster, endpoints, listener, mesh, routes_to, snapshot};
use crate::harness::convoy::{envoys, wait_for};
use crate::harness::process::Beside;

const VERSIONS: [&str; 2] = ["1.36.4", "1.40.0"];
const VARIANTS: [&str; 2] = ["GRPC", "DELTA_GRPC"];

/// An Envoy that takes everything over one aggregated stream.
struct Envoy {
    _running: Beside,
    home: tempfile::TempDir,
}

impl Envoy {
    fn boot(version: &str, variant: &str, server: &Server) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("bootstrap.yaml");
        std::fs::write(&config, bootstrap(variant, server.address.port())).unwrap();
        let program = envoys().join(version).join("envoy");
        assert!(program.is_file(), "{} is missing; ci/test installs it", program.display());
        let mut command = Command::new(program);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"]);
        command.arg(&config).arg("--admin-address-path").arg(home.path().join("admin"));
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        Self { _running: Beside::start(&mut command), home }
    }

    fn admin(&self, path: &str) -> Result<String, String> {
        let address = std::fs::read_to_string(self.home.path().join("admin"));
        let log = || std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let address = address.map_err(|error| format!("{error}; its log: {}", log()))?;
        convoy::app::choose_crypto();
        let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build();
        let answer = client.unwrap().get(format!("http://{}{path}", address.trim())).send();
        answer.and_then(|answer| answer.text()).map_err(|error| error.to_string())
    }

    fn wait_ready(&self) {
        wait_for("Envoy to be ready", || match self.admin("/ready")?.trim() {
            "LIVE" => Ok(()),
            other => Err(other.to_owned()),
        });
    }

    /// Waits until the configuration it runs on names all of `there` and none
    /// of `gone`.
    fn wait_config(&self, there: &[&str], gone: &[&str]) {
        wait_for(&format!("a configuration with {there:?} without {gone:?}"), || {
            let dump = self.admin("/config_dump?include_eds")?;
            let has = |name: &&&str| dump.contains(&format!("\"{name}\""));
            let lacks: Vec<_> = there.iter().filter(|name| !has(name)).collect();
            let keeps: Vec<_> = gone.iter().filter(has).collect();
            if lacks.is_empty() && keeps.is_empty() {
                return Ok(());
            }
            Err(format!("lacks {lacks:?}, keeps {keeps:?}"))
        });
    }
}

fn bootstrap(variant: &str, port: u16) -> String {
    format!(
        "
node: {{id: node-1, cluster: web, metadata: {{stage: beta}}}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
dynamic_resources:
  ads_config:
    api_type: {variant}
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{{envoy_grpc: {{cluster_name: convoy}}}}]
  cds_config: {{resource_api_version: V3, ads: {{}}}}
  lds_config: {{resource_api_version: V3, ads: {{}}}}
static_resources:
  clusters:
  - name: convoy
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: convoy
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}
"
    )
}

/// Runs `test` with every version and variant. The server runs beside it.
fn with_each(test: impl Fn(&str, &str, &Server)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for version in VERSIONS {
        for variant in VARIANTS {
            let server = runtime.block_on(Server::start(mesh("first", 0)));
            test(version, variant, &server);
        }
    }
}

fn status(server: &Server, kind: ResourceKind) -> Option<TypeStatus> {
    let nodes = server.hub.nodes();
    nodes.first()?.types.iter().find(|one| one.type_url == kind.type_url()).cloned()
}

/// Waits until everything that was sent was taken.
fn wait_in_step(server: &Server, kind: ResourceKind, version: &str) {
    wait_for(&format!("{kind:?} {version} to be taken"), || {
        let status = status(server, kind);
        let acked = status.as_ref().and_then(|status| status.acked.as_deref());
        if acked == Some(version) { Ok(()) } else { Err(format!("{status:?}")) }
    });
}

#[test]
fn an_envoy_takes_a_mesh_and_its_successor() {
    with_each(|version, variant, server| {
        let envoy = Envoy::boot(version, variant, server);
        envoy.wait_ready();
        envoy.wait_config(&["first", "l", "r"], &[]);
        let node = server.hub.nodes().remove(0);
        assert_eq!(node.identity.envoy_version.as_deref(), Some(version));
        // Another cluster, another route to it: the old one goes last.
        let next = mesh("second", 0);
        server.hub.publish(Arc::clone(&next));
        envoy.wait_config(&["second", "l", "r"], &["first"]);
        let clusters = &next.types[&ResourceKind::Clusters.type_url()];
        wait_in_step(server, ResourceKind::Clusters, &clusters.version);
        assert_eq!(server.hub.counters().nacks, 0, "{version} {variant}");
        let rejected = envoy.admin("/stats?filter=update_rejected").unwrap();
        assert!(rejected.lines().all(|line| line.ends_with(": 0")), "{rejected}");
    });
}

#[test]
fn an_envoy_that_refuses_a_listener_is_quoted_once() {
    with_each(|version, variant, server| {
        let envoy = Envoy::boot(version, variant, server);
        envoy.wait_ready();
        envoy.wait_config(&["l"], &[]);
        server.hub.publish(mesh("first", 70_000));
        let refused = wait_for("a refusal", || {
            let status = status(server, ResourceKind::Listeners);
            status.and_then(|one| one.nacked).ok_or_else(|| "none".to_owned())
        });
        assert!(refused.message.contains("PortValue"), "{}", refused.message);
        assert!(!refused.message.contains("stat_prefix"), "{}", refused.message);
        // Another type moves on, and the refused one is left alone.
        let moved = [cluster("first", 2), endpoints("first"), listener("l", 70_000)];
        let moved = snapshot(&[moved.as_slice(), &[routes_to("first")]].concat());
        server.hub.publish(Arc::clone(&moved));
        let clusters = &moved.types[&ResourceKind::Clusters.type_url()];
        wait_in_step(server, ResourceKind::Clusters, &clusters.version);
        assert_eq!(server.hub.counters().nacks, 1, "{version} {variant}");
        assert_eq!(server.hub.refusals().len(), 1);
        // Mended, it is taken.
        server.hub.publish(mesh("first", 0));
        wait_for("the refusal to be over", || match status(server, ResourceKind::Listeners) {
            Some(TypeStatus { nacked: None, sent, acked, .. }) if sent == acked => Ok(()),
            other => Err(format!("{other:?}")),
        });
    });
}
