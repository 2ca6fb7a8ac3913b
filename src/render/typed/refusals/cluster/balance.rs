//! Load balancing: which policy fits which cluster, and what policies ask.

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::super::{Refusals, extension};
use crate::schema::fields::{field, inner, list, text, texts, unpacked, variant};

/// The clusters that bring their own load balancer, below `envoy.extensions.clusters.`.
/// Redis ones do where they are asked to, and take other policies too.
const PROVIDING: [&str; 2] =
    ["aggregate.v3.ClusterConfig", "dynamic_forward_proxy.v3.ClusterConfig"];

const POLICIES: &str = "envoy.extensions.load_balancing_policies.";

/// Envoy's bound on the size of a Maglev table.
const MAGLEV_MAX: u64 = 5_000_011;

/// Checks the policy that a cluster chooses.
pub(super) fn check(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let policy = variant(cluster, "lb_policy").unwrap_or_default();
    let listed = inner(cluster, "load_balancing_policy");
    if policy == "LOAD_BALANCING_POLICY_CONFIG" && listed.is_none() {
        let text = "`lb_policy: LOAD_BALANCING_POLICY_CONFIG` needs `load_balancing_policy`";
        refusals.refuse("lb_policy", "validation", text, "set it, or choose another policy");
    }
    let first = listed.as_ref().and_then(|listed| named(listed, refusals).into_iter().next());
    let asks = match &first {
        Some(first) => first.ends_with("cluster_provided.v3.ClusterProvided"),
        None => policy == "CLUSTER_PROVIDED",
    };
    let hint = "set lb_policy: CLUSTER_PROVIDED for these clusters, and for no others";
    match provides(cluster, refusals) {
        Some(true) if !asks => {
            let text = "this type of cluster brings its own load balancer";
            refusals.refuse("lb_policy", "lb-policy", text, hint);
        }
        Some(false) if asks => {
            let text = "this type of cluster brings no load balancer of its own";
            refusals.refuse("lb_policy", "lb-policy", text, hint);
        }
        _ => {}
    }
    subsets(cluster, policy == "CLUSTER_PROVIDED", refusals);
    if let Some(origin) = inner(cluster, "original_dst_lb_config")
        && !text(&origin, "http_header_name").is_empty()
        && field(&origin, "use_http_header").is_none()
    {
        let text = "`http_header_name` needs `use_http_header: true`";
        refusals.refuse("original_dst_lb_config", "validation", text, "set it");
    }
}

/// Whether the cluster brings its own load balancer, where that is known.
fn provides(cluster: &DynamicMessage, refusals: &Refusals<'_>) -> Option<bool> {
    if let Some(kind) = super::kind(cluster) {
        return (kind != super::REDIS)
            .then(|| ["ORIGINAL_DST", super::FORWARDING].contains(&kind.as_str()));
    }
    let custom = inner(cluster, "cluster_type")?;
    let config = unpacked(refusals.schema, &custom, "typed_config")?;
    let name = config.descriptor().full_name().to_owned();
    let short = name.strip_prefix("envoy.extensions.clusters.")?;
    if short == "dns.v3.DnsCluster" {
        return Some(false);
    }
    PROVIDING.contains(&short).then_some(true)
}

/// The types of the policies of a list.
fn named(policy: &DynamicMessage, refusals: &Refusals<'_>) -> Vec<String> {
    let configs = list(policy, "policies");
    let configs = configs.iter().filter_map(|policy| inner(policy, "typed_extension_config"));
    let known = configs.filter_map(|config| unpacked(refusals.schema, &config, "typed_config"));
    known.map(|config| config.descriptor().full_name().to_owned()).collect()
}

fn subsets(cluster: &DynamicMessage, provided: bool, refusals: &mut Refusals<'_>) {
    let Some(config) = inner(cluster, "lb_subset_config") else { return };
    let common = inner(cluster, "common_lb_config");
    let weighted = common.is_some_and(|one| field(&one, "locality_weighted_lb_config").is_some());
    if field(&config, "locality_weight_aware").is_some() && !weighted {
        let text = "`locality_weight_aware` needs weights of localities";
        let hint = "set common_lb_config: {locality_weighted_lb_config: {}}";
        refusals.refuse("lb_subset_config", "validation", text, hint);
    }
    let selectors = list(&config, "subset_selectors");
    if provided && !selectors.is_empty() {
        let text = "`lb_subset_config` can't stand beside `lb_policy: CLUSTER_PROVIDED`";
        refusals.refuse("lb_subset_config", "oneof", text, "keep one of them");
    }
}

/// Checks a policy's own message.
pub(in super::super) fn policy(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix(POLICIES).unwrap_or(name) {
        "maglev.v3.Maglev" => maglev(message, "table_size", refusals),
        "ring_hash.v3.RingHash" => {
            let size = |name: &str| {
                inner(message, name).and_then(|size| size.get_field_by_name("value")?.as_u64())
            };
            let least = size("minimum_ring_size").unwrap_or(1024);
            if least > size("maximum_ring_size").unwrap_or(8 << 20) {
                let text = "`minimum_ring_size` is above `maximum_ring_size`";
                refusals.refuse("minimum_ring_size", "validation", text, "swap them");
            }
        }
        "wrr_locality.v3.WrrLocality" => {
            within(message, "endpoint_picking_policy", refusals);
            locality(message, refusals);
        }
        "subset.v3.Subset" => within(message, "subset_lb_policy", refusals),
        "override_host.v3.OverrideHost" => within(message, "fallback_policy", refusals),
        "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector"
        | "subset.v3.Subset.LbSubsetSelector" => selector(message, refusals),
        "envoy.config.cluster.v3.Cluster.CustomClusterType" => redis(message, refusals),
        _ => {}
    }
}

/// A policy that another one uses is one that Envoy has.
fn within(message: &DynamicMessage, name: &'static str, refusals: &mut Refusals<'_>) {
    if inner(message, name).is_some_and(|policy| !extension::policies(&policy, refusals)) {
        let text = format!("`{name}` names no policy that Envoy has");
        let hint = "give a type of envoy.extensions.load_balancing_policies.*";
        refusals.refuse(name, "no-extension", text, hint);
    }
}

/// A table has a prime number of places; refused in the field `place`.
pub(super) fn maglev(message: &DynamicMessage, place: &'static str, refusals: &mut Refusals<'_>) {
    let size = inner(message, "table_size");
    let Some(size) = size.and_then(|size| size.get_field_by_name("value")?.as_u64()) else {
        return;
    };
    if size <= MAGLEV_MAX && !is_prime(size) {
        let text = format!("`table_size` must be a prime number, is {size}");
        refusals.refuse(place, "validation", text, "the default is 65537");
    }
}

fn is_prime(number: u64) -> bool {
    number > 1
        && (2..).take_while(|part| part * part <= number).all(|part| !number.is_multiple_of(part))
}

fn locality(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const WEIGHTED: &str = "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";
    let Some(policy) = inner(message, "endpoint_picking_policy") else { return };
    if named(&policy, refusals).first().is_some_and(|name| !name.ends_with(WEIGHTED)) {
        let text = "`endpoint_picking_policy` can only be ClientSideWeightedRoundRobin";
        refusals.refuse("endpoint_picking_policy", "wrong-extension", text, "choose it");
    }
}

fn selector(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if variant(message, "fallback_policy").as_deref() != Some("KEYS_SUBSET") {
        return;
    }
    let (keys, subset) = (texts(message, "keys"), texts(message, "fallback_keys_subset"));
    let wrong = match subset.len() {
        0 => "must not be empty",
        _ if subset.iter().any(|key| !keys.contains(key)) => "must only hold some of `keys`",
        count if count == keys.len() => "must not hold all of `keys`",
        _ => return,
    };
    let text = format!("`fallback_keys_subset` {wrong}");
    refusals.refuse("fallback_keys_subset", "validation", text, "as KEYS_SUBSET falls back on it");
}

/// Redis clusters are found by name, unlike others.
fn redis(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let config = unpacked(refusals.schema, message, "typed_config");
    let name = config.map(|config| config.descriptor().full_name().to_owned());
    let is_redis = name.is_some_and(|name| name.ends_with("redis.v3.RedisClusterConfig"));
    if is_redis && text(message, "name") != "envoy.clusters.redis" {
        let text = "a Redis cluster's `cluster_type` must have the name envoy.clusters.redis";
        refusals.refuse("name", "wrong-extension", text, "name it so");
    }
}
