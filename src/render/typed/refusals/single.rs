//! Single filters and options, each with a thing of its own that Envoy's code
//! asks of it.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, Value};

use super::{Refusals, tls, tree};
use crate::model::TypeUrl;
use crate::schema::SchemaError;
use crate::schema::fields::{field, inner, list, number, text, variant};

/// The objects that a filter can make for others, of any version.
const OBJECTS: [&str; 17] = [
    "envoy.string",
    "envoy.hashable_string",
    "envoy.network.ip",
    "envoy.network.network_namespace",
    "envoy.network.upstream_server_name",
    "envoy.network.application_protocols",
    "envoy.network.upstream_subject_alt_names",
    "envoy.network.transport_socket.original_dst_address",
    "envoy.tcp_proxy.cluster",
    "envoy.tcp_proxy.disable_tunneling",
    "envoy.tcp_proxy.per_connection_idle_timeout_ms",
    "envoy.filters.listener.original_dst.local_ip",
    "envoy.filters.listener.original_dst.remote_ip",
    "envoy.upstream.dynamic_host",
    "envoy.upstream.dynamic_port",
    "envoy.ratelimit.hits_addend",
    "envoy.stateful_session.override_host",
];

/// Objects that are newer than the oldest Envoy, and since when they are there.
const NEWER_OBJECTS: [(&str, &str); 2] =
    [("envoy.hashable_string", "1.38.0"), ("envoy.network.network_namespace", "1.37.0")];

/// Settings of HTTP/2 that have a field, by their number.
const NAMED_SETTINGS: [(u32, &str); 3] =
    [(1, "hpack_table_size"), (3, "max_concurrent_streams"), (4, "initial_stream_window_size")];
const ENABLE_PUSH: u32 = 2;
const ENABLE_CONNECT: u32 = 8;

/// What a Wasm module begins with.
const WASM: &[u8] = b"\0asm";

/// Checks a message that this file knows.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix("envoy.extensions.").unwrap_or(name) {
        "envoy.config.core.v3.Http2ProtocolOptions" => settings(message, refusals),
        "filters.http.wasm.v3.Wasm"
        | "filters.network.wasm.v3.Wasm"
        | "access_loggers.wasm.v3.WasmAccessLog" => plugin(message, refusals),
        "filters.common.set_filter_state.v3.FilterStateValue" => object(message, refusals),
        "filters.http.aws_lambda.v3.Config" => {
            let arn = text(message, "arn");
            if !arn.starts_with("arn:") || arn.split(':').count() < 7 {
                let text = format!("`arn` is none of a function: \"{arn}\"");
                let hint = "write arn:aws:lambda:REGION:ACCOUNT:function:NAME";
                refusals.refuse("arn", "validation", text, hint);
            }
        }
        "filters.http.cdn_loop.v3.CdnLoopConfig" => {
            let id = text(message, "cdn_id");
            let host = id.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
            let host = host.map_or(id.as_str(), |(host, _)| host);
            let host = host
                .strip_prefix('[')
                .and_then(|v6| v6.strip_suffix(']'))
                .map_or_else(|| host.to_owned(), |v6| v6.replace(':', ""));
            let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if !host.chars().all(fits) {
                let text = format!("`cdn_id` is no host or name: \"{id}\"");
                refusals.refuse("cdn_id", "validation", text, "write one as cdn.example.com");
            }
        }
        "filters.http.admission_control.v3.AdmissionControl" => {
            let percent = inner(message, "sr_threshold").map(|threshold| {
                let value = inner(&threshold, "default_value");
                let value = value.as_ref().and_then(|percent| field(percent, "value"));
                value.and_then(|value| value.as_f64()).unwrap_or(0.0)
            });
            if percent.is_some_and(|percent| percent < 1.0) {
                let text = "`sr_threshold` must be at least 1 percent";
                refusals.refuse("sr_threshold", "validation", text, "raise `default_value`");
            }
        }
        "filters.http.json_to_metadata.v3.JsonToMetadata" => {
            let rules = ["request_rules", "response_rules"];
            if rules.iter().all(|name| field(message, name).is_none())
                && let Some(older) = refusals.older_than("1.37.0")
            {
                let text = format!("Envoy {older} asks for `request_rules` or `response_rules`");
                refusals.refuse("request_rules", "validation", text, "give one of them");
            }
        }
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder" => {
            descriptors(message, refusals);
        }
        "envoy.config.trace.v3.XRayConfig" => {
            let daemon = inner(message, "daemon_endpoint");
            let udp = daemon.and_then(|daemon| variant(&daemon, "protocol"));
            if udp.as_deref() != Some("UDP") {
                let text = "`daemon_endpoint` must be an address of `protocol: UDP`";
                refusals.refuse("daemon_endpoint", "validation", text, "say so");
            }
        }
        "transport_sockets.http_11_proxy.v3.Http11ProxyUpstreamTransport"
            if field(message, "transport_socket").is_none() =>
        {
            if let Some(older) = refusals.older_than("1.38.0") {
                let text = format!("Envoy {older} asks for a `transport_socket` within");
                let hint = "give one, as RawBuffer";
                refusals.refuse("transport_socket", "newer-than-envoy", text, hint);
            }
        }
        "envoy.config.core.v3.ProxyProtocolConfig" if refusals.newer_than("1.40.0") => {
            let content = ["value", "format_string"];
            let bare =
                |entry: &DynamicMessage| content.iter().all(|name| field(entry, name).is_none());
            if list(message, "added_tlvs").iter().any(bare) {
                let text = "an entry of `added_tlvs` needs `value` or `format_string`";
                refusals.refuse("added_tlvs", "validation", text, "give one of them");
            }
        }
        "filters.http.stateful_session.v3.StatefulSession" => session(message, refusals),
        "filters.udp.udp_proxy.v3.UdpProxyConfig" => tree::datagrams(message, refusals),
        "clusters.dns.v3.DnsCluster" | "common.dynamic_forward_proxy.v3.DnsCacheConfig" => {
            resolvers(message, refusals);
        }
        _ => {}
    }
}

/// Settings of HTTP/2 by number contradict neither each other nor a field.
fn settings(options: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let mut seen = BTreeMap::new();
    for one in list(options, "custom_settings_parameters") {
        let id = number(&one, "identifier").unwrap_or(0);
        let value = number(&one, "value").unwrap_or(0);
        let named = NAMED_SETTINGS.iter().find(|(number, _)| *number == id);
        let wrong = match named {
            _ if id == ENABLE_PUSH && value == 1 => {
                Some("Envoy does not push, so the setting 2 can't be 1".to_owned())
            }
            _ if id == ENABLE_CONNECT => {
                Some("the setting 8 is made by `allow_connect` alone".to_owned())
            }
            Some((_, name)) if field(options, name).is_some() => {
                Some(format!("the setting {id} stands beside its field `{name}`"))
            }
            _ if *seen.entry(id).or_insert(value) != value => {
                Some(format!("the setting {id} has two values"))
            }
            _ => None,
        };
        if let Some(text) = wrong {
            return refusals.refuse("custom_settings_parameters", "validation", text, "remove it");
        }
    }
}

/// A Wasm plugin has code, and a machine that runs it.
fn plugin(holder: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let machine = inner(holder, "config").and_then(|plugin| inner(&plugin, "vm_config"));
    let code = machine.as_ref().and_then(|machine| inner(machine, "code"));
    let runtime = machine.map(|machine| text(&machine, "runtime")).unwrap_or_default();
    let written = code.as_ref().and_then(|code| tls::inline(&inner(code, "local")?));
    let wrong = match runtime.as_str() {
        _ if code.is_none() => "the plugin has no code: give `config.vm_config.code`".to_owned(),
        "envoy.wasm.runtime.null" => {
            "the runtime envoy.wasm.runtime.null runs what is built in, and nothing is".to_owned()
        }
        "" | "envoy.wasm.runtime.v8" => match written {
            Some(code) if !code.starts_with(WASM) => "the plugin's code is no Wasm".to_owned(),
            _ => return,
        },
        other => format!("Envoy has no runtime `{other}` for Wasm"),
    };
    refusals.refuse("config", "bad-wasm", wrong, "run modules by envoy.wasm.runtime.v8");
}

/// What a filter leaves for others is an object that Envoy can make.
fn object(value: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let (key, factory) = (text(value, "object_key"), text(value, "factory_key"));
    let (field, name) =
        if factory.is_empty() { ("object_key", key) } else { ("factory_key", factory) };
    let hint = "set `factory_key: envoy.string` for a text under a name of your own";
    if !OBJECTS.contains(&name.as_str()) {
        let text = format!("Envoy has no filter state object `{name}`");
        return refusals.refuse(field, "wrong-extension", text, hint);
    }
    let newer = NEWER_OBJECTS.iter().find(|(newer, _)| *newer == name);
    if let Some(older) = newer.and_then(|(_, since)| refusals.older_than(since)) {
        let text = format!("Envoy {older} has no filter state object `{name}`");
        refusals.refuse(field, "newer-than-envoy", text, hint);
    }
}

/// How a session is kept is found by its name, and its type fits that.
fn session(filter: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(state) = inner(filter, "session_state") else { return };
    let name = text(&state, "name");
    let any = inner(&state, "typed_config");
    let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
    let kind = name.strip_prefix("envoy.http.stateful_session.");
    let package = kind.map(|kind| format!("envoy.extensions.http.stateful_session.{kind}.v3."));
    if package.is_some_and(|package| !type_url.is_empty() && !type_url.contains(&package)) {
        let text = format!("`{name}` is not configured by {type_url}");
        refusals.refuse("session_state", "wrong-extension", text, "give name and type of one");
    }
}

/// The descriptors of what is transcoded are a set of them.
fn descriptors(transcoder: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(Value::Bytes(bytes)) =
        field(transcoder, "proto_descriptor_bin").map(|v| v.into_owned())
    else {
        return;
    };
    let set = TypeUrl("type.googleapis.com/google.protobuf.FileDescriptorSet".into());
    let known = match refusals.schema.decode(&set, &bytes) {
        Ok(set) => services(&set),
        Err(SchemaError::Malformed { .. }) => {
            let text = "`proto_descriptor_bin` is no FileDescriptorSet";
            let hint = "make it with `protoc --include_imports --descriptor_set_out`";
            return refusals.refuse("proto_descriptor_bin", "validation", text, hint);
        }
        Err(_) => return,
    };
    let named = crate::schema::fields::texts(transcoder, "services");
    if let Some(missing) = named.iter().find(|name| !known.contains(*name)) {
        let text = format!("`proto_descriptor_bin` has no service `{missing}`");
        refusals.refuse("services", "validation", text, "name it as PACKAGE.SERVICE");
    }
}

/// Servers that a cluster names itself are given by number too.
pub(super) fn servers(cluster: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let own = inner(cluster, "dns_resolution_config").map(|own| list(&own, "resolvers"));
    for (name, servers) in [
        ("dns_resolvers", list(cluster, "dns_resolvers")),
        ("dns_resolution_config", own.unwrap_or_default()),
    ] {
        let hosts = servers.iter().filter_map(|server| inner(server, "socket_address"));
        let mut hosts = hosts.map(|socket| text(&socket, "address"));
        if let Some(host) = hosts.find(|host| host.parse::<std::net::IpAddr>().is_err()) {
            let text =
                format!("`{host}` is no IP address, and names of resolvers are not resolved");
            refusals.refuse(name, "bad-address", text, "give an IP address");
        }
    }
}

/// The services that a set of file descriptors defines.
fn services(set: &DynamicMessage) -> Vec<String> {
    let files = list(set, "file");
    let named = |file: &DynamicMessage| {
        let package = text(file, "package");
        let names = list(file, "service").into_iter().map(|service| text(&service, "name"));
        let dot = if package.is_empty() { "" } else { "." };
        names.map(|name| format!("{package}{dot}{name}")).collect::<Vec<_>>()
    };
    files.iter().flat_map(named).collect()
}

/// The servers that c-ares asks are given by number.
pub(super) fn resolvers(holder: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let resolver = inner(holder, "typed_dns_resolver_config");
    let cares = resolver
        .and_then(|one| crate::schema::fields::unpacked(refusals.schema, &one, "typed_config"));
    let servers = cares.map(|cares| list(&cares, "resolvers")).unwrap_or_default();
    let hosts = servers.iter().filter_map(|server| inner(server, "socket_address"));
    let mut hosts = hosts.map(|socket| text(&socket, "address"));
    if let Some(host) = hosts.find(|host| host.parse::<std::net::IpAddr>().is_err()) {
        let text = format!("`{host}` is no IP address, and names of resolvers are not resolved");
        let hint = "give an IP address";
        refusals.refuse("typed_dns_resolver_config", "bad-address", text, hint);
    }
}
