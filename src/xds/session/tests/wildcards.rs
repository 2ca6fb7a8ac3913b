//! Subscriptions to everything.

use super::*;

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
