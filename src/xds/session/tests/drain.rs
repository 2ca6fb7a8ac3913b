//! Route configurations that get another name.

use super::script::{Client, Kind, cla, eds_cluster, host, rds_listener, route_to, snapshot};
use super::*;
use crate::xds::features::Features;

/// A mesh of one listener, whose route configuration `route` leads to `cluster`.
fn mesh(route: &str, cluster: &str) -> Arc<Snapshot> {
    snapshot([
        eds_cluster(cluster, 1),
        cla(cluster, 1),
        rds_listener("l", route, 1),
        route_to(route, cluster, 1),
    ])
}

/// A client that runs on `mesh("r1", "c1")`.
fn running(mut client: Client) -> Client {
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Endpoints, &["c1"]);
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r1"]);
    client.ack_all();
    assert!(client.session.is_in_step());
    client
}

/// Subscribes to another name beside those it has.
fn add(client: &mut Client, kind: Kind, old: &str, new: &str) -> Vec<String> {
    match client.is_delta() {
        true => client.subscribe(kind, &[new]),
        false => client.ask(kind, &[old, new]),
    }
}

/// Unsubscribes from a name, so that another is left.
fn leave(client: &mut Client, kind: Kind, old: &str, left: &str) -> Vec<String> {
    match client.is_delta() {
        true => client.unsubscribe(kind, &[old]),
        false => client.ask(kind, &[left]),
    }
}

/// The client moves on to `mesh("r2", "c2")`, and still drains `r1`.
fn moved(client: &mut Client) {
    let both = if client.is_delta() { "CDS c2=1" } else { "CDS c1=1 c2=1" };
    assert_eq!(client.publish(&mesh("r2", "c2")), [both]);
    assert_eq!(add(client, Kind::Endpoints, "c1", "c2"), ["EDS c2=1"]);
    client.ack(Kind::Endpoints);
    assert_eq!(client.ack(Kind::Clusters), ["LDS l=1"]);
    assert_eq!(client.ack(Kind::Listeners), [""; 0]);
    assert_eq!(add(client, Kind::Routes, "r1", "r2"), ["RDS r2=1"]);
    assert_eq!(client.ack(Kind::Routes), [""; 0]);
}

#[test]
fn an_old_route_and_its_clusters_stay_until_the_client_leaves_it() {
    for client in Client::both(&mesh("r1", "c1")) {
        let mut client = running(client);
        moved(&mut client);
        assert!(client.session.is_in_step(), "who drains has all there is");
        let served = mesh("r2", "c2");
        let clusters = client.status(Kind::Clusters);
        assert_eq!(clusters.acked, Some(served.types[&clusters.type_url].version.clone()));
        assert_eq!(client.wait(60), [""; 0]);
        let gone = client.removal_of("CDS", &["c2=1"], &["c1"]);
        let expected = match client.is_delta() {
            true => vec!["EDS -c1".to_owned(), gone],
            false => vec![gone],
        };
        assert_eq!(leave(&mut client, Kind::Routes, "r1", "r2"), expected);
        assert_eq!(client.ack_all(), [""; 0]);
        assert_eq!(client.session.next_timeout(), None);
    }
}

#[test]
fn a_client_that_never_leaves_the_old_route_is_not_waited_for_for_ever() {
    for client in Client::both(&mesh("r1", "c1")) {
        let mut client = running(client);
        moved(&mut client);
        assert_eq!(client.wait(890), [""; 0]);
        let first = client.wait(20);
        let last: Vec<_> = first.into_iter().chain(client.ack_all()).collect();
        let gone = client.removal_of("CDS", &["c2=1"], &["c1"]);
        assert!(last.contains(&gone), "{last:?}");
        assert_eq!(last.iter().any(|one| one == "RDS -r1"), client.is_delta(), "{last:?}");
        assert_eq!(client.session.next_timeout(), None);
    }
}

#[test]
fn what_the_old_route_does_not_name_goes_at_once() {
    let with = |route: &str, cluster: &str, more: &[&str]| {
        let more = more.iter().map(|name| script::static_cluster(name, 1));
        let own = [rds_listener("l", route, 1), route_to(route, cluster, 1)];
        snapshot(own.into_iter().chain(more))
    };
    let mut client = Client::delta(&with("r1", "a", &["a", "b"]));
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r1"]);
    client.ack_all();
    assert_eq!(client.publish(&with("r2", "c", &["c"])), ["CDS c=1"]);
    assert_eq!(client.ack(Kind::Clusters), ["LDS l=1"]);
    assert_eq!(client.ack(Kind::Listeners), ["CDS -b"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.unsubscribe(Kind::Routes, &["r1"]), ["CDS -a"]);
}

#[test]
fn a_route_that_is_named_again_is_held_no_more() {
    let mut client = running(Client::delta(&mesh("r1", "c1")));
    moved(&mut client);
    // Back again: it has all of that still, but for the listener.
    assert_eq!(client.publish(&mesh("r1", "c1")), ["LDS l=1"]);
    client.ack_all();
    // Now it is the other that drains.
    assert_eq!(client.unsubscribe(Kind::Routes, &["r2"]), ["EDS -c2", "CDS -c2"]);
    client.ack_all();
    assert!(client.session.is_in_step());
    assert_eq!(client.session.next_timeout(), None);
}

#[test]
fn a_route_that_goes_while_listeners_name_it_is_removed_at_once() {
    let listener = || rds_listener("l", "r1", 1);
    let mut client = Client::delta(&snapshot([listener(), route_to("r1", "c", 1)]));
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r1"]);
    client.ack_all();
    assert_eq!(client.publish(&snapshot([listener()])), ["RDS -r1"]);
}

#[test]
fn without_listeners_on_the_stream_a_route_is_removed_at_once() {
    let mut client = Client::delta(&mesh("r1", "c1"));
    client.ask(Kind::Routes, &["r1"]);
    client.ack_all();
    assert_eq!(client.publish(&mesh("r2", "c2")), ["RDS -r1"]);
}

#[test]
fn the_virtual_hosts_of_an_old_route_stay_with_it() {
    let with = |route: &str| {
        let host = host(&format!("{route}/web"), &["web"], 1);
        snapshot([rds_listener("l", route, 1), route_to(route, "c", 1), host])
    };
    let mut client = Client::delta(&with("r1"));
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r1"]);
    client.subscribe(Kind::VirtualHosts, &["r1/web"]);
    client.ack_all();
    assert_eq!(client.publish(&with("r2")), ["LDS l=1"]);
    assert_eq!(client.ack(Kind::Listeners), [""; 0]);
    assert!(client.session.is_in_step());
    assert_eq!(client.unsubscribe(Kind::Routes, &["r1"]), ["VHDS -r1/web"]);
}

#[test]
fn a_client_that_returns_amid_a_rename_keeps_the_old_cluster_until_its_route_moved() {
    let mut client = Client::delta(&leading("c1", 1));
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Endpoints, &["c1"]);
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r"]);
    client.ack_all();
    client.reconnect(&leading("c2", 2));
    assert_eq!(client.resume(Kind::Clusters, &[]), ["CDS c2=1"]);
    assert_eq!(client.resume(Kind::Endpoints, &["c1"]), [""; 0]);
    assert_eq!(client.resume(Kind::Listeners, &[]), ["LDS"]);
    client.ack(Kind::Listeners);
    assert_eq!(client.resume(Kind::Routes, &["r"]), [""; 0]);
    assert_eq!(client.subscribe(Kind::Endpoints, &["c2"]), ["EDS c2=1"]);
    client.ack(Kind::Endpoints);
    assert_eq!(client.ack(Kind::Clusters), ["RDS r=2"]);
    assert_eq!(client.ack(Kind::Routes), [""; 0]);
    assert_eq!(client.wait(1), ["EDS -c1", "CDS -c1"]);
    client.ack_all();
    assert!(client.session.is_in_step());
    assert_eq!(client.session.next_timeout(), None);
}

#[test]
fn a_client_that_returns_while_it_drains_a_route_keeps_its_clusters() {
    let mut client = running(Client::delta(&mesh("r1", "c1")));
    moved(&mut client);
    client.reconnect(&mesh("r2", "c2"));
    assert_eq!(client.resume(Kind::Clusters, &[]), ["CDS"]);
    client.resume(Kind::Endpoints, &["c1", "c2"]);
    client.resume(Kind::Listeners, &[]);
    assert_eq!(client.resume(Kind::Routes, &["r1", "r2"]), [""; 0]);
    client.ack_all();
    assert_eq!(client.wait(50), [""; 0]);
    assert!(client.session.is_in_step());
    assert_eq!(client.unsubscribe(Kind::Routes, &["r1"]), ["EDS -c1", "CDS -c1"]);
}

#[test]
fn a_client_that_returns_with_an_old_route_is_waited_for_until_it_leaves_it() {
    let mut client = running(Client::delta(&mesh("r1", "c1")));
    moved(&mut client);
    client.reconnect(&mesh("r2", "c2"));
    client.resume(Kind::Clusters, &[]);
    client.resume(Kind::Endpoints, &["c1", "c2"]);
    client.resume(Kind::Listeners, &[]);
    client.resume(Kind::Routes, &["r1", "r2"]);
    client.ack_all();
    assert_eq!(client.wait(890), [""; 0]);
    // Not for ever: not every client leaves.
    let first = client.wait(11);
    let last: Vec<_> = first.into_iter().chain(client.ack_all()).collect();
    for gone in ["RDS -r1", "EDS -c1", "CDS -c1"] {
        assert!(last.iter().any(|one| one == gone), "{gone}: {last:?}");
    }
    assert!(client.session.is_in_step());
    assert_eq!(client.session.next_timeout(), None);
}

/// A mesh whose one route leads to `cluster`.
fn leading(cluster: &str, version: i64) -> Arc<Snapshot> {
    snapshot([
        eds_cluster(cluster, 1),
        cla(cluster, 1),
        rds_listener("l", "r", 1),
        route_to("r", cluster, version),
    ])
}

#[test]
fn a_state_of_the_world_that_returns_amid_a_rename_keeps_the_old_cluster_until_its_route_moved() {
    let old = leading("c1", 1);
    let mut client = Client::sotw(&old);
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r"]);
    client.ack_all();
    client.reconnect(&leading("c2", 2));
    client.session.recall(Some(old));
    assert_eq!(client.ask(Kind::Clusters, &[]), ["CDS c1=1 c2=1"]);
    assert_eq!(client.ask(Kind::Listeners, &[]), [""; 0]);
    assert_eq!(client.ask(Kind::Routes, &["r"]), ["RDS r=2"]);
    assert_eq!(client.ack_all(), [""; 0]);
    assert_eq!(client.wait(1), ["CDS c2=1"]);
    client.ack_all();
    assert!(client.session.is_in_step());
    assert_eq!(client.session.next_timeout(), None);
}

#[test]
fn a_state_of_the_world_that_returns_while_it_drains_a_route_keeps_its_clusters() {
    let mut client = running(Client::sotw(&mesh("r1", "c1")));
    moved(&mut client);
    client.reconnect(&mesh("r2", "c2"));
    client.session.recall(Some(mesh("r1", "c1")));
    assert_eq!(client.ask(Kind::Clusters, &[]), [""; 0]);
    assert_eq!(client.ask(Kind::Listeners, &[]), [""; 0]);
    assert_eq!(client.ask(Kind::Routes, &["r1", "r2"]), ["RDS r2=1"]);
    assert_eq!(client.ack_all(), [""; 0]);
    assert_eq!(client.wait(50), [""; 0]);
    assert!(client.session.is_in_step());
    assert_eq!(leave(&mut client, Kind::Routes, "r1", "r2"), ["CDS c2=1"]);
    client.ack_all();
    assert_eq!(client.session.next_timeout(), None);
}

#[test]
fn a_state_of_the_world_that_returns_with_what_nobody_knows_is_replaced() {
    let mut client = Client::sotw(&leading("c1", 1));
    client.ask(Kind::Clusters, &[]);
    client.ack_all();
    client.reconnect(&leading("c3", 3));
    client.session.recall(Some(leading("c2", 2)));
    assert_eq!(client.ask(Kind::Clusters, &[]), ["CDS c3=1"]);
}

/// A mesh of one listener that leads to `cluster` itself.
fn inline(cluster: &str, more: &[&str]) -> Arc<Snapshot> {
    let more = more.iter().map(|name| script::static_cluster(name, 1));
    let own = [script::static_cluster(cluster, 1), script::inline_listener("l", cluster)];
    snapshot(own.into_iter().chain(more))
}

/// A client that runs on `inline("c1", &["c0"])`, and whether it is an Envoy.
fn leads(client: Client, drains: bool) -> Client {
    let mut client = client.with(Features { drains, ..Features::default() });
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Listeners, &[]);
    client.ack_all();
    client
}

#[test]
fn what_a_listener_that_drains_names_itself_stays_while_it_may() {
    for client in Client::both(&inline("c1", &["c0"])) {
        let mut client = leads(client, true);
        client.publish(&inline("c2", &[]));
        assert_eq!(client.ack(Kind::Clusters), ["LDS l=0"]);
        let gone = client.removal_of("CDS", &["c1=1", "c2=1"], &["c0"]);
        assert_eq!(client.ack(Kind::Listeners), [gone], "what it does not name goes");
        client.ack_all();
        assert!(client.session.is_in_step());
        assert_eq!(client.wait(800), [""; 0]);
        let gone = client.removal_of("CDS", &["c2=1"], &["c1"]);
        assert_eq!(client.wait(101), [gone]);
        client.ack_all();
        assert_eq!(client.session.next_timeout(), None);
    }
}

#[test]
fn what_goes_later_is_kept_for_a_listener_that_drains_too() {
    let mut client = leads(Client::delta(&inline("c1", &["c2"])), true);
    client.publish(&inline("c2", &["c1"]));
    client.ack_all();
    assert_eq!(client.session.next_timeout(), None, "nothing is to go so far");
    assert_eq!(client.wait(100), [""; 0]);
    assert_eq!(client.publish(&inline("c2", &[])), [""; 0]);
    assert_eq!(client.wait(801), ["CDS -c1"]);
}

#[test]
fn a_listener_that_is_replaced_a_second_time_drains_for_as_long_again() {
    for client in Client::both(&inline("c1", &["c0"])) {
        let mut client = leads(client, true);
        for (cluster, seconds) in [("c2", 600), ("c1", 200), ("c2", 0)] {
            client.publish(&inline(cluster, &[]));
            client.ack_all();
            client.wait(seconds);
            client.ack_all();
        }
        assert!(client.session.is_in_step());
        assert_eq!(client.wait(899), [""; 0]);
        let gone = client.removal_of("CDS", &["c2=1"], &["c1"]);
        assert_eq!(client.wait(2), [gone]);
        client.ack_all();
        assert_eq!(client.session.next_timeout(), None);
    }
}

#[test]
fn a_listener_that_is_replaced_again_and_again_does_not_keep_everything() {
    let mut client = leads(Client::delta(&inline("c0", &[])), true);
    let mut gone = Vec::new();
    for at in 1..=258 {
        client.publish(&inline(&format!("c{at}"), &[]));
        gone.extend(client.ack_all());
        gone.extend(client.wait(1));
        gone.extend(client.ack_all());
    }
    gone.retain(|one| one.contains('-'));
    assert_eq!(gone, ["CDS -c0", "CDS -c1"]);
}

#[test]
fn nothing_stays_for_the_listeners_of_a_client_that_does_not_drain() {
    for client in Client::both(&inline("c1", &[])) {
        let mut client = leads(client, false);
        client.publish(&inline("c2", &[]));
        client.ack(Kind::Clusters);
        let gone = client.removal_of("CDS", &["c2=1"], &["c1"]);
        assert_eq!(client.ack(Kind::Listeners), [gone]);
    }
}

#[test]
fn an_old_route_that_goes_by_a_header_keeps_every_cluster() {
    let with = |route, cluster| {
        let own = [rds_listener("l", route, 1), script::route_by_header(route)];
        snapshot(own.into_iter().chain([script::static_cluster(cluster, 1)]))
    };
    let mut client = Client::delta(&with("r1", "c1"));
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r1"]);
    client.ack_all();
    client.publish(&with("r2", "c2"));
    assert_eq!(client.ack(Kind::Clusters), ["LDS l=1"]);
    assert_eq!(client.ack(Kind::Listeners), [""; 0]);
    assert_eq!(client.unsubscribe(Kind::Routes, &["r1"]), ["CDS -c1"]);
}

/// A client that has a cluster and its listener under way, and asks for the
/// route when that leads to another cluster already.
fn asks_late(mut client: Client) -> Client {
    client.ask(Kind::Clusters, &[]);
    client.ask(Kind::Endpoints, &["c1"]);
    client.ask(Kind::Listeners, &[]);
    assert_eq!(client.publish(&mesh("r1", "c2")), [""; 0]);
    assert_eq!(client.ask(Kind::Routes, &["r1"]), [""; 0], "c2 was not sent yet");
    client
}

#[test]
fn a_route_that_is_asked_for_waits_for_a_cluster_that_was_not_sent_yet() {
    for client in Client::both(&mesh("r1", "c1")) {
        let mut client = asks_late(client);
        let sent = client.ack(Kind::Clusters);
        assert!(sent.first().is_some_and(|one| one.starts_with("CDS")), "{sent:?}");
        assert_eq!(sent.last().map(String::as_str), Some("RDS r1=1"), "{sent:?}");
    }
}

#[test]
fn a_route_that_is_asked_for_does_not_wait_for_ever_for_a_cluster() {
    for client in Client::both(&mesh("r1", "c1")) {
        let mut client = asks_late(client);
        assert_eq!(client.wait(4), [""; 0]);
        assert_eq!(client.wait(2), ["RDS r1=1"]);
    }
}

#[test]
fn nothing_is_waited_for_once_nothing_is_served() {
    for client in Client::both(&mesh("r1", "c1")) {
        let mut client = running(client);
        moved(&mut client);
        assert!(client.session.next_timeout().is_some(), "it drains");
        assert_eq!(client.withdraw(), [""; 0]);
        assert_eq!(client.session.next_timeout(), None);
    }
}
