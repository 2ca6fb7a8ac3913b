//! Headers that may not be added or removed: those that make a request what it
//! is.

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::Refusals;
use crate::schema::fields::{inner, list, text, texts};

/// Fields that add headers, in whichever message.
const ADDED: [&str; 6] = [
    "request_headers_to_add",
    "response_headers_to_add",
    "response_trailers_to_add",
    "request_headers_to_set",
    "headers_to_add",
    "append",
];

/// Fields that remove headers.
const REMOVED: [&str; 2] = ["request_headers_to_remove", "response_headers_to_remove"];

/// The packages whose messages are read so; others have headers of their own
/// meaning.
const PACKAGES: [&str; 8] = [
    "envoy.config.route.v3",
    "envoy.config.core.v3",
    "envoy.config.common.mutation_rules.v3",
    "envoy.extensions.filters.network.tcp_proxy.v3",
    "envoy.extensions.filters.network.http_connection_manager.v3",
    "envoy.extensions.filters.http.local_ratelimit.v3",
    "envoy.extensions.filters.http.ratelimit.v3",
    "envoy.extensions.filters.http.custom_response.v3",
];

/// Checks what a message adds and removes.
pub(super) fn check(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let descriptor = message.descriptor();
    // What is told of requests to a collector is sent as it stands.
    let to_service = descriptor.full_name() == "envoy.config.core.v3.HttpService";
    if to_service || !PACKAGES.contains(&descriptor.package_name()) {
        return;
    }
    for name in ADDED {
        let Some(field) = descriptor.get_field_by_name(name) else { continue };
        let options = match field.is_list() {
            true => list(message, name),
            false => inner(message, name).into_iter().collect(),
        };
        let keys = options.iter().filter_map(|option| inner(option, "header"));
        let keys = keys.map(|header| text(&header, "key"));
        refuse(keys, name, "be modified", refusals);
    }
    for name in REMOVED.into_iter().filter(|name| descriptor.get_field_by_name(name).is_some()) {
        refuse(texts(message, name).into_iter(), name, "be removed", refusals);
    }
}

fn refuse(
    mut keys: impl Iterator<Item = String>,
    field: &'static str,
    verb: &str,
    refusals: &mut Refusals<'_>,
) {
    if let Some(key) = keys.find(|key| key.starts_with(':') || key.eq_ignore_ascii_case("host")) {
        let text = format!("the header `{key}` can't {verb}");
        refusals.refuse(field, "validation", text, "use the route's rewrites for host and path");
    }
}
