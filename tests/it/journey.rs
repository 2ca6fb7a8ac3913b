//! The main job, over real parts: push, smoke, promote, serve, survive.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, free_port, wait_for};
use crate::harness::envoy::{Envoy, answering};
use crate::harness::slack::{FakeSlack, Way, confirming};
use crate::harness::upstream::{ADA, Upstream};

/// A pipeline of two stages; beta takes what is valid, release asks one person.
const PIPELINE: &str = "stages:\n  - {name: beta, auto: true}\n  - {name: release, approvals: 1}\n";
const VERSION: &str = "1.40.0";

/// A listener that answers `text` by itself, on a port that each stage names.
fn listener(text: &str) -> String {
    answering("${{ port }}", "", &format!("${{{{ stage }}}} {text}"))
}

struct Mesh {
    upstream: Upstream,
    convoy: Convoy,
    beta: u16,
    release: u16,
}

impl Mesh {
    fn start(slack: Option<&FakeSlack>) -> Self {
        let upstream = Upstream::start();
        let setup = Convoy::with().upstream(upstream.url(), "1s").people();
        let setup = match slack {
            Some(slack) => setup.slack(&slack.url()),
            None => setup,
        };
        let convoy = setup.start();
        let upstream =
            upstream.with_webhook(&format!("{}/hooks/github", convoy.url()), "hook-secret");
        Self { upstream, convoy, beta: free_port(), release: free_port() }
    }

    /// Pushes a listener that answers `text`.
    fn push(&self, text: &str) -> String {
        self.push_files(&[("resources/listeners/front.yaml", &listener(text))], text)
    }

    fn push_files(&self, files: &[(&str, &str)], message: &str) -> String {
        let beta = format!("port: {}\n", self.beta);
        let release = format!("port: {}\n", self.release);
        let mut all = vec![
            ("convoy.yaml", PIPELINE),
            ("values/beta.yaml", beta.as_str()),
            ("values/release.yaml", release.as_str()),
        ];
        all.extend_from_slice(files);
        self.upstream.commit(&all, message, ADA).to_string()
    }

    fn promote(&self, person: &str, bundle: &str, stage: &str) -> Value {
        let body = json!({"stage": stage, "bundle": bundle, "reason": "a test"});
        let (status, answer) = self.convoy.post(person, "/repos/mesh/config/promotions", &body);
        assert!(status < 300, "{status} {answer}");
        answer
    }
}

#[test]
fn a_push_reaches_a_real_envoy_and_release_waits_for_a_person() {
    let mesh = Mesh::start(None);
    let envoy = Envoy::start(&mesh.convoy, VERSION, "beta", &[]);
    let release = Envoy::start(&mesh.convoy, VERSION, "release", &["--sotw"]);
    let commit = mesh.push("one");
    mesh.convoy.wait_served("beta", &commit);
    envoy.wait_answer(mesh.beta, "x", "/", "beta one");
    assert_eq!(mesh.convoy.stage("release").unwrap()["live"], Value::Null);

    let asked = mesh.promote("bob", "beta", "release");
    let id = asked["promotion"]["id"].as_str().unwrap().to_owned();
    let (status, refused) =
        mesh.convoy.post("ann", &format!("/promotions/{id}/approve"), &json!({}));
    assert_eq!(status, 403, "{refused}");
    let plan = asked["promotion"]["plan"]["digest"].as_str().unwrap();
    let yes = json!({"plan": &plan[..12]});
    let (status, answer) = mesh.convoy.post("cleo", &format!("/promotions/{id}/approve"), &yes);
    assert_eq!(status, 200, "{answer}");
    mesh.convoy.wait_served("release", &commit);
    release.wait_answer(mesh.release, "x", "/", "release one");

    let second = mesh.push("two");
    mesh.convoy.wait_served("beta", &second);
    envoy.wait_answer(mesh.beta, "x", "/", "beta two");
    release.wait_answer(mesh.release, "x", "/", "release one");
}

#[test]
fn what_was_decided_survives_kill_nine_at_any_point() {
    let mut mesh = Mesh::start(None);
    let envoy = Envoy::start(&mesh.convoy, VERSION, "beta", &[]);
    let mut last = String::new();
    for round in 0..6 {
        last = mesh.push(&format!("round {round}"));
        // Killed sooner or later after the push: before the fetch, between
        // import and record, between record and publish.
        std::thread::park_timeout(Duration::from_millis(round * 40));
        mesh.convoy.kill();
        mesh.convoy.start_again();
    }
    mesh.convoy.wait_served("beta", &last);
    envoy.wait_answer(mesh.beta, "x", "/", "beta round 5");
    let promotions = mesh.convoy.get("/promotions?repo=mesh/config");
    let promotions = promotions["promotions"].as_array().unwrap();
    let mut bundles: Vec<_> = promotions.iter().map(|p| p["bundle"].clone()).collect();
    let count = bundles.len();
    bundles.dedup();
    assert_eq!(bundles.len(), count, "one promotion per bundle: {promotions:?}");
    let state = mesh.convoy.data().join("repositories/@convoy/state.git");
    assert_eq!(mesh.convoy.stop(), Some(0));
    crate::harness::process::git(&state, &["fsck", "--strict"]);
}

#[test]
fn a_refusal_by_a_real_envoy_brings_back_what_was_good() {
    let mesh = Mesh::start(None);
    let envoy = Envoy::start(&mesh.convoy, VERSION, "beta", &[]);
    let good = mesh.push("good");
    mesh.convoy.wait_served("beta", &good);
    envoy.wait_answer(mesh.beta, "x", "/", "beta good");
    // Valid by every rule that can be known without Envoy: code that only the
    // data plane compiles.
    let lua = "http_filters:
            - name: lua
              typed_config:
                \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                default_source_code: {inline_string: \"function (\"}";
    let bad = listener("bad").replace("http_filters:", lua);
    let commit = mesh.push_files(&[("resources/listeners/front.yaml", &bad)], "bad");
    let promotion = wait_for("the promotion to fail", || {
        let answer = mesh.convoy.try_get("/api/v1/promotions?repo=mesh/config")?;
        let all = answer["promotions"].as_array().cloned().unwrap_or_default();
        let failed = all.into_iter().find(|promotion| promotion["status"] == "rolledback");
        failed.ok_or_else(|| answer.to_string())
    });
    let bundle = mesh.convoy.get(&format!("/bundles/{}", promotion["bundle"].as_str().unwrap()));
    assert_eq!(bundle["bundle"]["commit"]["commit"], commit.as_str(), "{promotion}");
    let reason = promotion["ending"]["reason"].as_str().unwrap();
    assert!(reason.contains("beta-1.40.0 refused Listener"), "{reason}");
    let card = mesh.convoy.wait_served("beta", &good);
    assert!(card["hold"]["reason"].as_str().unwrap().contains("was refused"), "{card}");
    envoy.wait_answer(mesh.beta, "x", "/", "beta good");
}

#[test]
fn slack_carries_a_promotion_from_request_to_card() {
    let slack = FakeSlack::start();
    let mesh = Mesh::start(Some(&slack));
    let commit = mesh.push("one");
    mesh.convoy.wait_served("beta", &commit);
    let (status, preview) = slack.command(&mesh.convoy, "U0BOB", "promote beta to release");
    assert_eq!(status, 200, "{preview}");
    let token = confirming(&preview);
    slack.press(&mesh.convoy, Way::Http, "U0BOB", ("confirm", &token));
    let open = wait_for("the request", || {
        let card = mesh.convoy.stage("release")?;
        card["open"].get(0).cloned().ok_or_else(|| card.to_string())
    });
    let id = open["id"].as_str().unwrap().to_owned();
    let value = format!("v1.{id}.{}", &open["plan"].as_str().unwrap()[..12]);
    // The last stage asks for its name; the same yes twice is one vote, and
    // somebody unknown has none.
    slack.click(&mesh.convoy, "U0NOBODY", "approve", &value, "1.0");
    let form = slack.opens(&mesh.convoy, Way::Http, "U0CLEO", ("approve", &value));
    let filled = [("typed", "release"), ("reason", "looked at it")];
    for _ in 0..2 {
        slack.submit(&mesh.convoy, Way::Http, "U0CLEO", &form, &filled);
    }
    mesh.convoy.wait_served("release", &commit);
    let promotion = mesh.convoy.get(&format!("/promotions/{id}"));
    let votes = promotion["promotion"]["approvals"].as_array().unwrap();
    assert_eq!(votes.len(), 1, "{promotion}");
    // One card for it, edited in place until it says how it ended.
    wait_for("the card to say that it succeeded", || {
        let log = slack.log();
        let text = |call: &Value| call.to_string();
        let of_card = |call: &&Value| text(call).contains(&id) && text(call).contains("blocks");
        let is_card =
            |c: &&Value| c["method"] == "chat.postMessage" && c["body"]["thread_ts"].is_null();
        let posts = log.iter().filter(of_card).filter(is_card);
        assert!(posts.count() <= 1, "one card: {log:?}");
        let ended = log.iter().filter(of_card).any(|call| text(call).contains("succeeded"));
        if ended { Ok(()) } else { Err(format!("{log:?}")) }
    });
}

#[test]
fn a_rewritten_upstream_changes_nothing_until_a_person_adopts_it() {
    let mesh = Mesh::start(None);
    mesh.push("zeroth");
    let first = mesh.push("first");
    mesh.convoy.wait_served("beta", &first);
    let forced = listener("forced").replace("port }}", "prot }}");
    let rewritten = mesh
        .upstream
        .force_push(&[("convoy.yaml", PIPELINE), ("resources/listeners/front.yaml", &forced)], "x")
        .to_string();
    let mirror = mesh.convoy.wait_mirror("diverged");
    assert_eq!(mirror["theirs"], rewritten.as_str());
    assert_eq!(mesh.convoy.stage("beta").unwrap()["live"]["commit"], first.as_str());
    let (status, answer) = mesh.convoy.post("bob", "/repos/mesh/config/adopt", &json!({}));
    assert_eq!(status, 200, "{answer}");
    mesh.convoy.wait_mirror("in_step");
    // Its listener names a value that nobody gives: rejected, nothing lost.
    let bundle = mesh.convoy.wait_bundle(&rewritten, "rejected");
    assert!(bundle.to_string().contains("undefined-variable"), "{bundle}");
    assert_eq!(mesh.convoy.stage("beta").unwrap()["live"]["commit"], first.as_str());
    let (status, again) = mesh.convoy.post("bob", "/repos/mesh/config/adopt", &json!({}));
    assert_eq!(status, 409, "{again}");
}

#[test]
fn a_broken_commit_stops_nothing_and_names_its_line() {
    let mesh = Mesh::start(None);
    let good = mesh.push("good");
    mesh.convoy.wait_served("beta", &good);
    let broken = "name: users\nconect_timeout: 1s\n";
    let commit = mesh.push_files(&[("resources/clusters/users.yaml", broken)], "typo");
    let bundle = mesh.convoy.wait_bundle(&commit, "rejected");
    let problem = &bundle["problems"][0];
    assert_eq!(problem["rule"], "unknown-field", "{bundle}");
    assert_eq!(problem["place"]["file"], "resources/clusters/users.yaml");
    assert_eq!((&problem["place"]["line"], &problem["place"]["column"]), (&json!(2), &json!(1)));
    assert_eq!(mesh.convoy.stage("beta").unwrap()["live"]["commit"], good.as_str());
}

#[test]
fn polling_alone_converges_when_the_upstream_comes_back() {
    let mut upstream = Upstream::start();
    let url = upstream.file_url();
    let convoy = Convoy::with().upstream(&url, "1s").people().start();
    let stages = "stages: [{name: beta, auto: true}]\n";
    let commit = upstream.commit(&[("convoy.yaml", stages)], "no hook tells of it", ADA);
    convoy.wait_mirror("in_step");
    upstream.stop();
    convoy.wait_bundle(&commit.to_string(), "eligible");
}

#[test]
fn sigterm_drains_and_exits_with_zero() {
    let mut convoy = Convoy::with().start();
    assert_eq!(convoy.stop(), Some(0));
    assert!(convoy.log().contains("stopping"), "{}", convoy.log());
}

#[test]
fn sigterm_ends_open_event_streams_and_frees_the_store() {
    let mut convoy = Convoy::with().start();
    let mut stream = std::net::TcpStream::connect(convoy.url().trim_start_matches("http://"))
        .expect("the server listens");
    use std::io::{Read as _, Write as _};
    stream
        .write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\nx-convoy-person: bob\r\n\r\n")
        .expect("a request can be sent");
    let mut head = [0; 12];
    stream.read_exact(&mut head).expect("the stream opens");
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(convoy.stop(), Some(0));
    assert!(!convoy.log().contains("did not end in time"), "{}", convoy.log());
}
