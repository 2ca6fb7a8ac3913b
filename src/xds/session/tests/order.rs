//! What waits for what.

use super::*;

#[test]
fn additions_go_first_and_removals_wait_for_the_routes() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    assert_eq!(client.publish(&mesh("new", 2)), ["CDS new=1"]);
    assert_eq!(client.subscribe(Kind::Endpoints, &["new"]), ["EDS new=1"]);
    assert_eq!(client.ack(Kind::Endpoints), [""; 0]);
    assert_eq!(client.ack(Kind::Clusters), ["RDS r=2"]);
    assert_eq!(client.ack(Kind::Routes), ["EDS -old", "CDS -old"]);
    assert_eq!(client.ack_all(), [""; 0]);
}

#[test]
fn sotw_keeps_the_old_cluster_until_the_routes_are_taken() {
    let mut client = Client::sotw(&mesh("old", 1));
    settled(&mut client, "old");
    let old_version = client.version(Kind::Clusters);
    assert_eq!(client.publish(&mesh("new", 2)), ["CDS new=1 old=1"]);
    let both_version = client.version(Kind::Clusters);
    assert_eq!(client.ask(Kind::Endpoints, &["new", "old"]), ["EDS new=1"]);
    client.ack_names(Kind::Endpoints, &["new", "old"]);
    assert_eq!(client.ack(Kind::Clusters), ["RDS r=2"]);
    assert_eq!(client.ack(Kind::Routes), ["CDS new=1"]);
    let new_version = client.version(Kind::Clusters);
    assert!(old_version != both_version && both_version != new_version);
    assert_eq!(new_version, *mesh("new", 2).types[&Kind::Clusters.type_url()].version);
}

#[test]
fn a_removal_that_only_the_routes_wait_for_is_held_back() {
    let with = |names: &[&str], route| {
        let clusters = names.iter().map(|name| static_cluster(name, 1));
        snapshot(clusters.chain([thing(Kind::Routes, "r", route)]))
    };
    for mut client in Client::both(&with(&["a", "b"], 1)) {
        client.ask(Kind::Clusters, &[]);
        client.subscribe_or_ask(Kind::Routes, &["r"]);
        client.ack_all();
        assert_eq!(client.publish(&with(&["a"], 2)), ["RDS r=2"]);
        let gone = client.removal_of("CDS", &["a=1"], &["b"]);
        assert_eq!(client.ack(Kind::Routes), [gone]);
    }
}

#[test]
fn held_back_removals_go_out_when_the_answer_is_overdue() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    client.ack(Kind::Clusters);
    assert_eq!(client.wait(29), [""; 0]);
    assert_eq!(client.wait(2), ["EDS -old", "CDS -old"]);
}

#[test]
fn removals_wait_for_a_slow_answer() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    client.ack(Kind::Clusters);
    assert_eq!(client.wait(12), [""; 0]);
    assert_eq!(client.ack(Kind::Routes), ["EDS -old", "CDS -old"]);
}

#[test]
fn routes_wait_five_seconds_for_clusters_that_do_not_warm() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    assert_eq!(client.wait(4), [""; 0]);
    assert_eq!(client.wait(2), ["RDS r=2"]);
    assert_eq!(client.ack(Kind::Routes), ["EDS -old"]);
}

#[test]
fn a_refused_route_keeps_the_cluster_that_the_old_one_names() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    client.ack(Kind::Clusters);
    assert_eq!(client.nack(Kind::Routes), [""; 0]);
    assert_eq!(client.wait(60), [""; 0]);
    assert_eq!(client.publish(&mesh("new", 3)), ["RDS r=3"]);
    assert_eq!(client.ack(Kind::Routes), ["EDS -old", "CDS -old"]);
}

#[test]
fn a_changed_cluster_takes_its_endpoints_along_and_an_unchanged_one_does_not() {
    let at = |version| {
        snapshot([eds_cluster("a", version), cla("a", 1), eds_cluster("b", 1), cla("b", 1)])
    };
    for mut client in Client::both(&at(1)) {
        client.ask(Kind::Clusters, &[]);
        client.subscribe_or_ask(Kind::Endpoints, &["a", "b"]);
        client.ack_all();
        let cds = if client.is_delta() { "CDS a=2" } else { "CDS a=2 b=1" };
        assert_eq!(client.publish(&at(2)), [cds, "EDS a=1"]);
    }
}

#[test]
fn a_returning_client_gets_endpoints_for_a_cluster_that_changed_meanwhile() {
    let at = |version| {
        snapshot([eds_cluster("a", version), cla("a", 1), eds_cluster("b", 1), cla("b", 1)])
    };
    let mut client = Client::delta(&at(1));
    client.ask(Kind::Clusters, &[]);
    client.subscribe(Kind::Endpoints, &["a", "b"]);
    client.ack_all();
    client.reconnect(&at(2));
    assert_eq!(client.resume(Kind::Clusters, &[]), ["CDS a=2"]);
    assert_eq!(client.resume(Kind::Endpoints, &["a", "b"]), ["EDS a=1"]);
}

#[test]
fn types_are_sent_in_order_whatever_order_they_were_asked_for_in() {
    let all = |version| {
        let kinds = ResourceKind::ALL.into_iter();
        snapshot(kinds.map(|kind| thing(kind, "x", version)))
    };
    let mut client = Client::delta(&all(1));
    for kind in ResourceKind::ALL.into_iter().rev() {
        client.subscribe(kind, &["x"]);
    }
    client.ack_all();
    assert_eq!(client.publish(&all(2)), ["CDS x=2", "EDS x=2", "SDS x=2", "ECDS x=2", "RTDS x=2"]);
    assert_eq!(client.ack_all(), ["LDS x=2", "SRDS x=2", "RDS x=2", "VHDS x=2"]);
}

#[test]
fn any_type_is_served_by_its_url_alone() {
    let own = TypeUrl("type.example.com/acme.Thing".into());
    let resource = script::thing_of(&own, "t", 1);
    let mut session = Session::new(Protocol::Delta);
    session.on_snapshot(Some(snapshot([resource])), Duration::ZERO);
    let ask = Ask::Delta { subscribe: vec!["t".into()], unsubscribe: vec![], initial: vec![] };
    let request = Request {
        type_url: own,
        nonce: String::new(),
        error: None,
        ask,
        at: Timestamp::UNIX_EPOCH,
    };
    let (_, sent) = session.on_request(request, Duration::ZERO).unwrap();
    assert_eq!(sent[0].resources.len(), 1);
}
