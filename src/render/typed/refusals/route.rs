//! Routes: fields that exclude or need one another.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::{Refusals, extension, format, nanos, template, tree};
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
        "RouteMatch" => {
            misplaced(message, "path_match_policy", ".path.rewrite.", refusals);
            templates(message, None, refusals);
        }
        "Route" => {
            if let Some(action) = inner(message, "route") {
                let matched = inner(message, "match");
                templates(&matched.unwrap_or_else(|| message.clone()), Some(&action), refusals);
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
        "RateLimit.Action" if field(message, "dynamic_metadata").is_some() => {
            let text = "`dynamic_metadata` is no longer allowed";
            refusals.refuse("dynamic_metadata", "validation", text, "use `metadata`");
        }
        "RateLimit.Action.RemoteAddressMatch" => {
            let value = text(message, "descriptor_value");
            format::refuse(&value, "descriptor_value", true, refusals);
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
    let source = inner(&vhds, "config_source");
    let api = source
        .as_ref()
        .and_then(|source| inner(source, "api_config_source"))
        .and_then(|api| variant(&api, "api_type"));
    if api.as_deref() == Some("DELTA_GRPC") {
        return;
    }
    if source.is_none_or(|source| field(&source, "ads").is_none()) {
        let text = "Envoy asks for `vhds` by deltas alone";
        let hint = "give ads: {}, or an api_config_source of api_type: DELTA_GRPC";
        refusals.refuse("vhds", "validation", text, hint);
    } else if let Some(older) = refusals.older_than("1.37.0") {
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
fn templates(
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
    let mixed = refusals.older_than("1.40.0").is_none();
    let Some(action) = action else {
        if let Some((path, Err(wrong))) =
            path.map(|path| (path.clone(), template::path(&path, mixed)))
        {
            let text = format!("`{path}` is no template of a path: {wrong}");
            refusals.refuse("path_match_policy", "bad-template", text, "write /a/{name}/*");
        }
        return;
    };
    let rewrite = read(action, "path_rewrite_policy", "path_template_rewrite");
    let Some(rewrite) = rewrite else { return };
    let used = match template::rewrite(&rewrite) {
        Ok(used) => used,
        Err(wrong) => {
            let text = format!("`{rewrite}` is no template that a path is rewritten to: {wrong}");
            return refusals.refuse("route", "bad-template", text, "write /b/{name}");
        }
    };
    let known = path.and_then(|path| template::path(&path, mixed).ok());
    if !known.is_some_and(|known| used.is_subset(&known)) {
        let text = format!("`{rewrite}` needs a `path_match_policy` that has its variables");
        refusals.refuse("route", "bad-template", text, "name them in `path_template`");
    }
}

/// A policy that matches rewrites nothing, nor the other way round.
fn misplaced(
    holder: &DynamicMessage,
    name: &'static str,
    other: &str,
    refusals: &mut Refusals<'_>,
) {
    let any = inner(holder, name).and_then(|policy| inner(&policy, "typed_config"));
    let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
    if type_url.contains(other) {
        let text =
            format!("`{name}` can't be a {}", type_url.rsplit('/').next().unwrap_or_default());
        refusals.refuse(name, "wrong-extension", text, "one matches, the other rewrites");
    }
}

fn action(action: &DynamicMessage, refusals: &mut Refusals<'_>) {
    misplaced(action, "path_rewrite_policy", ".path.match.", refusals);
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
