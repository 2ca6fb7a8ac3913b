//! Names that are not those of resources: aliases, hosts, `xdstp://`.

use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::script::{Client, Kind, host, listener, snapshot, thing, wrapped};

fn hosts(more: &[(&str, &[&str], i64)]) -> std::sync::Arc<super::Snapshot> {
    let routes = ["r", "s"].map(|name| thing(Kind::Routes, name, 1));
    let more = more.iter().map(|(name, domains, version)| host(name, domains, *version));
    snapshot(routes.into_iter().chain(more))
}

#[test]
fn a_host_is_answered_by_its_virtual_host_under_the_name_asked_for() {
    let mut client = Client::delta(&hosts(&[("r/web", &["web.example", "*.web.example"], 1)]));
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/web.example"]), ["VHDS r/web=1"]);
    assert_eq!(client.aliases(Kind::VirtualHosts), ["r/web: r/web.example"]);
    client.ack(Kind::VirtualHosts);
    // A second host of the same virtual host is told under both names.
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/a.web.example"]), ["VHDS r/web=1"]);
    assert_eq!(client.aliases(Kind::VirtualHosts), ["r/web: r/a.web.example r/web.example"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.publish(&hosts(&[("r/web", &["web.example"], 2)])), ["VHDS r/web=2"]);
}

#[test]
fn two_hosts_of_one_virtual_host_are_sent_as_one_resource() {
    let mut client = Client::delta(&hosts(&[("r/web", &["a", "b"], 1)]));
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/a", "r/b", "r/web"]), ["VHDS r/web=1"]);
    assert_eq!(client.aliases(Kind::VirtualHosts), ["r/web: r/a r/b"]);
}

#[test]
fn an_unknown_host_is_answered_without_content_and_sent_when_it_appears() {
    let mut client = Client::delta(&hosts(&[]));
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/a"]), ["VHDS r/a~"]);
    assert_eq!(client.aliases(Kind::VirtualHosts), ["r/a: r/a"]);
    assert_eq!(client.ack(Kind::VirtualHosts), [""; 0]);
    assert_eq!(client.publish(&hosts(&[("s/web", &["a"], 1)])), [""; 0]);
    assert_eq!(client.publish(&hosts(&[("r/web", &["a"], 1)])), ["VHDS r/web=1"]);
    assert_eq!(client.aliases(Kind::VirtualHosts), ["r/web: r/a"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.publish(&hosts(&[])), ["VHDS -r/web"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.publish(&hosts(&[("r/web", &["a"], 1)])), ["VHDS r/web=1"]);
}

#[test]
fn a_host_that_goes_when_it_is_asked_for_again_is_removed_and_then_said_to_be_missing() {
    let at = |version| hosts(&[("r/web", &["a"], version)]);
    let mut client = Client::delta(&at(1));
    client.subscribe(Kind::VirtualHosts, &["r/web"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.publish(&at(2)), ["VHDS r/web=2"]);
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/web"]), [""; 0]);
    assert_eq!(client.publish(&hosts(&[])), [""; 0]);
    assert_eq!(client.ack(Kind::VirtualHosts), ["VHDS -r/web"]);
    assert_eq!(client.ack(Kind::VirtualHosts), ["VHDS r/web~"]);
    assert_eq!(client.ack(Kind::VirtualHosts), [""; 0]);
}

#[test]
fn what_is_asked_for_again_by_an_alias_and_goes_is_removed_under_both_names() {
    let at = |version| snapshot([wrapped(&thing(Kind::Clusters, "c", version), None, &["al"])]);
    let mut client = Client::delta(&at(1));
    assert_eq!(client.subscribe(Kind::Clusters, &["al"]), ["CDS c=1"]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&at(2)), ["CDS c=2"]);
    assert_eq!(client.subscribe(Kind::Clusters, &["al"]), [""; 0]);
    assert_eq!(client.publish(&snapshot([])), [""; 0]);
    assert_eq!(client.ack(Kind::Clusters), ["CDS -c -al"]);
    assert_eq!(client.ack(Kind::Clusters), [""; 0]);
}

#[test]
fn a_refused_word_that_there_is_no_host_is_not_said_again() {
    let mut client = Client::delta(&hosts(&[]));
    client.subscribe(Kind::VirtualHosts, &["r/a"]);
    assert_eq!(client.nack(Kind::VirtualHosts), [""; 0]);
    assert_eq!(client.publish(&hosts(&[("r/web", &["a"], 1)])), ["VHDS r/web=1"]);
}

#[test]
fn a_host_that_moves_is_sent_and_its_old_virtual_host_kept_in_step() {
    let mut client = Client::delta(&hosts(&[("r/x", &["a"], 1), ("r/y", &["b"], 1)]));
    client.subscribe(Kind::VirtualHosts, &["r/a"]);
    client.ack(Kind::VirtualHosts);
    let moved = hosts(&[("r/x", &["c"], 2), ("r/y", &["a"], 2)]);
    assert_eq!(client.publish(&moved), ["VHDS r/x=2 r/y=2"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.publish(&hosts(&[("r/y", &["a"], 2)])), ["VHDS -r/x"]);
}

#[test]
fn a_host_that_is_left_is_sent_no_more() {
    let mut client = Client::delta(&hosts(&[("r/x", &["a"], 1)]));
    client.subscribe(Kind::VirtualHosts, &["r/a"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.unsubscribe(Kind::VirtualHosts, &["r/a"]), [""; 0]);
    assert_eq!(client.publish(&hosts(&[("r/x", &["a"], 2)])), [""; 0]);
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/a"]), ["VHDS r/x=2"]);
}

#[test]
fn virtual_hosts_without_names_are_those_of_the_routes_asked_for() {
    let all = hosts(&[("r/x", &["a"], 1), ("s/y", &["a"], 1)]);
    let mut client = Client::delta(&all);
    client.subscribe(Kind::Routes, &["r"]);
    client.ack(Kind::Routes);
    assert_eq!(client.subscribe(Kind::VirtualHosts, &[]), ["VHDS r/x=1"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.subscribe(Kind::Routes, &["s"]), ["RDS s=1", "VHDS s/y=1"]);
    client.ack_all();
    assert_eq!(client.publish(&hosts(&[("s/y", &["a"], 2)])), ["VHDS s/y=2 -r/x"]);
    // By itself, a stream for virtual hosts alone means all of them.
    assert_eq!(Client::delta(&all).subscribe(Kind::VirtualHosts, &[]), ["VHDS r/x=1 s/y=1"]);
    // A named wildcard does too.
    assert_eq!(Client::delta(&all).subscribe(Kind::VirtualHosts, &["*"]), ["VHDS r/x=1 s/y=1"]);
}

/// A listener for `route`, whose virtual hosts are loaded on demand.
fn on_demand(route: &str) -> listener::Listener {
    let any = |name: &str, value| {
        let type_url = format!("type.googleapis.com/envoy.extensions.filters.{name}");
        Any { type_url, value }
    };
    let config = any("http.on_demand.v3.OnDemand", vec![]);
    let filter = http::HttpFilter {
        config_type: Some(http::http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    };
    let rds = http::Rds { route_config_name: route.into(), config_source: None };
    let manager = http::HttpConnectionManager {
        http_filters: vec![filter],
        route_specifier: Some(http::http_connection_manager::RouteSpecifier::Rds(rds)),
        ..Default::default()
    };
    let name = "network.http_connection_manager.v3.HttpConnectionManager";
    let config = any(name, manager.encode_to_vec());
    let filter = listener::Filter {
        config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    };
    let chain = listener::FilterChain { filters: vec![filter], ..Default::default() };
    listener::Listener { filter_chains: vec![chain], ..Default::default() }
}

#[test]
fn virtual_hosts_that_are_loaded_on_demand_are_sent_when_asked_for() {
    let hosts = [host("r/x", &["a"], 1), host("r/z", &["b"], 1), host("s/y", &["a"], 1)];
    let all = snapshot(hosts.into_iter().chain([listener("l", &on_demand("r"))]));
    let mut client = Client::delta(&all);
    // The hosts of `r` are missing so far: Envoy waits for an answer about them.
    assert_eq!(client.subscribe(Kind::VirtualHosts, &[]), ["VHDS s/y=1 r/~"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/a"]), ["VHDS r/x=1"]);
}

#[test]
fn virtual_hosts_without_names_are_answered_at_once_if_there_are_none() {
    let mut client = Client::delta(&hosts(&[]));
    assert_eq!(client.subscribe(Kind::VirtualHosts, &[]), ["VHDS"]);
    client.ack(Kind::VirtualHosts);
    assert_eq!(client.subscribe(Kind::VirtualHosts, &["r/a"]), ["VHDS r/a~"]);
}

#[test]
fn a_resource_is_found_by_its_other_names() {
    let alias = |version, aliases: &[&str]| {
        snapshot([wrapped(&thing(Kind::Routes, "r", version), None, aliases)])
    };
    let mut client = Client::delta(&alias(1, &["other"]));
    assert_eq!(client.subscribe(Kind::Routes, &["other"]), ["RDS r=1"]);
    assert_eq!(client.aliases(Kind::Routes), ["r: other"]);
    client.ack(Kind::Routes);
    assert_eq!(client.publish(&alias(2, &["other"])), ["RDS r=2"]);
    client.ack(Kind::Routes);
    // A name that appears later is found too.
    assert_eq!(client.subscribe(Kind::Routes, &["later"]), ["RDS -later"]);
    client.ack(Kind::Routes);
    assert_eq!(client.publish(&alias(2, &["later", "other"])), ["RDS r=2"]);
}

#[test]
fn context_parameters_are_found_in_any_order() {
    let name = "xdstp://a/T/x?p=1&q=2";
    for mut client in Client::both(&snapshot([thing(Kind::Clusters, name, 1)])) {
        let expected = format!("CDS {name}=1");
        assert_eq!(client.ask(Kind::Clusters, &["xdstp://a/T/x?q=2&p=1"]), [expected]);
    }
}

#[test]
fn a_collection_gives_its_members() {
    let with = |names: &[&str]| {
        let name = |name: &&str| thing(Kind::Clusters, &format!("xdstp://a/T/{name}"), 1);
        snapshot(names.iter().map(name))
    };
    let at = |names: &str| names.replace('@', "xdstp://a/T/");
    let mut client = Client::delta(&with(&["c/x", "c/y", "d/z"]));
    let sent = client.subscribe(Kind::Clusters, &["xdstp://a/T/c/*"]);
    assert_eq!(sent, [at("CDS @c/x=1 @c/y=1")]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&with(&["c/y", "c/w", "d/z"])), [at("CDS @c/w=1 -@c/x")]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&with(&[])), [at("CDS -@c/w -@c/y")]);
    client.ack(Kind::Clusters);
    assert_eq!(client.publish(&with(&["c/x"])), [at("CDS @c/x=1")]);
    let empty = Client::delta(&with(&[])).subscribe(Kind::Clusters, &["xdstp://a/T/c/*"]);
    assert_eq!(empty, [at("CDS -@c/*")]);
}
