//! Times to live.

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryResponse, Resource};
use prost::Message;

use super::script::{Client, Kind, snapshot, thing, wrapped};
use crate::xds::features::Features;

const TTL: Features = Features { ttl: true, wrapped: true, errors: false, drains: false };

fn mixed() -> std::sync::Arc<super::Snapshot> {
    let lasting = |name| wrapped(&thing(Kind::Runtime, name, 1), Some(10), &[]);
    snapshot([lasting("a"), lasting("b"), thing(Kind::Runtime, "c", 1)])
}

#[test]
fn what_has_a_time_to_live_is_told_of_again_without_its_content() {
    for mut client in Client::both(&mixed()).map(|client| client.with(TTL)) {
        client.ask(Kind::Runtime, &["a", "c"]);
        let version = client.version(Kind::Runtime);
        client.ack(Kind::Runtime);
        assert_eq!(client.wait(3), [""; 0]);
        assert_eq!(client.wait(1), ["RTDS a~"]);
        assert_eq!(client.version(Kind::Runtime), version, "a heartbeat is no update");
        let beat = &client.last(Kind::Runtime).resources[0];
        assert_eq!(beat.wrapping.ttl, Some(Duration::from_secs(10)));
        assert_eq!(client.ack(Kind::Runtime), [""; 0]);
        assert_eq!(client.wait(4), ["RTDS a~"]);
        let status = client.status(Kind::Runtime);
        assert!(status.acked.is_some() && status.acked == status.sent && status.nacked.is_none());
    }
}

#[test]
fn a_client_that_knows_no_time_to_live_gets_the_plain_resource() {
    for mut client in Client::both(&mixed()) {
        client.ask(Kind::Runtime, &["a"]);
        assert_eq!(client.last(Kind::Runtime).resources[0].wrapping.ttl, None);
        client.ack(Kind::Runtime);
        assert_eq!(client.wait(60), [""; 0]);
        assert_eq!(client.session.next_timeout(), None);
    }
}

#[test]
fn a_sotw_client_reads_the_time_to_live_from_a_wrapper() {
    let mut client = Client::sotw(&mixed()).with(TTL);
    client.ask(Kind::Runtime, &["a", "c"]);
    let read = |client: &Client| {
        let anys = client.last(Kind::Runtime).resources.anys().clone();
        DiscoveryResponse::decode(anys).unwrap().resources
    };
    let first = read(&client);
    let inner = Resource::decode(first[0].value.as_slice()).unwrap();
    assert_eq!((inner.name.as_str(), inner.ttl.unwrap().seconds), ("a", 10));
    assert_eq!(inner.resource.unwrap().type_url, *Kind::Runtime.type_url().0);
    assert_eq!(first[1].type_url, *Kind::Runtime.type_url().0);
    client.ack(Kind::Runtime);
    client.wait(4);
    let beat = Resource::decode(read(&client)[0].value.as_slice()).unwrap();
    assert_eq!((beat.name.as_str(), beat.resource), ("a", None));
}

#[test]
fn the_state_of_the_world_is_said_again_whole() {
    let listener = |name, ttl| wrapped(&thing(Kind::Listeners, name, 1), ttl, &[]);
    let both = snapshot([listener("a", Some(10)), listener("b", None)]);
    let mut client = Client::sotw(&both).with(TTL);
    client.ask(Kind::Listeners, &[]);
    client.ack(Kind::Listeners);
    assert_eq!(client.wait(4), ["LDS a=1 b=1"]);
    client.ack(Kind::Listeners);
    let mut client = Client::delta(&both).with(TTL);
    client.ask(Kind::Listeners, &[]);
    client.ack(Kind::Listeners);
    assert_eq!(client.wait(4), ["LDS a~"]);
}

#[test]
fn a_heartbeat_is_not_held_up_by_a_response_under_way() {
    let mut client = Client::delta(&mixed()).with(TTL);
    client.subscribe(Kind::Runtime, &["a", "c"]);
    let nonce = client.last(Kind::Runtime).nonce.clone();
    assert_eq!(client.wait(4), ["RTDS a~"]);
    // Each is answered for itself; what is newer follows the response.
    assert_eq!(client.publish(&snapshot([thing(Kind::Runtime, "a", 2)])), [""; 0]);
    assert_eq!(client.ack_with_nonce(Kind::Runtime, &nonce), ["RTDS a=2 -c"]);
}

#[test]
fn a_changed_time_to_live_is_sent_with_the_resource() {
    let at = |ttl| snapshot([wrapped(&thing(Kind::Runtime, "a", 1), ttl, &[])]);
    let mut client = Client::delta(&at(Some(10))).with(TTL);
    client.subscribe(Kind::Runtime, &["a"]);
    client.ack(Kind::Runtime);
    assert_eq!(client.publish(&at(None)), ["RTDS a=1"]);
    client.ack(Kind::Runtime);
    assert_eq!(client.wait(60), [""; 0]);
}

#[test]
fn what_expired_without_an_assignment_is_sent_again() {
    let mut client = Client::delta(&mixed()).with(TTL);
    client.subscribe(Kind::Runtime, &["a", "c"]);
    client.ack(Kind::Runtime);
    client.withdraw();
    assert_eq!(client.session.next_timeout(), None);
    assert_eq!(client.publish(&mixed()), ["RTDS a=1"]);
}
