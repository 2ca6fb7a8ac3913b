//! What a difference says that Envoy will do is what Envoys do, by their own
//! counters.

use std::sync::Arc;

use convoy::model::{Resource, ResourceKind};
use convoy::schema::Schema;
use convoy::snapshot::{Impact, Snapshot, diff};
use serde_json::{Value, json};

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Envoy, Setup, Transport, VERSIONS, any, endpoints, http_manager, rds, resource, routes,
    wait_taken,
};

/// What Envoy counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    listeners_replaced: u64,
    chains_replaced: u64,
    clusters_replaced: u64,
}

impl Counts {
    fn of(envoy: &Envoy) -> Self {
        let in_place = envoy.stat("listener_manager.listener_in_place_updated");
        Self {
            listeners_replaced: envoy.stat("listener_manager.listener_modified") - in_place,
            chains_replaced: in_place,
            clusters_replaced: envoy.stat("cluster_manager.cluster_modified"),
        }
    }

    /// What they are to be after a change.
    fn after(mut self, impact: &Impact) -> Self {
        match impact {
            Impact::DrainsListener => self.listeners_replaced += 1,
            Impact::DrainsChains { .. } => self.chains_replaced += 1,
            Impact::RecreatesCluster => self.clusters_replaced += 1,
            _ => {}
        }
        self
    }
}

/// A mesh, each part of which can be changed on its own.
#[derive(Debug, Clone)]
struct Mesh {
    listener: Value,
    manager: Value,
    cluster: Value,
    to: &'static str,
    ports: Vec<u16>,
}

impl Mesh {
    fn new() -> Self {
        let source = Transport::DeltaAds.source();
        let cluster = |name: &str| {
            json!({"name": name, "type": "EDS", "connect_timeout": "1s",
                "eds_cluster_config": {"eds_config": source}})
        };
        Self {
            listener: json!({"name": "l", "address": super::real::address(0_u16)}),
            manager: http_manager(&rds("r", &source), &[]),
            cluster: cluster("a"),
            to: "a",
            ports: vec![1],
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let mut listener = self.listener.clone();
        let chain = |name: &str, more: Value| {
            let mut chain = more;
            chain["name"] = json!(name);
            chain["filters"] = json!([{"name": "http", "typed_config": self.manager}]);
            chain
        };
        let other = json!({"filter_chain_match": {"source_type": "EXTERNAL"}});
        listener["filter_chains"] = json!([chain("all", json!({})), chain("far", other)]);
        let parts: [Arc<Resource>; 4] = [
            resource(ResourceKind::Clusters, &self.cluster),
            endpoints("a", &self.ports),
            resource(ResourceKind::Listeners, &listener),
            routes("r", self.to),
        ];
        snapshot(&parts)
    }
}

/// One change, and what the difference is to say of it.
type Step = (&'static str, fn(&mut Mesh), &'static str);

const STEPS: [Step; 7] = [
    (
        "a timeout of a cluster",
        |m| m.cluster["connect_timeout"] = json!("3s"),
        "makes the cluster anew",
    ),
    ("another host", |m| m.ports = vec![2, 3], "in place"),
    (
        "a buffer limit",
        |m| m.listener["per_connection_buffer_limit_bytes"] = json!(4096),
        "all connections",
    ),
    ("a filter's prefix", |m| m.manager["stat_prefix"] = json!("y"), "filter chains all, far"),
    (
        "metadata",
        |m| m.listener["metadata"] = json!({"filter_metadata": {"x": {"y": 1}}}),
        "all connections",
    ),
    (
        "one more chain",
        |m| {
            let reply = any("envoy.extensions.filters.network.echo.v3.Echo", json!({}));
            m.listener["default_filter_chain"] =
                json!({"filters": [{"name": "echo", "typed_config": reply}]});
        },
        "filter chains (default)",
    ),
    (
        "a cluster's weight",
        |m| m.cluster["lb_policy"] = json!("LEAST_REQUEST"),
        "makes the cluster anew",
    ),
];

#[test]
fn an_envoy_does_what_the_difference_says() {
    let schema = Schema::load();
    for version in VERSIONS {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut mesh = Mesh::new();
        let server = runtime.block_on(Server::start(mesh.snapshot()));
        let envoy = Setup::new(version, Transport::DeltaAds).boot(&server);
        envoy.wait_ready();
        for (what, change, words) in STEPS {
            let before = Counts::of(&envoy);
            let old = mesh.snapshot();
            change(&mut mesh);
            let new = mesh.snapshot();
            let told = diff(&schema, Some(&old), Some(&new));
            let [one] = told.as_slice() else { panic!("{what}: {told:?}") };
            assert!(one.impact.to_string().contains(words), "{what}: {}", one.impact);
            server.hub.publish(new.clone());
            let kind = one.type_url.kind().expect("one of Envoy's kinds");
            wait_taken(&server, kind, &new.types[&one.type_url].version);
            assert_eq!(Counts::of(&envoy), before.after(&one.impact), "{version}: {what}");
        }
    }
}
