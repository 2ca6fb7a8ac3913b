//! What decodes, and every kind of mistake with its place.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;

use super::*;
use crate::model::{FilePath, Place, ResourceKind};
use crate::render::Origin;

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(Schema::load)
}

fn file(kind: Option<ResourceKind>, text: &str) -> RenderedFile {
    RenderedFile {
        source: FilePath::new("f.yaml").unwrap(),
        group: None,
        kind,
        text: text.into(),
        origin: Origin::Same,
    }
}

/// Decodes `text` as a file of `kind` and compares each problem, written as
/// `line:column rule: message (hint)`.
fn check(kind: ResourceKind, text: &str, expected: &[&str]) -> Vec<Resource> {
    let (resources, problems) = decode(schema(), &file(Some(kind), text));
    // Tests put any message there, not only filters.
    let is_meant = |problem: &&Problem| {
        kind != ResourceKind::ExtensionConfigs || !problem.message.ends_with("are discovered")
    };
    let found: Vec<_> = problems
        .iter()
        .filter(is_meant)
        .map(|problem| {
            let place = format!("{}:{}", problem.place.line, problem.place.column);
            let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{place} {}: {}{hint}", problem.rule, problem.message)
        })
        .collect();
    assert_eq!(found, expected, "{text}");
    resources
}

fn cluster(text: &str, expected: &[&str]) -> Vec<Resource> {
    check(ResourceKind::Clusters, text, expected)
}

#[test]
fn files_hold_documents_lists_and_envoys_file_form() {
    let text = "name: a\n---\n- name: b\n- {name: c}\n---\nversion_info: '1'\nresources:\n- name: d\n\
                - '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n  name: e\n\
                - '@type': type.googleapis.com/envoy.service.discovery.v3.Resource\n  name: f\n  \
                resource: {'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: f}\n";
    let found: Vec<_> = cluster(text, &[])
        .iter()
        .map(|resource| {
            format!("{}:{} {}", resource.place.line, resource.type_url.message(), resource.name)
        })
        .collect();
    assert_eq!(
        found,
        [
            "1:envoy.config.cluster.v3.Cluster a",
            "3:envoy.config.cluster.v3.Cluster b",
            "4:envoy.config.cluster.v3.Cluster c",
            "8:envoy.config.cluster.v3.Cluster d",
            "9:envoy.config.route.v3.RouteConfiguration e",
            "13:envoy.config.cluster.v3.Cluster f",
        ]
    );
    assert_eq!(check(ResourceKind::Endpoints, "cluster_name: web", &[]).len(), 1);
    assert!(cluster("# nothing\n", &[]).is_empty());
    assert!(cluster("resources:\n", &[]).is_empty());
}

/// A wrapped cluster `f` with `more` lines in the wrapper.
fn wrapped(more: &str) -> String {
    format!(
        "'@type': type.googleapis.com/envoy.service.discovery.v3.Resource\n{more}resource: \
         {{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: f}}\n"
    )
}

#[test]
fn a_wrapper_gives_a_time_to_live_and_other_names() {
    let plain = cluster("name: f\n", &[]).remove(0);
    let bare = cluster(&wrapped("name: f\nversion: '7'\n"), &[]).remove(0);
    assert_eq!((bare.hash, bare.wrapping.is_empty()), (plain.hash, true));
    let text = wrapped("name: f\nttl: 1.5s\naliases: [z, a, z, f]\n");
    let found = cluster(&text, &[]).remove(0);
    assert_eq!(found.body, plain.body);
    assert_eq!(found.wrapping.ttl, Some(std::time::Duration::from_millis(1500)));
    let aliases: Vec<_> = found.wrapping.aliases.iter().map(|one| one.0.as_ref()).collect();
    assert_eq!(aliases, ["a", "z"]);
    let other = cluster(&wrapped("ttl: 2s\naliases: [z, a]\n"), &[]).remove(0);
    let fewer = cluster(&wrapped("ttl: 1.5s\naliases: [a]\n"), &[]).remove(0);
    let hashes = BTreeSet::from([plain.hash, found.hash, other.hash, fewer.hash]);
    assert_eq!(hashes.len(), 4, "each is another content");
}

#[test]
fn mistakes_in_a_wrapper_have_places() {
    let check =
        |more: &str, expected: &str| assert!(cluster(&wrapped(more), &[expected]).is_empty());
    check(
        "ttl: 0.5s\n",
        "2:6 bad-ttl: `ttl` must be one second at least (every client is told again within half \
         of it: 30s is short already)",
    );
    check(
        "name: g\n",
        "2:7 wrong-name: the wrapper is named `g`, and the resource in it `f` (give both the same \
         name, or leave the wrapper's out)",
    );
    check(
        "cache_control: {do_not_cache: true}\n",
        "2:1 unknown-field: `cache_control` of a wrapper is not served (leave it out: name, ttl, \
         aliases and resource are)",
    );
    check("aliases: ['']\n", "2:11 wrong-type: an alias must be a name, not the text \"\"");
    let empty = "'@type': type.googleapis.com/envoy.service.discovery.v3.Resource\nname: f\n";
    let expected = "1:1 missing-field: the wrapper has no `resource` (write the message that it \
                    wraps under `resource`, with its `@type`)";
    assert!(cluster(empty, &[expected]).is_empty());
}

#[test]
fn documents_that_are_no_resource_are_problems() {
    cluster("3", &["1:1 wrong-type: a resource must be a mapping, not the number 3"]);
    cluster("- x", &["1:3 wrong-type: a resource must be a mapping, not the text \"x\""]);
    cluster("resources: 3", &["1:12 wrong-type: `resources` must be a list, not the number 3"]);
    cluster(
        "resources: []\nname: a",
        &["2:1 unknown-field: `name` can't stand beside `resources` \
           (move it into the resource that it belongs to)"],
    );
    let (_, problems) = decode(schema(), &file(None, "name: a"));
    assert_eq!((problems.len(), problems[0].rule.as_str()), (1, "unknown-type"));
    cluster(
        "'@type': type.googleapis.com/envoy.config.core.v3.Locality\nzone: a",
        &["1:1 unknown-type: `Locality` has no name, so no Envoy can ask for it \
           (give the type of a resource: Listener, Cluster, Secret …)"],
    );
}

#[test]
fn names_are_required() {
    let message = |place: &str| {
        format!(
            "{place} missing-name: the Secret has no `name` \
             (Envoy asks for resources by name: give it one that is unique in its type)"
        )
    };
    let cases = [
        ("generic_secret: {}", "1:1"),
        ("name: ''\ngeneric_secret: {}", "1:7"),
        ("name: ~\ngeneric_secret: {}", "1:7"),
    ];
    for (text, place) in cases {
        check(ResourceKind::Secrets, text, &[&message(place)]);
    }
}

#[test]
fn yaml_mistakes_are_problems_with_places() {
    cluster(
        "name: a\nname: b",
        &["2:1 duplicate-key: `name` is written twice: in line 1 and in line 2 (keep one of them)"],
    );
    let (_, problems) = decode(schema(), &file(None, "a: [1\n"));
    assert_eq!((problems.len(), problems[0].rule.as_str()), (1, "yaml-syntax"));
}

#[test]
fn unknown_fields_name_their_nearest_also_inside_any() {
    cluster(
        "name: a\nconect_timeout: 1s\nlb_policy: ROUND_ROBIN\nzzzzz: 1",
        &[
            "2:1 unknown-field: `Cluster` has no field `conect_timeout` \
             (did you mean `connect_timeout`?)",
            "4:1 unknown-field: `Cluster` has no field `zzzzz`",
        ],
    );
    check(
        ResourceKind::ExtensionConfigs,
        "name: a\ntyped_config:\n  '@type': type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer\n  \
         max_request_byte: 5\n",
        &[
            "3:3 validation: `max_request_bytes` must be set",
            "4:3 unknown-field: `Buffer` has no field `max_request_byte` \
             (did you mean `max_request_bytes`?)",
        ],
    );
    cluster(
        "name: a\nload_assignment: {'@type': x, cluster_name: a}",
        &["2:19 unknown-field: `ClusterLoadAssignment` has no field `@type` \
           (the type of this field is fixed: remove `@type`)"],
    );
}

#[test]
fn fields_are_known_by_both_names_but_only_once() {
    assert_eq!(cluster("name: a\nconnectTimeout: 1s\nlb_policy: 0", &[]).len(), 1);
    cluster(
        "name: a\nconnectTimeout: 1s\nconnect_timeout: 2s",
        &["3:1 duplicate-key: `connect_timeout` is given twice: as `connectTimeout` in line 2, \
           and as `connect_timeout` (keep one of them)"],
    );
    cluster(
        "name: a\ntype: STATIC\ncluster_type: {name: x}",
        &["3:1 oneof: `cluster_type` can't stand beside `type` of line 2: only one \
           `cluster_discovery_type` is allowed (keep one of them)"],
    );
    assert_eq!(cluster("name: a\ntype: STATIC\ncluster_type: ~", &[]).len(), 1);
}

#[test]
fn scalars_are_typed_by_their_field() {
    let cases: &[(&str, &[&str])] = &[
        ("lb_policy: RANDOM", &[]),
        ("lb_policy: 3", &[]),
        ("lb_policy: '3'", &[]),
        (
            "lb_policy: 4",
            &[
                "2:12 bad-enum: `lb_policy` has no value `4` (write `ROUND_ROBIN`, `LEAST_REQUEST`, \
               `RING_HASH`, `RANDOM`, `MAGLEV`, `CLUSTER_PROVIDED` or \
               `LOAD_BALANCING_POLICY_CONFIG`)",
            ],
        ),
        ("alt_stat_name: 1.10", &[]),
        (
            "lb_policy: RANDM",
            &["2:12 bad-enum: `lb_policy` has no value `RANDM` (did you mean `RANDOM`?)"],
        ),
        (
            "lb_policy: round_robin",
            &[
                "2:12 bad-enum: `lb_policy` has no value `round_robin` (did you mean `ROUND_ROBIN`?)",
            ],
        ),
        ("connect_timeout: 0.25s", &[]),
        (
            "connect_timeout: 250ms",
            &[
                "2:18 bad-duration: `connect_timeout` must be a duration such as 1.5s, not the text \"250ms\" \
               (write 0.25s)",
            ],
        ),
        (
            "connect_timeout: 5",
            &[
                "2:18 bad-duration: `connect_timeout` must be a duration such as 1.5s, not the number 5 \
               (write 5s)",
            ],
        ),
        (
            "connect_timeout: 315576000001s",
            &[
                "2:18 bad-duration: `connect_timeout` must be a duration such as 1.5s, not the text \
               \"315576000001s\" (write at most 315576000000s)",
            ],
        ),
        (
            "connect_timeout: {seconds: 5}",
            &["2:18 wrong-type: `connect_timeout` must be a text, not a mapping"],
        ),
        ("per_connection_buffer_limit_bytes: '0x10'", &[]),
        ("per_connection_buffer_limit_bytes: 1e3", &[]),
        ("per_connection_buffer_limit_bytes: ~", &[]),
        (
            "per_connection_buffer_limit_bytes: 4294967296",
            &[
                "2:36 wrong-type: `per_connection_buffer_limit_bytes` is out of range: 4294967296 is not from 0 to \
               4294967295",
            ],
        ),
        (
            "per_connection_buffer_limit_bytes: 1.5",
            &[
                "2:36 wrong-type: `per_connection_buffer_limit_bytes` must be a whole number from 0 to 4294967295, not \
               the number 1.5",
            ],
        ),
        ("use_tcp_for_dns_lookups: true", &[]),
        (
            "use_tcp_for_dns_lookups: yes",
            &["2:26 wrong-type: `use_tcp_for_dns_lookups` must be true or false, not the text \
               \"yes\" (write true, without quotes)"],
        ),
        (
            "use_tcp_for_dns_lookups: 'false'",
            &["2:26 wrong-type: `use_tcp_for_dns_lookups` must be true or false, not the text \
               \"false\" (write false, without quotes)"],
        ),
        ("alt_stat_name: yes", &[]),
        (
            "alt_stat_name: 123",
            &["2:16 wrong-type: `alt_stat_name` must be a text, not the number 123 \
               (put it in quotes: \"123\")"],
        ),
        ("alt_stat_name: [a]", &["2:16 wrong-type: `alt_stat_name` must be a text, not a list"]),
        (
            "dns_resolvers: {}",
            &["2:16 wrong-type: `dns_resolvers` must be a list, not a mapping \
               (put `- ` before each item)"],
        ),
        (
            "filters: [~]",
            &[
                "2:11 wrong-type: an item of `filters` is null (remove the item, or give it a value)",
            ],
        ),
        ("metadata: 3", &["2:11 wrong-type: `metadata` must be a mapping, not the number 3"]),
        (
            "typed_extension_protocol_options: []",
            &["2:35 wrong-type: `typed_extension_protocol_options` must be a mapping, not a list"],
        ),
        (
            "common_lb_config: {healthy_panic_threshold: {value: abc}}",
            &["2:53 wrong-type: `value` must be a number, not the text \"abc\""],
        ),
        ("common_lb_config: {healthy_panic_threshold: {value: '12.5'}}", &[]),
        (
            "common_lb_config: {healthy_panic_threshold: {value: NaN}}",
            &["2:53 validation: `value` must be at least 0 and at most 100, is NaN"],
        ),
    ];
    for (field, expected) in cases {
        cluster(&format!("name: a\n{field}"), expected);
    }
}

#[test]
fn bytes_times_and_masks_have_their_own_forms() {
    let secret = |value: &str, expected: &[&str]| {
        let text = format!("name: a\ngeneric_secret: {{secret: {{inline_bytes: {value}}}}}");
        check(ResourceKind::Secrets, &text, expected)
    };
    let bodies: HashSet<_> =
        ["+/8=", "-_8", "\"+_8\""].iter().map(|text| secret(text, &[])[0].body.clone()).collect();
    assert_eq!(bodies.len(), 1);
    secret(
        "'a!b'",
        &["2:41 wrong-type: `inline_bytes` must be base64 \
           (use inline_string for plain text, where there is one)"],
    );
    let any = |type_name: &str, value: &str, expected: &[&str]| {
        let text = format!(
            "name: a\ntyped_config:\n  '@type': type.googleapis.com/google.protobuf.{type_name}\n  \
             {value}"
        );
        check(ResourceKind::ExtensionConfigs, &text, expected)
    };
    any("Timestamp", "value: 2026-01-31T08:00:00.5+01:00", &[]);
    any(
        "Timestamp",
        "value: yesterday",
        &["4:10 bad-timestamp: `value` must be a time in RFC 3339, not the text \"yesterday\" \
           (write it like 2026-01-31T08:00:00Z)"],
    );
    any("FieldMask", "value: a.bC,d", &[]);
    any("Struct", "value: {a: [1, ~, {b: x}]}", &[]);
    any("Value", "value: ~", &[]);
    any("ListValue", "value: [1]", &[]);
    any("StringValue", "value: x", &[]);
    any("Empty", "", &[]);
    any("Struct", "", &["3:3 wrong-type: a `google.protobuf.Struct` needs the key `value`"]);
    any(
        "Struct",
        "a: 1\n  value: {}",
        &["4:3 unknown-field: `Struct` has no field `a` \
           (this type is written as `value: …` beside its `@type`)"],
    );
}

#[test]
fn any_needs_a_type_that_envoy_resolves() {
    let any = |config: &str, expected: &[&str]| {
        check(ResourceKind::ExtensionConfigs, &format!("name: a\ntyped_config: {config}"), expected)
    };
    let buffer = "envoy.extensions.filters.http.buffer.v3.Buffer";
    any(&format!("{{max_request_bytes: 5, '@type': type.googleapis.com/{buffer}}}"), &[]);
    for package in ["xds.type.v3", "udpa.type.v1"] {
        any(
            &format!(
                "{{'@type': type.googleapis.com/{package}.TypedStruct, type_url: x, value: {{a: 1}}}}"
            ),
            &[],
        );
    }
    any(
        "{max_request_bytes: 5}",
        &["2:15 missing-type: `@type` is missing, so the type of this mapping is not known \
           (begin it with `\"@type\": type.googleapis.com/…`)"],
    );
    any(
        "{}",
        &["2:15 no-extension: the TypedExtensionConfig `a` has no `typed_config`: Envoy finds an \
           extension by its type (give its configuration with `@type`)"],
    );
    any("[]", &["2:15 wrong-type: `typed_config` must be a mapping with `@type`, not a list"]);
    any(
        "{'@type': type.googleapis.com/envoy.extensions.filters.http.bufer.v3.Buffer}",
        &["2:25 unknown-type: no message type `envoy.extensions.filters.http.bufer.v3.Buffer` is \
           known (did you mean type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer?)"],
    );
    any(
        &format!("{{'@type': example.com/{buffer}, max_request_bytes: 5}}"),
        &["2:25 unknown-type: Envoy does not resolve the type URL \
           `example.com/envoy.extensions.filters.http.buffer.v3.Buffer` \
           (write type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer)"],
    );
}

#[test]
fn validation_rules_hold_everywhere_at_once() {
    cluster(
        "name: a\n\
         connect_timeout: 0s\n\
         load_assignment:\n  \
           endpoints:\n  \
           - lb_endpoints:\n    \
             - endpoint: {address: {socket_address: {address: '', port_value: 70000}}}\n    \
             - endpoint: {address: {}}\n    \
           load_balancing_weight: 0\n",
        &[
            "2:18 validation: `connect_timeout` must be more than 0s, is 0s",
            "4:3 validation: `cluster_name` must not be empty",
            "6:54 validation: `address` must not be empty",
            "6:70 validation: `port_value` must be at most 65535, is 70000",
            "7:27 validation: `address` must be set (give `socket_address`, `pipe` or \
             `envoy_internal_address`)",
            "8:28 validation: `load_balancing_weight` must be at least 1, is 0",
        ],
    );
    check(
        ResourceKind::Routes,
        "name: r\n\
         virtual_hosts:\n\
         - name: v\n  \
           domains: ['a', \"b\\n\"]\n  \
           routes: [{match: {prefix: /}}]\n\
         - name: ''\n  \
           domains: []\n  \
           request_headers_to_remove: ['x y', \"z\\n\"]\n",
        &[
            "4:18 validation: `domains` has an item that must be a header text without NUL, CR \
             and LF, is \"b\\n\"",
            "5:12 validation: `action` must be set (give `route`, `redirect`, `direct_response`, \
             `filter_action` or `non_forwarding_action`)",
            "6:9 validation: `name` must not be empty",
            "7:12 validation: `domains` must not be empty",
            "8:38 validation: `request_headers_to_remove` has an item that must be a header text \
             without NUL, CR and LF, is \"z\\n\"",
        ],
    );
}

#[test]
fn equal_input_gives_equal_bytes_that_envoys_types_read() {
    use prost::Message as _;
    let text = "name: web\nmetadata: {filter_metadata: {c: {x: 1, y: 2}, b: {}, a: {}}}\n\
                transport_socket:\n  name: tls\n  typed_config:\n    \
                '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n    \
                sni: web\n";
    let all: HashSet<_> = (0..20).map(|_| cluster(text, &[])[0].body.clone()).collect();
    assert_eq!(all.len(), 1);
    let body = all.into_iter().next().unwrap();
    let message = schema().decode(&ResourceKind::Clusters.type_url(), &body).unwrap();
    assert_eq!(schema().encode(&message), body);
    type Typed = envoy_types::pb::envoy::config::cluster::v3::Cluster;
    assert_eq!(Typed::decode(body).unwrap().name, "web");
}

#[test]
fn free_content_can_not_exceed_what_decoders_read() {
    let nested = |levels: usize| {
        let (open, close) = ("{a: ".repeat(levels), "}".repeat(levels));
        format!("name: a\nmetadata: {{filter_metadata: {{f: {open}1{close}}}}}")
    };
    let resources = cluster(&nested(25), &[]);
    assert!(schema().decode(&resources[0].type_url, &resources[0].body).is_ok());
    let (resources, problems) = decode(schema(), &file(Some(ResourceKind::Clusters), &nested(60)));
    assert!(resources.is_empty());
    assert_eq!((problems.len(), problems[0].rule.as_str()), (1, "too-deep"));
}

#[test]
fn a_file_reports_a_bounded_number_of_problems() {
    let text = "- bogus: 1\n  name: a\n".repeat(5000);
    let (resources, problems) = decode(schema(), &file(Some(ResourceKind::Clusters), &text));
    assert!(resources.is_empty());
    assert_eq!(problems.len(), MAX_PROBLEMS + 1);
    assert_eq!(problems[MAX_PROBLEMS].rule, "too-many-problems");
    let text = "- '@type': type.googleapis.com/envoy.config.clustr.v3.Clustr\n".repeat(5000);
    let (_, problems) = decode(schema(), &file(None, &text));
    assert_eq!(problems.len(), MAX_PROBLEMS + 1);
    assert!(problems[0].hint.is_some() && problems[MAX_TYPE_LOOKUPS].hint.is_none());
}

#[test]
fn whole_resources_come_out_beside_broken_ones() {
    let resources = cluster(
        "name: a\n---\nname: b\nbogus: 1\n---\nname: c\n",
        &["4:1 unknown-field: `Cluster` has no field `bogus`"],
    );
    let names: Vec<_> = resources.iter().map(|resource| resource.name.to_string()).collect();
    assert_eq!(names, ["a", "c"]);
}

#[test]
fn each_kind_of_rule_is_enforced() {
    let config = |type_name: &str, fields: &str, expected: &[&str]| {
        let text = format!(
            "name: a\ntyped_config:\n  '@type': type.googleapis.com/envoy.{type_name}\n  {fields}"
        );
        check(ResourceKind::ExtensionConfigs, &text, expected);
    };
    // Rules on wrappers, and a pattern.
    config(
        "extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes: 0",
        &["4:22 validation: `max_request_bytes` must be more than 0, is 0"],
    );
    config(
        "extensions.geoip_providers.maxmind.v3.MaxMindConfig",
        "city_db_path: x.db\n  common_provider_config: {geo_headers_to_add: {city: \"a b\"}}",
        &[
            "4:17 validation: `city_db_path` must match `^$|^.*\\.mmdb$`, is \"x.db\"",
            "5:55 validation: `city` must be an HTTP header name, is \"a b\"",
        ],
    );
    // The number of entries of a map.
    config(
        "config.common.matcher.v3.Matcher",
        "matcher_tree: {input: {name: i, typed_config: {'@type': type.googleapis.com/google.protobuf.Empty}}, exact_match_map: {map: {}}}",
        &["4:127 validation: `map` must not be empty"],
    );
    // The number of items of a list, and a boolean with one allowed value.
    config(
        "config.rbac.v3.Policy",
        "permissions: []\n  principals: [{any: false}]",
        &[
            "4:16 validation: `permissions` must not be empty",
            "5:22 validation: `any` must be true",
        ],
    );
    // Denied enum values, required wrappers, and lower limits of durations.
    config(
        "config.core.v3.HealthCheck",
        "timeout: -1s\n  interval: 1s\n  http_health_check: {path: /, method: CONNECT}",
        &[
            "3:3 validation: `healthy_threshold` must be set",
            "3:3 validation: `unhealthy_threshold` must be set",
            "4:12 validation: `timeout` must be more than 0s, is -1s",
            "6:40 validation: `method` must not be `CONNECT`, is CONNECT",
        ],
    );
    config(
        "config.core.v3.KeepaliveSettings",
        "interval: 0.0005s\n  timeout: 1s",
        &["4:13 validation: `interval` must be at least 0.001s, is 0.0005s"],
    );
    // No item twice.
    config(
        "config.route.v3.InternalRedirectPolicy",
        "redirect_response_codes: [301, 301, 302, 303, 307, 308]\n  \
         response_headers_to_copy: [a, b, a]",
        &[
            "4:28 validation: `redirect_response_codes` must have at most 5 items, has 6",
            "5:36 validation: `response_headers_to_copy` must not hold an item twice",
        ],
    );
    // A field inside a oneof has rules only where it is the chosen one.
    config("type.matcher.v3.StringMatcher", "exact: ''", &[]);
    config(
        "type.matcher.v3.StringMatcher",
        "prefix: ''",
        &["4:11 validation: `prefix` must not be empty"],
    );
}

#[test]
fn every_pattern_of_envoys_rules_compiles() {
    let mut patterns = 0;
    for message in schema().pool().all_messages() {
        for (field, rules) in &schema().shape(&message).rules {
            if let crate::schema::RuleKind::Text(text) = &rules.kind
                && let Some(pattern) = &text.pattern
            {
                patterns += 1;
                assert!(regex::Regex::new(&pattern.text).is_ok(), "{}", field.full_name());
            }
        }
    }
    assert!(patterns > 5);
}

#[test]
fn problems_in_sensitive_fields_do_not_tell_the_value() {
    check(
        ResourceKind::Secrets,
        "name: a\ntls_certificate:\n  private_key: {inline_string: 4711}\n  password: hunter2\n",
        &[
            "3:32 wrong-type: `inline_string` must be a text (put it in quotes)",
            "4:13 wrong-type: `password` must be a mapping",
        ],
    );
}

#[test]
fn the_deepest_nesting_of_any_is_read_printed_and_encoded() {
    let any = "{'@type': type.googleapis.com/google.protobuf.Any, value: ";
    let levels = 110;
    let config = format!("{}{{}}{}", any.repeat(levels), "}".repeat(levels));
    let text = format!("name: a\ntyped_config: {config}");
    let resources = check(ResourceKind::ExtensionConfigs, &text, &[]);
    let message = schema().decode(&resources[0].type_url, &resources[0].body).unwrap();
    assert_eq!(schema().encode(&message), resources[0].body);
    assert!(schema().to_yaml(&message).matches("@type").count() >= levels);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[-a\\[\\]{}:,?&*!|>'\"%@#~<. \\n\\t01é]{0,80}") {
        let _ = decode(schema(), &file(Some(ResourceKind::Clusters), &text));
        let nested = format!("name: a\nmetadata: {text}\nload_assignment: {text}");
        let _ = decode(schema(), &file(Some(ResourceKind::Clusters), &nested));
    }
}

#[test]
fn what_envoy_refuses_beyond_its_rules_is_refused_with_its_place() {
    cluster(
        "name: a\ntype: EDS",
        &["1:1 no-eds-config: an EDS cluster needs `eds_config`: from where its endpoints come \
           (write eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}})"],
    );
    cluster(
        "name: a\ntype: STATIC\nload_assignment:\n  cluster_name: a\n  endpoints:\n  - lb_endpoints:\n    \
         - endpoint: {address: {socket_address: {address: web.internal, port_value: 80}}}",
        &["4:3 bad-address: `web.internal` is no IP address, and hosts that are STATIC are not \
           resolved (give an IP address, or make the cluster STRICT_DNS)"],
    );
    check(
        ResourceKind::Routes,
        "name: r\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n  \
         - match: {safe_regex: {regex: 'a(?=b)'}}\n    \
           route: {cluster: a, timeout: -1s}\n    \
           request_headers_to_add: [{header: {key: a, value: '%NOPE%'}}]\n",
        &[
            "6:33 bad-regex: `regex` is no expression of RE2: invalid perl operator: (?=, in \
             `a(?=b)` (see github.com/google/re2/wiki/Syntax)",
            "7:34 bad-duration: `timeout` must not be negative: Envoy refuses such a time",
            "8:39 bad-format: `%NOPE%` is no format: Envoy has no command NOPE \
             (write %% for a percent sign)",
        ],
    );
    check(
        ResourceKind::Listeners,
        "name: l\naddress: {socket_address: {address: '::', port_value: 1}}\nfilter_chains:\n\
         - filters:\n  - name: rbac\n    typed_config:\n      \
             '@type': type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC\n      \
             stat_prefix: a\n",
        &["5:5 filter-order: the filter chain ends with \
           `envoy.extensions.filters.network.rbac.v3.RBAC`, which ends none \
           (put a TcpProxy, an HttpConnectionManager or such behind it)"],
    );
    check(
        ResourceKind::Secrets,
        "name: s\ntls_certificate:\n  certificate_chain: {inline_string: hello}\n",
        &[
            "3:3 no-certificate: a TLS certificate needs `private_key` (give chain and key)",
            "3:22 bad-pem: `certificate_chain` holds no CERTIFICATE in PEM \
             (inline_bytes is base64 of the PEM text; inline_string is the text itself)",
        ],
    );
}

/// What is said of `text` for the Envoys `versions`: errors, then warnings.
fn said_for(versions: &[&str], kind: ResourceKind, text: &str) -> Vec<String> {
    let versions: Vec<_> = versions.iter().map(|version| (*version).to_owned()).collect();
    let decoded = decode_for(schema(), &file(Some(kind), text), &schema().targets(&versions));
    let shown = |word: &str, problem: &Problem| {
        let Place { line, column, .. } = problem.place;
        let hint = problem.hint.as_deref().unwrap_or_default();
        format!("{word} {line}:{column} {}: {} ({hint})", problem.rule, problem.message)
    };
    let errors = decoded.problems.iter().map(|problem| shown("error", problem));
    errors.chain(decoded.warnings.iter().map(|problem| shown("warning", problem))).collect()
}

#[test]
fn a_field_that_an_envoy_of_the_stage_ignores_is_a_warning() {
    let text = "name: r\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n  \
                - match: {prefix: /}\n    direct_response: {status: 200, body_format: \
                {text_format_source: {inline_string: x}}}\n";
    assert_eq!(
        said_for(&["1.36.4", "1.40.0"], ResourceKind::Routes, text),
        ["warning 7:36 newer-than-envoy: Envoy 1.36.4 does not know the field `body_format` of \
          DirectResponseAction, and ignores it (Envoy 1.37.0 knows it)"]
    );
    assert_eq!(said_for(&["1.40.0"], ResourceKind::Routes, text), [""; 0]);
    assert_eq!(said_for(&[], ResourceKind::Routes, text), [""; 0]);
}

#[test]
fn what_is_left_without_a_newer_field_must_be_valid() {
    let text = "name: r\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  rate_limits:\n  \
                - actions:\n    - remote_address_match: {address_matcher: {ranges: \
                [{address_prefix: 10.0.0.0, prefix_len: 8}]}, descriptor_value: a}\n";
    assert_eq!(
        said_for(&["1.36.4"], ResourceKind::Routes, text),
        ["error 7:7 newer-than-envoy: Envoy 1.36.4 does not know the field \
          `remote_address_match` of Action, and refuses what is left without it: \
          `action_specifier` must be set (Envoy 1.38.3 knows it)"]
    );
    assert_eq!(said_for(&["1.38.3"], ResourceKind::Routes, text), [""; 0]);
}

#[test]
fn rules_and_extensions_are_those_of_the_stages_envoys() {
    let filter = |name: &str, more: &str| {
        format!(
            "name: a\ntyped_config:\n  \
             '@type': type.googleapis.com/envoy.extensions.filters.http.{name}\n  {more}\n"
        )
    };
    let bucket = "stat_prefix: a\n  token_bucket: {max_tokens: 0, fill_interval: 1s}";
    let limit = filter("local_ratelimit.v3.LocalRateLimit", bucket);
    assert_eq!(
        said_for(&["1.38.3"], ResourceKind::ExtensionConfigs, &limit),
        ["error 5:30 validation: `max_tokens` must be more than 0, is 0, says Envoy 1.38.3 ()"]
    );
    assert_eq!(said_for(&["1.40.0"], ResourceKind::ExtensionConfigs, &limit), [""; 0]);
    let server = filter("body_size_limit.v3.BodySizeLimit", "");
    assert_eq!(
        said_for(&["1.39.3"], ResourceKind::ExtensionConfigs, &server),
        ["error 3:3 newer-than-envoy: Envoy 1.39.3 has no extension \
          `envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit` (Envoy 1.40.0 has it)"]
    );
    assert_eq!(said_for(&["1.40.0"], ResourceKind::ExtensionConfigs, &server), [""; 0]);
}

#[test]
fn what_envoys_code_asks_of_fields_together_is_asked() {
    let refused = |kind, text: &str, rule: &str| {
        let (_, problems) = decode(schema(), &file(Some(kind), text));
        let rules: Vec<_> = problems.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(rules, [rule], "{text}: {problems:?}");
    };
    for (text, rule) in [
        ("type: ORIGINAL_DST", "lb-policy"),
        ("type: STATIC\nlb_policy: CLUSTER_PROVIDED", "lb-policy"),
        ("type: STATIC\nlb_policy: MAGLEV\nmaglev_lb_config: {table_size: 100}", "validation"),
        ("type: STATIC\nlb_policy: LOAD_BALANCING_POLICY_CONFIG", "validation"),
        ("outlier_detection: {max_ejection_time: 1s}", "validation"),
        (
            "health_checks:\n- {timeout: 1s, interval: 1s, unhealthy_threshold: 1, \
          healthy_threshold: 1, http_health_check: {path: /, send: {text: '00'}}}",
            "validation",
        ),
        ("upstream_bind_config: {source_address: {address: a.b, port_value: 0}}", "bad-address"),
        ("dns_failure_refresh_rate: {base_interval: 2s, max_interval: 1s}", "validation"),
    ] {
        refused(ResourceKind::Clusters, &format!("name: a\n{text}\n"), rule);
    }
    let route =
        |text: &str| format!("name: r\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  {text}\n");
    for (text, rule) in [
        ("request_headers_to_add: [{header: {key: ':path', value: a}}]", "validation"),
        ("response_headers_to_remove: [Host]", "validation"),
        ("virtual_clusters: [{name: a}]", "oneof"),
        (
            "typed_per_filter_config: {a: {'@type': type.googleapis.com/envoy.extensions.filters.\
          http.router.v3.Router}}",
            "wrong-extension",
        ),
        ("routes: [{match: {prefix: /}, route: {cluster_specifier_plugin: a}}]", "missing-plugin"),
        (
            "routes: [{match: {prefix: /}, route: {cluster: a, retry_policy: {retry_back_off: \
          {base_interval: 2s, max_interval: 1s}}}}]",
            "validation",
        ),
    ] {
        refused(ResourceKind::Routes, &route(text), rule);
    }
    let listener = |text: &str| {
        format!(
            "name: l\naddress: {{socket_address: {{address: 0.0.0.0, port_value: 1}}}}\n{text}\n"
        )
    };
    let echo = "filters: [{name: e, typed_config: {'@type': type.googleapis.com/envoy.extensions.\
                filters.network.echo.v3.Echo}}]";
    for (chains, rule) in [
        (format!("- {echo}\n  filter_chain_match: {{server_names: [a, a]}}"), "same-filter-chain"),
        (
            format!("- {echo}\n  filter_chain_match: {{server_names: ['a.*.b']}}"),
            "same-filter-chain",
        ),
        (format!("- {echo}\n  filter_chain_match: {{suffix_len: 1}}"), "validation"),
        (
            format!(
                "- {echo}\n  filter_chain_match: {{prefix_ranges: [{{address_prefix: 10.0.0.1, \
                 prefix_len: 8}}]}}\n- {echo}\n  filter_chain_match: {{prefix_ranges: \
                 [{{address_prefix: 10.0.0.2, prefix_len: 8}}]}}"
            ),
            "same-filter-chain",
        ),
    ] {
        refused(ResourceKind::Listeners, &listener(&format!("filter_chains:\n{chains}")), rule);
    }
}

#[test]
fn what_single_filters_ask_of_their_configuration_is_asked() {
    for (config, rule) in [
        (
            "network.rbac.v3.RBAC {stat_prefix: x, rules: {policies: {a: {permissions: [{any: true}], \
             principals: [{not_id: {or_ids: {ids: [{header: {name: x, present_match: true}}]}}}]}}}}",
            "validation",
        ),
        (
            "http.ext_authz.v3.ExtAuthz {allowed_headers: {patterns: [{exact: y}]}, http_service: \
             {server_uri: {uri: 'http://a/b', cluster: a, timeout: 1s}, authorization_request: \
             {allowed_headers: {patterns: [{exact: x}]}}}}",
            "oneof",
        ),
        (
            "http.jwt_authn.v3.JwtAuthentication {providers: {p: {local_jwks: {inline_string: \
             '{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"a\",\"y\":\"b\"}]}'}}}}",
            "bad-jwks",
        ),
        ("http.wasm.v3.Wasm {}", "bad-wasm"),
        ("http.wasm.v3.Wasm {config: {vm_config: {runtime: envoy.wasm.runtime.v8}}}", "bad-wasm"),
        (
            "http.wasm.v3.Wasm {config: {vm_config: {code: {local: {inline_string: x}}}}}",
            "bad-wasm",
        ),
        (
            "http.wasm.v3.Wasm {config: {vm_config: {runtime: nope, code: {local: {filename: /x}}}}}",
            "bad-wasm",
        ),
        ("http.aws_lambda.v3.Config {arn: nope}", "validation"),
        ("http.cdn_loop.v3.CdnLoopConfig {cdn_id: a b}", "validation"),
        (
            "http.grpc_json_transcoder.v3.GrpcJsonTranscoder {proto_descriptor_bin: AAAA, services: [a]}",
            "validation",
        ),
        (
            "http.admission_control.v3.AdmissionControl {success_criteria: {}, sr_threshold: \
             {default_value: {value: 0.5}, runtime_key: x}}",
            "validation",
        ),
        (
            "network.set_filter_state.v3.Config {on_new_connection: [{object_key: nope, \
             format_string: {text_format_source: {inline_string: x}}}]}",
            "wrong-extension",
        ),
        ("network.redis_proxy.v3.RedisProxy {stat_prefix: x, settings: {op_timeout: 1s}}", "oneof"),
    ] {
        let (name, fields) = config.split_once(' ').unwrap();
        let fields = fields.strip_prefix('{').and_then(|f| f.strip_suffix('}')).unwrap();
        let text = format!(
            "{{name: a, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.{name}, {fields}}}}}"
        );
        let (_, problems) = decode(schema(), &file(Some(ResourceKind::ExtensionConfigs), &text));
        let rules: Vec<_> = problems.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(rules, [rule], "{config}: {problems:?}");
    }
}

#[test]
fn what_clusters_routes_and_listeners_ask_in_code_is_asked() {
    let h2 = |settings: &str| {
        format!(
            "typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: \
             {{'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
             explicit_http_config: {{http2_protocol_options: {{{settings}}}}}}}}}"
        )
    };
    let settings = |pairs: &[(u32, u32)]| {
        let shown = pairs.iter().map(|(id, value)| format!("{{identifier: {id}, value: {value}}}"));
        format!("custom_settings_parameters: [{}]", shown.collect::<Vec<_>>().join(", "))
    };
    let route = |text: &str| format!("virtual_hosts:\n- name: v\n  domains: ['*']\n  {text}");
    let tree = |input: &str, action: &str| {
        route(&format!(
            "matcher: {{matcher_tree: {{input: {{name: a, typed_config: {{'@type': \
             type.googleapis.com/envoy.type.matcher.v3.{input}, header_name: x}}}}, exact_match_map: \
             {{map: {{a: {{action: {{name: a, typed_config: {{'@type': \
             type.googleapis.com/envoy.config.{action}}}}}}}}}}}}}}}"
        ))
    };
    let sent = "route.v3.Route, match: {prefix: /}, direct_response: {status: 200}";
    let limit = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: x";
    let listener = "address: {socket_address: {address: 0.0.0.0, port_value: 1}}\nfilter_chains:\n\
                    - filters: [{name: e, typed_config: {'@type': type.googleapis.com/envoy.extensions.\
                    filters.network.echo.v3.Echo}}]\n";
    let tls = |validator: &str| {
        format!(
            "transport_socket: {{name: t, typed_config: {{'@type': type.googleapis.com/envoy.\
             extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
             {{validation_context: {{custom_validator_config: {{name: {validator}, typed_config: \
             {{'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}}}}}}}}}}}"
        )
    };
    let dns = |kind: &str| {
        format!(
            "type: {kind}\ntyped_dns_resolver_config: {{name: a, typed_config: {{'@type': \
             type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, \
             resolvers: [{{socket_address: {{address: dns.x, port_value: 53}}}}]}}}}"
        )
    };
    use ResourceKind::{Clusters, Listeners, Routes};
    for (kind, text, rules) in [
        (Clusters, h2(&settings(&[(10, 1), (10, 1), (2, 0)])), &[][..]),
        (Clusters, h2(&settings(&[(10, 1), (10, 2)])), &["validation"]),
        (Clusters, h2(&settings(&[(2, 1)])), &["validation"]),
        (Clusters, h2(&settings(&[(8, 1)])), &["validation"]),
        (
            Clusters,
            h2(&format!("max_concurrent_streams: 5, {}", settings(&[(3, 5)]))),
            &["validation"],
        ),
        (Clusters, tls("x"), &["wrong-extension"]),
        (Clusters, dns("STRICT_DNS"), &["bad-address"]),
        (Clusters, dns("STATIC"), &[]),
        (Routes, tree("HttpRequestHeaderMatchInput", sent), &[]),
        (Routes, tree("HttpResponseHeaderMatchInput", sent), &["wrong-extension"]),
        (
            Routes,
            tree("HttpRequestHeaderMatchInput", "rbac.v3.Action, name: x"),
            &["wrong-extension"],
        ),
        (
            Routes,
            route(&format!(
                "typed_per_filter_config: {{x: {{'@type': type.googleapis.com/{limit}}}}}"
            )),
            &["validation"],
        ),
        (Listeners, format!("{listener}additional_addresses: [{{}}]"), &["no-address"]),
    ] {
        let text = format!("name: a\n{text}\n");
        let (_, problems) = decode(schema(), &file(Some(kind), &text));
        let found: Vec<_> = problems.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(found, rules, "{text}: {problems:?}");
    }
}

#[test]
fn what_envoy_takes_against_the_look_of_it_is_taken() {
    let tls = |params: &str| {
        format!(
            "transport_socket: {{name: t, typed_config: {{'@type': type.googleapis.com/envoy.\
             extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
             {{tls_params: {{{params}}}}}}}}}"
        )
    };
    let host = "load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: \
                {socket_address: {address: 127.0.0.1, port_value: 1, ipv4_compat: true}}}}]}]}";
    for text in [
        tls("signature_algorithms: ['RSA+SHA256', 'RSA-PSS+SHA256', 'ECDSA+SHA256']"),
        tls("cipher_suites: ['EECDH+AESGCM', 'ECDH+AESGCM', kEECDH]"),
        tls("ecdh_curves: [x25519]"),
        host.to_owned(),
        "lb_policy: ROUND_ROBIN\nring_hash_lb_config: {maximum_ring_size: 512}".to_owned(),
        "lb_policy: ROUND_ROBIN\nmaglev_lb_config: {table_size: 100}".to_owned(),
        "upstream_bind_config: {source_address: {address: 'fe80::1%lo', port_value: 0}}".to_owned(),
    ] {
        cluster(&format!("name: a\n{text}\n"), &[]);
    }
    for config in [
        "filters.http.basic_auth.v3.BasicAuth, users: {inline_string: \"#c\\nu:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\\n\"}",
        "filters.http.health_check.v3.HealthCheck, pass_through_mode: false, cache_time: 0s",
        "filters.http.admission_control.v3.AdmissionControl, success_criteria: {http_criteria: \
         {http_success_status: [{start: 200, end: 200}]}}",
        "access_loggers.file.v3.FileAccessLog, path: /x, format: '%XFCC_VALUE(uri)%'",
        "access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig, common_config: {log_name: x, \
         grpc_service: {envoy_grpc: {cluster_name: a}}}, resource_attributes: {values: [{key: pid, \
         value: {int_value: 1}}]}",
    ] {
        let text = format!(
            "name: a\nfilters: [{{name: b, typed_config: {{'@type': type.googleapis.com/envoy.extensions.{config}}}}}]"
        );
        let decoded = decode(schema(), &file(Some(ResourceKind::Clusters), &text));
        // A cluster takes none of these as its filter, which is all that is said.
        let rules: Vec<_> = decoded.1.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(rules, ["wrong-extension"], "{config}: {:?}", decoded.1);
    }
    let tracer = "name: l\naddress: {socket_address: {address: 'fe80::1%lo', port_value: 1}}\n\
                  filter_chains:\n- filters: [{name: h, typed_config: {'@type': type.googleapis.com/\
                  envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, \
                  stat_prefix: x, route_config: {name: r}, http_filters: [{name: r, typed_config: \
                  {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], \
                  tracing: {provider: {name: z, typed_config: {'@type': type.googleapis.com/\
                  envoy.config.trace.v3.OpenTelemetryConfig, http_service: {http_uri: {uri: \
                  'http://a/b', cluster: a, timeout: 1s}, request_headers_to_add: [{header: \
                  {key: host, value: 'abc%20def'}}]}}}}}}]\n";
    assert_eq!(said_for(&["1.36.4", "1.37.0"], ResourceKind::Listeners, tracer), [""; 0]);
    let refused = said_for(&["1.38.3"], ResourceKind::Listeners, tracer);
    assert_eq!(refused.len(), 1, "{refused:?}");
    let limit = "name: r\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  rate_limits: [{actions: \
                 [{dynamic_metadata: {descriptor_key: a, metadata_key: {key: a, path: [{key: b}]}}}]}]\n";
    // Running Envoys refuse it, of each version; before 1.39 `--mode validate` took it.
    assert_eq!(said_for(&["1.36.4"], ResourceKind::Routes, limit).len(), 1);
    assert_eq!(said_for(&["1.39.3"], ResourceKind::Routes, limit).len(), 1);
}

/// Each a pair: what Envoy refuses by its code, and the nearest that it takes.
#[test]
fn options_that_envoys_code_refuses_are_refused_and_their_neighbours_taken() {
    use ResourceKind::{Clusters, Endpoints, Listeners, Routes};
    let typed = |name: &str| format!("'@type': type.googleapis.com/envoy.{name}");
    let tls = |common: &str| {
        let kind = typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext");
        format!("transport_socket: {{name: t, typed_config: {{{kind}, {common}}}}}")
    };
    let context =
        |context: &str| tls(&format!("common_tls_context: {{validation_context: {{{context}}}}}"));
    let sds = |name: &str| {
        format!("{{name: {name}, sds_config: {{ads: {{}}, resource_api_version: V3}}}}")
    };
    let certificates = |names: &[&str]| {
        let all: Vec<_> = names.iter().map(|name| sds(name)).collect();
        let all = all.join(", ");
        tls(&format!("common_tls_context: {{tls_certificate_sds_secret_configs: [{all}]}}"))
    };
    let per_route = |config: &str| {
        format!(
            "typed_per_filter_config: {{x: {{{}}}}}",
            typed(&format!("extensions.filters.http.{config}"))
        )
    };
    let route = |rest: &str| format!("virtual_hosts: [{{name: v, domains: ['*'], {rest}}}]");
    let path = |template: &str| {
        let kind = typed("extensions.path.match.uri_template.v3.UriTemplateMatchConfig");
        route(&format!(
            "routes: [{{match: {{path_match_policy: {{name: a, typed_config: {{{kind}, \
             path_template: '{template}'}}}}}}, direct_response: {{status: 200}}}}]"
        ))
    };
    let header =
        |value: &str| format!("request_headers_to_add: [{{header: {{key: x, value: '{value}'}}}}]");
    let http = |filter: &str| {
        let manager =
            typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
        let router = typed("extensions.filters.http.router.v3.Router");
        format!(
            "address: {{socket_address: {{address: 0.0.0.0, port_value: 1}}}}\nfilter_chains: \
             [{{filters: [{{name: h, typed_config: {{{manager}, stat_prefix: x, route_config: \
             {{name: r}}, {filter} http_filters: [{{name: r, typed_config: {{{router}}}}}]}}}}]}}]"
        )
    };
    let filter = |config: &str| {
        let one = typed(&format!("extensions.filters.{config}"));
        http("").replace(
            "http_filters: [",
            &format!("http_filters: [{{name: f, typed_config: {{{one}}}}}, "),
        )
    };
    let network = |config: &str| {
        let one = typed(&format!("extensions.filters.network.{config}"));
        http("").replace(
            "filters: [{name: h,",
            &format!("filters: [{{name: f, typed_config: {{{one}}}}}, {{name: h,"),
        )
    };
    let hosts = |more: &str| {
        format!(
            "endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: \
             1.2.3.4, port_value: 80{more}}}}}}}}}]}}]"
        )
    };
    let policy = |config: &str| {
        let one = typed(&format!("extensions.load_balancing_policies.{config}"));
        format!(
            "load_balancing_policy: {{policies: [{{typed_extension_config: {{name: p, \
             typed_config: {{{one}}}}}}}]}}"
        )
    };
    let random = typed("extensions.load_balancing_policies.random.v3.Random");
    let fallback = format!(
        "fallback_policy: {{policies: [{{typed_extension_config: {{name: r, typed_config: {{{random}}}}}}}]}}"
    );
    let forwarding = "clusters.dynamic_forward_proxy.v3.ClusterConfig, dns_cache_config: \
                              {name: a}";
    let redis = |name: &str| {
        let kind = typed("extensions.clusters.redis.v3.RedisClusterConfig");
        format!("cluster_type: {{name: {name}, typed_config: {{{kind}}}}}")
    };
    let on_demand =
        |source: &str| filter(&format!("http.on_demand.v3.OnDemand, odcds: {{{source}}}"));
    let named = "resources_locator: 'xdstp://a/envoy.config.cluster.v3.Cluster/x'";
    let ports = |range: &str| {
        network(&format!(
            "rbac.v3.RBAC, stat_prefix: x, rules: {{policies: {{a: {{permissions: \
             [{{destination_port_range: {{{range}}}}}], principals: [{{any: true}}]}}}}}}"
        ))
    };
    let hash = "ab".repeat(32);
    for (kind, wrong, rule, fine) in [
        (Clusters, certificates(&["a", "b"]), "validation", certificates(&["a"])),
        (
            Clusters,
            context(&format!("verify_certificate_hash: [{}]", "g".repeat(64))),
            "validation",
            context(&format!("verify_certificate_hash: [{hash}, '{}']", ["AB"; 32].join(":"))),
        ),
        (
            Clusters,
            context("verify_certificate_spki: ['!!qYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=']"),
            "validation",
            context("verify_certificate_spki: ['NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=']"),
        ),
        (
            Clusters,
            context(
                "trusted_ca: {filename: /x}, match_typed_subject_alt_names: [{san_type: OTHER_NAME, \
                 matcher: {exact: a}}]",
            ),
            "validation",
            context(
                "trusted_ca: {filename: /x}, match_typed_subject_alt_names: [{san_type: OTHER_NAME, \
                 oid: '1.2.3', matcher: {exact: a}}]",
            ),
        ),
        (
            Clusters,
            tls("auto_sni_san_validation: true, common_tls_context: {validation_context: {}}"),
            "validation",
            tls(
                "auto_sni_san_validation: true, common_tls_context: {validation_context: \
                 {trusted_ca: {filename: /x}}}",
            ),
        ),
        (
            Clusters,
            "cluster_type: {name: nope}".into(),
            "no-extension",
            "cluster_type: {name: envoy.cluster.static}".into(),
        ),
        (
            Clusters,
            "cluster_type: {name: envoy.cluster.eds}".into(),
            "no-extension",
            "type: EDS\neds_cluster_config: {eds_config: {ads: {}}}".into(),
        ),
        (
            Clusters,
            "cluster_type: {name: envoy.cluster.original_dst}".into(),
            "lb-policy",
            "cluster_type: {name: envoy.cluster.original_dst}\nlb_policy: CLUSTER_PROVIDED".into(),
        ),
        (
            Clusters,
            "cluster_type: {name: envoy.cluster.dns}\nlb_policy: CLUSTER_PROVIDED".into(),
            "lb-policy",
            "cluster_type: {name: envoy.cluster.dns}".into(),
        ),
        (
            Clusters,
            "cluster_type: {name: envoy.cluster.logical_dns}".into(),
            "logical-dns-hosts",
            "cluster_type: {name: envoy.cluster.strict_dns}".into(),
        ),
        (Clusters, redis("x"), "wrong-extension", redis("envoy.clusters.redis")),
        (
            Clusters,
            redis("envoy.clusters.redis").replace("clusters.redis.v3.RedisClusterConfig", forwarding),
            "lb-policy",
            format!("{}\nlb_policy: CLUSTER_PROVIDED", redis("envoy.clusters.redis")),
        ),
        (
            Clusters,
            "cluster_type: {name: envoy.cluster.static}\neds_cluster_config: {eds_config: {ads: {}}}".into(),
            "no-eds-config",
            "type: EDS\neds_cluster_config: {eds_config: {ads: {}}}".into(),
        ),
        (
            Clusters,
            "type: EDS\neds_cluster_config: {eds_config: {self: {}}}".into(),
            "validation",
            "type: EDS\neds_cluster_config: {eds_config: {ads: {}}}".into(),
        ),
        (
            Clusters,
            "type: STRICT_DNS\ndns_resolvers: [{socket_address: {address: dns.x, port_value: 53}}]".into(),
            "bad-address",
            "type: STRICT_DNS\ndns_resolvers: [{socket_address: {address: 1.1.1.1, port_value: 53}}]".into(),
        ),
        (
            Clusters,
            "lb_subset_config: {locality_weight_aware: true}".into(),
            "validation",
            "lb_subset_config: {locality_weight_aware: true}\ncommon_lb_config: \
             {locality_weighted_lb_config: {}}"
                .into(),
        ),
        (
            Clusters,
            policy(&format!("override_host.v3.OverrideHost, override_host_sources: [{{}}], {fallback}")),
            "oneof",
            policy(&format!(
                "override_host.v3.OverrideHost, override_host_sources: [{{header: x}}], {fallback}"
            )),
        ),
        (Clusters, "filters: [{name: a}]".into(), "no-extension", String::new()),
        (
            Clusters,
            "typed_extension_protocol_options: {a: {}}".into(),
            "no-extension",
            String::new(),
        ),
        (
            Endpoints,
            hosts(", network_namespace_filepath: /x"),
            "bad-address",
            hosts(""),
        ),
        (
            Endpoints,
            "endpoints: [{leds_cluster_locality_config: {leds_collection_name: x}}]".into(),
            "validation",
            "endpoints: [{leds_cluster_locality_config: {leds_config: {ads: {}}, \
             leds_collection_name: 'xdstp://x/envoy.config.endpoint.v3.LbEndpoint/*'}}]"
                .into(),
        ),
        (
            Endpoints,
            "endpoints: [{leds_cluster_locality_config: {leds_config: {ads: {}}, \
             leds_collection_name: 'xdstp://x/y/*'}}]"
                .into(),
            "validation",
            "endpoints: [{leds_cluster_locality_config: {leds_config: {ads: {}}, \
             leds_collection_name: 'file:///x'}}]"
                .into(),
        ),
        (
            Listeners,
            on_demand("source: {ads: {}}, resources_locator: nope"),
            "validation",
            on_demand(&format!("source: {{ads: {{}}}}, {named}")),
        ),
        (
            Listeners,
            on_demand(&format!("source: {{path: /x}}, {named}")),
            "validation",
            on_demand("source: {path: /x}"),
        ),
        (Listeners, on_demand(named), "validation", on_demand("source: {ads: {}}")),
        (Listeners, on_demand("source: {self: {}}"), "validation", http("")),
        (
            Routes,
            per_route("bandwidth_limit.v3.BandwidthLimit, stat_prefix: x, enable_mode: REQUEST"),
            "validation",
            per_route(
                "bandwidth_limit.v3.BandwidthLimit, stat_prefix: x, enable_mode: REQUEST, \
                 limit_kbps: 1",
            ),
        ),
        (Routes, per_route("grpc_web.v3.GrpcWeb"), "wrong-extension", String::new()),
        (
            Routes,
            "vhds: {config_source: {path: /x}}".into(),
            "validation",
            "vhds: {config_source: {ads: {}}}".into(),
        ),
        (Routes, path("/{1a}"), "bad-template", path("/{a1}")),
        (Routes, path("/**/*"), "bad-template", path("/*/**")),
        (Routes, header("%GRPC_STATUS(NOPE)%"), "bad-format", header("%GRPC_STATUS(NUMBER)%")),
        (
            Routes,
            header("%FILTER_STATE(a:FIELD)%"),
            "bad-format",
            header("%FILTER_STATE(a:FIELD:b)%"),
        ),
        (Routes, header("%PER_REQUEST_STATE%"), "bad-format", header("%PER_REQUEST_STATE(a)%")),
        (Listeners, ports("start: 5, end: 70000"), "validation", ports("start: 5, end: 65536")),
        (Listeners, http("tracing: {provider: {name: nope}},"), "no-extension", http("tracing: {},")),
        (Listeners, filter("http.upstream_codec.v3.UpstreamCodec"), "wrong-extension", http("")),
        (Listeners, filter("http.basic_auth.v3.BasicAuth"), "oneof", http("")),
        (
            Listeners,
            filter("http.cdn_loop.v3.CdnLoopConfig, cdn_id: a@b"),
            "validation",
            filter("http.cdn_loop.v3.CdnLoopConfig, cdn_id: '[::1]:80'"),
        ),
        (
            Listeners,
            network(
                "zookeeper_proxy.v3.ZooKeeperProxy, stat_prefix: x, latency_threshold_overrides: \
                 [{opcode: Create, threshold: 1s}, {opcode: Create, threshold: 2s}]",
            ),
            "validation",
            network(
                "zookeeper_proxy.v3.ZooKeeperProxy, stat_prefix: x, latency_threshold_overrides: \
                 [{opcode: Create, threshold: 1s}, {opcode: Ping, threshold: 2s}]",
            ),
        ),
    ] {
        let rules = |text: &str| {
            let name = if kind == Endpoints { "cluster_name" } else { "name" };
            let text = format!("{name}: a\n{text}\n");
            let (_, problems) = decode(schema(), &file(Some(kind), &text));
            problems.iter().map(|problem| problem.rule.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(rules(&wrong), [rule], "{wrong}");
        assert_eq!(rules(&fine), [""; 0], "{fine}");
    }
}
