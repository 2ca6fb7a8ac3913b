//! One response at a time, late answers, bounds.

use super::*;

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
