//! Routes: fields that exclude or need one another.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::{Refusals, extension, format, nanos, tree};
use crate::schema::fields::{field, inner, list, number, text, texts, unpacked, variant};

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
        "RouteConfiguration" => {
            specifiers(message, refusals);
            discovered(message, refusals);
            bodies(message, refusals);
        }
        "InternalRedirectPolicy" => redirects(message, refusals),
        "VirtualHost" => tree::check(message, refusals),
        "RouteMatch" => template(message, None, refusals),
        "Route" => {
            if let Some(action) = inner(message, "route") {
                let matched = inner(message, "match");
                template(&matched.unwrap_or_else(|| message.clone()), Some(&action), refusals);
            }
        }
        "RouteAction.UpgradeConfig" => {
            let kind = text(message, "upgrade_type");
            if field(message, "connect_config").is_some()
                && !kind.to_ascii_uppercase().starts_with("CONNECT")
            {
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
        "RateLimit.Action"
            if field(message, "dynamic_metadata").is_some() && refusals.newer_than("1.39.0") =>
        {
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

/// Hosts on demand came by one protocol alone at first.
fn discovered(config: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(vhds) = inner(config, "vhds") else { return };
    let api = inner(&vhds, "config_source")
        .and_then(|source| inner(&source, "api_config_source"))
        .and_then(|api| variant(&api, "api_type"));
    if api.as_deref() != Some("DELTA_GRPC")
        && let Some(older) = refusals.older_than("1.37.0")
    {
        let text = format!("Envoy {older} asks for `vhds` by `api_type: DELTA_GRPC` alone");
        refusals.refuse("vhds", "newer-than-envoy", text, "give an api_config_source");
    }
}

/// A body that Envoy answers with is held to a size.
fn bodies(config: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const BODY_MAX: u32 = 4096;
    let most = number(config, "max_direct_response_body_size_bytes").unwrap_or(BODY_MAX);
    for host in list(config, "virtual_hosts") {
        for route in list(&host, "routes") {
            let body = inner(&route, "direct_response").and_then(|answer| inner(&answer, "body"));
            let size = body.map_or(0, |body| text(&body, "inline_string").len());
            if size > most as usize {
                let text =
                    format!("the body of a direct response has {size} bytes, more than {most}");
                let hint = "raise `max_direct_response_body_size_bytes`";
                return refusals.refuse("virtual_hosts", "validation", text, hint);
            }
        }
    }
}

fn redirects(policy: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let fixed = |name: &String| name.starts_with(':') || name.eq_ignore_ascii_case("host");
    if texts(policy, "response_headers_to_copy").iter().any(fixed) {
        let text = "`response_headers_to_copy` can't name host or headers with a colon";
        refusals.refuse("response_headers_to_copy", "validation", text, "remove them");
    }
    for predicate in list(policy, "predicates") {
        let category = "envoy.internal_redirect_predicates";
        extension::expect(&predicate, category, "predicates", refusals);
    }
}

/// The variables of a path's template, and of what it is rewritten to.
fn template(
    matched: &DynamicMessage,
    action: Option<&DynamicMessage>,
    refusals: &mut Refusals<'_>,
) {
    let schema = refusals.schema;
    let read = |holder: &DynamicMessage, policy: &str, name: &str| {
        let config = unpacked(schema, &inner(holder, policy)?, "typed_config")?;
        config.descriptor().full_name().contains(".uri_template.v3.").then(|| text(&config, name))
    };
    let path = read(matched, "path_match_policy", "path_template");
    let Some(action) = action else {
        if let Some(path) = path.filter(|path| variables(path).is_none()) {
            let text = format!("`{path}` is no template of a path");
            refusals.refuse("path_match_policy", "bad-template", text, "write /a/{name}/*");
        }
        return;
    };
    let rewrite = read(action, "path_rewrite_policy", "path_template_rewrite");
    let Some(rewrite) = rewrite else { return };
    let known = path.as_deref().and_then(variables);
    let used = variables(&rewrite);
    let fits = known.zip(used).is_some_and(|(known, used)| used.is_subset(&known));
    if !fits {
        let text = format!("`{rewrite}` needs a `path_match_policy` that has its variables");
        refusals.refuse("route", "bad-template", text, "name them in `path_template`");
    }
}

/// Whether `template` is one of a path.
pub(super) fn is_template(template: &str) -> bool {
    variables(template).is_some()
}

/// The names in braces; `None` where a brace is not closed.
fn variables(template: &str) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let inside = rest[at..].strip_prefix('{')?;
        let (name, behind) = inside.split_once('}')?;
        found.insert(name.split('=').next().unwrap_or_default().to_owned());
        rest = behind;
    }
    Some(found)
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
    if let Some(policy) = inner(action, "early_data_policy") {
        extension::expect(&policy, "envoy.route.early_data_policy", "early_data_policy", refusals);
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
