//! The HTTP connection manager, and what it hands to others.

use std::collections::BTreeSet;

use prost_reflect::DynamicMessage;

use super::{Refusals, extension, filter};
use crate::schema::fields::{field, inner, list, number, text};

/// Checks a manager, or a part of one.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix("envoy.extensions.filters.network.http_connection_manager.v3.") {
        Some("HttpConnectionManager") => manager(message, refusals),
        Some("ScopedRoutes.ScopeKeyBuilder.FragmentBuilder.HeaderValueExtractor") => {
            let index = number(message, "index").unwrap_or(0);
            if index > 0 && text(message, "element_separator").is_empty() {
                let text = "`index` above 0 needs an `element_separator`";
                refusals.refuse("index", "validation", text, "give it, or use index 0");
            }
        }
        Some("HttpConnectionManager.UpgradeConfig") => {
            let filters = list(message, "filters");
            if !filters.is_empty() {
                filter::upgrade_chain(message, refusals);
            }
        }
        _ => {}
    }
}

fn manager(manager: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let filters = list(manager, "http_filters");
    let is_disabled = |filter: &DynamicMessage| field(filter, "disabled").is_some();
    if filters.last().is_some_and(is_disabled) {
        let text = "the last filter can't be disabled";
        refusals.refuse("http_filters", "filter-order", text, "remove `disabled`");
    }
    let mut seen = BTreeSet::new();
    for upgrade in list(manager, "upgrade_configs") {
        let kind = text(&upgrade, "upgrade_type").to_ascii_lowercase();
        if !seen.insert(kind.clone()) {
            let text = format!("`upgrade_configs` has `{kind}` twice");
            refusals.refuse("upgrade_configs", "validation", text, "keep one of them");
        }
    }
    if let Some(validator) = inner(manager, "request_id_extension") {
        let category = "envoy.request_id";
        extension::expect(&validator, category, "request_id_extension", refusals);
    }
}
