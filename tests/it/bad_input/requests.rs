//! Requests that nobody should have sent: webhooks, Slack, approvals.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::CLUSTER;
use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::slack::{FakeSlack, Way, confirming, form, now, sign};
use crate::harness::upstream::{ADA, Upstream};

/// The last of them asks for more than a click.
const STAGES: &str =
    "stages:\n  - {name: beta, auto: true}\n  - {name: release, approvals: 1}\n  - {name: world}\n";

/// A pipeline whose upstream is looked at only when somebody tells of it.
fn start(slack: Option<&FakeSlack>) -> (Upstream, Convoy, String) {
    let upstream = Upstream::start();
    let files = [("convoy.yaml", STAGES), ("resources/clusters/a.yaml", CLUSTER)];
    let first = upstream.commit(&files, "one", ADA).to_string();
    let setup = Convoy::with().upstream(&upstream.file_url(), "1h").people();
    let setup = match slack {
        Some(slack) => setup.slack(&slack.url()),
        None => setup,
    };
    let convoy = setup.start();
    convoy.wait_served("beta", &first);
    (upstream, convoy, first)
}

fn deliver(convoy: &Convoy, body: &str, secret: &str, delivery: &str) -> (u16, String) {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let bytes = mac.chain_update(body).finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        ("x-hub-signature-256", format!("sha256={hex}")),
        ("x-github-event", "push".into()),
        ("x-github-delivery", delivery.into()),
    ];
    send(&format!("{}/hooks/github", convoy.url()), &headers, body)
}

fn send(url: &str, headers: &[(&str, String)], body: &str) -> (u16, String) {
    convoy::app::choose_crypto();
    let mut request = reqwest::blocking::Client::new().post(url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

#[test]
fn a_webhook_nudges_once_and_only_with_a_signature() {
    let (upstream, convoy, first) = start(None);
    let changed = CLUSTER.replace("1s", "2s");
    let second = upstream.commit(&[("resources/clusters/a.yaml", changed)], "two", ADA).to_string();
    let push = json!({"ref": "refs/heads/main", "repository": {"full_name": "mesh/config"}});
    let push = push.to_string();
    let (status, answer) = deliver(&convoy, &push, "forged", "d-1");
    assert_eq!(status, 401, "{answer}");
    let other = push.replace("main", "main ");
    assert_eq!(deliver(&convoy, &other, "hook-secret", "d-2").0, 202, "another branch");
    assert_eq!(convoy.stage("beta").unwrap()["live"]["commit"], first.as_str());
    let (status, answer) = deliver(&convoy, &push, "hook-secret", "d-1");
    assert!(status == 202 && answer.contains("nudged"), "{status} {answer}");
    convoy.wait_served("beta", &second);
    let (status, answer) = deliver(&convoy, &push, "hook-secret", "d-1");
    assert!(status == 200 && answer.contains("already received"), "{status} {answer}");
}

/// A request for release, and the value of its approve button.
fn asked(convoy: &Convoy) -> (String, String) {
    wait_for("the request", || {
        let card = convoy.stage("release")?;
        let open = card["open"].as_array().filter(|open| open.len() == 1);
        let open = open.ok_or_else(|| card.to_string())?;
        let (id, plan) = (open[0]["id"].as_str().unwrap(), open[0]["plan"].as_str().unwrap());
        Ok((id.to_owned(), format!("v1.{id}.{}", &plan[..12])))
    })
}

#[test]
fn what_slack_sends_wrongly_is_refused_with_its_reason() {
    let slack = FakeSlack::start();
    let (_upstream, convoy, first) = start(Some(&slack));
    let body = form(&[
        ("command", "/convoy"),
        ("text", "promote beta to release"),
        ("user_id", "U0BOB"),
        ("team_id", "T0MESH"),
        ("channel_id", "C0MESH"),
        ("trigger_id", "t-1"),
        ("response_url", &format!("{}/response/1", slack.url())),
    ]);
    let path = "/slack/command";
    let time = now();
    let forged = sign(time, &body.replace("U0BOB", "U0CLEO"));
    assert_eq!(slack.raw(&convoy, path, &body, &time.to_string(), &forged).0, 401);
    assert_eq!(slack.signed(&convoy, path, &body, time - 301).0, 401);
    let says = |user: &str, text: &str, part: &str| {
        let (status, answer) = slack.command(&convoy, user, text);
        assert!(status == 200 && answer.to_string().contains(part), "{part}: {answer}");
    };
    says("U0NOBODY", "promote beta to release", "is not a person that Convoy knows");
    says("U0BOB", "promote beta to relaese", "has no stage `relaese`");
    assert_eq!(convoy.stage("release").unwrap()["open"], json!([]), "nothing was done");
    // A request is shown first; who typed it confirms it, once.
    let (status, preview) = slack.command(&convoy, "U0BOB", "promote beta to release");
    assert!(status == 200 && preview.to_string().contains("Not done yet"), "{preview}");
    assert_eq!(convoy.stage("release").unwrap()["open"], json!([]), "nothing was done");
    let token = confirming(&preview);
    slack.press(&convoy, Way::Http, "U0CLEO", ("confirm", &token));
    assert_eq!(convoy.stage("release").unwrap()["open"], json!([]), "nothing was done");
    slack.press(&convoy, Way::Http, "U0BOB", ("confirm", &token));
    let again = slack.press(&convoy, Way::Http, "U0BOB", ("confirm", &token)).to_string();
    assert!(again.contains("was confirmed or left before"), "{again}");
    let (id, value) = asked(&convoy);
    let plan = value.rsplit('.').next().unwrap();
    says("U0ANN", &format!("approve {id}"), &format!("approve {id} {plan}"));
    says("U0ANN", &format!("approve {id} {plan}"), "is an author of");
    slack.click(&convoy, "U0ANN", "approve", &value, "1.0");
    assert_eq!(convoy.stage("release").unwrap()["live"], Value::Null);
    for action in ["2.0", "2.0", "2.1"] {
        assert_eq!(slack.click(&convoy, "U0CLEO", "approve", &value, action).0, 200);
    }
    convoy.wait_served("release", &first);
    let votes = convoy.get(&format!("/promotions/{id}"))["promotion"]["approvals"].clone();
    assert_eq!(votes.as_array().map(Vec::len), Some(1), "{votes}");
}

#[test]
fn an_author_who_is_told_later_approves_no_more() {
    let (upstream, convoy, _) = start(None);
    let changed = CLUSTER.replace("1s", "2s");
    let eve = ("Eve", "Eve@Elsewhere.example");
    let second = upstream.commit(&[("resources/clusters/a.yaml", changed)], "two", eve).to_string();
    let push = json!({"ref": "refs/heads/main", "repository": {"full_name": "mesh/config"}});
    assert_eq!(deliver(&convoy, &push.to_string(), "hook-secret", "d-1").0, 202);
    convoy.wait_served("beta", &second);
    let body = json!({"stage": "release", "bundle": "beta", "reason": "a test"});
    let (status, answer) = convoy.post("dan", "/repos/mesh/config/promotions", &body);
    assert!(status < 300, "{answer}");
    let (id, value) = asked(&convoy);
    // Only now somebody writes down that this is an address of bob's.
    let person = json!({"emails": ["eve@elsewhere.example"]}).to_string();
    let request = reqwest::blocking::Client::new()
        .put(format!("{}/api/v1/govern/people/bob", convoy.url()))
        .header("content-type", "application/json")
        .header("x-convoy-person", "dan")
        .body(person);
    let answer = request.send().unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().unwrap());
    let approve = format!("/promotions/{id}/approve");
    let plan = json!({"plan": value.rsplit('.').next().unwrap()});
    let (status, answer) = convoy.post("bob", &approve, &plan);
    assert!(status == 403 && answer.to_string().contains("is an author of"), "{status} {answer}");
    let (status, answer) = convoy.post("cleo", &approve, &plan);
    assert!(status < 300, "{answer}");
    convoy.wait_served("release", &second);
}

#[test]
fn an_author_approves_on_no_way() {
    let (_upstream, convoy, _) = start(None);
    let body = json!({"stage": "release", "bundle": "beta", "reason": "a test"});
    let (status, answer) = convoy.post("ann", "/repos/mesh/config/promotions", &body);
    assert!(status < 300, "an author may ask: {answer}");
    let (id, value) = asked(&convoy);
    let plan = value.rsplit('.').next().unwrap();
    let approve = format!("/promotions/{id}/approve");
    let (status, answer) = convoy.post("ann", &approve, &json!({"plan": plan}));
    assert!(status == 403 && answer.to_string().contains("is an author of"), "{status} {answer}");
    let page = convoy.try_get(&format!("/promotions/{id}")).unwrap();
    let page = page.as_str().unwrap();
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let fields = form(&[("csrf", csrf.unwrap()), ("plan", plan), ("person", "ann")]);
    let headers = [
        ("origin", convoy.url()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    let (status, page) = send(&format!("{}{approve}", convoy.url()), &headers, &fields);
    assert!(status == 403 && page.contains("is an author of"), "{status} {page}");
    let votes = convoy.get(&format!("/promotions/{id}"))["promotion"]["approvals"].clone();
    assert_eq!(votes, json!([]));
}
