//! Scenarios on real Envoys: traffic, upstreams that misbehave, TLS, plain
//! TCP and gRPC.

use super::*;

const POOL: &str = r#"
name: pool
type: EDS
connect_timeout: 1s
eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}
"#;

const POOL_ENDPOINTS: &str = r#"
cluster_name: pool
endpoints:
- lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.2.1, port_value: 80}}}
  - endpoint: {address: {socket_address: {address: 10.0.2.2, port_value: 80}}}
"#;

const GRPC: &str = r#"
name: grpc
type: STRICT_DNS
connect_timeout: 1s
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}
load_assignment:
  cluster_name: grpc
  endpoints:
  - lb_endpoints:
    - endpoint: {address: {socket_address: {address: grpc.internal, port_value: 80}}}
"#;

const TCP_LISTENER: &str = r#"
name: redis
address: {socket_address: {address: 0.0.0.0, port_value: 6379}}
filter_chains:
- filters:
  - name: tcp
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: redis
      cluster: pool
"#;

const MORE_ROUTES: &str = r#"  routes:
  - match: {path_separated_prefix: /pool}
    route: {cluster: pool, retry_policy: {retry_on: "5xx,connect-failure", num_retries: 5, host_selection_retry_max_attempts: 20, retry_host_predicate: [{name: previous, typed_config: {"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}]}}
  - match: {path_separated_prefix: /slow}
    route: {cluster: pool, timeout: 0.3s}
  - match: {path_separated_prefix: /pkg.Payments}
    route: {cluster: grpc}
  - match: {path_separated_prefix: /rollout, runtime_fraction: {runtime_key: routing.new, default_value: {numerator: 0}}}
    route: {cluster: pool}
  - match: {path_separated_prefix: /rollout}
    route: {cluster: orders}
"#;

fn config() -> Config {
    use ResourceKind::{Clusters, Endpoints, Listeners};
    Config::sound()
        .replace("  routes:\n", MORE_ROUTES)
        .with(Clusters, POOL)
        .with(Endpoints, POOL_ENDPOINTS)
        .with(Clusters, GRPC)
        .with(Listeners, TCP_LISTENER)
}

const SCENARIOS: &str = r#"
listener: front
checks:
- name: one bad host is retried around
  steps:
  - fail: {cluster: pool, endpoint: 0, status: 503}
  - {request: {path: /pool}, repeat: 60, at_once: 2, expect: {status: 200, endpoint: 1}}
  - {stats: {cluster.pool.upstream_rq_retry: ">= 5"}}
  - restore: {cluster: pool, endpoint: 0}
  - {request: {path: /pool}, repeat: 200, expect: {status: 200, endpoints: {pool/0: 50, pool/1: 50}}}
- name: a host that went away is gone until it comes back
  steps:
  - drop: {cluster: pool, endpoint: 1}
  - {request: {path: /pool}, repeat: 40, expect: {status: 200, endpoint: 0}}
  - {stats: {cluster.pool.upstream_cx_connect_fail: ">= 1"}}
  - restore: all
  - {request: {path: /pool}, repeat: 200, expect: {status: 200, endpoints: {pool/0: 50, pool/1: 50}}}
- name: half of the slow ones meet the route's timeout
  timeout: 30s
  steps:
  - delay: {cluster: pool, by: 2s}
  - {request: {path: /slow}, repeat: 3, at_once: 3, expect: {status: 504}}
  - restore: all
  - {request: {path: /slow}, repeat: 20, rate: 200, expect: {status: 200, within: 250ms}}
- name: hosts that cut connections are told as what they are
  steps:
  - fail: {cluster: orders, reset: true}
  - {request: {path: /orders}, expect: {status: 503, body_contains: upstream connect error}}
- name: the rollout follows its runtime key
  steps:
  - {request: {path: /rollout}, repeat: 20, expect: {cluster: orders}}
  - runtime: {routing.new: 100}
  - {request: {path: /rollout}, repeat: 20, expect: {cluster: pool}}
- name: what the check before disturbed is put right
  steps:
  - {request: {path: /rollout}, repeat: 20, expect: {status: 200, cluster: orders}}
  - {stats: {cluster.orders.upstream_rq_200: 20}}
- name: gRPC has its own status
  steps:
  - {grpc: {method: pkg.Payments/Get, message: aGk=}, repeat: 5, expect: {status: 200, grpc_status: 0, cluster: grpc, body_contains: hi}}
  - fail: {cluster: grpc, grpc_status: 14, share: 50}
  - {grpc: {method: pkg.Payments/Get}, repeat: 50, expect: {status: 200}}
  - fail: {cluster: grpc, grpc_status: 14}
  - {grpc: {method: pkg.Payments/Get}, expect: {grpc_status: 14}}
- name: plain bytes reach the pool
  listener: redis
  tcp: {send: "*1\r\n$4\r\nPING\r\n"}
  expect: {cluster: pool, contains: PING}
- name: plain bytes reach nobody when the pool is gone
  listener: redis
  steps:
  - drop: {cluster: pool}
  - {tcp: {send: hello}, expect: {refused: true}}
"#;

async fn hold_on(version: &str) {
    let plan = config().file("checks/scenarios.yaml", SCENARIOS).plan(version);
    let result = Runner::start().run(plan).await;
    assert_eq!((result.outcome, &result.reasons), (Outcome::Passed, &Vec::new()));
    assert_eq!(result.checks, 9);
}

#[tokio::test]
async fn scenarios_hold_on_an_old_envoy() {
    hold_on(OLD).await;
}

#[tokio::test]
async fn scenarios_hold_on_a_new_envoy() {
    hold_on(NEW).await;
}

#[tokio::test]
async fn a_step_that_breaks_names_itself_and_the_check_after_it_still_runs() {
    let checks = r#"
listener: front
checks:
- name: a
  steps:
  - {request: {path: /pool}, expect: {status: 200}}
  - {stats: {cluster.pool.upstream_rq_200: "== 7"}, within: 100ms}
- name: b
  steps:
  - drop: {cluster: poole}
  - {request: {path: /pool}, expect: {status: 200}}
- name: c
  steps:
  - drop: {cluster: pool, endpoint: 7}
  - {request: {path: /pool}, expect: {status: 200}}
- name: d
  timeout: 1s
  steps:
  - delay: {cluster: pool, by: 10s}
  - {request: {path: /pool}, repeat: 3, expect: {status: 200}}
- name: e
  steps:
  - runtime: {routing.new: 0}
  - {request: {path: /pool}, repeat: 3, expect: {status: 200, within: 1s}}
"#;
    let result = Runner::start().run(config().file("checks/a.yaml", checks).plan(NEW)).await;
    let words = [
        "check `a` (checks/a.yaml:4:3): step 2 (checks/a.yaml:7:5): expected stat \
         `cluster.pool.upstream_rq_200` == 7, got 1 (after 0.1 s)",
        "check `b` (checks/a.yaml:8:3): step 1 (checks/a.yaml:10:5): cluster `poole` has no \
         endpoints here; clusters that have: ",
        "cluster `pool` has no endpoint 7; they are counted from 0",
        "check `d` (checks/a.yaml:16:3): did not finish within 1 s at step 2 \
         (checks/a.yaml:20:5): 0 of 3 requests were answered",
    ];
    assert_failed(&result, &words);
    assert_eq!((result.reasons.len(), result.checks), (4, 5), "{result:#?}");
}

/// A listener that takes its certificate from a file, and who may come.
fn tls(validation: &str) -> Config {
    let chain = format!(
        "- transport_socket:\n    name: tls\n    typed_config:\n      \"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n      \
         {validation}  filters:\n  - name: http\n"
    );
    Config::sound().replace("- filters:\n  - name: http\n", &chain)
}

const MUTUAL: &str = "require_client_certificate: true\n      common_tls_context:\n        \
    tls_certificates: [{certificate_chain: {filename: /etc/tls/cert.pem}, private_key: {filename: /etc/tls/key.pem}}]\n        \
    validation_context:\n          trusted_ca: {filename: /etc/tls/ca.pem}\n          \
    match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: 'spiffe://mesh/web'}}]\n";

#[tokio::test]
async fn a_listener_with_mutual_tls_takes_whom_it_trusts() {
    let checks = r#"
checks:
- name: web comes in
  request: {path: /orders, host: a.test, identity: {name: web, alternatives: ["spiffe://mesh/web"]}}
  expect: {status: 200, cluster: orders}
- name: nobody else does
  request: {path: /orders, host: a.test, identity: {alternatives: ["spiffe://mesh/other"]}}
  expect: {refused: true}
- name: nor one without a certificate
  request: {path: /orders, host: a.test, identity: none}
  expect: {refused: true}
- name: HTTP/2 works too
  request: {path: /orders, host: a.test, http2: true, identity: {alternatives: ["spiffe://mesh/web"]}}
  expect: {status: 200}
"#;
    for version in [OLD, NEW] {
        let plan = tls(MUTUAL).file("checks/a.yaml", checks).plan(version);
        let result = Runner::start().run(plan).await;
        assert_eq!((result.outcome, result.checks), (Outcome::Passed, 4), "{result:#?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_written_and_wrong_is_still_found() {
    let broken = "common_tls_context: {tls_certificates: [{certificate_chain: {inline_string: \
                  nonsense}, private_key: {inline_string: nonsense}}]}\n";
    let result = Runner::start().run(tls(broken).plan(NEW)).await;
    assert_failed(&result, &["envoy refused Listener"]);
}
