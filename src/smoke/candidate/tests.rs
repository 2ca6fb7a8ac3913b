//! What becomes of a snapshot before it is booted.

use prost_reflect::SerializeOptions;
use serde_json::{Value as Json, json};

use super::*;
use crate::model::{NodeGroup, RepoName, Stage};

const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

fn snapshot(schema: &Schema, resources: &[(ResourceKind, Json)]) -> Snapshot {
    let make = |(kind, json): &(ResourceKind, Json)| {
        let name = json[kind.name_field()].as_str().unwrap().into();
        let descriptor = schema.message(kind.message()).unwrap();
        let message = DynamicMessage::deserialize(descriptor, json).unwrap();
        Arc::new(resource(kind.type_url(), ResourceName(name), schema.encode(&message)))
    };
    let mut resources: Vec<_> = resources.iter().map(make).collect();
    resources.sort_by(|a, b| (&a.type_url, &a.name).cmp(&(&b.type_url, &b.name)));
    let key = SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new("beta").unwrap(),
        group: NodeGroup::default(),
    };
    snapshot::build(key, &resources)
}

/// Makes a candidate in `/cell`, where a cluster's n-th endpoint is on port
/// 1000 + n, and gives its resources by name.
fn candidate(resources: &[(ResourceKind, Json)]) -> (Candidate, BTreeMap<String, Json>) {
    let schema = Schema::load();
    let mut draft = Draft::read(&schema, &snapshot(&schema, resources)).unwrap();
    draft.upstreams();
    let port = |_: &str, endpoint: usize| 1000 + u16::try_from(endpoint).unwrap();
    let papers = Papers { authority: "AUTHORITY\n", cert: "CERT", key: "KEY" };
    let around = Surroundings { folder: Path::new("/cell"), port: &port, papers };
    let candidate = draft.finish(&schema, &around);
    let mut found = BTreeMap::new();
    for (type_url, of_type) in &candidate.snapshot.types {
        for (name, served) in &of_type.resources {
            let body = body(&schema, name, &served.any).unwrap();
            let message = schema.decode(type_url, &body).unwrap();
            let options = SerializeOptions::new().use_proto_field_name(true);
            let json = message.serialize_with_options(serde_json::value::Serializer, &options);
            let kind = type_url.kind().unwrap().folder();
            found.insert(format!("{kind}/{name}"), json.unwrap());
        }
    }
    (candidate, found)
}

fn address(host: &str, port: u16) -> Json {
    json!({"socket_address": {"address": host, "port_value": port}})
}

fn endpoint(host: &str) -> Json {
    json!({"endpoint": {"address": address(host, 80)}})
}

#[test]
fn listeners_move_to_loopback_and_keep_the_rest() {
    let tls = json!({
        "name": "tls",
        "typed_config": {"@type": format!("{TLS}.DownstreamTlsContext")},
    });
    let log = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let (candidate, found) = candidate(&[
        (
            ResourceKind::Listeners,
            json!({
                "name": "front",
                "address": address("0.0.0.0", 443),
                "additional_addresses": [{"address": address("::", 443)}],
                "filter_chains": [{"transport_socket": tls}],
                "access_log": [
                    {"name": "a", "typed_config": {"@type": log, "path": "/var/log/a.log"}},
                    {"name": "b", "typed_config": {"@type": log, "path": "/dev/stdout"}},
                ],
            }),
        ),
        (
            ResourceKind::Listeners,
            json!({
                "name": "dns",
                "address": {"socket_address": {"protocol": "UDP", "address": "10.0.0.1", "port_value": 53}},
            }),
        ),
        (
            ResourceKind::Listeners,
            json!({"name": "local", "address": {"pipe": {"path": "/run/x"}}}),
        ),
        (
            ResourceKind::Listeners,
            json!({
                "name": "virtual", "address": address("10.0.0.1", 80), "bind_to_port": false,
            }),
        ),
    ]);
    let front = &found["listeners/front"];
    assert_eq!(front["address"], address("127.0.0.1", 0));
    assert_eq!(front["additional_addresses"][0]["address"], address("127.0.0.1", 0));
    assert_eq!(front["access_log"][0]["typed_config"]["path"], "/cell/written-1.log");
    assert_eq!(front["access_log"][1]["typed_config"]["path"], "/dev/stdout");
    assert_eq!(found["listeners/dns"]["address"]["socket_address"]["protocol"], "UDP");
    assert_eq!(found["listeners/virtual"]["address"], address("10.0.0.1", 80));
    let pipe = &found["listeners/local"]["address"]["pipe"]["path"];
    assert!(pipe.as_str().unwrap().starts_with("/cell/"), "{pipe}");
    let known = |name: &str| candidate.listeners[name];
    assert_eq!(known("front"), Listener { transport: Transport::Tcp, tls: true });
    assert_eq!(known("dns"), Listener { transport: Transport::Udp, tls: false });
    assert_eq!(known("local").transport, Transport::Pipe);
    assert_eq!(known("virtual").transport, Transport::Inside);
}

#[test]
fn endpoints_move_and_keep_locality_priority_weight_and_metadata() {
    let (_, found) = candidate(&[
        (ResourceKind::Clusters, json!({"name": "a", "type": "EDS", "eds_cluster_config": {}})),
        (
            ResourceKind::Endpoints,
            json!({
                "cluster_name": "a",
                "endpoints": [
                    {"locality": {"zone": "x"}, "priority": 1, "load_balancing_weight": 3, "lb_endpoints": [{
                        "endpoint": {
                            "address": address("10.0.0.1", 80),
                            "health_check_config": {"port_value": 99, "hostname": "h"},
                        },
                        "health_status": "DRAINING",
                        "metadata": {"filter_metadata": {"envoy.lb": {"version": "v2"}}},
                    }]},
                    {"lb_endpoints": [endpoint("10.0.0.2")]},
                ],
            }),
        ),
    ]);
    let localities = &found["endpoints/a"]["endpoints"];
    let first = &localities[0]["lb_endpoints"][0];
    assert_eq!(
        (&localities[0]["priority"], &localities[0]["locality"]["zone"]),
        (&json!(1), &json!("x"))
    );
    assert_eq!(localities[0]["load_balancing_weight"], 3);
    assert_eq!(
        first["endpoint"],
        json!({
            "address": address("127.0.0.1", 1000),
            "health_check_config": {"hostname": "h"},
        })
    );
    assert_eq!(
        (&first["health_status"], first["metadata"].is_object()),
        (&json!("DRAINING"), true)
    );
    assert_eq!(localities[1]["lb_endpoints"][0]["endpoint"]["address"], address("127.0.0.1", 1001));
}

#[test]
fn clusters_that_share_endpoints_become_two_upstreams() {
    let eds = |name: &str| {
        (
            ResourceKind::Clusters,
            json!({
                "name": name, "type": "EDS", "eds_cluster_config": {"service_name": "shared"},
            }),
        )
    };
    let (_, found) = candidate(&[
        eds("a"),
        eds("b"),
        (
            ResourceKind::Endpoints,
            json!({
                "cluster_name": "shared", "endpoints": [{"lb_endpoints": [endpoint("10.0.0.1")]}],
            }),
        ),
    ]);
    assert_eq!(found["clusters/a"]["eds_cluster_config"]["service_name"], "shared");
    assert_eq!(found["clusters/b"]["eds_cluster_config"]["service_name"], "shared for b");
    assert_eq!(found["endpoints/shared for b"]["cluster_name"], "shared for b");
}

#[test]
fn clusters_speak_plain_http_to_literal_addresses() {
    let options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let (candidate, found) = candidate(&[(
        ResourceKind::Clusters,
        json!({
            "name": "a",
            "type": "LOGICAL_DNS",
            "dns_lookup_family": "V6_ONLY",
            "load_assignment": {"cluster_name": "a", "endpoints": [{"lb_endpoints": [endpoint("a.internal")]}]},
            "transport_socket": {"name": "tls", "typed_config": {"@type": format!("{TLS}.UpstreamTlsContext")}},
            "upstream_bind_config": {"source_address": {"address": "10.0.0.9", "port_value": 0}},
            "typed_extension_protocol_options": {
                key: {"@type": options, "auto_config": {"http2_protocol_options": {"max_concurrent_streams": 7}}},
            },
            "health_checks": [{
                "timeout": "1s", "interval": "30s", "initial_jitter": "9s",
                "unhealthy_threshold": 3, "healthy_threshold": 2,
                "http_health_check": {"path": "/h", "expected_statuses": [{"start": "204", "end": "205"}]},
            }],
        }),
    )]);
    let cluster = &found["clusters/a"];
    assert_eq!(
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"],
        json!({
            "address": address("127.0.0.1", 1000), "hostname": "a.internal",
        })
    );
    assert_eq!(cluster["dns_lookup_family"], "V4_ONLY");
    assert_eq!(
        (cluster.get("transport_socket"), cluster.get("upstream_bind_config")),
        (None, None)
    );
    let http = &cluster["typed_extension_protocol_options"][key];
    let explicit = &http["explicit_http_config"]["http2_protocol_options"];
    assert_eq!(
        (explicit["max_concurrent_streams"].as_u64(), http.get("auto_config")),
        (Some(7), None)
    );
    assert_eq!(
        cluster["health_checks"],
        json!([{
            "timeout": "1s", "interval": "1s", "no_traffic_interval": "1s",
            "unhealthy_threshold": 3, "healthy_threshold": 2, "http_health_check": {"path": "/h"},
        }])
    );
    assert_eq!(candidate.health_checked, BTreeSet::from(["a".to_owned()]));
}

#[test]
fn a_cluster_without_endpoints_is_left_to_warm_or_not_as_it_does() {
    let (candidate, found) = candidate(&[
        (ResourceKind::Clusters, json!({"name": "a", "type": "EDS", "eds_cluster_config": {}})),
        (
            ResourceKind::Clusters,
            json!({"name": "b", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}),
        ),
        (ResourceKind::Runtime, json!({"name": "r", "layer": {"x": 1}})),
    ]);
    assert_eq!(found["clusters/b"]["type"], "ORIGINAL_DST");
    assert_eq!((candidate.clusters.len(), candidate.health_checked.len()), (2, 0));
    assert_eq!(candidate.runtime, ["r"]);
}

fn tls_listener(common: Json) -> (ResourceKind, Json) {
    let context = json!({
        "@type": format!("{TLS}.DownstreamTlsContext"),
        "common_tls_context": common,
    });
    let chain = json!({"transport_socket": {"name": "tls", "typed_config": context}});
    (
        ResourceKind::Listeners,
        json!({"name": "front", "address": address("0.0.0.0", 443), "filter_chains": [chain]}),
    )
}

fn common(found: &BTreeMap<String, Json>) -> Json {
    found["listeners/front"]["filter_chains"][0]["transport_socket"]["typed_config"]
        ["common_tls_context"]
        .clone()
}

#[test]
fn certificates_that_are_not_here_become_the_runs_own() {
    let ours = json!({
        "certificate_chain": {"inline_string": "CERT"}, "private_key": {"inline_string": "KEY"},
    });
    let elsewhere = json!({"path_config_source": {"path": "/etc/sds.yaml"}});
    for absent in [
        json!({"tls_certificates": [{
            "certificate_chain": {"filename": "/etc/a.pem"}, "private_key": {"filename": "/etc/a.key"},
        }]}),
        json!({"tls_certificate_sds_secret_configs": [{"name": "a", "sds_config": elsewhere}]}),
    ] {
        let (_, found) = candidate(&[tls_listener(absent)]);
        assert_eq!(common(&found), json!({"tls_certificates": [ours]}));
    }
}

#[test]
fn certificates_that_are_written_stay_and_are_judged() {
    let written = json!({
        "tls_certificates": [{
            "certificate_chain": {"inline_string": "theirs"}, "private_key": {"inline_string": "key"},
        }],
    });
    let (_, found) = candidate(&[tls_listener(written.clone())]);
    assert_eq!(common(&found), written);
    let ads = json!({"ads": {}, "resource_api_version": "V3"});
    let served = json!({"tls_certificate_sds_secret_configs": [{"name": "a", "sds_config": ads}]});
    let (_, found) = candidate(&[tls_listener(served.clone())]);
    assert_eq!(common(&found), served);
}

#[test]
fn the_runs_authority_is_trusted_beside_the_others() {
    let trusts = |source: Json| json!({"validation_context": {"trusted_ca": source}});
    let trusted = |common: Json| {
        let (_, found) = candidate(&[tls_listener(common)]);
        self::common(&found)["validation_context"]["trusted_ca"]["inline_string"].clone()
    };
    assert_eq!(trusted(trusts(json!({"inline_string": "theirs\n"}))), "theirs\nAUTHORITY\n");
    assert_eq!(trusted(trusts(json!({"filename": "/etc/ca.pem"}))), "AUTHORITY\n");
    let elsewhere = json!({"path_config_source": {"path": "/etc/sds.yaml"}});
    let combined = json!({"combined_validation_context": {
        "default_validation_context": {"only_verify_leaf_cert_crl": true},
        "validation_context_sds_secret_config": {"name": "ca", "sds_config": elsewhere},
    }});
    assert_eq!(trusted(combined), "AUTHORITY\n");
}
