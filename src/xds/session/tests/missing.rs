//! Names that are not there, as a client of the state of the world is told.

use super::script::{Client, Kind, snapshot, static_cluster, thing};
use crate::xds::features::Features;

const ERRORS: Features = Features { ttl: false, wrapped: false, errors: true, drains: false };

#[test]
fn who_reads_errors_is_told_at_once_and_once_what_is_missing() {
    let route = |names: &[&str]| snapshot(names.iter().map(|name| thing(Kind::Routes, name, 1)));
    let mut client = Client::sotw(&route(&[])).with(ERRORS);
    assert_eq!(client.ask(Kind::Routes, &["r"]), ["RDS !r"]);
    assert_eq!(client.ack(Kind::Routes), [""; 0]);
    assert_eq!(client.publish(&route(&["other"])), [""; 0]);
    assert_eq!(client.ask(Kind::Routes, &["r", "s", "other"]), ["RDS other=1 !s"]);
    client.ack(Kind::Routes);
    assert_eq!(client.publish(&route(&["other", "r"])), ["RDS r=1"]);
    client.ack(Kind::Routes);
    assert_eq!(client.publish(&route(&["other"])), ["RDS !r"]);
    client.ack(Kind::Routes);
    // Asked for anew, it is told anew.
    assert_eq!(client.ask(Kind::Routes, &["other"]), [""; 0]);
    assert_eq!(client.ask(Kind::Routes, &["other", "r"]), ["RDS !r"]);
    client.ack(Kind::Routes);
    assert!(client.session.is_in_step());
}

#[test]
fn a_refused_error_is_not_said_again() {
    let mut client = Client::sotw(&snapshot([])).with(ERRORS);
    client.ask(Kind::Routes, &["r"]);
    assert_eq!(client.nack(Kind::Routes), [""; 0]);
    assert_eq!(client.publish(&snapshot([static_cluster("c", 1)])), [""; 0]);
    assert_eq!(client.publish(&snapshot([thing(Kind::Routes, "r", 1)])), ["RDS r=1"]);
}

#[test]
fn full_state_types_say_it_beside_everything_else() {
    let with = |names: &[&str]| snapshot(names.iter().map(|name| static_cluster(name, 1)));
    let mut client = Client::sotw(&with(&["a"])).with(ERRORS);
    assert_eq!(client.ask(Kind::Clusters, &["a", "b"]), ["CDS a=1 !b"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&with(&["a", "b"])), ["CDS a=1 b=1"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&with(&["b"])), ["CDS b=1 !a"]);
    // A wildcard names nothing that could be missing.
    let mut client = Client::sotw(&with(&["a"])).with(ERRORS);
    client.ask(Kind::Clusters, &[]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&with(&[])), ["CDS"]);
}

#[test]
fn others_are_told_as_ever() {
    let mut client = Client::sotw(&snapshot([]));
    assert_eq!(client.ask(Kind::Routes, &["r"]), [""; 0]);
    // The incremental protocol has words of its own for it.
    let mut client = Client::delta(&snapshot([])).with(ERRORS);
    assert_eq!(client.subscribe(Kind::Routes, &["r"]), ["RDS -r"]);
}
