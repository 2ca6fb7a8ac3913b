//! REST, seen by a plain HTTP client.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use convoy::access::NodeScope;
use convoy::model::{ContentHash, ResourceKind};
use convoy::snapshot::Routing;
use convoy::xds::{Credential, Credentials, Guard, Report};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Server;
use super::mesh::{cluster, mesh, snapshot};
use crate::harness::random::Random;

/// A client of one protocol, and whom it asks.
pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    root: String,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Http {
    pub(super) fn new(server: &Server, http2: bool) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Self { client, root: format!("http://{}", server.address) }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send_as(method, path, body, None).await
    }

    async fn send_as(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        token: Option<&str>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.root));
        let request = token.into_iter().fold(request, |r, token| r.header("authorization", token));
        let request = request.body(Full::new(body.into())).unwrap();
        let response = self.client.request(request).await.expect("the server answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(super) async fn post(&self, kind: &str, body: &Value) -> Answer {
        self.send(Method::POST, &format!("/v3/discovery:{kind}"), body.to_string()).await
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn node() -> Value {
    json!({"id": "n", "metadata": {"stage": "beta"}})
}

#[tokio::test]
async fn a_client_is_answered_in_json_until_it_has_the_version() {
    let server = Server::start(mesh("a", 0)).await;
    for http2 in [false, true] {
        let http = Http::new(&server, http2);
        for (kind, name) in
            [("clusters", "a"), ("endpoints", "a"), ("listeners", "l"), ("routes", "r")]
        {
            let first = http.post(kind, &json!({"node": node()})).await;
            assert_eq!(first.status, StatusCode::OK, "{}", first.text());
            assert_eq!(first.headers["content-type"], "application/json");
            let first = first.json();
            let resource = &first["resources"][0];
            assert_eq!(resource["name"].as_str().or(resource["cluster_name"].as_str()), Some(name));
            assert_eq!(resource["@type"], first["type_url"]);
            assert_eq!(first["nonce"], first["version_info"]);
            let again = json!({"node": node(), "versionInfo": first["version_info"]});
            let again = http.post(kind, &again).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        }
        // Nothing of a type is an answer too: the client need not wait.
        let none = http.post("secrets", &json!({"node": node()})).await;
        assert_eq!((none.status, &none.json()["resources"]), (StatusCode::OK, &json!([])));
    }
}

#[tokio::test]
async fn names_choose_and_what_changes_is_told() {
    let server = Server::start(snapshot(&[cluster("a", 1), cluster("b", 1)])).await;
    let http = Http::new(&server, false);
    let ask = |version: &Value| json!({"node": node(), "resource_names": ["a", "none"], "version_info": version});
    let first = http.post("clusters", &ask(&json!(""))).await.json();
    assert_eq!(first["resources"].as_array().unwrap().len(), 1);
    // What was not asked for changes; then what was.
    server.hub.publish(snapshot(&[cluster("a", 1), cluster("b", 2)]));
    let version = &first["version_info"];
    assert_eq!(http.post("clusters", &ask(version)).await.status, StatusCode::NOT_MODIFIED);
    server.hub.publish(snapshot(&[cluster("a", 2), cluster("b", 2)]));
    let second = http.post("clusters", &ask(version)).await.json();
    assert_eq!(second["resources"][0]["connect_timeout"], "2s");
}

#[tokio::test]
async fn a_poll_shows_in_the_fleet_with_what_it_says() {
    let mut server = Server::start(mesh("a", 0)).await;
    let http = Http::new(&server, false);
    let first = http.post("listeners", &json!({"node": node()})).await.json();
    let refusal = json!({"node": node(), "response_nonce": first["nonce"],
        "error_detail": {"code": 13, "message": "not with me", "details": [{"@type": "x/unknown"}]}});
    for _ in 0..2 {
        let refused = http.post("listeners", &refusal).await;
        assert_eq!(refused.status, StatusCode::NOT_MODIFIED);
    }
    let status = server.hub.nodes().remove(0);
    assert_eq!((status.streams, status.identity.id.to_string()), (1, "n".to_owned()));
    let listeners = &status.types[0];
    assert_eq!(listeners.sent.as_deref(), first["version_info"].as_str());
    assert_eq!(listeners.nacked.as_ref().map(|nack| nack.message.as_str()), Some("not with me"));
    let mut refusals = 0;
    while let Ok(report) = server.reports.try_recv() {
        refusals += usize::from(matches!(report, Report::Nacked { .. }));
    }
    assert_eq!(refusals, 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let server = Server::start(mesh("a", 0)).await;
    let good = json!({"node": node()}).to_string();
    let clusters = "/v3/discovery:clusters";
    let large = " ".repeat((16 << 20) + 1);
    let long = json!({"node": node(), "resource_names": ["x".repeat(1 << 20)]}).to_string();
    let other = json!({"node": node(), "type_url": ResourceKind::Routes.type_url()}).to_string();
    let escaped = "/v3/discovery%3Aclusters";
    for http2 in [false, true] {
        let http = Http::new(&server, http2);
        for (method, path, body, status, text) in [
            (Method::POST, clusters, good.as_str(), 200, ""),
            (Method::POST, escaped, &good, 200, ""),
            (Method::POST, clusters, &long, 200, ""),
            (Method::POST, "/v3/discovery:cluster", &good, 404, "scoped-routes"),
            (Method::POST, "/v2/discovery:clusters", &good, 404, "/v3/discovery:KIND"),
            (Method::GET, "/", "", 404, "nothing at this path"),
            (Method::GET, clusters, "", 405, "use POST"),
            (Method::PUT, clusters, &good, 405, "use POST"),
            (Method::POST, clusters, "", 400, "line 1 column 0"),
            (Method::POST, clusters, "{\n \"node\": x}", 400, "line 2 column 10"),
            (Method::POST, clusters, "{\"node\": 1}", 400, "expected a JSON object"),
            (Method::POST, clusters, "{}", 400, "node.id"),
            (Method::POST, clusters, &other, 400, "this stream is for"),
            (Method::POST, clusters, &large, 413, "16 MiB"),
        ] {
            let allows = status == 405;
            let answer = http.send(method, path, body.to_owned()).await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
            assert!(answer.text().contains(text), "{path}: {}", answer.text());
            assert_eq!(answer.headers.contains_key("allow"), allows, "{path}");
        }
    }
}

#[tokio::test]
async fn without_a_stage_there_is_nothing_and_without_a_token_less() {
    let tokens = vec![ContentHash::of(b"sesame")];
    let server = Server::start_with(mesh("a", 0), tokens).await;
    let http = Http::new(&server, false);
    let body = json!({"node": node()}).to_string();
    let path = "/v3/discovery:clusters";
    for (token, status) in [(None, 401), (Some("Bearer open"), 401), (Some("Bearer sesame"), 200)] {
        let answer = http.send_as(Method::POST, path, body.clone(), token).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    server.hub.route(Arc::new(Routing::default()));
    let answer = http.send_as(Method::POST, path, body, Some("Bearer sesame")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("nothing is served to this node"), "{}", answer.text());
}

#[tokio::test]
async fn a_poll_is_bound_by_its_token_as_a_stream_is() {
    let credentials = |kinds: &[ResourceKind]| {
        let scope =
            NodeScope { nodes: vec!["n*".into()], kinds: kinds.into(), ..NodeScope::default() };
        let scope = Arc::new(scope.compile().unwrap());
        let one = Credential { name: "token edge".into(), expires: None, scope };
        let tokens = HashMap::from([(ContentHash::of(b"sesame"), Arc::new(one))]);
        Arc::new(Credentials { tokens, ..Credentials::default() })
    };
    let known = watch::Sender::new(credentials(&[ResourceKind::Clusters]));
    let server = Server::start_with(mesh("a", 0), Guard::new(known.subscribe())).await;
    let http = Http::new(&server, false);
    let ask = async |kind: &str, id: &str| {
        let body = json!({"node": {"id": id, "metadata": {"stage": "beta"}}}).to_string();
        let path = format!("/v3/discovery:{kind}");
        http.send_as(Method::POST, &path, body, Some("Bearer sesame")).await
    };
    let count = |answer: Answer| {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["resources"].as_array().unwrap().len()
    };
    assert_eq!(count(ask("clusters", "n").await), 1);
    assert_eq!(count(ask("listeners", "n").await), 0);
    let other = ask("clusters", "other").await;
    assert_eq!(other.status, StatusCode::FORBIDDEN, "{}", other.text());
    assert!(!other.text().contains("sesame"), "{}", other.text());
    assert_eq!(server.hub.nodes().remove(0).credential.as_deref(), Some("token edge"));
    // What is granted and what is revoked counts with the next poll.
    known.send_replace(credentials(&[ResourceKind::Clusters, ResourceKind::Listeners]));
    assert_eq!(count(ask("listeners", "n").await), 1);
    known.send_replace(Arc::default());
    assert_eq!(ask("clusters", "n").await.status, StatusCode::UNAUTHORIZED);
}

/// Pieces that a body is spoilt with.
const PIECES: [&str; 18] = [
    "{",
    "}",
    "[",
    "]",
    "null",
    "\"\"",
    "-1",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\u{fffd}",
    "true",
    ",",
    "\"node\":",
    "\"resource_names\":[\"*\"]",
    "\"version_info\":7",
    "\"id\":\"\"",
    "[[[[[[[[[[[[[[[[",
];

fn spoilt(random: &mut Random, valid: &str) -> Vec<u8> {
    let mut body = valid.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = usize::try_from(random.below(body.len() as u64 + 1)).unwrap();
        match random.below(5) {
            0 => body.truncate(at),
            1 if at < body.len() => body[at] = u8::try_from(random.below(256)).unwrap(),
            2 => drop(body.drain(at..body.len().min(at + 9))),
            3 => {
                let piece = random.pick(&PIECES).repeat(usize::try_from(random.below(40)).unwrap());
                drop(body.splice(at..at, piece.bytes()));
            }
            _ => {
                let copy = body[at..body.len().min(at + 30)].to_vec();
                drop(body.splice(at..at, copy));
            }
        }
    }
    body
}

/// Well-formed JSON of any shape, with our own field names in it.
fn invented(random: &mut Random, depth: u64) -> Value {
    const NAMES: [&str; 9] = [
        "node",
        "id",
        "metadata",
        "resourceNames",
        "version_info",
        "errorDetail",
        "message",
        "*",
        "a",
    ];
    let many = random.below(4);
    match random.below(if depth > 5 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(random.next()),
        2 => json!(random.below(2) == 0),
        3 => json!(f64::from_bits(random.next())),
        4 => json!(*random.pick(&NAMES)),
        5 => (0..many).map(|_| invented(random, depth + 1)).collect(),
        _ => {
            let entry = |_| (random.pick(&NAMES).to_string(), invented(random, depth + 1));
            Value::Object((0..many).map(entry).collect())
        }
    }
}

/// What has to be in a body, whatever else is.
#[derive(serde::Deserialize)]
struct Asking {
    #[serde(rename = "node")]
    _node: HashMap<String, serde::de::IgnoredAny>,
}

/// `CONVOY_LONG=1` sends a hundred times as much.
#[tokio::test]
async fn no_body_is_answered_with_a_failure_of_ours() {
    let mut random = Random::seeded("REST bodies");
    let server = Server::start(mesh("a", 0)).await;
    let http = Http::new(&server, false);
    let valid = json!({"node": {"id": "n", "cluster": "c", "metadata": {"stage": "beta", "x": [1]},
        "user_agent_build_version": {"version": {"major_number": 1}}, "locality": {"zone": "z"}},
        "resource_names": ["a", "b"], "version_info": "1", "response_nonce": "2",
        "type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "error_detail": {"code": 3, "message": "x"}})
    .to_string();
    let rounds = if std::env::var_os("CONVOY_LONG").is_some() { 200_000 } else { 2_000 };
    let kinds = ["clusters", "endpoints", "listeners", "routes", "secrets", "runtime", "", "x"];
    let mut seen = std::collections::BTreeMap::<u16, u32>::new();
    for _ in 0..rounds {
        let body = match random.below(4) {
            0 => invented(&mut random, 0).to_string().into_bytes(),
            _ => spoilt(&mut random, &valid),
        };
        let path = format!("/v3/discovery:{}", random.pick(&kinds));
        let answer = http.send(Method::POST, &path, body.clone()).await;
        let status = answer.status.as_u16();
        let shown = String::from_utf8_lossy(&body);
        assert!(status < 500, "{path} {shown}: {status} {}", answer.text());
        assert!([200, 304, 400, 404].contains(&status), "{path} {shown}: {status}");
        // What nobody asks about may be text that is none.
        let read = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let asks = read["node"].is_object() || serde_json::from_slice::<Asking>(&body).is_ok();
        assert!(asks || status >= 400, "{path} {shown}: {status}");
        *seen.entry(status).or_default() += 1;
    }
    assert!(seen[&200] > 0 && seen[&400] > 0 && seen[&404] > 0, "{seen:?}");
    let good = http.post("clusters", &json!({"node": node()})).await;
    assert_eq!(good.status, StatusCode::OK);
}
