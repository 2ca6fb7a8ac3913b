//! Smoke runs on real Envoys, found in `$CONVOY_ENVOYS/<version>/envoy`.

mod fence;
mod scenario;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use convoy::app::PrivateListeners;
use convoy::model::{
    Cell, CellResult, ContentHash, FilePath, NodeGroup, Outcome, Place, RepoName, Resource,
    ResourceKind, ResourceName, SmokePolicy, SnapshotKey, SourceTree, Stage,
};
use convoy::schema::Schema;
use convoy::smoke::{Listeners, Listening, Plan, Smoke, SmokeOptions, Suite};
use convoy::snapshot::{self, Snapshot};
use prost_reflect::DynamicMessage;

const OLD: &str = "1.36.4";
const NEW: &str = "1.40.0";

const LISTENER: &str = r#"
name: front
address: {socket_address: {address: 0.0.0.0, port_value: 443}}
filter_chains:
- filters:
  - name: http
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: front
      rds: {route_config_name: front, config_source: {ads: {}, resource_api_version: V3}}
      access_log:
      - name: file
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
          path: /no/such/folder/access.log
      http_filters:
      - name: router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

const ROUTES: &str = r#"
name: front
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - match: {path_separated_prefix: /payments}
    route: {cluster: payments}
    response_headers_to_add: [{header: {key: x-convoy-stage, value: beta}}]
  - match: {path_separated_prefix: /orders}
    route: {cluster: orders, auto_host_rewrite: true}
  - match: {path_separated_prefix: /split}
    route: {weighted_clusters: {clusters: [{name: payments, weight: 90}, {name: orders, weight: 10}]}}
"#;

const PAYMENTS: &str = r#"
name: payments
type: EDS
connect_timeout: 1s
eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}
health_checks:
- timeout: 1s
  interval: 60s
  initial_jitter: 30s
  unhealthy_threshold: 2
  healthy_threshold: 2
  http_health_check: {path: /health, expected_statuses: [{start: 204, end: 205}]}
transport_socket:
  name: tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context: {validation_context: {trusted_ca: {filename: /no/such/ca.pem}}}
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    auto_config: {}
"#;

const PAYMENTS_ENDPOINTS: &str = r#"
cluster_name: payments
endpoints:
- locality: {zone: a}
  lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 8443}}}
  - endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 8443}}}
- locality: {zone: b}
  lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.1.1, port_value: 8443}}}
"#;

const ORDERS: &str = r#"
name: orders
type: STRICT_DNS
connect_timeout: 1s
load_assignment:
  cluster_name: orders
  endpoints:
  - lb_endpoints:
    - endpoint: {address: {socket_address: {address: orders.internal, port_value: 80}}}
"#;

const RUNTIME: &str = "{name: rollout, layer: {feature.on: 1}}";

const CHECKS: &str = r#"
listener: front
checks:
- name: payments answers
  request: {path: /payments/1, host: api.example.com}
  expect:
    status: 200
    cluster: payments
    headers: {x-convoy-stage: ~^beta$}
    body_contains: '"host":"api.example.com"'
- name: orders is called by its name
  request: {path: /orders, method: POST, body: hello}
  expect: {cluster: orders, body_contains: '"host":"orders.internal"'}
- name: the split holds
  request: {path: /split}
  repeat: 400
  expect: {status: 200, weights: {payments: 90, orders: 10}, tolerance: 8}
- name: only in release
  stages: [release]
  request: {path: /nowhere}
  expect: {status: 500}
"#;

const SCRIPT: &str = r#"#!/bin/sh
set -e
test "$CONVOY_STAGE $CONVOY_GROUP" = "beta default"
test "$CONVOY_LISTENERS" = "front=$CONVOY_LISTENER_FRONT"
test -f checks/data.txt
test "$HOME" = "$(pwd)"
case "$CONVOY_ADMIN_URL" in http://127.0.0.1:*) ;; *) exit 3 ;; esac
"#;

/// A self-signed pair for `front.test`, made for this test and used nowhere.
const SECRET: &str = r#"
name: front-cert
tls_certificate:
  private_key:
    inline_string: |
      -----BEGIN PRIVATE KEY-----
      MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrmeQqDFP0zjNYi4Y
      pYLDOUL1DSPwgLqIhJRimCr/6MihRANCAARzOSJRaDdTZUlOtceZsotLnPDeg7Gx
      jQQUuTA64R0daYFtc0T3n4F/SYsbXi3bUMh44MkYVJhT2VTSp4Yvu+wg
      -----END PRIVATE KEY-----
  certificate_chain:
    inline_string: |
      -----BEGIN CERTIFICATE-----
      MIIBlzCCAT6gAwIBAgIUHMZIhAb4aLkqWYBSK6c7t95EARswCgYIKoZIzj0EAwIw
      FTETMBEGA1UEAwwKZnJvbnQudGVzdDAgFw0yNjExMjEwMTQ3NTVaGA8yMTI2MTAy
      ODAxNDc1NVowFTETMBEGA1UEAwwKZnJvbnQudGVzdDBZMBMGByqGSM49AgEGCCqG
      SM49AwEHA0IABHM5IlFoN1NlSU61x5myi0uc8N6DsbGNBBS5MDrhHR1pgW1zRPef
      gX9JixteLdtQyHjgyRhUmFPZVNKnhi+77CCjajBoMB0GA1UdDgQWBBT3Y5ZC4Hdy
      AAT2yyuSdMeyjYrcCzAfBgNVHSMEGDAWgBT3Y5ZC4HdyAAT2yyuSdMeyjYrcCzAP
      BgNVHRMBAf8EBTADAQH/MBUGA1UdEQQOMAyCCmZyb250LnRlc3QwCgYIKoZIzj0E
      AwIDRwAwRAIgUR7u7xXSTMyVtfMJms0RCYLQ4OXDUrHG7XPR6x7Ckz4CIFhyatVC
      8oDjtcOZUlidLaCS/b4pSOS+AAQ5uIdEttvg
      -----END CERTIFICATE-----
"#;

/// A stage's configuration, changed by a test before it is run.
struct Config {
    resources: Vec<(ResourceKind, String)>,
    files: Vec<(&'static str, String)>,
}

impl Config {
    fn sound() -> Self {
        use ResourceKind::{Clusters, Endpoints, Listeners, Routes, Runtime};
        let resources = [
            (Listeners, LISTENER),
            (Routes, ROUTES),
            (Clusters, PAYMENTS),
            (Endpoints, PAYMENTS_ENDPOINTS),
            (Clusters, ORDERS),
            (Runtime, RUNTIME),
        ];
        let resources = resources.map(|(kind, yaml)| (kind, yaml.to_owned())).to_vec();
        Self { resources, files: Vec::new() }
    }

    fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.resources.iter().any(|(_, yaml)| yaml.contains(from)), "{from}");
        for (_, yaml) in &mut self.resources {
            *yaml = yaml.replace(from, to);
        }
        self
    }

    fn without(mut self, kind: ResourceKind) -> Self {
        self.resources.retain(|(have, _)| *have != kind);
        self
    }

    fn with(mut self, kind: ResourceKind, yaml: &str) -> Self {
        self.resources.push((kind, yaml.to_owned()));
        self
    }

    fn file(mut self, path: &'static str, content: &str) -> Self {
        self.files.push((path, content.to_owned()));
        self
    }

    fn plan(&self, version: &str) -> Plan {
        let mut tree = SourceTree::default();
        for (path, content) in &self.files {
            let path = FilePath::new(path).unwrap();
            if path.as_str().ends_with(".sh") {
                tree.executables.insert(path.clone());
            }
            tree.files.insert(path, Bytes::from(content.clone()));
        }
        let (suite, problems) = Suite::read(&tree);
        assert_eq!(problems, []);
        let snapshot = self.snapshot();
        Plan {
            cell: Cell { stage: Stage::new("beta").unwrap(), version: version.into() },
            render: snapshot.version,
            snapshots: vec![Arc::new(snapshot)],
            suite: Arc::new(suite),
            bundle: String::new(),
            fresh: false,
            policy: SmokePolicy {
                ready_timeout: Duration::from_secs(10),
                check_timeout: Duration::from_secs(10),
                ..SmokePolicy::default()
            },
        }
    }

    fn snapshot(&self) -> Snapshot {
        let schema = Schema::load();
        let resource = |(kind, yaml): &(ResourceKind, String)| {
            let json: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
            let name = json[kind.name_field()].as_str().unwrap().to_owned();
            let descriptor = schema.message(kind.message()).unwrap();
            let message = DynamicMessage::deserialize(descriptor, json).unwrap();
            let place = Place::file(FilePath::new("resources/a.yaml").unwrap());
            let body = schema.encode(&message);
            Arc::new(Resource::new(kind.type_url(), ResourceName(name.into()), body, place))
        };
        let mut resources: Vec<_> = self.resources.iter().map(resource).collect();
        resources.sort_by(|a, b| (&a.type_url, &a.name).cmp(&(&b.type_url, &b.name)));
        let key = SnapshotKey {
            repo: RepoName::new("mesh/config").unwrap(),
            stage: Stage::new("beta").unwrap(),
            group: NodeGroup::default(),
        };
        snapshot::build(key, &resources)
    }
}

/// The real listeners, counted.
#[derive(Debug, Default)]
struct Counted {
    opened: AtomicUsize,
}

impl Listeners for Counted {
    fn listen(
        &self,
        snapshot: Arc<Snapshot>,
        on: tokio::net::TcpListener,
    ) -> std::io::Result<Box<dyn Listening>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        PrivateListeners.listen(snapshot, on)
    }
}

/// A runner in a folder of its own.
struct Runner {
    smoke: Smoke,
    listeners: Arc<Counted>,
    dir: tempfile::TempDir,
}

impl Runner {
    fn start() -> Self {
        let envoys = std::env::var_os("CONVOY_ENVOYS").expect("CONVOY_ENVOYS names a folder");
        Self::with_envoys(Path::new(&envoys))
    }

    fn with_envoys(envoys: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SmokeOptions {
            envoys: envoys.to_owned(),
            work: dir.path().join("work"),
            parallel: 2,
            evidence: Some(dir.path().join("evidence")),
            warden: Some(env!("CARGO_BIN_EXE_convoy").into()),
        };
        let cache = sled::open(dir.path().join("cache")).unwrap();
        let listeners = Arc::<Counted>::default();
        let smoke = Smoke::new(Schema::load(), options, Arc::clone(&listeners) as _, Some(cache));
        Self { smoke, listeners, dir }
    }

    /// Another program plays the warden.
    fn unfence(&mut self, warden: &str) {
        let options = SmokeOptions {
            envoys: std::env::var_os("CONVOY_ENVOYS").unwrap().into(),
            work: self.work(),
            parallel: 1,
            evidence: None,
            warden: Some(warden.into()),
        };
        self.smoke = Smoke::new(Schema::load(), options, Arc::clone(&self.listeners) as _, None);
    }

    async fn run(&self, plan: Plan) -> CellResult {
        let version = plan.cell.version.clone();
        let result = self.smoke.run(plan).await;
        assert!(
            !result.reasons.iter().any(|reason| reason.contains("is not installed")),
            "this test needs Envoy {version} in $CONVOY_ENVOYS"
        );
        assert_eq!(folders(&self.work()), 0, "a folder was left behind");
        result
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }
}

fn folders(work: &Path) -> usize {
    std::fs::read_dir(work).map_or(0, Iterator::count)
}

/// The commands of all processes that this one started, and those they did.
fn descendants() -> BTreeMap<u32, String> {
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // A zombie is gone; its parent just hasn't looked.
        if fields[0] != "Z" {
            parents.insert(pid, fields[1].parse::<u32>().unwrap());
        }
    }
    let mut found = BTreeMap::new();
    for pid in parents.keys() {
        let mut above = parents.get(pid);
        while let Some(parent) = above {
            if *parent == std::process::id() {
                let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
                found.insert(*pid, command.unwrap_or_default());
            }
            above = parents.get(parent);
        }
    }
    found
}

/// Waits until none of `before` is there any more.
async fn until_gone(before: &BTreeMap<u32, String>) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let alive = |pid: &&u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    while before.keys().any(|pid| alive(&pid)) {
        assert!(tokio::time::Instant::now() < deadline, "{before:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn assert_failed(result: &CellResult, words: &[&str]) {
    assert_eq!(result.outcome, Outcome::Failed, "{result:#?}");
    let reasons = result.reasons.join("\n");
    for word in words {
        assert!(reasons.contains(word), "no `{word}` in: {reasons}");
    }
}

async fn passes_on(version: &str) {
    let config = Config::sound()
        .file("checks/front.yaml", CHECKS)
        .file("checks/env.sh", SCRIPT)
        .file("checks/data.txt", "");
    let result = Runner::start().run(config.plan(version)).await;
    assert_eq!((result.outcome, &result.reasons), (Outcome::Passed, &Vec::new()));
    assert_eq!((result.checks, result.cached), (4, false));
}

#[tokio::test]
async fn a_sound_configuration_passes_on_an_old_envoy() {
    passes_on(OLD).await;
}

#[tokio::test]
async fn a_sound_configuration_passes_on_a_new_envoy() {
    passes_on(NEW).await;
}

#[tokio::test]
async fn a_refused_listener_fails_with_envoys_own_words() {
    let config = Config::sound().replace(
        "      rds: {route_config_name: front, config_source: {ads: {}, resource_api_version: V3}}\n",
        "      route_config: {virtual_hosts: [{name: a, domains: ['*'], routes: \
         [{match: {safe_regex: {regex: '('}}, route: {cluster: payments}}]}]}\n",
    );
    let result = Runner::start().run(config.plan(NEW)).await;
    assert_failed(&result, &["envoy refused Listener", "front", "missing )"]);
}

#[tokio::test]
async fn a_refused_route_fails_though_envoy_goes_on() {
    let config =
        Config::sound().replace("{path_separated_prefix: /split}", "{safe_regex: {regex: '*'}}");
    let result = Runner::start().run(config.plan(NEW)).await;
    assert_failed(&result, &["envoy refused RouteConfiguration", "no argument for repetition"]);
}

#[tokio::test]
async fn a_field_newer_than_an_envoy_fails_only_there() {
    let config = Config::sound().replace(
        "type: STRICT_DNS\n",
        "type: STRICT_DNS\nper_connection_buffer_high_watermark_timeout: 1s\n",
    );
    let runner = Runner::start();
    let old = runner.run(config.plan(OLD)).await;
    assert_failed(
        &old,
        &[
            "`per_connection_buffer_high_watermark_timeout` of envoy.config.cluster.v3.Cluster",
            "dynamic_unknown_fields",
        ],
    );
    let new = runner.run(config.plan(NEW)).await;
    assert_eq!(new.outcome, Outcome::Passed, "{new:#?}");
}

#[tokio::test]
async fn missing_endpoints_fail_as_warming_that_never_ends() {
    let mut plan = Config::sound().without(ResourceKind::Endpoints).plan(NEW);
    plan.policy.ready_timeout = Duration::from_secs(2);
    let result = Runner::start().run(plan).await;
    assert_failed(&result, &["did not become ready within 2 s", "warming never ended", "payments"]);
}

#[tokio::test]
async fn a_check_that_meets_another_cluster_fails_with_both_names() {
    let check = "checks: [{name: wrong, request: {path: /orders}, expect: {cluster: payments}}]";
    let result = Runner::start().run(Config::sound().file("checks/a.yaml", check).plan(NEW)).await;
    assert_failed(
        &result,
        &["check `wrong` (checks/a.yaml:1:10): expected cluster `payments`, got `orders`"],
    );
}

#[tokio::test]
async fn shares_that_are_off_fail() {
    let check = "checks: [{name: split, request: {path: /split}, repeat: 200, \
                 expect: {weights: {payments: 50, orders: 50}}}]";
    let result = Runner::start().run(Config::sound().file("checks/a.yaml", check).plan(NEW)).await;
    assert_failed(
        &result,
        &["expected `payments` to get 50 % ± 5, got", "which chance explains once in"],
    );
}

#[tokio::test]
async fn a_check_for_a_listener_that_nobody_has_fails() {
    let check = "listener: edge\nchecks: [{name: a, request: {path: /}, expect: {status: 200}}]";
    let result = Runner::start().run(Config::sound().file("checks/a.yaml", check).plan(NEW)).await;
    assert_failed(&result, &["there is no listener `edge`; there are: front"]);
}

#[tokio::test]
async fn a_script_that_hangs_is_killed_and_fails() {
    let config =
        Config::sound().file("checks/hang.sh", "#!/bin/sh\necho waiting\nsleep 1000 & wait\n");
    let mut plan = config.plan(NEW);
    plan.policy.check_timeout = Duration::from_secs(1);
    let runner = Runner::start();
    let result = runner.run(plan).await;
    assert_failed(
        &result,
        &["check checks/hang.sh was killed: it did not end within 1 s: waiting"],
    );
    until_gone(&descendants()).await;
}

#[tokio::test]
async fn a_script_that_fails_is_quoted() {
    let config =
        Config::sound().file("checks/bad.sh", "#!/bin/sh\necho no such header >&2\nexit 7\n");
    let result = Runner::start().run(config.plan(NEW)).await;
    assert_failed(&result, &["check checks/bad.sh ended with exit status: 7: no such header"]);
}

#[tokio::test]
async fn an_envoy_that_is_not_installed_is_an_error_with_a_remedy() {
    let result = Runner::start().smoke.run(Config::sound().plan("1.0.0")).await;
    assert_eq!(result.outcome, Outcome::Errored);
    assert_eq!(
        result.reasons,
        ["envoy 1.0.0 is not installed here: run `convoy envoy install 1.0.0`"]
    );
}

#[tokio::test]
async fn a_known_result_is_not_run_again() {
    let runner = Runner::start();
    let plan = Config::sound().plan(NEW);
    let first = runner.run(plan.clone()).await;
    let again = runner.run(plan.clone()).await;
    assert_eq!((first.cached, again.cached, again.took_ms), (false, true, 0));
    assert_eq!(again.outcome, Outcome::Passed, "{again:#?}");
    let afresh = runner.run(Plan { fresh: true, ..plan.clone() }).await;
    assert!(!afresh.cached, "a person wants to know again");
    let other = Plan { render: ContentHash::of(b"other"), ..plan };
    assert!(!runner.run(other).await.cached);
}

#[tokio::test]
async fn the_same_content_at_the_same_time_is_run_once() {
    let runner = Runner::start();
    let plan = Config::sound().plan(NEW);
    let (a, b) = tokio::join!(runner.smoke.run(plan.clone()), runner.smoke.run(plan));
    assert_eq!((a.outcome, b.outcome), (Outcome::Passed, Outcome::Passed), "{a:#?}");
    assert_eq!(runner.listeners.opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn dropping_a_run_leaves_no_process() {
    let runner = Runner::start();
    let config = Config::sound().file("checks/hang.sh", "#!/bin/sh\nsleep 1000 & wait\n");
    let run = runner.smoke.run(config.plan(NEW));
    let script_runs = async {
        loop {
            let there = descendants();
            if there.values().any(|command| command.contains("1000")) {
                return there;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let there = tokio::select! {
        result = run => panic!("the run ended by itself: {result:#?}"),
        there = script_runs => there,
    };
    until_gone(&there).await;
    assert_eq!(folders(&runner.work()), 0);
}

/// A folder of Envoys that holds one program, called Envoy 9.9.9.
fn stub_envoy(script: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("9.9.9/envoy");
    std::fs::create_dir(dir.path().join("9.9.9")).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[tokio::test]
async fn an_envoy_that_crashes_fails_with_its_last_words() {
    for (script, words) in [
        ("echo assert failure >&2; kill -SEGV $$", "envoy crashed with signal 11: assert failure"),
        ("echo bad config >&2; exit 1", "envoy exited with status 1: bad config"),
    ] {
        let envoys = stub_envoy(script);
        let result = Runner::with_envoys(envoys.path()).run(Config::sound().plan("9.9.9")).await;
        assert_failed(&result, &[words]);
    }
}

#[tokio::test]
async fn an_envoy_that_cannot_run_here_is_an_error_and_not_remembered() {
    let envoys = stub_envoy("echo libc.so.6 not found >&2; exit 127");
    let runner = Runner::with_envoys(envoys.path());
    for _ in 0..2 {
        let result = runner.run(Config::sound().plan("9.9.9")).await;
        assert_eq!((result.outcome, result.cached), (Outcome::Errored, false), "{result:#?}");
        assert!(result.reasons[0].contains("libc.so.6 not found"), "{result:#?}");
    }
}

#[tokio::test]
async fn every_group_gets_an_envoy_of_its_own() {
    let check = "listener: front\nchecks: [{name: edge only, groups: [edge], request: {path: /orders}, \
                 expect: {cluster: payments}}]";
    let mut plan = Config::sound().file("checks/a.yaml", check).plan(NEW);
    let mut edge = Snapshot::clone(&plan.snapshots[0]);
    edge.key.group = NodeGroup::new("edge").unwrap();
    plan.snapshots.push(Arc::new(edge));
    let runner = Runner::start();
    let result = runner.run(plan).await;
    assert_failed(&result, &["group edge: check `edge only`"]);
    assert_eq!((result.reasons.len(), result.checks), (1, 1), "{result:#?}");
    assert_eq!(runner.listeners.opened.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_listener_with_tls_is_asked_over_tls() {
    let tls = "- transport_socket:\n    name: tls\n    typed_config:\n      \"@type\": \
               type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n      \
               common_tls_context: {tls_certificate_sds_secret_configs: [{name: front-cert, \
               sds_config: {ads: {}, resource_api_version: V3}}]}\n  filters:\n  - name: http\n";
    let check = "checks: [{name: a, request: {path: /orders, host: front.test}, \
                 expect: {status: 200, cluster: orders}}]";
    let config = Config::sound()
        .replace("- filters:\n  - name: http\n", tls)
        .with(ResourceKind::Secrets, SECRET)
        .file("checks/a.yaml", check);
    let result = Runner::start().run(config.plan(NEW)).await;
    assert_eq!((result.outcome, result.checks), (Outcome::Passed, 1), "{result:#?}");
}

#[tokio::test]
async fn a_cluster_with_grpc_health_checks_comes_to_be_healthy() {
    let config = Config::sound()
        .replace(
            "http_health_check: {path: /health, expected_statuses: [{start: 204, end: 205}]}",
            "grpc_health_check: {service_name: payments}",
        )
        .file("checks/front.yaml", CHECKS);
    let result = Runner::start().run(config.plan(OLD)).await;
    assert_eq!(result.outcome, Outcome::Passed, "{result:#?}");
}

#[tokio::test]
async fn a_cluster_whose_every_host_is_unhealthy_fails_though_requests_are_answered() {
    let config = Config::sound()
        .replace("port_value: 8443}}}", "port_value: 8443}}}\n    health_status: UNHEALTHY");
    let mut plan = config.plan(NEW);
    plan.policy.ready_timeout = Duration::from_secs(2);
    let result = Runner::start().run(plan).await;
    assert_failed(&result, &["health checks find no healthy host in: payments"]);
}

#[tokio::test]
async fn what_a_run_leaves_is_kept_without_secrets() {
    let tls = "- transport_socket:\n    name: tls\n    typed_config:\n      \"@type\": \
               type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n      \
               common_tls_context: {tls_certificate_sds_secret_configs: [{name: front-cert, \
               sds_config: {ads: {}, resource_api_version: V3}}]}\n  filters:\n  - name: http\n";
    let config = Config::sound()
        .replace("- filters:\n  - name: http\n", tls)
        .with(ResourceKind::Secrets, SECRET);
    let runner = Runner::start();
    let result = runner.run(config.plan(NEW)).await;
    let evidence = runner.smoke.evidence(result.proof.evidence.unwrap()).unwrap();
    let files = &evidence.groups["default"];
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "bootstrap.json",
            "clusters.json",
            "config_dump.json",
            "envoy.log",
            "listeners.json",
            "stats.txt"
        ]
    );
    assert!(files["config_dump.json"].contains("path_separated_prefix"));
    for (name, text) in files {
        assert!(!text.contains("rmeQqDFP0zjNYi4Y"), "{name}");
        assert!(!text.contains("PRIVATE KEY"), "{name}");
    }
}
