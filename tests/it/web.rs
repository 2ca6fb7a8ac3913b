//! The routes over a real store and reconciler, without a socket.

mod edits;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use convoy::config::Role;
use convoy::govern::{ConfiguredToken, Govern, GovernSettings};
use convoy::mirror::GitServer;
use convoy::mirroring::{self, Mirroring};
use convoy::model::{Change, ContentHash, FilePath, Origin, Person, RepoName};
use convoy::reconcile::{self, Parts, Repository, Settings};
use convoy::render::Renderer;
use convoy::schema::Schema;
use convoy::smoke::{Listeners, Listening, Smoke, SmokeOptions};
use convoy::snapshot::Snapshot;
use convoy::store::{NewCommit, Store, StoreOptions};
use convoy::tasks::Tasks;
use convoy::telemetry::clock;
use convoy::web::{self, Auth, Web};
use convoy::xds::Hub;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

const REPO: &str = "/api/v1/repos/mesh/config";
const CLUSTER: &str = "resources/clusters/a.yaml";
const GOOD: &str = "name: a\nconnect_timeout: 1s\n";
const MANIFEST: &str = "stages:\n  - name: beta\n    auto: true\n";

/// These pipelines ask for no smoke run.
#[derive(Debug)]
struct NoListeners;

impl Listeners for NoListeners {
    fn listen(
        &self,
        _snapshot: Arc<Snapshot>,
        _on: tokio::net::TcpListener,
    ) -> io::Result<Box<dyn Listening>> {
        Err(io::Error::other("no smoke run was expected"))
    }
}

struct Site {
    router: Router,
    ready: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let repo = RepoName::new("mesh/config").expect("a name");
        let store = Store::open(dir.path(), StoreOptions::default()).expect("a store");
        store.create(&repo).await.expect("a repository");
        let file = |path: &str, text: &str| {
            Change::Upsert(FilePath::new(path).expect("a path"), text.to_owned().into())
        };
        let changes = vec![file("convoy.yaml", MANIFEST), file(CLUSTER, GOOD)];
        let author = ("Ann".into(), "ann@example.com".into());
        let first = NewCommit::new(Origin::system(), author, clock::now(), "Begin", changes);
        store.commit(&repo, first).await.expect("a commit");
        let schema = Schema::load();
        let renderer = Arc::new(Renderer::new(schema.clone()));
        let (reports, inbox) = mpsc::channel(16);
        let hub = Hub::new(reports);
        let options = SmokeOptions {
            envoys: dir.path().join("envoys"),
            work: dir.path().join("smoke"),
            parallel: 1,
            ..SmokeOptions::default()
        };
        let settings = GovernSettings { tokens: tokens(), ..GovernSettings::default() };
        let govern = Govern::start(store.clone(), settings).await;
        let govern = govern.expect("documents that can be read");
        let parts = Parts {
            govern: govern.clone(),
            store: store.clone(),
            renderer: renderer.clone(),
            hub: hub.clone(),
            reports: inbox,
            smoke: Smoke::new(schema, options, Arc::new(NoListeners), None),
            announcer: None,
            settings: Settings {
                repositories: vec![Repository {
                    name: repo,
                    upstream: None,
                    poll: Duration::from_secs(60),
                }],
                ack_deadline: Duration::from_secs(1),
                metrics: None,
                open: false,
                quarantine: dir.path().join("quarantine"),
            },
            tasks: Tasks::default(),
        };
        let handle = reconcile::start(parts).await.expect("a reconciler");
        let ready = Arc::new(AtomicBool::new(false));
        let brought = Arc::new(|_: &RepoName| ());
        let settings =
            mirroring::Settings { work: dir.path().join("mirroring"), ..Default::default() };
        let tasks = Tasks::default();
        let mirroring = Mirroring::start(store.clone(), govern.clone(), settings, brought, &tasks);
        let auth = Auth::new(govern.clone(), None, false, false).expect("random numbers");
        let router = web::router(Web {
            hosting: convoy::hosting::Hosting::default(),
            linking: None,
            govern,
            mirroring,
            git: GitServer::new(tasks),
            store,
            handle,
            hub,
            renderer,
            auth,
            base_url: "http://convoy.example.com".into(),
            upstreams: Arc::default(),
            authors: Arc::default(),
            work_dir: dir.path().into(),
            metrics: Arc::new(|| "# EOF\n".into()),
            ready: ready.clone(),
        });
        Self { router, ready, _dir: dir }
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    async fn json(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.send(request).await;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }
}

fn tokens() -> Vec<ConfiguredToken> {
    let token = |name: &str, role| ConfiguredToken {
        name: name.into(),
        person: Person::new(name).ok(),
        hash: ContentHash::of(name.as_bytes()),
        role,
    };
    vec![
        token("reader", Role::Reader),
        token("operator", Role::Operator),
        token("node", Role::Node),
    ]
}

fn get(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).expect("a request")
}

fn post(path: &str, token: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    request.body(Body::from(body.to_string())).expect("a request")
}

fn form(path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let plain = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    let request =
        headers.iter().fold(plain, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_owned())).expect("a request")
}

fn edit(base: u64, path: &str, content: &str) -> Value {
    let changes = json!([{ "path": path, "content": content }]);
    json!({ "base_revision": base, "changes": changes, "message": "Change it" })
}

#[tokio::test]
async fn strangers_are_sent_away() {
    let site = Site::start().await;
    for token in ["wrong", "node"] {
        let (status, body) = site.json(get("/api/v1/repos", token)).await;
        let expected = if token == "node" { 403 } else { 401 };
        assert_eq!(status.as_u16(), expected, "{body}");
        assert_eq!(body["apiVersion"], "convoy/v1");
        assert!(body["error"]["request_id"].is_string() && body["error"]["hint"].is_string());
    }
    let request = Request::get("/nodes?stage=beta").body(Body::empty()).expect("a request");
    let response = site.send(request).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["location"], "/login?next=/nodes%3Fstage%3Dbeta");
}

#[tokio::test]
async fn every_answer_carries_the_content_policy() {
    let site = Site::start().await;
    for path in ["/login", "/healthz", "/api/v1/repos", "/nowhere", "/assets/0/app.css"] {
        let response = site.send(get(path, "reader")).await;
        let policy = response.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        assert!(response.headers().contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn readiness_follows_the_flag() {
    let site = Site::start().await;
    let status = async || site.send(get("/readyz", "")).await.status();
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    site.ready.store(true, Ordering::Release);
    assert_eq!(status().await, StatusCode::OK);
}

#[tokio::test]
async fn a_second_commit_on_the_same_base_conflicts() {
    let site = Site::start().await;
    let commits = format!("{REPO}/commits");
    let body = edit(1, CLUSTER, "name: a\nconnect_timeout: 2s\n");
    let (status, answer) = site.json(post(&commits, "operator", &body)).await;
    assert_eq!((status.as_u16(), &answer["saved"]), (200, &json!("committed")), "{answer}");
    let (status, answer) = site.json(post(&commits, "operator", &body)).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (409, &json!("conflict")), "{answer}");
    let (_, answer) = site.json(get(&format!("{REPO}/files/{CLUSTER}"), "reader")).await;
    assert_eq!(answer["content"], "name: a\nconnect_timeout: 2s\n");
    assert_eq!(answer["revision"], 2);
}

#[tokio::test]
async fn readers_change_nothing() {
    let site = Site::start().await;
    let request = post(&format!("{REPO}/commits"), "reader", &edit(1, CLUSTER, "x"));
    assert_eq!(site.json(request).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bad_input_is_named() {
    let site = Site::start().await;
    let commits = format!("{REPO}/commits");
    for body in [
        edit(1, "../outside", "x"),
        edit(1, "a/.git/config", "x"),
        json!({ "base_revision": 1, "changes": [], "message": "m", "force": true }),
        json!({ "base_revision": 1, "changes": [{ "path": "a" }], "message": "m" }),
        json!({ "base_revision": 1, "changes": [], "message": "m" }),
        json!([]),
    ] {
        let (status, answer) = site.json(post(&commits, "operator", &body)).await;
        assert_eq!(status.as_u16(), 422, "{body} {answer}");
    }
    for path in ["/files/..%2f..%2fetc%2fpasswd", "/files/%2e%2e/a", "/files/a%00b"] {
        let (status, _) = site.json(get(&format!("{REPO}{path}"), "reader")).await;
        assert_eq!(status.as_u16(), 422, "{path}");
    }
    let (status, _) = site.json(get("/api/v1/repos/@convoy/state/files", "reader")).await;
    assert_eq!(status.as_u16(), 422);
}

#[tokio::test]
async fn the_editors_verdict_names_the_line() {
    let site = Site::start().await;
    let content = format!("{GOOD}no_such_field: 1\n");
    let body = json!({ "changes": [{ "path": CLUSTER, "content": content }] });
    let (status, answer) = site.json(post(&format!("{REPO}/validate"), "reader", &body)).await;
    assert_eq!(status.as_u16(), 200, "{answer}");
    let place = json!({ "file": CLUSTER, "line": 3, "column": 1 });
    assert_eq!(answer["problems"][0]["place"], place, "{answer}");
    assert_eq!(answer["ok"], false);
    let body = json!({ "changes": [{ "path": CLUSTER, "content": GOOD }] });
    let (_, answer) = site.json(post(&format!("{REPO}/validate"), "reader", &body)).await;
    assert_eq!(answer["problems"], json!([]), "{answer}");
}

#[tokio::test]
async fn a_session_acts_only_through_our_own_forms() {
    let site = Site::start().await;
    let origin = ("origin", "http://convoy.example.com");
    let response = site.send(form("/login", &[origin], "token=operator&next=//evil")).await;
    assert_eq!(response.headers()["location"], "/");
    let cookie = response.headers()["set-cookie"].to_str().expect("text").to_owned();
    let cookie = ("cookie", cookie.split(';').next().expect("a pair"));
    let request = Request::get("/").header(cookie.0, cookie.1).body(Body::empty());
    let response = site.send(request.expect("a request")).await;
    let page = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let page = String::from_utf8(page.to_vec()).expect("text");
    let csrf = page.split(r#"name="csrf" content=""#).nth(1).expect("a token");
    let sync = format!("csrf={}", csrf.split('"').next().expect("a token"));
    let path = "/r/mesh/config/sync";
    let evil = ("origin", "https://evil.example");
    for (headers, body) in [
        (vec![cookie, evil], sync.as_str()),
        (vec![cookie], sync.as_str()),
        (vec![cookie, origin], "csrf=wrong"),
        (vec![cookie, origin], ""),
    ] {
        let response = site.send(form(path, &headers, body)).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{headers:?} {body}");
    }
    let response = site.send(form(path, &[cookie, origin], &sync)).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let response = site.send(form("/logout", &[cookie, origin], &sync)).await;
    assert_eq!(response.headers()["location"], "/login");
    let response = site.send(form(path, &[cookie, origin], &sync)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let site = Site::start().await;
    let origin = ("origin", "http://convoy.example.com");
    for _ in 0..10 {
        let response = site.send(form("/login", &[origin], "token=wrong")).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let response = site.send(form("/login", &[origin], "token=operator")).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().get("set-cookie").is_none());
    let wait = response.headers()["retry-after"].to_str().expect("text").parse::<u64>();
    assert!(wait.is_ok_and(|seconds| (1..=60).contains(&seconds)));
}
