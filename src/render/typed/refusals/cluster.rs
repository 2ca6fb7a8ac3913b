//! Clusters: what their parts ask of one another.

pub(super) mod balance;

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::{Refusals, endpoint, extension, nanos, single};
use crate::schema::fields::{field, inner, list, map, text, unpacked, variant};

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Types of clusters that Envoy makes without configuration, by name, and the
/// `type` that does the same. EDS is none: its source can't be given.
const BY_NAME: [(&str, &str); 7] = [
    ("envoy.cluster.static", "STATIC"),
    ("envoy.cluster.strict_dns", "STRICT_DNS"),
    ("envoy.cluster.logical_dns", "LOGICAL_DNS"),
    ("envoy.cluster.original_dst", "ORIGINAL_DST"),
    ("envoy.cluster.dns", DNS),
    ("envoy.clusters.dynamic_forward_proxy", FORWARDING),
    ("envoy.clusters.redis", REDIS),
];

// Types that there are by name alone.
const DNS: &str = "DNS";
const FORWARDING: &str = "DYNAMIC_FORWARD_PROXY";
const REDIS: &str = "REDIS";

/// The cluster's type; `None` where a configuration says it.
fn kind(cluster: &DynamicMessage) -> Option<String> {
    let Some(custom) = inner(cluster, "cluster_type") else { return variant(cluster, "type") };
    if field(&custom, "typed_config").is_some() {
        return None;
    }
    let name = text(&custom, "name");
    BY_NAME.iter().find(|(known, _)| *known == name).map(|(_, kind)| (*kind).to_owned())
}

pub(super) fn check(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    hosts(cluster, refusals);
    if matches!(kind(cluster).as_deref(), Some("STRICT_DNS" | "LOGICAL_DNS")) {
        single::resolvers(cluster, refusals);
        single::servers(cluster, refusals);
    }
    policy(cluster, refusals);
    balance::check(cluster, refusals);
    limits(cluster, refusals);
    sockets(cluster, refusals);
    let options = map(cluster, "typed_extension_protocol_options");
    let options = options.iter().find(|(name, _)| name == OPTIONS);
    let options = options.and_then(|(_, any)| crate::schema::fields::opened(refusals.schema, any));
    let speaks = Speaks::of(cluster, options.as_ref());
    if list(cluster, "health_checks").len() > 1
        && let Some(version) = refusals.older_than("1.40.0")
    {
        let text = format!("Envoy {version} takes one health check for a cluster");
        refusals.refuse("health_checks", "validation", text, "keep one; Envoy 1.40.0 takes more");
    } else if list(cluster, "health_checks").len() > 1
        && list(cluster, "health_checks").iter().any(|check| text(check, "name").is_empty())
    {
        let text = "of several health checks, each needs a name";
        refusals.refuse("health_checks", "validation", text, "keep one");
    }
    let by_grpc = |check: &DynamicMessage| inner(check, "grpc_health_check").is_some();
    if !speaks.http2 && list(cluster, "health_checks").iter().any(by_grpc) {
        let text = "a gRPC health check needs a cluster that speaks HTTP/2";
        let hint = "set http2_protocol_options under typed_extension_protocol_options";
        refusals.refuse("health_checks", "health-check-protocol", text, hint);
    }
    let by_http3 = |check: &DynamicMessage| {
        inner(check, "http_health_check")
            .is_some_and(|check| variant(&check, "codec_client_type").as_deref() == Some("HTTP3"))
    };
    if !speaks.http3 && list(cluster, "health_checks").iter().any(by_http3) {
        let text = "a health check by HTTP/3 needs a cluster that speaks it";
        let hint = "set another codec_client_type, or http3_protocol_options";
        refusals.refuse("health_checks", "health-check-protocol", text, hint);
    }
    let is_auto = options.as_ref().is_some_and(|options| inner(options, "auto_config").is_some());
    if is_auto
        && inner(cluster, "transport_socket").is_none()
        && list(cluster, "transport_socket_matches").is_empty()
    {
        let text = "`auto_config` needs a transport socket that negotiates, as TLS does";
        let hint = "set `transport_socket`, or explicit_http_config";
        refusals.refuse("typed_extension_protocol_options", "http3-transport", text, hint);
    }
    forwarding(cluster, options.as_ref(), refusals);
    if speaks.http3 && !over_quic(cluster, refusals) {
        let text = "HTTP/3 needs the transport socket QuicUpstreamTransport";
        let field = "typed_extension_protocol_options";
        refusals.refuse(field, "http3-transport", text, "set `transport_socket`, or use HTTP/2");
    }
}

/// Who makes hosts of what is asked for checks their names.
fn forwarding(
    cluster: &DynamicMessage,
    options: Option<&DynamicMessage>,
    refusals: &mut Refusals<'_>,
) {
    let config = inner(cluster, "cluster_type")
        .and_then(|custom| unpacked(refusals.schema, &custom, "typed_config"));
    let Some(config) = config else { return };
    let upstream = options.and_then(|options| inner(options, "upstream_http_protocol_options"));
    let Some(upstream) = upstream else { return };
    let checks = ["auto_sni", "auto_san_validation"];
    if config.descriptor().full_name().ends_with("dynamic_forward_proxy.v3.ClusterConfig")
        && field(&config, "allow_insecure_cluster_options").is_none()
        && checks.iter().any(|name| field(&upstream, name).is_none())
    {
        let text = "a dynamic forward proxy needs `auto_sni` and `auto_san_validation`";
        let hint = "set both, or `allow_insecure_cluster_options: true`";
        refusals.refuse("typed_extension_protocol_options", "validation", text, hint);
    }
}

/// Where the hosts come from fits the cluster's type.
fn hosts(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if let Some(custom) = inner(cluster, "cluster_type") {
        let dns = unpacked(refusals.schema, &custom, "typed_config");
        if field(&custom, "typed_config").is_none() && kind(cluster).is_none() {
            let name = text(&custom, "name");
            let text = format!("Envoy has no type of cluster `{name}` without a `typed_config`");
            refusals.refuse("cluster_type", "no-extension", text, "give its configuration");
        }
        if dns.is_some_and(|dns| field(&dns, "all_addresses_in_single_endpoint").is_some()) {
            one_host(inner(cluster, "load_assignment").as_ref(), refusals);
        }
    }
    let assignment = inner(cluster, "load_assignment");
    let kind = kind(cluster);
    match (kind.as_deref(), assignment) {
        (Some("EDS"), _) => {
            let eds = inner(cluster, "eds_cluster_config");
            if eds.and_then(|eds| inner(&eds, "eds_config")).is_none() {
                let text = "an EDS cluster needs `eds_config`: from where its endpoints come";
                let hint =
                    "write eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}";
                refusals.refuse("eds_cluster_config", "no-eds-config", text, hint);
            }
        }
        (Some("STATIC"), Some(assignment)) => {
            let why = "are STATIC";
            endpoint::only_addresses(&assignment, "load_assignment", why, refusals);
        }
        (Some("ORIGINAL_DST"), Some(_)) => {
            let text = "an ORIGINAL_DST cluster takes its hosts from connections";
            refusals.refuse("load_assignment", "bad-address", text, "remove `load_assignment`");
        }
        (Some("LOGICAL_DNS"), assignment) => one_host(assignment.as_ref(), refusals),
        _ => {}
    }
    if kind.as_deref() != Some("EDS") && field(cluster, "eds_cluster_config").is_some() {
        let text = "`eds_cluster_config` is set for a cluster that is not of type EDS";
        let hint = "set `type: EDS`, or remove it";
        refusals.refuse("eds_cluster_config", "no-eds-config", text, hint);
    }
}

/// Outlier detection and circuit breakers.
fn limits(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const BASE_EJECTION_NANOS: i128 = 30_000_000_000;
    if let Some(outliers) = inner(cluster, "outlier_detection")
        && let Some(longest) = nanos(&outliers, "max_ejection_time")
        && longest < nanos(&outliers, "base_ejection_time").unwrap_or(BASE_EJECTION_NANOS)
    {
        let text =
            "`max_ejection_time` must be at least `base_ejection_time`, which is 30s by default";
        refusals.refuse("outlier_detection", "validation", text, "raise it");
    }
    let breakers = inner(cluster, "circuit_breakers");
    let hosts = breakers.map(|breakers| list(&breakers, "per_host_thresholds")).unwrap_or_default();
    let others = [
        "max_pending_requests",
        "max_requests",
        "max_retries",
        "retry_budget",
        "track_remaining",
        "max_connection_pools",
    ];
    if hosts.iter().any(|host| others.iter().any(|name| field(host, name).is_some())) {
        let text = "`per_host_thresholds` can only limit `max_connections`";
        refusals.refuse("circuit_breakers", "validation", text, "remove the other limits");
    }
}

/// The transport sockets are a client's, and the keys of options are theirs.
fn sockets(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if let Some(socket) = inner(cluster, "transport_socket") {
        extension::expect(
            &socket,
            "envoy.transport_sockets.upstream",
            "transport_socket",
            refusals,
        );
    }
    for matched in list(cluster, "transport_socket_matches") {
        if let Some(socket) = inner(&matched, "transport_socket") {
            let field = "transport_socket_matches";
            extension::expect(&socket, "envoy.transport_sockets.upstream", field, refusals);
        }
    }
    if let Some(resolver) = inner(cluster, "typed_dns_resolver_config") {
        let field = "typed_dns_resolver_config";
        extension::expect(&resolver, "envoy.network.dns_resolver", field, refusals);
    }
    for filter in list(cluster, "filters") {
        extension::expect(&filter, "envoy.filters.upstream_network", "filters", refusals);
    }
    for (key, any) in map(cluster, "typed_extension_protocol_options") {
        if text(&any, "type_url").is_empty() && !key.starts_with("envoy.filters.") {
            let text = format!("the options `{key}` have no type");
            let field = "typed_extension_protocol_options";
            refusals.refuse(field, "no-extension", text, "give its `@type`");
        }
        let name = text(&any, "type_url").rsplit('/').next().unwrap_or_default().to_owned();
        if name.starts_with("envoy.extensions.upstreams.")
            != key.starts_with("envoy.extensions.upstreams.")
            || (name.starts_with("envoy.extensions.upstreams.") && name != key)
        {
            let text = format!("the key of `{name}` must be `{name}`, is `{key}`");
            let field = "typed_extension_protocol_options";
            refusals.refuse(field, "wrong-extension", text, "Envoy finds options by their key");
        }
    }
}

fn one_host(assignment: Option<&DynamicMessage>, refusals: &mut Refusals<'_>) {
    let localities = assignment.map(|one| list(one, "endpoints")).unwrap_or_default();
    let hosts: usize = localities.iter().map(|one| list(one, "lb_endpoints").len()).sum();
    if localities.len() != 1 || hosts != 1 {
        let text = format!(
            "a LOGICAL_DNS cluster has one host in one locality, not {hosts} in {}",
            localities.len()
        );
        refusals.refuse("load_assignment", "logical-dns-hosts", text, "or make it STRICT_DNS");
    }
}

fn policy(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if let Some(policy) = inner(cluster, "load_balancing_policy")
        && !extension::policies(&policy, refusals)
    {
        let text = "`load_balancing_policy` names no policy that Envoy has";
        let hint = "give a type of envoy.extensions.load_balancing_policies.*";
        refusals.refuse("load_balancing_policy", "no-extension", text, hint);
    }
    let chosen = variant(cluster, "lb_policy").unwrap_or_default();
    if chosen == "MAGLEV"
        && let Some(config) = inner(cluster, "maglev_lb_config")
    {
        balance::maglev(&config, "maglev_lb_config", refusals);
    }
    if chosen == "RING_HASH"
        && let Some(ring) = inner(cluster, "ring_hash_lb_config")
    {
        let number = |name: &str| {
            inner(&ring, name).and_then(|size| size.get_field_by_name("value")?.as_u64())
        };
        let (least, most) = (number("minimum_ring_size"), number("maximum_ring_size"));
        if least.unwrap_or(1024) > most.unwrap_or(8 << 20) {
            let text = "`minimum_ring_size` is above `maximum_ring_size`";
            refusals.refuse("ring_hash_lb_config", "validation", text, "swap them");
        }
    }
}

fn over_quic(cluster: &DynamicMessage, refusals: &Refusals<'_>) -> bool {
    let matches = list(cluster, "transport_socket_matches");
    if !matches.is_empty() {
        return true;
    }
    inner(cluster, "transport_socket").is_some_and(|socket| {
        text(&socket, "name").ends_with("quic")
            || unpacked(refusals.schema, &socket, "typed_config").is_none_or(|config| {
                !config.descriptor().full_name().contains(".tls.v3.")
                    && !config.descriptor().full_name().contains(".raw_buffer.")
            })
    })
}

/// Which versions of HTTP a cluster speaks.
struct Speaks {
    http2: bool,
    http3: bool,
}

impl Speaks {
    fn of(cluster: &DynamicMessage, options: Option<&DynamicMessage>) -> Self {
        let Some(options) = options else {
            let http2 = inner(cluster, "http2_protocol_options").is_some();
            return Self { http2, http3: false };
        };
        let named = |part: &str, name: &str| {
            inner(options, part).is_some_and(|part| inner(&part, name).is_some())
        };
        let either = |name: &str| {
            named("explicit_http_config", name) || named("use_downstream_protocol_config", name)
        };
        let auto = inner(options, "auto_config").is_some();
        Self {
            http2: auto || either("http2_protocol_options"),
            http3: either("http3_protocol_options")
                || named("auto_config", "http3_protocol_options"),
        }
    }
}
