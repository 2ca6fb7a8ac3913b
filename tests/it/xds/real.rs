//! Real Envoys: how they are started, what they are asked over their admin
//! port, and resources for them, written as JSON.

use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use convoy::model::{FilePath, Place, Resource, ResourceKind, ResourceName};
use convoy::schema::Schema;
use convoy::xds::TypeStatus;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::Server;
use crate::harness::convoy::{envoys, wait_for};
use crate::harness::process::Beside;

/// The versions that `ci/envoy-versions` lists.
pub(super) const VERSIONS: [&str; 3] = ["1.36.4", "1.38.3", "1.40.0"];

/// How an Envoy asks for resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// One stream for all types, state of the world.
    Ads,
    /// One incremental stream for all types.
    DeltaAds,
    /// A stream for each type or name, state of the world.
    Single,
    /// An incremental stream for each type or name.
    DeltaSingle,
    /// Polling.
    Rest,
}

impl Transport {
    pub(super) const ALL: [Self; 5] =
        [Self::Ads, Self::DeltaAds, Self::Single, Self::DeltaSingle, Self::Rest];

    fn is_aggregated(self) -> bool {
        matches!(self, Self::Ads | Self::DeltaAds)
    }

    /// Where resources say that the ones they need come from.
    pub(super) fn source(self) -> Value {
        match self.is_aggregated() {
            true => json!({"resource_api_version": "V3", "ads": {}}),
            false => json!({"resource_api_version": "V3", "api_config_source": self.api()}),
        }
    }

    fn api(self) -> Value {
        let grpc = |api_type: &str| {
            json!({"api_type": api_type, "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "convoy"}}]})
        };
        match self {
            Self::Ads | Self::Single => grpc("GRPC"),
            Self::DeltaAds | Self::DeltaSingle => grpc("DELTA_GRPC"),
            Self::Rest => json!({"api_type": "REST", "transport_api_version": "V3",
                "cluster_names": ["convoy_http1"], "refresh_delay": "0.1s", "request_timeout": "5s"}),
        }
    }
}

/// What an Envoy is started with.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) version: &'static str,
    pub(super) transport: Transport,
    /// Which of Envoy's two implementations keeps the subscriptions.
    pub(super) unified_mux: bool,
    /// Whether it asks for clusters only when a request needs one.
    pub(super) on_demand: bool,
    /// More layers of runtime, above the static one.
    pub(super) layers: Vec<Value>,
    /// For how many seconds a listener that was replaced drains.
    pub(super) drains: u32,
}

impl Setup {
    pub(super) fn new(version: &'static str, transport: Transport) -> Self {
        let (unified_mux, on_demand, layers) = (false, false, Vec::new());
        Self { version, transport, unified_mux, on_demand, layers, drains: 600 }
    }

    pub(super) fn boot(self, server: &Server) -> Envoy {
        self.boot_at(server.address.port())
    }

    /// Boots one that asks a server on this port of loopback.
    pub(super) fn boot_at(self, port: u16) -> Envoy {
        Envoy::boot(&self, port)
    }

    fn bootstrap(&self, port: u16) -> Value {
        let cluster = |name: &str, options: Value| {
            json!({"name": name, "type": "STATIC", "typed_extension_protocol_options": options,
                "load_assignment": {"cluster_name": name, "endpoints": [endpoint(port)]}})
        };
        let http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let http2 = json!({http: {"@type": format!("type.googleapis.com/{http}"),
            "explicit_http_config": {"http2_protocol_options": {}}}});
        let mut layers = vec![json!({"name": "static", "static_layer":
            {"envoy.reloadable_features.unified_mux": self.unified_mux}})];
        layers.extend(self.layers.clone());
        let source = self.transport.source();
        let mut dynamic = json!({"lds_config": source});
        if !self.on_demand {
            dynamic["cds_config"] = source;
        }
        if self.transport.is_aggregated() {
            dynamic["ads_config"] = self.transport.api();
        }
        json!({
            "node": {"id": "node-1", "cluster": "web", "metadata": {"stage": "beta"},
                "client_features":
                    ["xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"]},
            "admin": {"address": address(0_u16)},
            "dynamic_resources": dynamic,
            "layered_runtime": {"layers": layers},
            "static_resources": {"clusters": [cluster("convoy", http2), cluster("convoy_http1", json!({}))]},
        })
    }
}

/// A running Envoy.
pub(super) struct Envoy {
    _running: Beside,
    home: tempfile::TempDir,
}

impl Envoy {
    fn boot(setup: &Setup, port: u16) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("bootstrap.json");
        std::fs::write(&config, setup.bootstrap(port).to_string()).unwrap();
        let program = envoys().join(setup.version).join("envoy");
        assert!(program.is_file(), "{} is missing; ci/test installs it", program.display());
        let mut command = Command::new(program);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"]);
        command.arg(&config).arg("--admin-address-path").arg(home.path().join("admin"));
        command.arg("--drain-time-s").arg(setup.drains.to_string());
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        Self { _running: Beside::start(&mut command), home }
    }

    /// What it logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub(super) fn admin(&self, path: &str) -> Result<String, String> {
        let address = std::fs::read_to_string(self.home.path().join("admin"));
        let address = address.map_err(|error| format!("{error}; its log: {}", self.log()))?;
        convoy::app::choose_crypto();
        let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build();
        let answer = client.unwrap().get(format!("http://{}{path}", address.trim())).send();
        answer.and_then(|answer| answer.text()).map_err(|error| error.to_string())
    }

    /// Has its admin port do something.
    pub(super) fn tell(&self, path: &str) {
        let address = std::fs::read_to_string(self.home.path().join("admin")).unwrap();
        let answer =
            reqwest::blocking::Client::new().post(format!("http://{}{path}", address.trim()));
        let status = answer.send().map(|answer| answer.status().as_u16());
        assert!(matches!(status, Ok(200)), "{path}: {status:?}");
    }

    /// Which mux took its responses, by the sources that it logs with since it
    /// was told `/logging?config=debug`.
    pub(super) fn has_unified_mux(&self) -> bool {
        let log = self.log();
        let names = |file: &str| log.contains(&format!("config_subscription/grpc/{file}"));
        let unified = names("xds_mux/");
        let legacy = names("grpc_mux_impl.cc")
            || names("new_grpc_mux_impl.cc")
            || names("delta_subscription_state.cc");
        assert_ne!(unified, legacy, "one of the two takes all: {log}");
        unified
    }

    /// A counter or gauge.
    pub(super) fn stat(&self, name: &str) -> u64 {
        let text = self.admin(&format!("/stats?filter=^{name}$")).unwrap_or_default();
        text.trim().rsplit(": ").next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    pub(super) fn wait_ready(&self) {
        wait_for("Envoy to be ready", || match self.admin("/ready")?.trim() {
            "LIVE" => Ok(()),
            other => Err(format!("{other}; its log: {}", self.log())),
        });
    }

    /// Waits until the configuration it runs on names all of `there` and none
    /// of `gone`.
    pub(super) fn wait_config(&self, there: &[&str], gone: &[&str]) {
        wait_for(&format!("a configuration with {there:?} without {gone:?}"), || {
            let dump = self.admin("/config_dump?include_eds")?;
            let has = |name: &&&str| dump.contains(&format!("\"{name}\""));
            let lacks: Vec<_> = there.iter().filter(|name| !has(name)).collect();
            let keeps: Vec<_> = gone.iter().filter(has).collect();
            if lacks.is_empty() && keeps.is_empty() {
                return Ok(());
            }
            Err(format!("lacks {lacks:?}, keeps {keeps:?}; its log: {}", self.log()))
        });
    }

    /// Waits until a page of the admin port says all of `expected`.
    pub(super) fn wait_page(&self, path: &str, expected: &[&str]) {
        wait_for(&format!("{path} to say {expected:?}"), || {
            let page = self.admin(path)?;
            match expected.iter().all(|one| page.contains(one)) {
                true => Ok(()),
                false => Err(format!("{page}; its log: {}", self.log())),
            }
        });
    }
}

/// A resource from its JSON, named by itself.
pub(super) fn resource(kind: ResourceKind, message: &Value) -> Arc<Resource> {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    let schema = SCHEMA.get_or_init(Schema::load);
    let descriptor = schema.message(kind.message()).expect("every kind has a message");
    let read = DynamicMessage::deserialize(descriptor, message.clone());
    let read = read.unwrap_or_else(|error| panic!("{error}: {message}"));
    let name = message[kind.name_field()].as_str().expect("a resource has a name");
    let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
    let body = schema.encode(&read);
    Arc::new(Resource::new(kind.type_url(), ResourceName(name.into()), body, place))
}

/// A message in an `Any`.
pub(super) fn any(message: &str, mut fields: Value) -> Value {
    fields["@type"] = json!(format!("type.googleapis.com/{message}"));
    fields
}

/// A TCP address on loopback.
pub(super) fn address(port: impl Into<u32>) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port.into()}})
}

/// A locality with one endpoint on loopback.
pub(super) fn endpoint(port: u16) -> Value {
    json!({"lb_endpoints": [{"endpoint": {"address": address(port)}}]})
}

/// A cluster by EDS.
pub(super) fn cluster(name: &str, source: &Value) -> Arc<Resource> {
    resource(ResourceKind::Clusters, &cluster_message(name, source))
}

/// The same as JSON.
pub(super) fn cluster_message(name: &str, source: &Value) -> Value {
    json!({"name": name, "type": "EDS", "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": source}})
}

/// Endpoints of a cluster on loopback.
pub(super) fn endpoints(name: &str, ports: &[u16]) -> Arc<Resource> {
    resource(ResourceKind::Endpoints, &endpoints_message(name, ports))
}

/// The same as JSON.
pub(super) fn endpoints_message(name: &str, ports: &[u16]) -> Value {
    let all: Vec<_> = ports.iter().map(|port| endpoint(*port)).collect();
    json!({"cluster_name": name, "endpoints": all})
}

/// What a listener does with HTTP; `routes` are fields that say where the
/// routes come from.
pub(super) fn http_manager(routes: &Value, filters: &[Value]) -> Value {
    let router = any("envoy.extensions.filters.http.router.v3.Router", json!({}));
    let mut all = filters.to_vec();
    all.push(json!({"name": "router", "typed_config": router}));
    let mut manager = json!({"stat_prefix": "x", "http_filters": all});
    for (key, value) in routes.as_object().expect("routes are fields") {
        manager[key] = value.clone();
    }
    any(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )
}

/// A listener of one filter chain.
pub(super) fn listener(name: &str, port: u32, manager: &Value) -> Arc<Resource> {
    resource(ResourceKind::Listeners, &listener_message(name, port, manager))
}

/// The same as JSON.
pub(super) fn listener_message(name: &str, port: u32, manager: &Value) -> Value {
    json!({"name": name, "address": address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]})
}

/// Routes that come by RDS.
pub(super) fn rds(name: &str, source: &Value) -> Value {
    json!({"rds": {"config_source": source, "route_config_name": name}})
}

/// Routes that lead everything to `cluster`.
pub(super) fn routes(name: &str, cluster: &str) -> Arc<Resource> {
    resource(ResourceKind::Routes, &routes_message(name, cluster))
}

/// The same as JSON.
pub(super) fn routes_message(name: &str, cluster: &str) -> Value {
    json!({"name": name, "virtual_hosts": [virtual_host(cluster)]})
}

/// A virtual host that leads everything to `cluster`.
pub(super) fn virtual_host(cluster: &str) -> Value {
    json!({"name": "v", "domains": ["*"],
        "routes": [{"name": cluster, "match": {"prefix": "/"}, "route": {"cluster": cluster}}]})
}

/// What the server knows of a type on its first node.
pub(super) fn status(server: &Server, kind: ResourceKind) -> Option<TypeStatus> {
    let nodes = server.hub.nodes();
    nodes.first()?.types.iter().find(|one| one.type_url == kind.type_url()).cloned()
}

/// Waits until `version` of a type was taken.
pub(super) fn wait_taken(server: &Server, kind: ResourceKind, version: &str) {
    wait_for(&format!("{kind:?} {version} to be taken"), || {
        let status = status(server, kind);
        let acked = status.as_ref().and_then(|status| status.acked.as_deref());
        if acked == Some(version) { Ok(()) } else { Err(format!("{status:?}")) }
    });
}
