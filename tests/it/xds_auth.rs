//! Who may see what over xDS: real TLS, real certificates, tokens and scopes,
//! and what becomes of open streams when these change.

mod client;
mod served;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use convoy::access::{NamePattern, NodeScope};
use convoy::model::{
    ContentHash, FilePath, GroupRule, NodeGroup, NodeRule, Place, RepoName, Resource, ResourceKind,
    ResourceName, SnapshotKey, Stage,
};
use convoy::snapshot::{Route, Routing, Snapshot, build};
use convoy::tasks::Tasks;
use convoy::xds::{Credential, Credentials, Guard, Hub, Tls, TlsFiles, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tonic::Code;

use client::{Client, Delta};

use crate::harness::pki::Pki;

/// A server over TLS, with credentials that the test changes.
struct Server {
    address: SocketAddr,
    hub: Hub,
    known: watch::Sender<Arc<Credentials>>,
    pki: Pki,
    tasks: Tasks,
}

impl Server {
    async fn start(required: bool, known: Credentials) -> Self {
        convoy::app::choose_crypto();
        let pki = Pki::new();
        let tls = Tls::load(pki.files(required)).expect("the files can be used");
        let known = watch::Sender::new(Arc::new(known));
        let guard = Guard::new(known.subscribe()).over(tls);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reports, _) = mpsc::channel(1);
        let hub = Hub::new(reports);
        hub.route(Arc::new(Routing::new(vec![route("beta"), route("release")])));
        hub.publish(Arc::new(snapshot(&[("web", "1"), ("api", "1")])));
        let tasks = Tasks::default();
        let served = serve(listener, hub.clone(), guard, None, tasks.stopping());
        tasks.spawn_outbox("xds under test", async move {
            served.await.expect("the server ends well");
        });
        Self { address, hub, known, pki, tasks }
    }

    fn knows(&self, known: Credentials) {
        self.known.send_replace(Arc::new(known));
    }

    fn client(&self) -> Client {
        Client::new(self.address, &self.pki)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

fn key(stage: &str) -> SnapshotKey {
    SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new(stage).unwrap(),
        group: NodeGroup::default(),
    }
}

/// Nodes are of the stage that their metadata names.
fn route(stage: &str) -> Route {
    let rule = NodeRule { metadata: vec![("stage".into(), stage.into())], ..NodeRule::default() };
    Route { repo: key(stage).repo, stage: key(stage).stage, nodes: vec![rule], groups: vec![] }
}

/// One cluster, and secrets of these names and texts. The server never looks
/// into what it carries.
fn snapshot(secrets: &[(&str, &str)]) -> Snapshot {
    let one = |kind: ResourceKind, name: &str, body: &str| {
        let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
        let body = body.as_bytes().to_vec().into();
        Arc::new(Resource::new(kind.type_url(), ResourceName(name.into()), body, place))
    };
    let mut all = vec![one(ResourceKind::Runtime, "layer", "\n\u{5}layer")];
    let secrets = secrets.iter().map(|(name, text)| one(ResourceKind::Secrets, name, text));
    all.extend(secrets);
    build(key("beta"), &all)
}

fn scope(nodes: &str, stages: &str, secrets: &str) -> NodeScope {
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    NodeScope {
        nodes: list(nodes),
        stages: list(stages),
        secrets: list(secrets),
        ..NodeScope::default()
    }
}

fn credential(name: &str, scope: &NodeScope) -> Arc<Credential> {
    let scope = Arc::new(scope.compile().unwrap());
    Arc::new(Credential { name: name.into(), expires: None, scope })
}

fn token(secret: &str, scope: &NodeScope) -> Credentials {
    let one = credential(&format!("token {secret}"), scope);
    let tokens = [(ContentHash::of(secret.as_bytes()), one)].into();
    Credentials { tokens, ..Credentials::default() }
}

fn certificate(pattern: &str, scope: &NodeScope) -> Credentials {
    let one = credential("certificate edge", scope);
    let certificates = vec![(NamePattern::new(pattern).unwrap(), one)];
    Credentials { certificates, ..Credentials::default() }
}

const SECRETS: ResourceKind = ResourceKind::Secrets;

async fn ended(stream: &mut Delta) -> (Code, String) {
    let status = stream.next().await.expect_err("the stream ends");
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn a_certificate_says_which_node_its_holder_is() {
    let known = certificate("spiffe://mesh/{node}", &scope("", "beta", "web"));
    let server = Server::start(true, known).await;
    let web = server.pki.issue("web-1", "URI:spiffe://mesh/web-1", &[]);
    let client = server.client().with(&web);

    let mut stream = client.delta().await.unwrap();
    stream.ask("web-1", "beta", SECRETS, &["web", "api"]).await;
    let answer = stream.next().await.unwrap();
    assert_eq!(
        (names(&answer), answer.removed_resources),
        (vec!["web".into()], vec!["api".into()])
    );
    let shown = server.hub.nodes();
    assert_eq!(shown[0].credential.as_deref(), Some("certificate edge"));

    let mut other = client.delta().await.unwrap();
    other.ask("web-2", "beta", SECRETS, &["web"]).await;
    let (code, text) = ended(&mut other).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(text.contains("node.id `web-2`") && text.contains("(web-1)"), "{text}");

    let mut elsewhere = client.delta().await.unwrap();
    elsewhere.ask("web-1", "release", SECRETS, &["web"]).await;
    let (code, text) = ended(&mut elsewhere).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(text.contains("stage `release`"), "{text}");
}

#[tokio::test]
async fn certificates_that_are_foreign_ended_or_nobodys_are_turned_away() {
    let known = certificate("spiffe://mesh/web-*", &scope("*", "beta", ""));
    let server = Server::start(true, known).await;
    let other = Pki::new();
    let foreign = other.issue("web-1", "URI:spiffe://mesh/web-1", &[]);
    let old = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"];
    let old = server.pki.issue("old", "URI:spiffe://mesh/web-1", &old);
    for turned in [Some(foreign), Some(old), None] {
        let client = server.client();
        let client = turned.as_ref().map_or(client.clone(), |one| client.with(one));
        // With TLS 1.3 the client may hear of it with its first request.
        assert!(client.delta().await.is_err(), "{turned:?}");
    }
    let nobody = server.pki.issue("x", "URI:spiffe://other/x,DNS:web-1", &[]);
    let status = server.client().with(&nobody).delta().await.err().expect("nobody's");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("`spiffe://other/x`"), "{status}");
    assert_eq!(server.hub.nodes().len(), 0);
}

#[tokio::test]
async fn a_token_is_as_good_where_certificates_are_optional() {
    let server = Server::start(false, token("one", &scope("web-*", "*", "*"))).await;
    let mut stream = server.client().token("one").delta().await.unwrap();
    stream.ask("web-1", "beta", SECRETS, &["*"]).await;
    assert_eq!(names(&stream.next().await.unwrap()), ["api", "web"]);
    for client in [server.client(), server.client().token("two")] {
        let status = client.delta().await.err().expect("nobody is let in like that");
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_open_streams_and_no_others() {
    let server = Server::start(false, token("one", &scope("*", "*", ""))).await;
    let mut both = token("one", &scope("*", "*", ""));
    both.tokens.extend(token("two", &scope("*", "*", "")).tokens);
    server.knows(both);
    let (mut one, mut two) = (
        server.client().token("one").delta().await.unwrap(),
        server.client().token("two").delta().await.unwrap(),
    );
    for stream in [&mut one, &mut two] {
        stream.ask("web-1", "beta", ResourceKind::Runtime, &["layer"]).await;
        let first = stream.next().await.unwrap();
        stream.ack(&first).await;
    }
    server.knows(token("two", &scope("*", "*", "")));
    let (code, text) = ended(&mut one).await;
    assert_eq!(
        (code, text.as_str()),
        (Code::Unauthenticated, "the token one was revoked or has ended")
    );
    two.ask("", "", ResourceKind::Runtime, &["other"]).await;
    assert_eq!(two.next().await.unwrap().removed_resources, ["other"]);
}

#[tokio::test]
async fn a_grant_shows_a_secret_and_taking_it_removes_the_secret_on_the_open_stream() {
    let server = Server::start(false, token("one", &scope("*", "*", "web"))).await;
    let mut stream = server.client().token("one").delta().await.unwrap();
    stream.ask("web-1", "beta", SECRETS, &["web", "api"]).await;
    let first = stream.next().await.unwrap();
    assert_eq!(
        (names(&first), &first.removed_resources[..]),
        (vec!["web".into()], &["api".into()][..])
    );
    stream.ack(&first).await;

    server.knows(token("one", &scope("*", "*", "web api")));
    let granted = stream.next().await.unwrap();
    assert_eq!((names(&granted), granted.removed_resources.len()), (vec!["api".into()], 0));
    stream.ack(&granted).await;

    server.knows(token("one", &scope("*", "*", "api")));
    let taken = stream.next().await.unwrap();
    assert_eq!((names(&taken).len(), &taken.removed_resources[..]), (0, &["web".into()][..]));
    stream.ack(&taken).await;

    // A change of what is hidden is not told; the next one of what is seen is.
    server.hub.publish(Arc::new(snapshot(&[("web", "2"), ("api", "1")])));
    server.hub.publish(Arc::new(snapshot(&[("web", "2"), ("api", "2")])));
    let changed = stream.next().await.unwrap();
    assert_eq!((names(&changed), changed.removed_resources.len()), (vec!["api".into()], 0));

    server.knows(token("one", &scope("api-*", "*", "api")));
    let (code, text) = ended(&mut stream).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(text.contains("`nodes` (api-*)"), "{text}");
}

/// A scope that restricts the groups or the kinds.
fn narrow(groups: &[&str], kinds: &[ResourceKind]) -> NodeScope {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    NodeScope { groups, kinds: kinds.to_vec(), ..scope("*", "*", "") }
}

#[tokio::test]
async fn a_group_is_checked_at_the_door_and_on_the_open_stream() {
    let server = Server::start(false, token("one", &narrow(&["edge-*"], &[]))).await;
    let group = NodeGroup::new("edge-eu").unwrap();
    let nodes = vec![NodeRule { ids: vec!["edge-1".into()], ..NodeRule::default() }];
    let groups = vec![GroupRule { name: group.clone(), nodes }];
    server.hub.route(Arc::new(Routing::new(vec![Route { groups, ..route("beta") }])));
    let layer = Resource::new(
        ResourceKind::Runtime.type_url(),
        ResourceName("layer".into()),
        b"\n\x05layer".to_vec().into(),
        Place::file(FilePath::new("resources/x.yaml").unwrap()),
    );
    let of_group = build(SnapshotKey { group, ..key("beta") }, &[Arc::new(layer)]);
    server.hub.publish(Arc::new(of_group));
    let mut outside = server.client().token("one").delta().await.unwrap();
    outside.ask("web-1", "beta", ResourceKind::Runtime, &["layer"]).await;
    let (code, text) = ended(&mut outside).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(text.contains("`default` is not among `groups` (edge-*)"), "{text}");
    let mut inside = server.client().token("one").delta().await.unwrap();
    inside.ask("edge-1", "beta", ResourceKind::Runtime, &["layer"]).await;
    let first = inside.next().await.unwrap();
    assert_eq!(names(&first), ["layer"]);
    inside.ack(&first).await;
    server.knows(token("one", &narrow(&["default"], &[])));
    let (code, text) = ended(&mut inside).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(text.contains("`edge-eu` is not among `groups` (default)"), "{text}");
}

#[tokio::test]
async fn a_kind_that_is_taken_or_granted_goes_or_comes_on_the_open_stream() {
    let [runtime, clusters] = [ResourceKind::Runtime, ResourceKind::Clusters];
    let server = Server::start(false, token("one", &narrow(&[], &[runtime, clusters]))).await;
    let mut stream = server.client().token("one").delta().await.unwrap();
    stream.ask("web-1", "beta", runtime, &["layer"]).await;
    let first = stream.next().await.unwrap();
    assert_eq!(names(&first), ["layer"]);
    stream.ack(&first).await;
    server.knows(token("one", &narrow(&[], &[clusters])));
    let taken = stream.next().await.unwrap();
    assert_eq!((names(&taken).len(), &taken.removed_resources[..]), (0, &["layer".into()][..]));
    stream.ack(&taken).await;
    server.knows(token("one", &narrow(&[], &[runtime])));
    let granted = stream.next().await.unwrap();
    assert_eq!((names(&granted), granted.removed_resources.len()), (vec!["layer".into()], 0));
}

#[tokio::test]
async fn the_servers_certificate_is_replaced_while_streams_stay_open() {
    let server = Server::start(false, token("one", &scope("*", "*", "*"))).await;
    let client = server.client().token("one");
    let mut stream = client.delta().await.unwrap();
    stream.ask("web-1", "beta", SECRETS, &["web"]).await;
    let first = stream.next().await.unwrap();
    stream.ack(&first).await;
    let before = client.server_certificate().await;

    let next = server.pki.issue("next", "IP:127.0.0.1", &[]);
    server.pki.install_certificate(&next);
    server.pki.install_key(&next);
    client.wait_server_certificate(|seen| *seen != before).await;

    server.hub.publish(Arc::new(snapshot(&[("web", "2")])));
    assert_eq!(names(&stream.next().await.unwrap()), ["web"]);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_or_trusted_no_more_ends_its_streams() {
    let known = certificate("spiffe://mesh/*", &scope("*", "*", ""));
    let server = Server::start(true, known).await;
    let bad = server.pki.issue("bad", "URI:spiffe://mesh/bad", &[]);
    let good = server.pki.issue("good", "URI:spiffe://mesh/good", &[]);
    let (bad_client, good_client) = (server.client().with(&bad), server.client().with(&good));
    let channel = bad_client.channel().await.unwrap();
    let mut one = bad_client.delta_over(channel.clone()).await.unwrap();
    let mut two = good_client.delta().await.unwrap();
    for stream in [&mut one, &mut two] {
        stream.ask("n", "beta", ResourceKind::Runtime, &["layer"]).await;
        let first = stream.next().await.unwrap();
        stream.ack(&first).await;
    }
    server.pki.revoke(&bad);
    let (code, text) = ended(&mut one).await;
    assert_eq!(code, Code::Unauthenticated);
    assert!(text.contains("revoked"), "{text}");
    assert!(bad_client.delta().await.is_err());
    // Nor over the connection that was made before.
    let status = bad_client.delta_over(channel).await.err().expect("it is revoked");
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    two.ask("", "", ResourceKind::Runtime, &["other"]).await;
    assert_eq!(two.next().await.unwrap().removed_resources, ["other"]);

    server.pki.trust_another();
    assert_eq!(ended(&mut two).await.0, Code::Unauthenticated);
}

#[tokio::test]
async fn polls_are_let_in_and_scoped_like_streams() {
    let server = Server::start(false, token("one", &scope("web-*", "beta", "web"))).await;
    let ca = std::fs::read(server.pki.ca()).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let url = format!("https://{}/v3/discovery:secrets", server.address);
    let ask = async |token: &str, id: &str, stage: &str| {
        let body = serde_json::json!({
            "node": { "id": id, "metadata": { "stage": stage } },
            "resource_names": ["api"],
        });
        let request = http.post(&url).header("content-type", "application/json");
        let answer = request.bearer_auth(token).body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = ask("one", "web-1", "beta").await;
    assert!(status == 200 && text.contains("\"resources\":[]"), "{status} {text}");
    assert_eq!(ask("two", "web-1", "beta").await.0, 401);
    let (status, text) = ask("one", "api-1", "beta").await;
    assert!(status == 403 && text.contains("`nodes` (web-*)"), "{status} {text}");
    assert_eq!(ask("one", "web-1", "release").await.0, 403);
}

#[test]
fn files_that_can_not_be_used_are_named_with_the_reason() {
    convoy::app::choose_crypto();
    let pki = Pki::new();
    let files = pki.files(true);
    let other = pki.issue("other", "DNS:x", &[]);
    let empty = pki.write("empty.pem", "no certificate\n");
    let table = [
        (TlsFiles { cert_file: "/nowhere/x.pem".into(), ..files.clone() }, "can't be read"),
        (TlsFiles { cert_file: empty.clone(), ..files.clone() }, "there is no certificate in it"),
        (TlsFiles { key_file: empty.clone(), ..files.clone() }, "there is no private key"),
        (TlsFiles { key_file: other.key, ..files.clone() }, "can't be used with the key"),
        (
            TlsFiles { client_ca_files: vec![empty.clone()], ..files.clone() },
            "no certificate in it",
        ),
        (TlsFiles { client_crl_files: vec![empty], ..files }, "no list of revoked"),
    ];
    for (files, words) in table {
        let error = Tls::load(files).expect_err(words).to_string();
        assert!(error.contains(words) && error.contains('/'), "{error}");
    }
}

fn names(answer: &client::Response) -> Vec<String> {
    answer.resources.iter().map(|one| one.name.clone()).collect()
}
