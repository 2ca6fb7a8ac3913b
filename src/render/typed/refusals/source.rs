//! Where configuration comes from, and by which protocol.

use prost_reflect::DynamicMessage;

use super::{Refusals, template};
use crate::schema::fields::{field, inner, list, text, texts, unpacked, variant};

/// The type of an API that was never meant to be left out.
const NO_TYPE: &str = "DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE";

/// Checks a message of sources.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name {
        "envoy.config.core.v3.ApiConfigSource" => api(message, refusals),
        "envoy.config.core.v3.ConfigSource" if field(message, "self").is_some() => {
            let text = "Envoy takes no configuration from `self`";
            refusals.refuse("self", "validation", text, "write ads: {}");
        }
        "envoy.extensions.filters.http.on_demand.v3.OnDemandCds"
            if field(message, "resources_locator").is_some() =>
        {
            let kind = "envoy.config.cluster.v3.Cluster";
            located(message, ("resources_locator", "source"), kind, refusals);
        }
        "envoy.config.endpoint.v3.LedsClusterLocalityConfig" => {
            let kind = "envoy.config.endpoint.v3.LbEndpoint";
            located(message, ("leds_collection_name", "leds_config"), kind, refusals);
        }
        "envoy.config.trace.v3.ZipkinConfig" => {
            let version = variant(message, "collector_endpoint_version");
            if version.as_deref() == Some(NO_TYPE) {
                let text = "`collector_endpoint_version` must be set";
                let hint = "give HTTP_JSON or HTTP_PROTO";
                refusals.refuse("collector_endpoint_version", "validation", text, hint);
            }
        }
        "envoy.config.trace.v3.OpenTelemetryConfig" => {
            let both = ["grpc_service", "http_service"];
            if both.iter().all(|name| field(message, name).is_some()) {
                let text = "`http_service` can't stand beside `grpc_service`";
                refusals.refuse("http_service", "oneof", text, "keep one of them");
            }
            let any = ["grpc_service", "http_service", "exporter"];
            if any.iter().all(|name| field(message, name).is_none())
                && refusals.newer_than("1.40.0")
            {
                let text = "a tracer needs `grpc_service` or `http_service`";
                refusals.refuse("grpc_service", "oneof", text, "Envoys from 1.40 ask for it");
            }
        }
        "envoy.type.matcher.v3.StringMatcher"
            if field(message, "ignore_case").is_some()
                && field(message, "safe_regex").is_some() =>
        {
            let text = "`ignore_case` has no effect on an expression";
            refusals.refuse("ignore_case", "validation", text, "write (?i) into the expression");
        }
        "envoy.config.rbac.v3.Permission" => {
            ports(message, refusals);
            let schema = refusals.schema;
            let template = inner(message, "uri_template")
                .and_then(|one| unpacked(schema, &one, "typed_config"))
                .map(|config| text(&config, "path_template"));
            if let Some(path) = template.filter(|path| template::path(path, true).is_err()) {
                let text = format!("`{path}` is no template of a path");
                refusals.refuse("uri_template", "bad-template", text, "write /a/{name}/*");
            }
        }
        "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks" => {
            let uri = inner(message, "http_uri").map(|uri| text(&uri, "uri")).unwrap_or_default();
            if !is_absolute(&uri) {
                let text = format!("`http_uri` has no absolute URI: \"{uri}\"");
                refusals.refuse("http_uri", "validation", text, "write https://host/path");
            }
        }
        _ => {}
    }
}

fn api(source: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let kind = variant(source, "api_type").unwrap_or_default();
    let (services, clusters) =
        (list(source, "grpc_services").len(), texts(source, "cluster_names").len());
    let wrong = match kind.as_str() {
        NO_TYPE => Some(("api_type", "`api_type` must be set")),
        "AGGREGATED_GRPC" | "AGGREGATED_DELTA_GRPC" => {
            Some(("api_type", "aggregated types are for `ads` itself"))
        }
        _ if services + clusters == 0 => {
            Some(("grpc_services", "an API needs a gRPC service or the name of a cluster"))
        }
        "REST" if services > 0 => Some(("grpc_services", "`grpc_services` is for gRPC, not REST")),
        "REST" if clusters != 1 => Some(("cluster_names", "REST needs one name of a cluster")),
        "REST" if field(source, "refresh_delay").is_none() => {
            Some(("refresh_delay", "REST needs a `refresh_delay`"))
        }
        "REST" => None,
        _ if clusters > 0 => Some(("cluster_names", "`cluster_names` is for REST, not gRPC")),
        _ if services > 1 => Some(("grpc_services", "only one gRPC service can be given")),
        _ => None,
    };
    if let Some((field, text)) = wrong {
        refusals.refuse(field, "validation", text, "write api_type: GRPC, and one grpc_service");
    }
}

/// A name of resources that is a URL says their type, and comes from where
/// deltas do. `names`: the fields of the URL and of the source.
fn located(
    message: &DynamicMessage,
    names: (&'static str, &'static str),
    kind: &str,
    refusals: &mut Refusals<'_>,
) {
    let url = text(message, names.0);
    // Whether a file is there, only Envoy's machine knows.
    if url.starts_with("file:") {
        return;
    }
    let hint = format!("write xdstp://AUTHORITY/{kind}/NAME");
    let Some(rest) = url.strip_prefix("xdstp:") else {
        let text = format!("`{}` is no URL of resources: \"{url}\"", names.0);
        return refusals.refuse(names.0, "validation", text, &hint);
    };
    let path = rest.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    let path = path.map_or("", |(_, path)| path.split(['?', '#']).next().unwrap_or_default());
    if path.split('/').next() != Some(kind) {
        let text = format!("`{}` names no resource of the type {kind}: \"{url}\"", names.0);
        return refusals.refuse(names.0, "validation", text, &hint);
    }
    let source = inner(message, names.1);
    let api = source.as_ref().and_then(|source| inner(source, "api_config_source"));
    let deltas = api.and_then(|api| variant(&api, "api_type")).as_deref() == Some("DELTA_GRPC");
    if !deltas && source.is_none_or(|source| field(&source, "ads").is_none()) {
        let text = format!("`{}` needs a `{}` that sends deltas", names.0, names.1);
        let hint = format!("write {}: {{ads: {{}}}}", names.1);
        refusals.refuse(names.0, "validation", text, &hint);
    }
}

/// A range of ports ends behind where it begins.
fn ports(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(range) = inner(message, "destination_port_range") else { return };
    let bound = |name: &str| field(&range, name).and_then(|value| value.as_i32()).unwrap_or(0);
    if bound("start") >= bound("end") {
        let text = "`destination_port_range` holds no port";
        let hint = "`end` is left out of the range";
        refusals.refuse("destination_port_range", "validation", text, hint);
    }
}

/// Whether there is a scheme, a host and, if any, a port.
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !scheme.is_empty()
        && !host.is_empty()
        && host.chars().all(is_host)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && !uri.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_uri_has_a_scheme_a_host_and_a_port_that_is_one() {
        for uri in ["http://a/b", "ftp://a", "HTTPS://A", "https://u:p@a:80/b", "https://[::1]/c"] {
            assert!(is_absolute(uri), "{uri}");
        }
        for uri in
            ["a/b", "https:///c", "http://a:99999/b", "https://a:/c", "https://a_b/c", "a\nb"]
        {
            assert!(!is_absolute(uri), "{uri}");
        }
    }
}
