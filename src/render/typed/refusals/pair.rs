//! Fields that exclude each other, or of which one must be given, though no
//! oneof says so: a table, as that is all there is to say of them.

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::Refusals;
use crate::schema::fields::field;

/// Message, and two fields of which only one may be set.
const EITHER: [(&str, &str, &str); 20] = [
    (MANAGER, "strip_matching_host_port", "strip_any_host_port"),
    (MANAGER, "original_ip_detection_extensions", "use_remote_address"),
    (MANAGER, "original_ip_detection_extensions", "xff_num_trusted_hops"),
    (MANAGER, "access_log_flush_interval", "access_log_options"),
    (XFF, "xff_num_trusted_hops", "xff_trusted_cidrs"),
    ("envoy.extensions.filters.http.lua.v3.Lua", "inline_code", "default_source_code"),
    (EXT_PROC, "grpc_service", "http_service"),
    ("envoy.config.cluster.v3.Cluster", "load_balancing_policy", "lb_subset_config"),
    ("envoy.config.core.v3.BindConfig", "extra_source_addresses", "additional_source_addresses"),
    ("envoy.config.listener.v3.Listener", "internal_listener", "address"),
    ("envoy.config.route.v3.VirtualHost", "matcher", "routes"),
    ("envoy.config.core.v3.HeaderValueOption", "append", "append_action"),
    (H2M_PAIR, "value", "regex_value_rewrite"),
    (H2M_RULE, "header", "cookie"),
    (H2M_RULE, "cookie", "remove"),
    (TCP_PROXY, "access_log_flush_interval", "access_log_options"),
    (CHECK, "with_request_body", "disable_request_body_buffering"),
    (OVERRIDE, "header", "metadata"),
    ("envoy.config.core.v3.TlvEntry", "value", "format_string"),
    ("envoy.extensions.wasm.v3.PluginConfig", "fail_open", "failure_policy"),
];

/// Message, and fields of which at least one must be set.
const ONE_OF: [(&str, &[&str]); 21] = [
    (H2M_RULE, &["on_header_present", "on_header_missing"]),
    ("envoy.extensions.filters.http.json_to_metadata.v3.JsonToMetadata.Rule", &JSON_ACTIONS),
    ("envoy.extensions.filters.http.ip_tagging.v3.IPTagging", &["ip_tags", "ip_tags_datasource"]),
    (EXT_PROC, &["grpc_service", "http_service"]),
    (OVERRIDE, &["header", "metadata"]),
    ("envoy.extensions.filters.http.api_key_auth.v3.KeySource", &["header", "query", "cookie"]),
    (THRIFT, &["request_rules", "response_rules"]),
    ("envoy.extensions.dynamic_modules.v3.DynamicModuleConfig", &["name", "module"]),
    (MODULE, &["dynamic_module_config"]),
    ("envoy.extensions.filters.http.on_demand.v3.OnDemandCds", &["source", "resources_locator"]),
    ("envoy.extensions.filters.http.basic_auth.v3.BasicAuth", &["users"]),
    ("envoy.extensions.filters.http.aws_lambda.v3.PerRouteConfig", &["invoke_config"]),
    ("envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor", &["text", "parsed"]),
    ("envoy.config.core.v3.KeyValueMutation", &["append", "remove"]),
    (EXTRACTION, &["descriptor_set", "data_source"]),
    (OTEL_LOG, &["grpc_service", "http_service", "common_config"]),
    (MIN_RTT, &["interval", "fixed_value"]),
    ("envoy.config.route.v3.VirtualCluster", &["headers"]),
    ("envoy.config.route.v3.FilterConfig", &["config", "disabled"]),
    ("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy", &["prefix_routes"]),
    ("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes", &REDIS_ROUTES),
];

/// Message, and a field that Envoy has but does not implement.
const UNIMPLEMENTED: [(&str, &str); 3] = [
    ("envoy.config.listener.v3.FilterChainMatch", "address_suffix"),
    ("envoy.config.listener.v3.FilterChainMatch", "suffix_len"),
    (MANAGER, "typed_header_validation_config"),
];

const MANAGER: &str = super::filter::MANAGER;
const XFF: &str = "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";
const EXT_PROC: &str = "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
const OTEL_LOG: &str =
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig";
const H2M_RULE: &str = "envoy.extensions.filters.http.header_to_metadata.v3.Config.Rule";
const H2M_PAIR: &str = "envoy.extensions.filters.http.header_to_metadata.v3.Config.KeyValuePair";
const MIN_RTT: &str = "envoy.extensions.filters.http.adaptive_concurrency.v3.\
                       GradientControllerConfig.MinimumRTTCalculationParams";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const CHECK: &str = "envoy.extensions.filters.http.ext_authz.v3.CheckSettings";
const OVERRIDE: &str =
    "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost.OverrideHostSource";
const THRIFT: &str = "envoy.extensions.filters.http.thrift_to_metadata.v3.ThriftToMetadata";
const MODULE: &str = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";
const EXTRACTION: &str =
    "envoy.extensions.filters.http.proto_message_extraction.v3.ProtoMessageExtractionConfig";
const JSON_ACTIONS: [&str; 2] = ["on_present", "on_missing"];
const REDIS_ROUTES: [&str; 2] = ["routes", "catch_all_route"];

/// Checks the fields of any message against the tables.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let is_set = |name: &str| {
        // The one wrapper here that means nothing when it holds false.
        field(message, name).is_some_and(|value| name != "use_remote_address" || is_true(&value))
    };
    for (_, first, second) in EITHER.iter().filter(|(owner, ..)| *owner == name) {
        if is_set(first) && is_set(second) {
            let text = format!("`{second}` can't stand beside `{first}`");
            refusals.refuse(second, "oneof", text, "keep one of them");
        }
    }
    for (_, fields) in ONE_OF.iter().filter(|(owner, _)| *owner == name) {
        if !fields.iter().any(|name| is_set(name)) {
            let named: Vec<_> = fields.iter().map(|name| format!("`{name}`")).collect();
            let short = message.descriptor().name().to_owned();
            let text = format!("a {short} needs {}", named.join(" or "));
            refusals.refuse(fields[0], "oneof", text, "give it");
        }
    }
    for (_, field) in UNIMPLEMENTED.iter().filter(|(owner, _)| *owner == name) {
        if is_set(field) {
            let text = format!("Envoy does not implement `{field}`");
            refusals.refuse(field, "validation", text, "remove it");
        }
    }
}

/// Whether a wrapper holds true.
fn is_true(value: &Value) -> bool {
    value.as_message().is_some_and(|wrapper| field(wrapper, "value").is_some())
}
