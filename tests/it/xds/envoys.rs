//! Every supported Envoy over every transport: each takes a mesh and its
//! successor, refuses what is wrong, and recovers.

use std::sync::Arc;

use convoy::model::ResourceKind;
use convoy::snapshot::Snapshot;
use convoy::xds::TypeStatus;

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Envoy, Setup, Transport, cluster, endpoints, http_manager, listener, rds, routes, status,
    wait_taken,
};
use crate::harness::convoy::wait_for;

/// A mesh whose one route leads to `name`; a port above 65535 is one that
/// Envoy refuses.
fn mesh(transport: Transport, name: &str, port: u32) -> Arc<Snapshot> {
    let source = transport.source();
    let manager = http_manager(&rds("r", &source), &[]);
    let parts = [
        cluster(name, &source),
        endpoints(name, &[]),
        listener("l", port, &manager),
        routes("r", name),
    ];
    snapshot(&parts)
}

/// Boots one, and takes it through its life.
fn live(setup: Setup) {
    let shown = format!("{setup:?}");
    let transport = setup.transport;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(mesh(transport, "first", 0)));
    let (version, unified_mux) = (setup.version, setup.unified_mux);
    let envoy = setup.boot(&server);
    envoy.wait_ready();
    envoy.tell("/logging?config=debug");
    envoy.wait_config(&["first", "l", "r"], &[]);
    let node = server.hub.nodes().remove(0);
    assert_eq!(node.identity.envoy_version.as_deref(), Some(version), "{shown}");
    // Another cluster, another route to it: the old one goes last.
    let next = mesh(transport, "second", 0);
    server.hub.publish(Arc::clone(&next));
    envoy.wait_config(&["second", "l", "r"], &["first"]);
    wait_taken(
        &server,
        ResourceKind::Clusters,
        &next.types[&ResourceKind::Clusters.type_url()].version,
    );
    assert_eq!(server.hub.counters().nacks, 0, "{shown}");
    let rejected = envoy.admin("/stats?filter=update_rejected").unwrap();
    assert!(rejected.lines().all(|line| line.ends_with(": 0")), "{shown}: {rejected}");
    refuse_and_recover(transport, &server, &envoy, &shown);
    if transport != Transport::Rest {
        assert_eq!(envoy.has_unified_mux(), unified_mux, "{shown}");
    }
}

fn refuse_and_recover(transport: Transport, server: &Server, envoy: &Envoy, shown: &str) {
    server.hub.publish(mesh(transport, "second", 70_000));
    match transport {
        // Envoy has no way to say so where it polls, and asks on.
        Transport::Rest => {
            wait_for("a refusal", || match envoy.stat("listener_manager.lds.update_rejected") {
                0 => Err("none".to_owned()),
                _ => Ok(()),
            })
        }
        _ => {
            let refused = wait_for("a refusal", || {
                let status = status(server, ResourceKind::Listeners);
                status.and_then(|one| one.nacked).ok_or_else(|| "none".to_owned())
            });
            assert!(refused.message.contains("PortValue"), "{shown}: {}", refused.message);
            assert!(!refused.message.contains("stat_prefix"), "{shown}: {}", refused.message);
        }
    }
    // Other types move on, and the refused one is left alone.
    let moved = mesh(transport, "third", 70_000);
    server.hub.publish(Arc::clone(&moved));
    envoy.wait_config(&["third"], &[]);
    let refusals = if transport == Transport::Rest { 0 } else { 1 };
    assert_eq!(server.hub.counters().nacks, refusals, "{shown}");
    // Mended, it is taken.
    server.hub.publish(mesh(transport, "third", 0));
    envoy.wait_config(&["third", "l", "r"], &["second"]);
    wait_for("the refusal to be over", || match status(server, ResourceKind::Listeners) {
        Some(TypeStatus { nacked: None, sent, acked, .. }) if sent == acked => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(server.hub.counters().nacks, refusals, "{shown}");
}

/// Every transport of one version, with both muxes; polling has none.
fn live_with_every_transport(version: &'static str) {
    std::thread::scope(|scope| {
        for transport in Transport::ALL {
            scope.spawn(move || {
                for unified_mux in [false, true] {
                    if transport != Transport::Rest || !unified_mux {
                        live(Setup { unified_mux, ..Setup::new(version, transport) });
                    }
                }
            });
        }
    });
}

#[test]
fn envoy_1_36_4_takes_refuses_and_recovers_over_every_transport() {
    live_with_every_transport("1.36.4");
}

#[test]
fn envoy_1_38_3_takes_refuses_and_recovers_over_every_transport() {
    live_with_every_transport("1.38.3");
}

#[test]
fn envoy_1_40_0_takes_refuses_and_recovers_over_every_transport() {
    live_with_every_transport("1.40.0");
}
