//! What is known of the fleet, over a real server: who has what, who refuses
//! what and who wrote it, what a node gets that joins in bad times.

mod following;

use std::process::{Output, Stdio};
use std::time::Duration;

use convoy::model::ResourceKind;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterStats, UpstreamLocalityStats};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::load_stats::v3::LoadStatsRequest;
use envoy_types::pb::envoy::service::load_stats::v3::load_reporting_service_client::LoadReportingServiceClient;
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_client::ClientStatusDiscoveryServiceClient;
use envoy_types::pb::envoy::service::status::v3::{ClientStatusRequest, ConfigStatus};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value as Field};
use envoy_types::pb::google::rpc::Status as Refusal;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::upstream::{ADA, Upstream};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const PIPELINE: &str = "stages:\n  - {name: beta, auto: true}\n";

/// A server that follows an upstream with one cluster in it, and a runtime for
/// clients.
struct Bed {
    upstream: Upstream,
    convoy: Convoy,
    runtime: Runtime,
}

impl Bed {
    fn start() -> Self {
        let upstream = Upstream::start();
        let convoy = Convoy::with().upstream(upstream.url(), "1s").people().start();
        let hook = format!("{}/hooks/github", convoy.url());
        let upstream = upstream.with_webhook(&hook, "hook-secret");
        Self { upstream, convoy, runtime: Runtime::new().unwrap() }
    }

    /// Pushes the clusters `api` and `web`; the first one's timeout is `seconds`.
    fn push(&self, seconds: u32) -> String {
        let cluster = |name: &str, seconds: u32| {
            format!("# {name}\nname: {name}\nconnect_timeout: {seconds}s\ntype: STATIC\n")
        };
        let (api, web) = (cluster("api", seconds), cluster("web", 1));
        let files = [
            ("convoy.yaml", PIPELINE),
            ("resources/clusters/api.yaml", api.as_str()),
            ("resources/clusters/web.yaml", web.as_str()),
        ];
        self.upstream.commit(&files, &format!("{seconds} s"), ADA).to_string()
    }

    fn channel(&self) -> Channel {
        let address = format!("http://{}", self.convoy.xds_address());
        self.runtime.block_on(Channel::from_shared(address).unwrap().connect()).unwrap()
    }

    /// A node of beta with a delta stream for all clusters.
    fn join(&self, id: &str) -> Client<'_> {
        self.join_with(id, &[])
    }

    fn join_with(&self, id: &str, has: &[(String, String)]) -> Client<'_> {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel());
        let opened = client.delta_aggregated_resources(ReceiverStream::new(receiver));
        let hello = DeltaDiscoveryRequest {
            node: Some(node(id)),
            initial_resource_versions: has.iter().cloned().collect(),
            ..asked()
        };
        self.runtime.block_on(requests.send(hello)).unwrap();
        let responses = self.runtime.block_on(opened).unwrap().into_inner();
        Client { bed: self, requests, responses }
    }

    fn sotw(
        &self,
        id: &str,
        version: &str,
    ) -> (mpsc::Sender<DiscoveryRequest>, Streaming<DiscoveryResponse>) {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel());
        let opened = client.stream_aggregated_resources(ReceiverStream::new(receiver));
        let hello = DiscoveryRequest {
            node: Some(node(id)),
            version_info: version.into(),
            type_url: clusters(),
            ..DiscoveryRequest::default()
        };
        self.runtime.block_on(requests.send(hello)).unwrap();
        (requests, self.runtime.block_on(opened).unwrap().into_inner())
    }

    /// Runs a command of the program.
    fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.convoy.command(verb).args(arguments).output().unwrap()
    }

    /// Waits until a node is in a state; gives its card.
    fn wait_state(&self, id: &str, state: &str) -> Value {
        wait_for(&format!("{id} to be {state}"), || {
            let found = self.convoy.try_get(&format!("/api/v1/nodes/{id}"))?;
            if found["node"]["state"] == state { Ok(found) } else { Err(found.to_string()) }
        })
    }
}

/// A delta stream, seen from the client.
struct Client<'a> {
    bed: &'a Bed,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Client<'_> {
    fn next(&mut self) -> DeltaDiscoveryResponse {
        let next = async { tokio::time::timeout(PATIENCE, self.responses.message()).await };
        let next = self.bed.runtime.block_on(next);
        next.expect("a response comes").unwrap().expect("the stream goes on")
    }

    fn answer(&self, response: &DeltaDiscoveryResponse, error: Option<&str>) {
        let error_detail =
            error.map(|words| Refusal { message: words.into(), ..Refusal::default() });
        let nonce = response.nonce.clone();
        let answer = DeltaDiscoveryRequest { response_nonce: nonce, error_detail, ..asked() };
        self.bed.runtime.block_on(self.requests.send(answer)).unwrap();
    }

    /// Takes what comes next, and gives the timeout of `api` in it.
    fn take(&mut self) -> i64 {
        let response = self.next();
        self.answer(&response, None);
        timeout_of(&response)
    }
}

fn node(id: &str) -> Node {
    let stage = Field { kind: Some(Kind::StringValue("beta".into())) };
    let metadata = Some(Struct { fields: [("stage".to_owned(), stage)].into() });
    let locality = Locality { region: "eu".into(), zone: "a".into(), ..Locality::default() };
    Node { id: id.into(), metadata, locality: Some(locality), ..Node::default() }
}

fn clusters() -> String {
    ResourceKind::Clusters.type_url().to_string()
}

fn asked() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: clusters(), ..DeltaDiscoveryRequest::default() }
}

fn timeout_of(response: &DeltaDiscoveryResponse) -> i64 {
    let api = response.resources.iter().find(|one| one.name == "api").expect("api is sent");
    let any = api.resource.clone().expect("with its content");
    Cluster::decode(any.value.as_slice()).unwrap().connect_timeout.unwrap().seconds
}

#[test]
fn a_refusal_leads_back_to_the_line_and_its_author() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    let mut edge = bed.join("edge");
    assert_eq!(edge.take(), 1);
    let shown = bed.wait_state("edge", "synced");
    assert_eq!(shown["node"]["release"]["revision"], 1);
    assert_eq!(shown["node"]["identity"]["locality"], "eu/a");
    assert_eq!((&shown["resources_total"], &shown["resources"]), (&json!(2), &json!([])));
    bed.push(2);
    let refused = edge.next();
    assert_eq!(timeout_of(&refused), 2);
    edge.answer(&refused, Some("Error adding/updating cluster(s) api: too slow for us"));
    // The stage goes back to what was good, and the reason says who wrote what.
    let words = wait_for("the promotion to fail", || {
        let all = bed.convoy.get("/promotions?repo=mesh/config");
        let failed = all["promotions"].as_array().into_iter().flatten();
        let mut causes = failed.filter_map(|one| one["cause"].as_str());
        let reason = causes.next();
        reason.map(str::to_owned).ok_or_else(|| all.to_string())
    });
    let expected = "edge refused Cluster `api` (resources/clusters/api.yaml:2";
    assert!(words.starts_with(expected), "{words}");
    assert!(words.contains("r2 by Ada") && words.ends_with("too slow for us"), "{words}");
    assert_eq!(edge.take(), 1);
    bed.wait_state("edge", "synced");
    // Who waits for it is told at once, although nobody refuses it any more.
    let waited = bed.run("wait", &["--stage", "beta", "--revision", "2", "--timeout", "30s"]);
    let said = String::from_utf8_lossy(&waited.stderr).into_owned();
    assert_eq!(waited.status.code(), Some(1), "{said}");
    assert!(said.contains("api.yaml:2") && said.contains("too slow for us"), "{said}");
}

#[test]
fn a_node_that_joins_in_bad_times_gets_what_the_others_took_also_after_a_restart() {
    let mut bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    {
        let mut old = bed.join("old");
        assert_eq!(old.take(), 1);
        let second = bed.push(2);
        assert_eq!(old.take(), 2);
        bed.convoy.wait_served("beta", &second);
        let mut picky = bed.join("picky");
        let refused = picky.next();
        assert_eq!(timeout_of(&refused), 2);
        picky.answer(&refused, Some("Error adding/updating cluster(s) api: no, web: neither"));
        let shown = bed.wait_state("picky", "nacked");
        let cluster = &shown["node"]["types"][0];
        assert_eq!(cluster["nacked"]["resources"], json!(["api", "web"]));
        assert_eq!(cluster["nacked"]["release"]["revision"], 2);
        let culprit = &cluster["nacked"]["culprits"][0];
        assert_eq!(culprit["place"]["file"], "resources/clusters/api.yaml");
        assert_eq!(culprit["change"]["revision"], 2, "{culprit}");
        assert_eq!(cluster["nacked"]["culprits"][1]["change"]["revision"], 1);
        assert_eq!(shown["resources"][0]["state"], "nacked");
        let text = bed.run("nodes", &["picky"]);
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(text.contains("api, resources/clusters/api.yaml:2, r2 by Ada"), "{text}");
        // One took it, one refused it: whoever joins now is spared.
        let mut joins = bed.join("joins");
        assert_eq!(joins.take(), 1);
        let shown = bed.wait_state("joins", "stale");
        assert_eq!(shown["node"]["spared"], true);
        wait_for("the doubt to be recorded", || {
            let log = bed.convoy.log();
            if log.contains("its nodes refuse what is served") { Ok(()) } else { Err(log) }
        });
    }
    bed.convoy.kill();
    bed.convoy.start_again();
    let mut after = bed.join("after");
    assert_eq!(after.take(), 1);
    let third = bed.push(3);
    assert_eq!(after.take(), 3);
    bed.convoy.wait_served("beta", &third);
    assert_eq!(bed.join("late").take(), 3);
}

#[test]
fn a_restart_with_the_same_content_sends_nothing_again() {
    let mut bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    let (has, version) = {
        let mut delta = bed.join("delta");
        let all = delta.next();
        let has = all.resources.iter().map(|one| (one.name.clone(), one.version.clone()));
        let has: Vec<_> = has.collect();
        let (_requests, mut responses) = bed.sotw("sotw", "");
        let whole = bed.runtime.block_on(responses.message()).unwrap().unwrap();
        assert_eq!((has.len(), whole.resources.len()), (2, 2));
        (has, whole.version_info)
    };
    bed.convoy.kill();
    bed.convoy.start_again();
    let mut delta = bed.join_with("delta", &has);
    let (_requests, mut whole) = bed.sotw("sotw", &version);
    bed.wait_state("sotw", "synced");
    bed.push(2);
    let mut next = delta.next();
    if next.resources.is_empty() {
        // That there is nothing new may be said, once.
        assert!(next.removed_resources.is_empty(), "{next:?}");
        delta.answer(&next, None);
        next = delta.next();
    }
    let names: Vec<_> = next.resources.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names, timeout_of(&next)), (vec!["api"], 2));
    let first = bed.runtime.block_on(whole.message()).unwrap().unwrap();
    assert_ne!(first.version_info, version, "the first message is about what is new");
}

#[test]
fn a_script_waits_until_the_nodes_have_a_revision() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    let nobody = bed.run("wait", &["--stage", "beta", "--timeout", "300ms"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(nobody.status.code(), Some(7), "{said}");
    assert!(said.contains("no node of beta is connected"), "{said}");
    let mut edge = bed.join("edge");
    edge.take();
    let now = bed.run("wait", &["--stage", "beta", "--revision", "r1", "--timeout", "30s"]);
    assert!(now.status.success(), "{}", String::from_utf8_lossy(&now.stderr));
    let mut command = bed.convoy.command("wait");
    command.args(["--stage", "beta", "--revision", "2", "--ready", "95%", "--json"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bed.push(2);
    assert_eq!(edge.take(), 2);
    let waiting = waiting.wait_with_output().unwrap();
    assert!(waiting.status.success(), "{}", String::from_utf8_lossy(&waiting.stderr));
    let answer: Value = serde_json::from_slice(&waiting.stdout).unwrap();
    assert_eq!((&answer["ready"], &answer["reached"]), (&json!(1), &json!(true)));
    let third = bed.run("wait", &["--stage", "beta", "--revision", "3", "--timeout", "300ms"]);
    let said = String::from_utf8_lossy(&third.stderr).into_owned();
    assert_eq!(third.status.code(), Some(7), "{said}");
    assert!(said.contains("its newest revision is r2"), "{said}");
    let none = bed.run("wait", &["--stage", "gamma", "--timeout", "1s"]);
    assert_eq!(none.status.code(), Some(5), "{}", String::from_utf8_lossy(&none.stderr));
    let mut picky = bed.join("picky");
    let refused = picky.next();
    picky.answer(&refused, Some("Error adding/updating cluster(s) api: no"));
    let refused = bed.run("wait", &["--stage", "beta", "--revision", "2", "--timeout", "30s"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("picky: NACKED") && said.contains("api.yaml:2"), "{said}");
}

#[test]
fn client_status_shows_what_each_client_has_and_refuses() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    bed.join("other").take();
    let mut picky = bed.join("picky");
    let refused = picky.next();
    picky.answer(&refused, Some("Error adding/updating cluster(s) api: no"));
    bed.wait_state("picky", "nacked");
    let mut service = ClientStatusDiscoveryServiceClient::new(bed.channel());
    let all = bed.runtime.block_on(service.fetch_client_status(ClientStatusRequest::default()));
    let all = all.unwrap().into_inner();
    let picky = all.config.iter().find(|one| one.node.as_ref().unwrap().id == "picky").unwrap();
    let api = picky.generic_xds_configs.iter().find(|one| one.name == "api").unwrap();
    assert_eq!(api.config_status(), ConfigStatus::Error);
    assert!(api.error_state.as_ref().unwrap().details.ends_with("api: no"));
    let content = Cluster::decode(api.xds_config.as_ref().unwrap().value.as_slice()).unwrap();
    assert_eq!(content.name, "api");
    let questions = tokio_stream::iter([
        ClientStatusRequest { exclude_resource_contents: true, ..Default::default() },
        ClientStatusRequest::default(),
    ]);
    let mut answers =
        bed.runtime.block_on(service.stream_client_status(questions)).unwrap().into_inner();
    for contents in [false, true] {
        let answer = bed.runtime.block_on(answers.message()).unwrap().unwrap();
        let mut shown = answer.config.iter().flat_map(|one| &one.generic_xds_configs);
        assert!(shown.all(|one| one.xds_config.is_some() == contents), "{answer:?}");
    }
}

#[test]
fn client_status_is_for_operators_only() {
    let setup = Convoy::with().authenticated();
    let hash = |text: &str| convoy::model::ContentHash::of(text.as_bytes()).to_string();
    let config = format!(
        "auth:\n  tokens:\n    - {{name: op, role: operator, sha256: {}}}\n    - {{name: look, role: \
         reader, sha256: {}}}\n    - {{name: edge, role: node, sha256: {}, scope: {{nodes: \
         ['*'], stages: ['*']}}}}\n",
        hash("op"),
        hash("look"),
        hash("edge")
    );
    let convoy = setup.config(&config).start();
    let runtime = Runtime::new().unwrap();
    let address = format!("http://{}", convoy.xds_address());
    let channel = runtime.block_on(Channel::from_shared(address).unwrap().connect()).unwrap();
    let mut service = ClientStatusDiscoveryServiceClient::new(channel);
    for (token, expected) in [
        (None, Code::Unauthenticated),
        (Some("edge"), Code::Unauthenticated),
        (Some("look"), Code::PermissionDenied),
        (Some("op"), Code::Ok),
    ] {
        let mut request = tonic::Request::new(ClientStatusRequest::default());
        if let Some(token) = token {
            let header = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", header);
        }
        let answer = runtime.block_on(service.fetch_client_status(request));
        let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, expected, "{token:?}");
    }
}

#[test]
fn load_reports_add_up_and_show_no_node() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    bed.join("edge").take();
    let (reports, receiver) = mpsc::channel(4);
    let mut service = LoadReportingServiceClient::new(bed.channel());
    let opened = service.stream_load_stats(ReceiverStream::new(receiver));
    let hello = LoadStatsRequest { node: Some(node("edge")), ..LoadStatsRequest::default() };
    bed.runtime.block_on(reports.send(hello)).unwrap();
    let mut answers = bed.runtime.block_on(opened).unwrap().into_inner();
    let wanted = bed.runtime.block_on(answers.message()).unwrap().unwrap();
    assert!(wanted.send_all_clusters);
    assert_eq!(wanted.load_reporting_interval.unwrap().seconds, 10);
    let stats = ClusterStats {
        cluster_name: "api".into(),
        total_dropped_requests: 1,
        upstream_locality_stats: vec![UpstreamLocalityStats {
            locality: node("edge").locality,
            total_successful_requests: 7,
            total_error_requests: 2,
            total_issued_requests: 10,
            total_requests_in_progress: 1,
            ..UpstreamLocalityStats::default()
        }],
        ..ClusterStats::default()
    };
    let report = LoadStatsRequest { cluster_stats: vec![stats], ..LoadStatsRequest::default() };
    bed.runtime.block_on(reports.send(report.clone())).unwrap();
    bed.runtime.block_on(reports.send(report)).unwrap();
    let loads = wait_for("both reports", || {
        let loads = bed.convoy.get("/loads?stage=beta")["loads"].clone();
        if loads[1]["successful"] == 14 { Ok(loads) } else { Err(loads.to_string()) }
    });
    assert_eq!((&loads[0]["dropped"], &loads[0]["locality"]), (&json!(2), &json!("")));
    let placed = &loads[1];
    assert_eq!((&placed["locality"], &placed["in_progress"]), (&json!("eu/a"), &json!(1)));
    let shown = bed.run("nodes", &["--load"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.lines().any(|line| line.starts_with("api") && line.contains("eu/a")), "{shown}");
    drop((reports, answers));
    wait_for("what was under way to go with its node", || {
        let loads = bed.convoy.get("/loads")["loads"].clone();
        if loads[1]["in_progress"] == 0 { Ok(()) } else { Err(loads.to_string()) }
    });
    let metrics = bed.convoy.try_get("/metrics").unwrap();
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("convoy_cluster_requests_total{"), "{metrics}");
    assert!(metrics.contains("convoy_xds_publish_to_ack_seconds_bucket"), "{metrics}");
    assert!(!metrics.contains("edge"), "no node is a label: {metrics}");
}
