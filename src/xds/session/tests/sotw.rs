//! States of the world.

use super::*;

#[test]
fn the_first_request_of_a_type_ignores_its_nonce() {
    let mut client = Client::sotw(&snapshot([thing(Kind::Listeners, "l", 1)]));
    let sent = client.ask_with_nonce(Kind::Listeners, &[], "of an earlier stream");
    assert_eq!(sent, ["LDS l=1"]);
}

#[test]
fn a_request_with_a_stale_nonce_is_dropped() {
    let both = [thing(Kind::Routes, "a", 1), thing(Kind::Routes, "b", 1)];
    let mut client = Client::sotw(&snapshot(both));
    assert_eq!(client.ask(Kind::Routes, &["a"]), ["RDS a=1"]);
    assert_eq!(client.ask_with_nonce(Kind::Routes, &["a", "b"], "stale"), [""; 0]);
    // The answer to the newest response carries the names again.
    assert_eq!(client.ack_names(Kind::Routes, &["a", "b"]), ["RDS b=1"]);
}

#[test]
fn a_refused_version_is_not_sent_again_until_its_bytes_change() {
    for mut client in Client::both(&snapshot([thing(Kind::Listeners, "l", 1)])) {
        client.ask(Kind::Listeners, &[]);
        assert_eq!(client.nack(Kind::Listeners), [""; 0]);
        assert_eq!(client.publish(&snapshot([thing(Kind::Listeners, "l", 1)])), [""; 0]);
        assert_eq!(client.publish(&snapshot([thing(Kind::Listeners, "l", 2)])), ["LDS l=2"]);
        client.nack(Kind::Listeners);
        // Back to what the client has: it may have taken half of it.
        assert_eq!(client.publish(&snapshot([thing(Kind::Listeners, "l", 1)])), ["LDS l=1"]);
    }
}

#[test]
fn a_refusal_shows_with_its_words_until_a_newer_version_is_taken() {
    for mut client in Client::both(&snapshot([thing(Kind::Listeners, "l", 1)])) {
        client.ask(Kind::Listeners, &[]);
        client.nack(Kind::Listeners);
        let status = client.status(Kind::Listeners);
        assert_eq!(status.nacked.map(|nack| nack.message).as_deref(), Some("no"));
        assert_eq!((status.acked, status.sent.is_some()), (None, true));
        client.publish(&snapshot([thing(Kind::Listeners, "l", 2)]));
        client.ack(Kind::Listeners);
        let status = client.status(Kind::Listeners);
        assert_eq!((status.nacked, status.acked.is_some()), (None, true));
        assert_eq!(status.acked, status.sent);
    }
}

#[test]
fn a_refused_empty_state_does_not_come_again_for_endpoints_that_are_not_there() {
    let mut client = Client::sotw(&snapshot([eds_cluster("c", 1)]));
    client.ask(Kind::Clusters, &[]);
    assert_eq!(client.ask(Kind::Endpoints, &[]), ["EDS"]);
    assert_eq!(client.nack(Kind::Endpoints), [""; 0]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&snapshot([eds_cluster("c", 2)])), ["CDS c=2"]);
}

#[test]
fn a_name_added_within_a_refusal_is_honoured() {
    let both = [thing(Kind::Routes, "a", 1), thing(Kind::Routes, "b", 1)];
    let mut client = Client::sotw(&snapshot(both));
    client.ask(Kind::Routes, &["a"]);
    assert_eq!(client.nack_names(Kind::Routes, &["a", "b"]), ["RDS b=1"]);
}

#[test]
fn a_change_takes_along_what_was_refused_beside_it() {
    let at = |a, b| snapshot([thing(Kind::Endpoints, "a", a), thing(Kind::Endpoints, "b", b)]);
    for mut client in Client::both(&at(1, 1)) {
        client.ask(Kind::Endpoints, &["a", "b"]);
        client.nack(Kind::Endpoints);
        assert_eq!(client.publish(&at(1, 2)), ["EDS a=1 b=2"]);
    }
}

#[test]
fn an_identical_request_is_answered_only_if_the_set_grew() {
    let both = [thing(Kind::Endpoints, "a", 1), thing(Kind::Endpoints, "b", 1)];
    let mut client = Client::sotw(&snapshot(both));
    assert_eq!(client.ask(Kind::Endpoints, &["a", "b"]), ["EDS a=1 b=1"]);
    client.ack(Kind::Endpoints);
    assert_eq!(client.ask(Kind::Endpoints, &["a", "b"]), [""; 0]);
    assert_eq!(client.ask(Kind::Endpoints, &["a"]), [""; 0]);
}

#[test]
fn an_unsubscribed_name_is_sent_again_when_subscribed_again() {
    let mut client = Client::sotw(&snapshot([thing(Kind::Endpoints, "a", 1)]));
    client.ask(Kind::Endpoints, &["a"]);
    client.ack(Kind::Endpoints);
    assert_eq!(client.ask(Kind::Endpoints, &[]), [""; 0]);
    assert_eq!(client.ask(Kind::Endpoints, &["a"]), ["EDS a=1"]);
}

#[test]
fn full_state_types_send_everything_and_the_others_only_what_changed() {
    let at = |version| {
        snapshot([
            thing(Kind::Listeners, "a", 1),
            thing(Kind::Listeners, "b", version),
            thing(Kind::Endpoints, "a", 1),
            thing(Kind::Endpoints, "b", version),
        ])
    };
    let mut client = Client::sotw(&at(1));
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Endpoints, &["a", "b"]);
    client.ack_all();
    assert_eq!(client.publish(&at(2)), ["EDS b=2", "LDS a=1 b=2"]);
}

#[test]
fn an_empty_wildcard_is_answered_at_once() {
    for mut client in Client::both(&snapshot([])) {
        assert_eq!(client.ask(Kind::Clusters, &[]), ["CDS"]);
        assert_eq!(client.ask(Kind::Listeners, &[]), ["LDS"]);
        assert_eq!(client.ack_all(), [""; 0]);
    }
}

#[test]
fn removing_the_last_listener_sends_an_empty_state() {
    let mut client = Client::sotw(&snapshot([thing(Kind::Listeners, "l", 1)]));
    client.ask(Kind::Listeners, &[]);
    client.ack(Kind::Listeners);
    assert_eq!(client.publish(&snapshot([])), ["LDS"]);
}

#[test]
fn a_missing_name_is_sent_when_it_appears() {
    let mut client = Client::sotw(&snapshot([]));
    assert_eq!(client.ask(Kind::Routes, &["r"]), [""; 0]);
    assert_eq!(client.publish(&snapshot([thing(Kind::Routes, "r", 1)])), ["RDS r=1"]);
}

#[test]
fn the_version_of_a_type_moves_only_with_what_the_client_sees_of_it() {
    let at = |cluster, a, b| {
        snapshot([
            static_cluster("c", cluster),
            thing(Kind::Listeners, "l", 1),
            thing(Kind::Endpoints, "a", a),
            thing(Kind::Endpoints, "b", b),
        ])
    };
    let mut client = Client::sotw(&at(1, 1, 1));
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Endpoints, &["a"]);
    client.ack_all();
    let before = (client.version(Kind::Listeners), client.version(Kind::Endpoints));
    assert_eq!(client.publish(&at(2, 1, 2)), [""; 0]);
    client.ask(Kind::Endpoints, &[]);
    client.ask(Kind::Endpoints, &["a"]);
    assert_eq!((client.version(Kind::Listeners), client.version(Kind::Endpoints)), before);
    client.ack_all();
    assert_eq!(client.publish(&at(2, 2, 2)), ["EDS a=2"]);
    assert_ne!(client.version(Kind::Endpoints), before.1);
}

#[test]
fn a_reconnecting_wildcard_client_in_step_is_sent_nothing() {
    let snapshot = snapshot([thing(Kind::Listeners, "l", 1), thing(Kind::Routes, "r", 1)]);
    let mut client = Client::sotw(&snapshot);
    client.ask(Kind::Listeners, &[]);
    client.ask(Kind::Routes, &["r"]);
    client.ack_all();
    client.reconnect(&snapshot);
    assert_eq!(client.ask(Kind::Listeners, &[]), [""; 0]);
    assert_eq!(client.status(Kind::Listeners).acked, client.status(Kind::Listeners).sent);
    // Named types are sent again: the client may ask for names it never had.
    assert_eq!(client.ask(Kind::Routes, &["r"]), ["RDS r=1"]);
}
