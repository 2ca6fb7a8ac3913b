//! Routes: fields that exclude or need one another.

use std::collections::BTreeSet;

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::schema::fields::{field, list, number, text};

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
        _ => {}
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
