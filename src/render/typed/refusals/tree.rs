//! Match trees that choose a route: what they may read, and what they end in.

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::schema::fields::{inner, list, map, text};

/// What a tree of routes ends in.
const ACTIONS: [&str; 2] = ["envoy.config.route.v3.Route", "envoy.config.route.v3.RouteList"];

/// Packages of inputs, and the one of each that is known before the route is.
const INPUTS: [(&str, &str); 3] = [
    ("envoy.type.matcher.v3.", "HttpRequestHeaderMatchInput"),
    ("envoy.extensions.matching.common_inputs.network.v3.", "FilterStateInput"),
    ("envoy.extensions.matching.common_inputs.ssl.v3.", ""),
];

/// Checks the `matcher` of a virtual host.
pub(super) fn check(host: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(matcher) = inner(host, "matcher") else { return };
    let mut seen = Seen::default();
    seen.matcher(&matcher);
    let no_input = |name: &&String| {
        INPUTS.iter().any(|(package, only)| {
            name.strip_prefix(package).is_some_and(|short| !short.contains('.') && short != *only)
        })
    };
    if let Some(name) = seen.inputs.iter().find(no_input) {
        let text = format!("a tree of routes can't read `{name}`");
        let hint = "use HttpRequestHeaderMatchInput or FilterStateInput";
        refusals.refuse("matcher", "wrong-extension", text, hint);
    }
    let no_action =
        |name: &&String| name.starts_with("envoy.") && !ACTIONS.contains(&name.as_str());
    if let Some(name) = seen.actions.iter().find(no_action) {
        let text = format!("a tree of routes can't end in `{name}`");
        refusals.refuse("matcher", "wrong-extension", text, "end it in a Route or a RouteList");
    }
}

/// Checks the `filter_chain_matcher` of a listener: no request is there yet.
pub(super) fn listener(listener: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(matcher) = inner(listener, "filter_chain_matcher") else { return };
    let mut seen = Seen::default();
    seen.matcher(&matcher);
    let of_requests = |name: &&String| name.starts_with("envoy.type.matcher.v3.Http");
    if let Some(name) = seen.inputs.iter().find(of_requests) {
        let text = format!("a tree of filter chains can't read `{name}`");
        let hint = "use an input of envoy.extensions.matching.common_inputs.network.v3";
        refusals.refuse("filter_chain_matcher", "wrong-extension", text, hint);
    }
}

/// Checks the `matcher` of a proxy of datagrams: it ends in routes of its own.
pub(super) fn datagrams(proxy: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const ROUTE: &str = "envoy.extensions.filters.udp.udp_proxy.v3.Route";
    let Some(matcher) = inner(proxy, "matcher") else { return };
    let mut seen = Seen::default();
    seen.matcher(&matcher);
    let other = |name: &&String| name.starts_with("envoy.") && name.as_str() != ROUTE;
    if let Some(name) = seen.actions.iter().find(other) {
        let text = format!("a tree of routes for datagrams can't end in `{name}`");
        refusals.refuse("matcher", "wrong-extension", text, "end it in a udp_proxy.v3.Route");
    }
}

/// The types of what a tree reads and ends in.
#[derive(Default)]
struct Seen {
    inputs: Vec<String>,
    actions: Vec<String>,
}

impl Seen {
    fn matcher(&mut self, matcher: &DynamicMessage) {
        self.end(inner(matcher, "on_no_match"));
        if let Some(chosen) = inner(matcher, "matcher_list") {
            for one in list(&chosen, "matchers") {
                self.end(inner(&one, "on_match"));
                inner(&one, "predicate").iter().for_each(|predicate| self.predicate(predicate));
            }
        }
        if let Some(tree) = inner(matcher, "matcher_tree") {
            self.inputs.extend(configured(&tree, "input"));
            for name in ["exact_match_map", "prefix_match_map"] {
                let ends = inner(&tree, name).map(|ends| map(&ends, "map")).unwrap_or_default();
                ends.into_iter().for_each(|(_, end)| self.end(Some(end)));
            }
        }
    }

    fn predicate(&mut self, predicate: &DynamicMessage) {
        if let Some(single) = inner(predicate, "single_predicate") {
            self.inputs.extend(configured(&single, "input"));
        }
        for name in ["or_matcher", "and_matcher"] {
            let parts = inner(predicate, name).map(|parts| list(&parts, "predicate"));
            parts.unwrap_or_default().iter().for_each(|part| self.predicate(part));
        }
        inner(predicate, "not_matcher").iter().for_each(|part| self.predicate(part));
    }

    fn end(&mut self, end: Option<DynamicMessage>) {
        let Some(end) = end else { return };
        self.actions.extend(configured(&end, "action"));
        inner(&end, "matcher").iter().for_each(|matcher| self.matcher(matcher));
    }
}

/// The type that configures the extension in the field `name`.
fn configured(message: &DynamicMessage, name: &str) -> Option<String> {
    let any = inner(&inner(message, name)?, "typed_config")?;
    Some(text(&any, "type_url").rsplit('/').next().unwrap_or_default().to_owned())
}
