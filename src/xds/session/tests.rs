//! Each test is named after the assertion of the protocol that it holds.

mod drain;
mod fuzz;
mod late;
mod missing;
mod names;
pub(super) mod script;
mod ttl;

use self::script::{Client, Kind, cla, eds_cluster, snapshot, static_cluster, thing};
use super::*;

// ---- state of the world -------------------------------------------------

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

// ---- wildcards ----------------------------------------------------------

#[test]
fn sotw_wildcards_end_with_the_first_names() {
    let mut client = Client::sotw(&snapshot([static_cluster("a", 1), static_cluster("b", 1)]));
    assert_eq!(client.ask(Kind::Clusters, &[]), ["CDS a=1 b=1"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.ask(Kind::Clusters, &["*", "a"]), ["CDS a=1 b=1"]);
    client.ack_names(Kind::Clusters, &["*", "a"]);
    assert_eq!(client.ask(Kind::Clusters, &["a"]), [""; 0]);
    assert_eq!(client.ask(Kind::Clusters, &[]), [""; 0]);
    assert_eq!(client.publish(&snapshot([static_cluster("a", 2)])), [""; 0]);
}

#[test]
fn leaving_a_name_while_the_wildcard_is_held_is_answered() {
    let mut client = Client::delta(&snapshot([static_cluster("a", 1)]));
    client.subscribe(Kind::Clusters, &["*", "a", "b"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.unsubscribe(Kind::Clusters, &["a"]), ["CDS a=1"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.unsubscribe(Kind::Clusters, &["b"]), ["CDS -b"]);
}

// ---- incremental --------------------------------------------------------

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

// ---- flow ---------------------------------------------------------------

#[test]
fn one_response_is_under_way_and_the_latest_follows_it() {
    let at = |version| snapshot([thing(Kind::Listeners, "l", version)]);
    for mut client in Client::both(&at(1)) {
        client.ask(Kind::Listeners, &[]);
        assert_eq!(client.publish(&at(2)), [""; 0]);
        assert_eq!(client.publish(&at(3)), [""; 0]);
        assert_eq!(client.ack(Kind::Listeners), ["LDS l=3"]);
        assert_eq!(client.ack(Kind::Listeners), [""; 0]);
    }
}

#[test]
fn a_mute_client_is_sent_the_newest_after_thirty_seconds() {
    let at = |version| snapshot([thing(Kind::Listeners, "l", version)]);
    for mut client in Client::both(&at(1)) {
        client.ask(Kind::Listeners, &[]);
        client.publish(&at(2));
        assert_eq!(client.wait(29), [""; 0]);
        assert_eq!(client.wait(2), ["LDS l=2"]);
    }
}

#[test]
fn an_overdue_answer_is_not_waited_for_for_ever() {
    for mut client in Client::both(&snapshot([thing(Kind::Listeners, "l", 1)])) {
        client.ask(Kind::Listeners, &[]);
        assert_eq!(client.wait(31), [""; 0]);
        assert_eq!(client.session.next_timeout(), None);
        assert_eq!(client.ack(Kind::Listeners), [""; 0]);
        assert!(client.status(Kind::Listeners).acked.is_some());
    }
}

#[test]
fn endpoints_that_keep_changing_do_not_hold_routes_up() {
    let at = |endpoints, route| {
        snapshot([thing(Kind::Endpoints, "e", endpoints), thing(Kind::Routes, "r", route)])
    };
    for mut client in Client::both(&at(1, 1)) {
        client.ask(Kind::Endpoints, &["e"]);
        client.subscribe_or_ask(Kind::Routes, &["r"]);
        client.ack_all();
        assert_eq!(client.publish(&at(2, 1)), ["EDS e=2"]);
        assert_eq!(client.publish(&at(3, 2)), ["RDS r=2"]);
    }
}

#[test]
fn routes_wait_for_endpoints_that_the_client_never_had() {
    let with = |names: &[&str], route| {
        let all = names.iter().map(|name| thing(Kind::Endpoints, name, 1));
        snapshot(all.chain([thing(Kind::Routes, "r", route)]))
    };
    for mut client in Client::both(&with(&["a"], 1)) {
        client.ask(Kind::Endpoints, &["a", "b"]);
        client.subscribe_or_ask(Kind::Routes, &["r"]);
        client.ack_all();
        assert_eq!(client.publish(&with(&["a", "b"], 2)), ["EDS b=1"]);
        assert_eq!(client.ack(Kind::Endpoints), ["RDS r=2"]);
    }
}

/// Listeners of half a megabyte each.
fn large(count: usize) -> Arc<Snapshot> {
    let name = |number| format!("l{number}");
    snapshot((0..count).map(|number| script::large(Kind::Listeners, &name(number), 1 << 19)))
}

#[test]
fn a_large_delta_response_goes_out_in_parts_and_is_one_response() {
    let mut session = Session::new(Protocol::Delta);
    session.on_snapshot(Some(large(9)), Duration::ZERO);
    let answer = |nonce: &str, error: Option<&str>| Request {
        type_url: Kind::Listeners.type_url(),
        nonce: nonce.into(),
        error: error.map(str::to_owned),
        ask: Ask::Delta { subscribe: vec![], unsubscribe: vec![], initial: vec![] },
        at: Timestamp::UNIX_EPOCH,
    };
    let (_, parts) = session.on_request(answer("", None), Duration::ZERO).unwrap();
    let counts: Vec<_> = parts.iter().map(|part| part.resources.len()).collect();
    assert_eq!(counts, [3, 3, 3]);
    assert!(parts.iter().all(|part| part.resources.entries().len() <= crate::snapshot::PART_BYTES));
    assert_eq!(parts.iter().map(|part| part.introduces).collect::<Vec<_>>(), [true, false, false]);
    // What is newest waits for the answer to the last part.
    assert_eq!(session.on_snapshot(Some(large(0)), Duration::ZERO), []);
    let mut say = |nonce: &str, error| session.on_request(answer(nonce, error), Duration::ZERO);
    assert_eq!(say(&parts[0].nonce, None).unwrap(), (None, vec![]));
    let (refused, sent) = say(&parts[1].nonce, Some("no")).unwrap();
    assert!(matches!(refused, Some(Answer::Nacked { .. })) && sent.is_empty());
    let (_, sent) = say(&parts[2].nonce, None).unwrap();
    assert_eq!((sent.len(), sent[0].removed.len()), (1, 9));
}

#[test]
fn the_state_of_the_world_is_never_cut() {
    let mut client = Client::sotw(&large(9));
    client.ask(Kind::Listeners, &[]);
    assert_eq!(client.last(Kind::Listeners).resources.len(), 9);
}

#[test]
fn the_first_response_of_each_type_says_who_we_are() {
    let mut client = Client::delta(&snapshot([thing(Kind::Listeners, "l", 1)]));
    client.ask(Kind::Listeners, &[]);
    assert!(client.last(Kind::Listeners).introduces);
    client.ack(Kind::Listeners);
    client.publish(&snapshot([thing(Kind::Listeners, "l", 2)]));
    assert!(!client.last(Kind::Listeners).introduces);
    client.ask(Kind::Clusters, &[]);
    assert!(client.last(Kind::Clusters).introduces);
}

#[test]
fn nothing_is_sent_and_nothing_removed_without_an_assignment() {
    for mut client in Client::both(&snapshot([thing(Kind::Listeners, "l", 1)])) {
        client.ask(Kind::Listeners, &[]);
        client.ack(Kind::Listeners);
        assert_eq!(client.withdraw(), [""; 0]);
        assert_eq!(client.ask(Kind::Clusters, &[]), [""; 0]);
        let other = snapshot([thing(Kind::Listeners, "l", 2), static_cluster("c", 1)]);
        assert_eq!(client.publish(&other), ["CDS c=1"]);
        assert_eq!(client.ack(Kind::Clusters), ["LDS l=2"]);
    }
}

#[test]
fn nothing_is_waited_for_without_an_assignment() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    client.withdraw();
    client.ack(Kind::Clusters);
    assert_eq!(client.session.next_timeout(), None);
}

#[test]
fn a_stream_asks_for_a_bounded_number_of_types() {
    let mut session = Session::new(Protocol::Sotw);
    let ask = |number| Request {
        type_url: TypeUrl(format!("x/T{number}").into()),
        nonce: String::new(),
        error: None,
        ask: Ask::Sotw { names: vec![], version: String::new() },
        at: Timestamp::UNIX_EPOCH,
    };
    for number in 0..MAX_TYPES {
        assert!(session.on_request(ask(number), Duration::ZERO).is_ok());
    }
    let refused = session.on_request(ask(MAX_TYPES), Duration::ZERO);
    assert_eq!(refused, Err(Refusal::TooManyTypes));
}

// ---- order --------------------------------------------------------------

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
fn held_back_removals_go_out_after_five_seconds() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    client.ack(Kind::Clusters);
    assert_eq!(client.wait(4), [""; 0]);
    assert_eq!(client.wait(2), ["EDS -old", "CDS -old"]);
}

#[test]
fn routes_wait_five_seconds_for_clusters_that_do_not_warm() {
    let mut client = Client::delta(&mesh("old", 1));
    settled(&mut client, "old");
    client.publish(&mesh("new", 2));
    assert_eq!(client.wait(4), [""; 0]);
    assert_eq!(client.wait(2), ["RDS r=2", "EDS -old"]);
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
