//! Incremental streams.

use super::*;

#[test]
fn delta_sends_only_what_changed_and_names_what_went() {
    let mut client = Client::delta(&snapshot([
        thing(Kind::Listeners, "a", 1),
        thing(Kind::Listeners, "b", 1),
        thing(Kind::Listeners, "c", 1),
    ]));
    assert_eq!(client.ask(Kind::Listeners, &[]), ["LDS a=1 b=1 c=1"]);
    client.ack(Kind::Listeners);
    let next = snapshot([thing(Kind::Listeners, "a", 1), thing(Kind::Listeners, "b", 2)]);
    assert_eq!(client.publish(&next), ["LDS b=2 -c"]);
}

#[test]
fn a_known_name_subscribed_again_is_sent_again() {
    let mut client = Client::delta(&snapshot([thing(Kind::Routes, "r", 1)]));
    assert_eq!(client.subscribe(Kind::Routes, &["r"]), ["RDS r=1"]);
    client.ack(Kind::Routes);
    assert_eq!(client.subscribe(Kind::Routes, &["r"]), ["RDS r=1"]);
}

#[test]
fn a_missing_name_is_told_at_once_and_pushed_when_it_appears() {
    let mut client = Client::delta(&snapshot([]));
    assert_eq!(client.subscribe(Kind::Routes, &["r"]), ["RDS -r"]);
    assert_eq!(client.ack(Kind::Routes), [""; 0]);
    assert_eq!(client.publish(&snapshot([thing(Kind::Routes, "r", 1)])), ["RDS r=1"]);
}

#[test]
fn unsubscribing_alone_is_not_answered() {
    let mut client = Client::delta(&snapshot([thing(Kind::Routes, "r", 1)]));
    client.subscribe(Kind::Routes, &["r"]);
    client.ack(Kind::Routes);
    assert_eq!(client.unsubscribe(Kind::Routes, &["r", "phantom"]), [""; 0]);
    assert_eq!(client.publish(&snapshot([thing(Kind::Routes, "r", 2)])), [""; 0]);
    assert_eq!(client.subscribe(Kind::Routes, &["r"]), ["RDS r=2"]);
}

#[test]
fn a_stale_nonce_does_not_drop_subscription_changes() {
    let both = [thing(Kind::Routes, "a", 1), thing(Kind::Routes, "b", 1)];
    let mut client = Client::delta(&snapshot(both));
    client.subscribe(Kind::Routes, &["a"]);
    assert_eq!(client.subscribe_with_nonce(Kind::Routes, &["b"], "stale"), [""; 0]);
    assert_eq!(client.ack(Kind::Routes), ["RDS b=1"]);
}

#[test]
fn a_refusal_that_subscribes_is_honoured() {
    let both = [thing(Kind::Routes, "a", 1), thing(Kind::Routes, "b", 1)];
    let mut client = Client::delta(&snapshot(both));
    client.subscribe(Kind::Routes, &["a"]);
    assert_eq!(client.nack_names(Kind::Routes, &["b"]), ["RDS b=1"]);
}

#[test]
fn a_returning_client_is_sent_only_what_differs() {
    let at = |version| {
        snapshot([static_cluster("a", 1), static_cluster("b", version), static_cluster("d", 1)])
    };
    let old = snapshot([static_cluster("a", 1), static_cluster("b", 1), static_cluster("c", 1)]);
    let mut client = Client::delta(&old);
    client.ask(Kind::Clusters, &[]);
    client.ack(Kind::Clusters);
    client.reconnect(&at(2));
    assert_eq!(client.resume(Kind::Clusters, &[]), ["CDS b=2 d=1"]);
    client.ack(Kind::Clusters);
    // Removals wait a moment for what may name them.
    assert_eq!(client.wait(1), ["CDS -c"]);
    client.ack(Kind::Clusters);
    client.reconnect(&at(2));
    // Nothing differs, and a wildcard is answered all the same.
    assert_eq!(client.resume(Kind::Clusters, &[]), ["CDS"]);
}

#[test]
fn versions_of_a_returning_client_are_no_subscriptions() {
    let old = snapshot([thing(Kind::Routes, "a", 1), thing(Kind::Routes, "b", 1)]);
    let mut client = Client::delta(&old);
    client.subscribe(Kind::Routes, &["a", "b"]);
    client.ack(Kind::Routes);
    let new = snapshot([thing(Kind::Routes, "a", 2), thing(Kind::Routes, "b", 2)]);
    client.reconnect(&new);
    assert_eq!(client.resume(Kind::Routes, &["a"]), ["RDS a=2"]);
}

#[test]
fn an_empty_list_of_names_after_names_asks_for_nothing() {
    let mut client = Client::sotw(&snapshot([thing(Kind::Listeners, "l", 1)]));
    client.ask(Kind::Listeners, &["l"]);
    client.ack(Kind::Listeners);
    assert_eq!(client.ask(Kind::Listeners, &[]), [""; 0]);
    assert_eq!(client.publish(&snapshot([thing(Kind::Listeners, "l", 2)])), [""; 0]);
}

#[test]
fn a_missing_name_beside_the_wildcard_is_told_at_once_too() {
    let mut client = Client::delta(&snapshot([static_cluster("a", 1)]));
    assert_eq!(client.subscribe(Kind::Clusters, &["*", "b"]), ["CDS a=1 -b"]);
}

#[test]
fn leaving_the_wildcard_keeps_the_names_and_sends_nothing() {
    let at = |a, b| snapshot([static_cluster("a", a), static_cluster("b", b)]);
    let mut client = Client::delta(&at(1, 1));
    client.subscribe(Kind::Clusters, &["*", "a"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.unsubscribe(Kind::Clusters, &["*"]), [""; 0]);
    assert_eq!(client.publish(&at(1, 2)), [""; 0]);
    assert_eq!(client.publish(&at(2, 2)), ["CDS a=2"]);
    client.ack(Kind::Clusters);
    // Back to everything: whatever it kept of it is sent again.
    assert_eq!(client.subscribe(Kind::Clusters, &["*"]), ["CDS a=2 b=2"]);
}

#[test]
fn a_first_message_that_only_unsubscribes_is_the_legacy_wildcard() {
    let mut client = Client::delta(&snapshot([static_cluster("a", 1)]));
    assert_eq!(client.unsubscribe(Kind::Clusters, &["b"]), ["CDS a=1"]);
}

#[test]
fn a_name_in_both_lists_is_not_subscribed() {
    let mut client = Client::delta(&snapshot([thing(Kind::Routes, "r", 1)]));
    assert_eq!(client.amend(Kind::Routes, &["r"], &["r"]), [""; 0]);
    assert_eq!(client.publish(&snapshot([thing(Kind::Routes, "r", 2)])), [""; 0]);
    assert_eq!(client.subscribe(Kind::Routes, &["r"]), ["RDS r=2"]);
}

#[test]
fn a_name_twice_in_one_list_is_sent_once() {
    let route = snapshot([thing(Kind::Routes, "r", 1)]);
    assert_eq!(Client::delta(&route).subscribe(Kind::Routes, &["r", "r"]), ["RDS r=1"]);
    assert_eq!(Client::sotw(&route).ask(Kind::Routes, &["r", "r"]), ["RDS r=1"]);
}

#[test]
fn versions_of_a_returning_wildcard_client_that_went_are_removed() {
    let mut client = Client::delta(&snapshot([thing(Kind::Listeners, "a", 1)]));
    client.ask(Kind::Listeners, &[]);
    client.ack(Kind::Listeners);
    client.reconnect(&snapshot([]));
    assert_eq!(client.resume(Kind::Listeners, &[]), ["LDS -a"]);
    assert_eq!(client.ack(Kind::Listeners), [""; 0]);
}

#[test]
fn a_returning_client_in_step_with_its_names_is_sent_nothing() {
    let routes = snapshot([thing(Kind::Routes, "a", 1), thing(Kind::Routes, "b", 1)]);
    let mut client = Client::delta(&routes);
    client.subscribe(Kind::Routes, &["a", "b"]);
    client.ack(Kind::Routes);
    client.reconnect(&routes);
    assert_eq!(client.resume(Kind::Routes, &["a", "b"]), [""; 0]);
}

#[test]
fn a_returning_sotw_client_is_sent_its_names_once_although_their_version_is_known() {
    let route = snapshot([thing(Kind::Routes, "r", 1)]);
    let mut client = Client::sotw(&route);
    client.ask(Kind::Routes, &["r"]);
    client.ack(Kind::Routes);
    client.reconnect(&route);
    assert_eq!(client.ask(Kind::Routes, &["r"]), ["RDS r=1"]);
    assert_eq!(client.ack(Kind::Routes), [""; 0]);
}

#[test]
fn a_refused_removal_goes_along_with_the_next_change() {
    let at = |names: &[&str], version| {
        snapshot(names.iter().map(|name| thing(Kind::Listeners, name, version)))
    };
    let mut client = Client::delta(&at(&["a", "b"], 1));
    client.ask(Kind::Listeners, &[]);
    client.ack(Kind::Listeners);
    assert_eq!(client.publish(&at(&["a"], 2)), ["LDS a=2 -b"]);
    assert_eq!(client.nack(Kind::Listeners), [""; 0]);
    assert_eq!(client.publish(&at(&["a"], 3)), ["LDS a=3 -b"]);
    client.ack(Kind::Listeners);
    assert_eq!(client.publish(&at(&["a"], 4)), ["LDS a=4"]);
}

#[test]
fn a_refusal_with_a_stale_nonce_refuses_nothing() {
    for mut client in Client::both(&snapshot([thing(Kind::Listeners, "l", 1)])) {
        client.ask(Kind::Listeners, &[]);
        assert_eq!(client.nack_with_nonce(Kind::Listeners, "stale"), [""; 0]);
        assert_eq!(client.status(Kind::Listeners).nacked, None);
        client.ack(Kind::Listeners);
        assert!(client.status(Kind::Listeners).acked.is_some());
    }
}

#[test]
fn unknown_clusters_asked_for_on_demand_are_told_at_once() {
    let mut client = Client::delta(&snapshot([static_cluster("a", 1)]));
    assert_eq!(client.subscribe(Kind::Clusters, &["a", "b"]), ["CDS a=1 -b"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&snapshot([static_cluster("b", 1)])), ["CDS b=1 -a"]);
}
