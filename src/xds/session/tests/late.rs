//! Answers to responses that were not waited for any more.

use super::script::{Client, Kind, snapshot, thing};
use super::*;

/// A client that lets the first response wait, is sent the next, and then
/// answers the first with `error`.
fn late(client: &mut Client, next: &Arc<Snapshot>, error: bool) -> Vec<String> {
    let nonce = client.last(Kind::Listeners).nonce.clone();
    client.publish(next);
    client.wait(31);
    match error {
        true => client.nack_with_nonce(Kind::Listeners, &nonce),
        false => client.ack_with_nonce(Kind::Listeners, &nonce),
    }
}

fn two(a: i64, b: i64) -> Arc<Snapshot> {
    snapshot([thing(Kind::Listeners, "a", a), thing(Kind::Listeners, "b", b)])
}

#[test]
fn a_late_refusal_stands_for_what_was_not_sent_anew() {
    let mut client = Client::delta(&two(1, 1));
    client.ask(Kind::Listeners, &[]);
    assert_eq!(late(&mut client, &two(2, 1), true), [""; 0]);
    let refused = client.status(Kind::Listeners).nacked.unwrap();
    assert_eq!(refused.message, "no");
    assert_eq!(*refused.version, *two(1, 1).types[&Kind::Listeners.type_url()].version);
    let state = |client: &Client, name: &str| {
        let all = client.session.resources();
        all.into_iter().find(|one| &*one.name.0 == name).unwrap().state
    };
    assert_eq!(state(&client, "b"), crate::xds::ResourceState::Nacked);
    // What is newer is answered for itself; the refused one is not sent again.
    assert_eq!(client.ack(Kind::Listeners), [""; 0]);
    assert!(client.status(Kind::Listeners).nacked.is_some());
    assert_eq!(state(&client, "a"), crate::xds::ResourceState::Synced);
    assert_eq!(client.wait(100), [""; 0]);
    assert_eq!(client.publish(&two(2, 1)), [""; 0]);
    assert_eq!(client.publish(&two(2, 2)), ["LDS b=2"]);
    client.ack(Kind::Listeners);
    assert_eq!(client.status(Kind::Listeners).nacked, None);
}

#[test]
fn a_late_refusal_of_what_was_sent_anew_shows_until_the_new_is_taken() {
    for mut client in Client::both(&two(1, 1)) {
        client.ask(Kind::Listeners, &[]);
        assert_eq!(late(&mut client, &two(2, 2), true), [""; 0]);
        assert!(client.status(Kind::Listeners).nacked.is_some());
        assert!(!client.session.is_in_step());
        assert_eq!(client.ack(Kind::Listeners), [""; 0]);
        assert_eq!(client.status(Kind::Listeners).nacked, None);
        assert!(client.session.is_in_step());
    }
}

#[test]
fn a_late_acceptance_is_noted_and_changes_nothing_else() {
    for mut client in Client::both(&two(1, 1)) {
        client.ask(Kind::Listeners, &[]);
        assert_eq!(late(&mut client, &two(2, 2), false), [""; 0]);
        let first = two(1, 1).types[&Kind::Listeners.type_url()].version.clone();
        assert_eq!(client.status(Kind::Listeners).acked, Some(first));
        assert!(!client.session.is_in_step());
        assert_eq!(client.ack(Kind::Listeners), [""; 0]);
        assert!(client.session.is_in_step());
    }
}

#[test]
fn an_answer_is_taken_once() {
    let mut client = Client::delta(&two(1, 1));
    client.ask(Kind::Listeners, &[]);
    let nonce = client.last(Kind::Listeners).nonce.clone();
    late(&mut client, &two(2, 2), false);
    client.ack(Kind::Listeners);
    client.nack_with_nonce(Kind::Listeners, &nonce);
    assert_eq!(client.status(Kind::Listeners).nacked, None);
}

#[test]
fn so_many_unanswered_responses_are_remembered() {
    let mut client = Client::delta(&two(1, 1));
    client.ask(Kind::Listeners, &[]);
    let first = client.last(Kind::Listeners).nonce.clone();
    for version in 2..20 {
        client.publish(&two(version, version));
        client.wait(31);
    }
    client.nack_with_nonce(Kind::Listeners, &first);
    assert_eq!(client.status(Kind::Listeners).nacked, None);
}
