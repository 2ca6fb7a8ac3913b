//! Where configuration comes from, and by which protocol.

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::schema::fields::{field, inner, list, text, texts, variant};

/// The type of an API that was never meant to be left out.
const NO_TYPE: &str = "DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE";

/// Checks a message of sources.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name {
        "envoy.config.core.v3.ApiConfigSource" => api(message, refusals),
        "envoy.config.trace.v3.ZipkinConfig" => {
            let version = variant(message, "collector_endpoint_version");
            if version.as_deref() == Some(NO_TYPE) {
                let text = "`collector_endpoint_version` must be set";
                let hint = "give HTTP_JSON or HTTP_PROTO";
                refusals.refuse("collector_endpoint_version", "validation", text, hint);
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

/// Whether there is a scheme and a host.
fn is_absolute(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| !host.is_empty()) && !uri.contains(char::is_whitespace)
}
