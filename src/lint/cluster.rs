//! Clusters: circuit breakers that break everything, hosts nobody looks after.

use prost_reflect::DynamicMessage;

use super::Notes;
use crate::schema::fields::{inner, list, number, text, variant};

/// Discovery types whose hosts Envoy keeps using until something tells it
/// that one is dead.
const NEED_HEALTH: [&str; 3] = ["EDS", "STATIC", "STRICT_DNS"];

pub(super) fn check(cluster: &DynamicMessage, notes: &mut Notes<'_>) {
    let name = text(cluster, "name");
    let thresholds = inner(cluster, "circuit_breakers")
        .map(|breakers| list(&breakers, "thresholds"))
        .unwrap_or_default();
    no_requests(&name, &thresholds, notes);
    priority_twice(&name, &thresholds, notes);
    nobody_looks(&name, cluster, notes);
}

fn no_requests(name: &str, thresholds: &[DynamicMessage], notes: &mut Notes<'_>) {
    if thresholds.iter().any(|threshold| number(threshold, "max_requests") == Some(0)) {
        let message = format!("the cluster `{name}` refuses every request: `max_requests` is 0");
        notes.error(
            "zero-max-requests",
            message,
            "give a number above 0, or leave it out for 1024",
        );
    }
}

fn priority_twice(name: &str, thresholds: &[DynamicMessage], notes: &mut Notes<'_>) {
    let mut priorities: Vec<String> =
        thresholds.iter().filter_map(|threshold| variant(threshold, "priority")).collect();
    let all = priorities.len();
    priorities.sort();
    priorities.dedup();
    if priorities.len() < all {
        let message = format!(
            "the cluster `{name}` has several circuit breaker thresholds of one priority: \
             Envoy takes the first and ignores the others"
        );
        notes.error("duplicate-thresholds", message, "keep one threshold for each priority");
    }
}

fn nobody_looks(name: &str, cluster: &DynamicMessage, notes: &mut Notes<'_>) {
    if inner(cluster, "cluster_type").is_some() {
        return;
    }
    let discovery = variant(cluster, "type").unwrap_or_default();
    let looked_after =
        !list(cluster, "health_checks").is_empty() || inner(cluster, "outlier_detection").is_some();
    if NEED_HEALTH.contains(&discovery.as_str()) && !looked_after {
        let message = format!(
            "the cluster `{name}` has neither health checks nor outlier detection: \
             a dead host keeps its share of the requests"
        );
        notes.warning("no-health-check", message, "add `health_checks` or `outlier_detection: {}`");
    }
}
