//! The linter's rules on resources as `render` makes them.

use bytes::Bytes;
use convoy::lint;
use convoy::model::{FilePath, Severity, SourceTree};
use convoy::render::Renderer;
use convoy::schema::Schema;

/// Every finding about one resource, as `severity rule: message`.
fn findings(path: &str, text: &str) -> Vec<String> {
    let mut tree = SourceTree::default();
    for (path, text) in [("convoy.yaml", "stages: [{name: release}]\n"), (path, text)] {
        tree.files.insert(FilePath::new(path).unwrap(), Bytes::from(text.to_owned()));
    }
    let renderer = Renderer::new(Schema::load());
    let manifest = renderer.manifest(&tree).unwrap().unwrap();
    let stage = &manifest.stages[0].name;
    let output = renderer.render(&tree, &manifest, stage);
    assert_eq!(output.problems, []);
    lint::run(renderer.schema(), stage, &output.resources)
        .into_iter()
        .map(|finding| {
            assert_eq!(finding.problem.stages, std::slice::from_ref(stage));
            assert_eq!(finding.problem.place.file.as_str(), path);
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            format!("{severity} {}: {}", finding.problem.rule, finding.problem.message)
        })
        .collect()
}

fn cluster(text: &str) -> Vec<String> {
    findings("resources/clusters/a.yaml", &format!("name: a\n{text}"))
}

fn routes(text: &str) -> Vec<String> {
    let routes: String = text.lines().map(|line| format!("    - {line}\n")).collect();
    let text = format!("name: a\nvirtual_hosts:\n- name: h\n  domains: ['*']\n  routes:\n{routes}");
    findings("resources/routes/a.yaml", &text)
}

#[test]
fn a_cluster_whose_hosts_nobody_looks_after_is_warned_of() {
    for discovery in ["type: STATIC", "type: STRICT_DNS"] {
        let found = cluster(discovery);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("warning no-health-check: the cluster `a`"), "{found:?}");
    }
    assert_eq!(cluster("type: STATIC\noutlier_detection: {}"), [""; 0]);
    assert_eq!(cluster("type: ORIGINAL_DST\nlb_policy: CLUSTER_PROVIDED"), [""; 0]);
}

#[test]
fn circuit_breakers_that_let_nothing_through_are_errors() {
    let found = cluster(
        "outlier_detection: {}
circuit_breakers: {thresholds: [{max_requests: 0}, {max_connections: 0}, {priority: HIGH}]}",
    );
    let rules: Vec<_> = found.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(rules, ["error duplicate-thresholds", "error zero-max-requests"]);
    let fine = "outlier_detection: {}
circuit_breakers: {thresholds: [{max_requests: 1}, {priority: HIGH, max_requests: 1}]}";
    assert_eq!(cluster(fine), [""; 0]);
}

#[test]
fn two_virtual_hosts_of_one_domain_are_an_error() {
    let hosts = |second: &str| {
        let text = format!(
            "name: a\nvirtual_hosts:\n- {{name: h, domains: [a.com, '*']}}\n- {{name: i, domains: [{second}]}}\n"
        );
        findings("resources/routes/a.yaml", &text)
    };
    let expected = "error duplicate-domain: the virtual host `i` claims the domain `A.com`, which `h` has already";
    assert_eq!(hosts("A.com"), [expected]);
    assert_eq!(hosts("'*'").len(), 1);
    assert_eq!(hosts("b.com"), [""; 0]);
}

#[test]
fn a_route_behind_one_that_takes_everything_is_warned_of() {
    let found = routes(
        "{match: {prefix: /a}, route: {cluster: c}}
{match: {prefix: /, headers: [{name: x, present_match: true}]}, route: {cluster: c}}
{match: {prefix: /}, route: {cluster: c}}
{name: late, match: {path: /b}, route: {cluster: c}}",
    );
    let expected = "warning shadowed-route: the route `late` of the virtual host `h` is never \
                    reached: route 3 takes every request before it";
    assert_eq!(found, [expected]);
}

#[test]
fn retry_on_words_that_envoy_skips_are_warned_of() {
    let found = routes(
        "{match: {prefix: /}, route: {cluster: c, retry_policy: {retry_on: '5xx, conect-failure'}}}",
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("warning unknown-retry-on: route 1"), "{found:?}");
    assert!(found[0].contains("`conect-failure`"), "{found:?}");
}

#[test]
fn weights_that_add_up_to_nothing_are_an_error() {
    let split = |weight| {
        routes(&format!(
            "{{match: {{prefix: /}}, route: {{weighted_clusters: \
             {{clusters: [{{name: a, weight: 0}}, {{name: b, weight: {weight}}}]}}}}}}"
        ))
    };
    assert_eq!(split(1), [""; 0]);
    assert!(split(0)[0].starts_with("error zero-weights: route 1"), "{:?}", split(0));
}

#[test]
fn a_fault_on_every_request_is_warned_of_wherever_it_is() {
    let fault = |numerator| {
        format!(
            "{{\"@type\": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, \
             abort: {{http_status: 503, percentage: {{numerator: {numerator}}}}}}}"
        )
    };
    let listener = |numerator| {
        let fault = fault(numerator);
        findings(
            "resources/listeners/a.yaml",
            &format!(
                "name: a
address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: a
      route_config: {{name: r}}
      http_filters:
      - {{name: faults, typed_config: {fault}}}
      - name: router
        typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"
            ),
        )
    };
    assert_eq!(
        listener(100),
        ["warning constant-fault: the fault filter `faults` aborts every request"]
    );
    assert_eq!(listener(99), [""; 0]);
    let on_route = |numerator| {
        let fault = fault(numerator);
        routes(&format!(
            "{{match: {{prefix: /}}, route: {{cluster: c}}, \
             typed_per_filter_config: {{faults: {fault}}}}}"
        ))
    };
    assert_eq!(on_route(100).len(), 1);
}

#[test]
fn an_alias_of_two_resources_is_an_error_that_names_both() {
    let wrapped = |name: &str, aliases: &str| {
        format!(
            "'@type': type.googleapis.com/envoy.service.discovery.v3.Resource
aliases: [{aliases}]
resource: {{name: {name}, type: STATIC, outlier_detection: {{}}}}
"
        )
    };
    let all = |b: &str| {
        format!("{}---\n{}---\n{}", wrapped("a", "x, y"), wrapped("b", b), wrapped("c", "z"))
    };
    assert_eq!(findings("resources/clusters/a.yaml", &all("v, w")), [""; 0]);
    assert_eq!(
        findings("resources/clusters/a.yaml", &all("y, c")),
        [
            "error duplicate-alias: `b` and `a`, in resources/clusters/a.yaml:3:11, both have the \
             alias `y`: whoever asks for that Cluster is given only one of them",
            "error duplicate-alias: `b` has the alias `c`, which is the name of another Cluster, \
             in resources/clusters/a.yaml:11:11: whoever asks for it is given that one",
        ]
    );
}
