//! Routes: fields that exclude or need one another.

use std::collections::BTreeSet;

use prost_reflect::DynamicMessage;

use super::{Refusals, format, nanos};
use crate::schema::fields::{field, inner, list, number, text};

/// Checks a message of the route package.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix("envoy.config.route.v3.").unwrap_or_default() {
        "RouteAction" => action(message, refusals),
        "RouteAction.RequestMirrorPolicy" => {
            one_target(message, "cluster", "a request mirror policy", refusals);
        }
        "WeightedCluster.ClusterWeight" => {
            one_target(message, "name", "a weighted cluster", refusals);
            if field(message, "weight").is_none() {
                let text = "`weight` must be set";
                refusals.refuse("weight", "validation", text, "0 sends nothing there");
            }
        }
        "WeightedCluster" => weights(message, refusals),
        "RouteConfiguration" => specifiers(message, refusals),
        "RouteAction.UpgradeConfig" => {
            let kind = text(message, "upgrade_type");
            if field(message, "connect_config").is_some() && !kind.eq_ignore_ascii_case("CONNECT") {
                let text = format!("`connect_config` can't be set for an upgrade to `{kind}`");
                refusals.refuse("connect_config", "validation", text, "it is for CONNECT");
            }
        }
        "RetryPolicy.RetryBackOff" => {
            let base = nanos(message, "base_interval");
            if nanos(message, "max_interval").zip(base).is_some_and(|(max, base)| max < base) {
                let text = "`max_interval` must be at least `base_interval`";
                refusals.refuse("max_interval", "validation", text, "raise it");
            }
        }
        "RateLimit.Action" if field(message, "dynamic_metadata").is_some() => {
            let text = "`dynamic_metadata` is no longer allowed";
            refusals.refuse("dynamic_metadata", "validation", text, "use `metadata`");
        }
        "Tracing" => {
            for name in ["operation", "upstream_operation"] {
                format::refuse(&text(message, name), name, true, refusals);
            }
        }
        _ => {}
    }
}

/// Every plugin that a route names is defined beside the virtual hosts.
fn specifiers(config: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let plugins = list(config, "cluster_specifier_plugins");
    let extensions = plugins.iter().filter_map(|plugin| inner(plugin, "extension"));
    let known: BTreeSet<_> = extensions.map(|extension| text(&extension, "name")).collect();
    let hosts = list(config, "virtual_hosts");
    let routes = hosts.iter().flat_map(|host| list(host, "routes"));
    let named = routes
        .filter_map(|route| inner(&route, "route"))
        .filter(|action| field(action, "cluster_specifier_plugin").is_some())
        .map(|action| text(&action, "cluster_specifier_plugin"));
    if let Some(missing) = named.into_iter().find(|name| !known.contains(name)) {
        let text = format!("a route names the plugin `{missing}`, which is not defined");
        let hint = "define it in `cluster_specifier_plugins`";
        refusals.refuse("virtual_hosts", "missing-plugin", text, hint);
    }
}

fn action(action: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let rewrites: Vec<_> = ["prefix_rewrite", "regex_rewrite", "path_rewrite_policy"]
        .into_iter()
        .filter(|name| field(action, name).is_some())
        .collect();
    if let [first, second, ..] = rewrites[..] {
        let text = format!("`{second}` can't stand beside `{first}`");
        refusals.refuse(second, "oneof", text, "keep one of them");
    }
    let mut seen = BTreeSet::new();
    for upgrade in list(action, "upgrade_configs") {
        let kind = text(&upgrade, "upgrade_type").to_ascii_lowercase();
        if !seen.insert(kind.clone()) {
            let text = format!("`upgrade_configs` has `{kind}` twice");
            refusals.refuse("upgrade_configs", "validation", text, "keep one of them");
        }
    }
}

/// The cluster is named, or the header that names it.
fn one_target(
    message: &DynamicMessage,
    name: &'static str,
    noun: &str,
    refusals: &mut Refusals<'_>,
) {
    let wish = match (text(message, name).is_empty(), text(message, "cluster_header").is_empty()) {
        (true, true) => "needs",
        (false, false) => "takes only one of",
        _ => return,
    };
    let text = format!("{noun} {wish} `{name}` or `cluster_header`");
    refusals.refuse(name, "oneof", text, "give one of them");
}

fn weights(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let all = list(message, "clusters");
    let sum: u64 = all.iter().filter_map(|one| number(one, "weight")).map(u64::from).sum();
    if sum > u64::from(u32::MAX) {
        let text = format!("the weights add up to {sum}, more than {}", u32::MAX);
        refusals.refuse("clusters", "validation", text, "give smaller weights");
    }
}
