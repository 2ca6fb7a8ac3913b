//! Real Envoys that are left in peace: a changed cluster gets its endpoints at
//! once, also after a reconnect, and a restart with the same content changes
//! nothing in them.

use std::sync::Arc;

use convoy::model::ResourceKind;
use convoy::snapshot::Snapshot;
use serde_json::json;
use tokio::runtime::Runtime;

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Envoy, Setup, Transport, VERSIONS, cluster_message, endpoints, http_manager, listener, rds,
    resource, routes,
};
use super::rename::{Plane, What, mesh};
use crate::harness::convoy::{free_port, wait_for};

/// A mesh with a cluster `a` that waits so many seconds for a connection.
fn with_timeout(transport: Transport, seconds: u32) -> Arc<Snapshot> {
    let source = transport.source();
    let mut cluster = cluster_message("a", &source);
    cluster["connect_timeout"] = json!(format!("{seconds}s"));
    snapshot(&[
        resource(ResourceKind::Clusters, &cluster),
        endpoints("a", &[1]),
        listener("l", 0, &http_manager(&rds("r", &source), &[])),
        routes("r", "a"),
    ])
}

/// Waits until the cluster was replaced so often and nothing warms, and sees
/// that no endpoints had to be given up on.
fn wait_replaced(envoy: &Envoy, times: u64, seconds: u32, shown: &str) {
    wait_for(&format!("{shown}: a cluster with endpoints"), || {
        let replaced = envoy.stat("cluster_manager.cluster_modified");
        let warming = envoy.stat("cluster_manager.warming_clusters");
        let dump = envoy.admin("/config_dump?resource=dynamic_active_clusters")?;
        let active = dump.contains(&format!("\"connect_timeout\": \"{seconds}s\""));
        match (replaced, warming, active) {
            (replaced, 0, true) if replaced == times => Ok(()),
            other => Err(format!("{other:?}; its log: {}", envoy.log())),
        }
    });
    let stats = envoy.admin("/stats?filter=init_fetch_timeout").unwrap();
    assert!(stats.contains("cluster.a.init_fetch_timeout: 0"), "{shown}: {stats}");
    assert!(stats.lines().all(|line| line.ends_with(": 0")), "{shown}: {stats}");
}

fn replace(setup: Setup) {
    let (shown, transport) = (format!("{setup:?}"), setup.transport);
    let runtime = Runtime::new().unwrap();
    let mut server = runtime.block_on(Server::start(with_timeout(transport, 1)));
    let address = server.address;
    let envoy = setup.boot(&server);
    envoy.wait_ready();
    server.hub.publish(with_timeout(transport, 2));
    wait_replaced(&envoy, 1, 2, &shown);
    // Envoy asks again for what it knows, and the cluster is another one.
    runtime.block_on(server.shut_down());
    let _next = runtime.block_on(Server::start_at(address, with_timeout(transport, 3)));
    wait_replaced(&envoy, 2, 3, &shown);
}

#[test]
fn a_changed_cluster_gets_its_endpoints_at_once_and_after_a_reconnect() {
    let streams = [Transport::Ads, Transport::DeltaAds, Transport::Single, Transport::DeltaSingle];
    for (at, version) in VERSIONS.into_iter().enumerate() {
        std::thread::scope(|scope| {
            for (index, transport) in streams.into_iter().enumerate() {
                let unified_mux = (at + index) % 2 == 0;
                let setup = Setup { unified_mux, ..Setup::new(version, transport) };
                scope.spawn(move || replace(setup));
            }
        });
    }
}

/// What an Envoy counted of what it took.
fn state(envoy: &Envoy) -> String {
    let stats = envoy.admin("/stats").unwrap();
    let counts = ["_added", "_modified", "_updated", "_removed", "ds.version"];
    let counted = |line: &&str| {
        let name = line.split(": ").next().unwrap_or_default();
        let manager = name.starts_with("cluster_manager.") || name.starts_with("listener_manager.");
        manager && counts.iter().any(|end| name.ends_with(end))
    };
    stats.lines().filter(counted).collect::<Vec<_>>().join("\n")
}

fn wait_synced(convoy: &crate::harness::convoy::Convoy) {
    wait_for("the node to be in step", || {
        let shown = convoy.try_get("/api/v1/nodes/node-1")?;
        if shown["node"]["state"] == "synced" { Ok(()) } else { Err(shown.to_string()) }
    });
}

fn restart(setup: Setup) {
    let runtime = Runtime::new().unwrap();
    let shown = format!("{setup:?}");
    let delta = setup.transport == Transport::DeltaAds;
    let mesh = mesh(setup.transport, What::Route, free_port(), "a", 1);
    let plane = Plane::start(&runtime, true, &mesh);
    let envoy = setup.boot_at(plane.port());
    envoy.wait_ready();
    envoy.wait_config(&["a", "l", "r"], &[]);
    let Plane::Program(mut convoy, _upstream) = plane else { panic!("it is the program") };
    wait_synced(&convoy);
    let before = state(&envoy);
    assert!(before.contains("cluster_manager.cds.version: "), "{before}");
    convoy.kill();
    convoy.start_again();
    wait_synced(&convoy);
    assert_eq!(state(&envoy), before, "{shown}");
    if delta {
        let page = convoy.try_get("/metrics").unwrap();
        let page = page.as_str().unwrap();
        assert!(page.contains("\nconvoy_xds_resources_total{} 0\n"), "{shown}: {page}");
    }
}

#[test]
fn a_restart_with_the_same_content_changes_nothing_in_an_envoy() {
    for (at, version) in VERSIONS.into_iter().enumerate() {
        for transport in [Transport::Ads, Transport::DeltaAds] {
            let unified_mux = at % 2 == 0;
            restart(Setup { unified_mux, ..Setup::new(version, transport) });
        }
    }
}
