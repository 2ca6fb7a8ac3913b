//! Each kind of reference, found where it leads nowhere and silent where it
//! leads somewhere or is not ours.

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;

use super::*;
use crate::model::ResourceName;
use crate::snapshot::testing::resource_of;

/// A resource of `kind` from YAML in protobuf's JSON form.
fn written(schema: &Schema, kind: ResourceKind, name: &str, yaml: &str) -> Arc<Resource> {
    let descriptor = schema.message(&kind.type_url().0).unwrap();
    let reader = serde_yaml::Deserializer::from_str(yaml);
    let message = DynamicMessage::deserialize(descriptor, reader).unwrap();
    resource_of(kind, name, message.encode_to_vec())
}

fn named(kind: ResourceKind, name: &str) -> Arc<Resource> {
    resource_of(kind, name, Vec::new())
}

/// Checks one resource beside others; expects `rule: message (hint)`.
fn check_one(kind: ResourceKind, yaml: &str, beside: &[Arc<Resource>], expected: &[&str]) {
    let schema = Schema::load();
    let mut resources = vec![written(&schema, kind, "x", yaml)];
    resources.extend_from_slice(beside);
    let found: Vec<_> = check(&schema, &resources, &BTreeSet::new())
        .into_iter()
        .map(|p| format!("{}: {} ({})", p.rule, p.message, p.hint.unwrap_or_default()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_route_names_clusters_in_every_way_a_route_can() {
    let yaml = "
name: x
virtual_hosts:
- name: v
  domains: ['*']
  request_mirror_policies: [{cluster: mirror}]
  routes:
  - {match: {prefix: /a}, route: {cluster: single}}
  - match: {prefix: /b}
    route:
      weighted_clusters: {clusters: [{name: heavy, weight: 1}, {name: there, weight: 1}]}
      request_mirror_policies: [{cluster: shadow}]
  - {match: {prefix: /c}, route: {cluster_header: x-cluster}}
";
    let missing = |name: &str, hint: &str| {
        format!(
            "missing-cluster: route configuration `x` names the cluster `{name}`, \
             which is not there ({hint})"
        )
    };
    let define = "define it under resources/clusters/";
    let expected = [
        missing("heavy", define),
        missing("mirror", define),
        missing("shadow", define),
        missing("single", "did you mean `singel`?"),
    ];
    let beside = [named(ResourceKind::Clusters, "there"), named(ResourceKind::Clusters, "singel")];
    check_one(ResourceKind::Routes, yaml, &beside, &expected.each_ref().map(String::as_str));
}

#[test]
fn a_listener_names_routes_clusters_and_secrets_at_any_depth() {
    let yaml = "
name: x
filter_chains:
- transport_socket:
    name: tls
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      common_tls_context:
        tls_certificate_sds_secret_configs:
        - {name: cert, sds_config: {ads: {}}}
        - {name: static}
        - {name: file, sds_config: {path_config_source: {path: /x}}}
  filters:
  - name: hcm
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: s
      rds: {route_config_name: r, config_source: {ads: {}}}
      http_filters:
      - name: discovered
        config_discovery: {config_source: {ads: {}}, type_urls: [x]}
      - name: authz
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
          grpc_service: {envoy_grpc: {cluster_name: authz}}
";
    let yaml_of_others = "
name: x
filter_chains:
- filters:
  - name: hcm
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: s
      rds:
        route_config_name: r
        config_source: {api_config_source: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: other}}]}}
";
    let expected = [
        "missing-cluster: listener `x` names the cluster `authz`, which is not there \
         (define it under resources/clusters/)",
        "missing-extension-config: listener `x` names the extension config `discovered`, \
         which is not there (define it under resources/extension_configs/)",
        "missing-route: listener `x` names the route configuration `r`, which is not there \
         (define it under resources/routes/)",
        "missing-secret: listener `x` names the secret `cert`, which is not there \
         (define it under resources/secrets/)",
    ];
    check_one(ResourceKind::Listeners, yaml, &[], &expected);
    let all = [
        named(ResourceKind::Clusters, "authz"),
        named(ResourceKind::ExtensionConfigs, "discovered"),
        named(ResourceKind::Routes, "r"),
        named(ResourceKind::Secrets, "cert"),
    ];
    check_one(ResourceKind::Listeners, yaml, &all, &[]);
    check_one(ResourceKind::Listeners, yaml_of_others, &[], &[]);
}

#[test]
fn a_tcp_proxy_and_an_inline_route_name_clusters() {
    let yaml = "
name: x
filter_chains:
- filters:
  - name: tcp
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: s
      weighted_clusters: {clusters: [{name: tcp, weight: 1}]}
- filters:
  - name: hcm
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: s
      route_config:
        virtual_hosts:
        - {name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: inline}}]}
";
    let expected = [
        "missing-cluster: listener `x` names the cluster `inline`, which is not there \
         (define it under resources/clusters/)",
        "missing-cluster: listener `x` names the cluster `tcp`, which is not there \
         (define it under resources/clusters/)",
    ];
    check_one(ResourceKind::Listeners, yaml, &[], &expected);
}

#[test]
fn an_eds_cluster_names_its_endpoints() {
    let eds = "{name: x, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}";
    let renamed =
        "{name: x, type: EDS, eds_cluster_config: {service_name: y, eds_config: {self: {}}}}";
    let file = "{name: x, type: EDS, eds_cluster_config: {eds_config: {path: /x}}}";
    let missing = |name: &str| {
        format!(
            "missing-endpoints: cluster `x` names the endpoints `{name}`, which is not there \
             (define it under resources/endpoints/)"
        )
    };
    check_one(ResourceKind::Clusters, eds, &[], &[&missing("x")]);
    check_one(ResourceKind::Clusters, renamed, &[], &[&missing("y")]);
    check_one(ResourceKind::Clusters, file, &[], &[]);
    check_one(ResourceKind::Clusters, renamed, &[named(ResourceKind::Endpoints, "y")], &[]);
    check_one(ResourceKind::Clusters, "{name: x, type: STATIC}", &[], &[]);
}

#[test]
fn an_aggregate_cluster_names_its_members() {
    let yaml = "
name: x
cluster_type:
  name: envoy.clusters.aggregate
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig
    clusters: [first, second]
";
    let expected = ["missing-cluster: cluster `x` names the cluster `second`, which is not there \
         (define it under resources/clusters/)"];
    let first = named(ResourceKind::Clusters, "first");
    check_one(ResourceKind::Clusters, yaml, &[first], &expected);
}

#[test]
fn a_scoped_route_names_its_route_configuration() {
    let yaml = "{name: x, route_configuration_name: r}";
    let expected =
        ["missing-route: scoped route `x` names the route configuration `r`, which is not there \
         (define it under resources/routes/)"];
    check_one(ResourceKind::ScopedRoutes, yaml, &[], &expected);
    check_one(ResourceKind::ScopedRoutes, yaml, &[named(ResourceKind::Routes, "r")], &[]);
}

#[test]
fn endpoints_that_nobody_asks_for_are_no_problem() {
    check_one(ResourceKind::Endpoints, "{cluster_name: x}", &[], &[]);
}

#[test]
fn a_message_that_cannot_be_read_mentions_nothing() {
    let type_url = TypeUrl("type.example.com/acme.Thing".into());
    let good = resource_of(ResourceKind::Clusters, "x", Cluster::default().encode_to_vec());
    let name = ResourceName("t".into());
    let odd = Resource::new(type_url, name, vec![0xff].into(), good.place.clone());
    assert_eq!(check(&Schema::load(), &[good, Arc::new(odd)], &BTreeSet::new()), []);
}
