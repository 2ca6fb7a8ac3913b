//! Measures the pure path in one process: a source tree to a verdict.
//!
//! Prints one JSON object; `ci/bench` puts it in its table. The floor in the
//! same run is the bare YAML parser over the same text: nothing that reads the
//! files can be quicker.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a measuring program prints, reads the clock, and may stop"
)]

use std::time::{Duration, Instant};

use convoy::model::{FilePath, SourceTree};
use convoy::reconcile::assess;
use convoy::render::Renderer;
use convoy::schema::Schema;

const CLUSTERS: usize = 500;
const ROUNDS: usize = 9;

fn main() {
    let tree = tree(0);
    let bytes: usize = tree.files.values().map(bytes::Bytes::len).sum();
    let (mut cold, mut warm, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    let schema = Schema::load();
    let mut resources = 0;
    for round in 0..ROUNDS {
        let renderer = Renderer::new(schema.clone());
        let (took, count) = timed(|| judge(&renderer, &tree));
        cold.push(took);
        resources = count;
        // The same tree with one file changed, on the same renderer.
        let mut changed = tree.clone();
        let path = FilePath::new("resources/clusters/c7.yaml").expect("a path");
        changed.files.insert(path, cluster(7, round + 1).into());
        warm.push(timed(|| judge(&renderer, &changed)).0);
        floor.push(timed(|| parse(&tree)).0);
    }
    let (load, _) = timed(Schema::load);
    println!(
        "{{\"resources\": {resources}, \"bytes\": {bytes}, \"cold_ms\": {:.1}, \
         \"one_file_ms\": {:.1}, \"yaml_floor_ms\": {:.1}, \"schema_load_ms\": {:.1}}}",
        median(cold),
        median(warm),
        median(floor),
        load.as_secs_f64() * 1e3
    );
}

fn judge(renderer: &Renderer, tree: &SourceTree) -> usize {
    let verdict = assess(renderer, tree, &[]).expect("the tree has a manifest");
    assert!(verdict.problems.is_empty(), "{:?}", verdict.problems.first());
    verdict.outputs.values().flat_map(|out| out.resources.groups.values()).map(Vec::len).sum()
}

fn parse(tree: &SourceTree) -> usize {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    tree.files
        .values()
        .map(|bytes| serde_yaml::from_str::<serde_yaml::Value>(&text(bytes)).is_ok())
        .filter(|read| *read)
        .count()
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let made = work();
    (began.elapsed(), made)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn tree(variant: usize) -> SourceTree {
    let mut tree = SourceTree::default();
    let mut put = |path: String, text: String| {
        tree.files.insert(FilePath::new(&path).expect("a path"), text.into());
    };
    put("convoy.yaml".into(), "stages: [{name: beta}]\n".into());
    for n in 0..CLUSTERS {
        put(format!("resources/clusters/c{n}.yaml"), cluster(n, variant));
        put(format!("resources/endpoints/c{n}.yaml"), endpoints(n));
    }
    tree
}

fn cluster(n: usize, variant: usize) -> String {
    format!(
        "name: cluster-{n}\nconnect_timeout: {}s\ntype: EDS\nlb_policy: LEAST_REQUEST\n\
         eds_cluster_config: {{eds_config: {{ads: {{}}, resource_api_version: V3}}}}\n\
         circuit_breakers:\n  thresholds:\n    - {{max_connections: 1024, max_requests: 2048, max_retries: 3}}\n\
         outlier_detection: {{consecutive_5xx: 5, interval: 10s, base_ejection_time: 30s}}\n\
         health_checks:\n  - timeout: 1s\n    interval: 5s\n    unhealthy_threshold: 3\n    healthy_threshold: 2\n    \
         http_health_check: {{path: /healthz}}\n\
         typed_extension_protocol_options:\n  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n    \
         \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n    \
         explicit_http_config: {{http2_protocol_options: {{max_concurrent_streams: 100}}}}\n",
        variant + 1
    )
}

fn endpoints(n: usize) -> String {
    let host = |k: usize| {
        format!(
            "      - endpoint: {{address: {{socket_address: {{address: 10.{}.{}.{k}, port_value: 8080}}}}}}\n",
            n / 250,
            n % 250
        )
    };
    format!(
        "cluster_name: cluster-{n}\nendpoints:\n  - lb_endpoints:\n{}{}{}",
        host(1),
        host(2),
        host(3)
    )
}
