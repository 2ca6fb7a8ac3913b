//! Each test is named after the assertion of the protocol that it holds. Here
//! is what several of them share.

mod delta;
mod drain;
mod flow;
mod fuzz;
mod late;
mod missing;
mod names;
mod order;
pub(super) mod script;
mod share;
mod sotw;
mod ttl;
mod wildcards;

use self::script::{Client, Kind, cla, eds_cluster, snapshot, static_cluster, thing};
use super::*;

/// A mesh of one listener, its route, and a cluster that the route names.
fn mesh(cluster: &str, route: i64) -> Arc<Snapshot> {
    snapshot([
        eds_cluster(cluster, 1),
        cla(cluster, 1),
        thing(Kind::Listeners, "l", 1),
        thing(Kind::Routes, "r", route),
    ])
}

fn settled(client: &mut Client, cluster: &str) {
    client.ask(Kind::Clusters, &[]);
    client.subscribe_or_ask(Kind::Endpoints, &[cluster]);
    client.ask(Kind::Listeners, &[]);
    client.subscribe_or_ask(Kind::Routes, &["r"]);
    client.ack_all();
}
