//! Streams that stand at the same place are sent the same bytes: not equal
//! ones, but those that lie in memory once.

use super::*;

/// So many clusters that they are not copied into the stream's own part.
fn many(version: i64) -> Arc<Snapshot> {
    // A hundred never change, so that a difference is not the whole.
    let version_of = |number| if number < 100 { 0 } else { version };
    let one = |number| static_cluster(&format!("c{number:03}"), version_of(number));
    snapshot((0..500).map(one))
}

fn assert_shared(one: &Client, other: &Client, what: &str) {
    let [one, other] = [one, other].map(|client| client.last_frame(Kind::Clusters));
    assert!(!one.shared.is_empty(), "{what}: it is large");
    assert_eq!(one.shared.as_ptr(), other.shared.as_ptr(), "{what}");
    assert_eq!(one.shared.len(), other.shared.len(), "{what}");
}

#[test]
fn what_two_streams_are_sent_at_the_same_place_is_there_once() {
    let (first, second) = (many(1), many(2));
    let pairs = Client::both(&first).into_iter().zip(Client::both(&first));
    for (mut one, mut other) in pairs {
        let protocol = if one.is_delta() { "delta" } else { "sotw" };
        for client in [&mut one, &mut other] {
            client.ask(Kind::Clusters, &[]);
        }
        assert_shared(&one, &other, &format!("{protocol}, all of it"));
        for client in [&mut one, &mut other] {
            client.ack(Kind::Clusters);
            assert_eq!(client.publish(&second).len(), 1);
        }
        assert_shared(&one, &other, &format!("{protocol}, what changed"));
    }
}
