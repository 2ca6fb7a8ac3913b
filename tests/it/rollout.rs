//! Steps of a rollout over real Envoys: a part takes the candidate and the rest
//! stays, what a part refuses is taken back, and a restart goes on where it was.

use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, free_port, wait_for};
use crate::harness::envoy::{Envoy, answering};
use crate::harness::upstream::{ADA, Upstream};
use crate::metrics::Prometheus;

const VERSION: &str = "1.40.0";

/// A stage `beta` that takes what is valid by steps, its nodes, and who may
/// change it.
struct Bed {
    upstream: Upstream,
    convoy: Convoy,
    port: u16,
    rollout: String,
}

impl Bed {
    /// `rollout` is what the stage says of its steps and metrics.
    fn start(rollout: &str, config: &str) -> Self {
        let upstream = Upstream::start();
        let setup = Convoy::with().upstream(upstream.url(), "1s").people();
        let convoy = setup.config("ack_deadline: 3s\n").config(config).start();
        let hook = format!("{}/hooks/github", convoy.url());
        let upstream = upstream.with_webhook(&hook, "hook-secret");
        Self { upstream, convoy, port: free_port(), rollout: rollout.to_owned() }
    }

    fn envoy(&self, node: &str) -> Envoy {
        Envoy::start_as(&self.convoy, node, VERSION, "beta", &[])
    }

    /// Pushes a listener that answers `text`; gives the commit.
    fn push(&self, text: &str) -> String {
        self.push_file("front", &answering(&self.port.to_string(), "", text), text)
    }

    /// Pushes the file of a listener beside what there is.
    fn push_file(&self, name: &str, listener: &str, message: &str) -> String {
        let manifest = format!("stages:\n  - name: beta\n    auto: true\n{}", self.rollout);
        let path = format!("resources/listeners/{name}.yaml");
        let files = [("convoy.yaml", manifest.as_str()), (&path, listener)];
        self.upstream.commit(&files, message, ADA).to_string()
    }

    /// The promotion of `commit`, once `holds` of it.
    fn wait_promotion(&self, commit: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            let answer = self.convoy.try_get("/api/v1/promotions?repo=mesh/config")?;
            let all = answer["promotions"].as_array().cloned().unwrap_or_default();
            let of = all.into_iter().find(|one| {
                let bundle = one["bundle"].as_str().unwrap_or_default();
                let found = self.convoy.try_get(&format!("/api/v1/bundles/{bundle}"));
                found.is_ok_and(|found| found["bundle"]["commit"]["commit"] == commit)
            });
            let of = of.ok_or_else(|| format!("no promotion of {commit} in {answer}"))?;
            if holds(&of) { Ok(of) } else { Err(of.to_string()) }
        })
    }

    fn promotion(&self, promotion: &Value) -> Result<Value, String> {
        let id = promotion["id"].as_str().unwrap();
        let found = self.convoy.try_get(&format!("/api/v1/promotions/{id}"))?;
        Ok(found["promotion"].clone())
    }

    /// Acts where the promotion has that status.
    fn act_if(&self, promotion: &Value, status: &str, verb: &str) {
        if self.promotion(promotion).is_ok_and(|promotion| promotion["status"] == status) {
            let id = promotion["id"].as_str().unwrap();
            self.convoy.post("bob", &format!("/promotions/{id}/{verb}"), &json!({}));
        }
    }

    fn act(&self, promotion: &Value, verb: &str, body: Value) {
        let id = promotion["id"].as_str().unwrap();
        let (status, answer) = self.convoy.post("bob", &format!("/promotions/{id}/{verb}"), &body);
        assert!(status < 300, "{verb}: {status} {answer}");
    }
}

/// Waits until an Envoy's listener answers `text`, by its own word.
fn wait_text(envoy: &Envoy, text: &str) {
    wait_for(&format!("an Envoy to have {text}"), || {
        let listener = active(envoy)?;
        if listener.contains(&format!("\"{text}\"")) { Ok(()) } else { Err(listener) }
    });
}

fn has_text(envoy: &Envoy, text: &str) -> bool {
    active(envoy).unwrap().contains(&format!("\"{text}\""))
}

/// The listener that takes connections; one that drains has them for minutes.
fn active(envoy: &Envoy) -> Result<String, String> {
    let dump = envoy.admin("/config_dump?resource=dynamic_listeners")?;
    let listeners = dump["configs"].as_array().into_iter().flatten();
    Ok(listeners.map(|listener| listener["active_state"].to_string()).collect())
}

/// What happened to an Envoy's listeners so far.
fn updates(envoy: &Envoy) -> String {
    let names = "listener_added|listener_modified|listener_removed|lds.update_rejected";
    envoy.admin(&format!("/stats?filter=^listener_manager.({names})$")).unwrap().to_string()
}

/// How many resources the server sent since it started.
fn resources_sent(bed: &Bed) -> String {
    let page = bed.convoy.try_get("/metrics").unwrap();
    let page = page.as_str().unwrap();
    let mut lines = page.lines().filter(|line| line.starts_with("convoy_xds_resources_total"));
    lines.next().unwrap_or_else(|| panic!("{page}")).to_owned()
}

fn is(status: &'static str) -> impl Fn(&Value) -> bool {
    move |promotion| promotion["status"] == status
}

const BY_HAND: &str = "    rollout:\n      steps:\n        - {nodes: [\"a*\"], pause: true}\n";

#[test]
fn a_part_takes_the_candidate_a_restart_keeps_it_and_all_follow() {
    let mut bed = Bed::start(BY_HAND, "");
    let first = bed.push("one");
    bed.convoy.wait_served("beta", &first);
    let (a, b) = (bed.envoy("a-1"), bed.envoy("b-1"));
    wait_text(&a, "one");
    wait_text(&b, "one");
    let second = bed.push("two");
    let held = bed.wait_promotion(&second, "the step to be over", is("paused"));
    assert_eq!(held["step"]["index"], 0, "{held}");
    assert_eq!((&held["step"]["nodes"], &held["step"]["acked"]), (&json!(1), &json!(1)));
    wait_text(&a, "two");
    assert!(has_text(&b, "one") && !has_text(&b, "two"));
    let shown = bed.convoy.get("/nodes/b-1");
    assert_eq!(shown["node"]["state"], "synced", "{shown}");
    // Killed between the steps: what each has is what it is served again, and
    // nobody is sent a byte.
    let before = (updates(&a), updates(&b));
    bed.convoy.kill();
    bed.convoy.start_again();
    for node in ["a-1", "b-1"] {
        wait_for(&format!("{node} to be back"), || {
            let found = bed.convoy.try_get(&format!("/api/v1/nodes/{node}"))?;
            if found["node"]["state"] == "synced" { Ok(()) } else { Err(found.to_string()) }
        });
    }
    let still = bed.wait_promotion(&second, "the promotion", |_| true);
    assert_eq!((&still["status"], &still["step"]["index"]), (&json!("paused"), &json!(0)));
    assert_eq!((updates(&a), updates(&b)), before);
    assert!(resources_sent(&bed).ends_with(" 0"), "{}", resources_sent(&bed));
    assert!(has_text(&a, "two") && has_text(&b, "one"));
    bed.act(&still, "advance", json!({}));
    bed.wait_promotion(&second, "the end", is("succeeded"));
    bed.convoy.wait_served("beta", &second);
    wait_text(&b, "two");
    assert_eq!(updates(&a), before.0, "who has it is sent nothing");
}

#[test]
fn what_the_second_step_refuses_is_taken_back_and_others_never_see_it() {
    let steps = "    rollout:\n      steps:\n        - {nodes: [\"a*\"]}\n        \
                 - {nodes: [\"b*\"]}\n        - {nodes: [\"c*\"]}\n";
    let bed = Bed::start(steps, "");
    let good = bed.push("good");
    bed.convoy.wait_served("beta", &good);
    let (a, b, c) = (bed.envoy("a-1"), bed.envoy("b-1"), bed.envoy("c-1"));
    [&a, &b, &c].into_iter().for_each(|envoy| wait_text(envoy, "good"));
    let before = updates(&c);
    // One address that only one process can have: the first Envoy takes it.
    let alone = free_port();
    let listener = answering(&alone.to_string(), "", "bad")
        .replace("name: front\naddress:", "name: alone\nenable_reuse_port: false\naddress:");
    assert!(listener.contains("enable_reuse_port"));
    let bad = bed.push_file("alone", &listener, "an address for one");
    let ended = bed.wait_promotion(&bad, "the rollback", is("rolledback"));
    let text = ended.to_string();
    assert!(text.contains("b-1 refused Listener"), "{text}");
    assert!(text.contains("resources/listeners/alone.yaml:1"), "{text}");
    assert!(text.contains("Ada Lovelace"), "{text}");
    let card = bed.convoy.wait_served("beta", &good);
    assert!(!card["hold"].is_null(), "{card}");
    wait_for("what was refused to be taken back", || {
        let held = active(&a)?;
        if held.contains("\"bad\"") { Err(held) } else { Ok(()) }
    });
    assert!([&a, &b, &c].into_iter().all(|envoy| has_text(envoy, "good")));
    assert!(!has_text(&b, "bad") && !has_text(&c, "bad"));
    assert_eq!(updates(&c), before, "the third never saw it");
    // Automation does not undo it, now or after a restart.
    let bundle = ended["bundle"].as_str().unwrap();
    let found = bed.convoy.get(&format!("/bundles/{bundle}"));
    assert!(!found["bundle"]["vetoes"].as_array().unwrap().is_empty(), "{found}");
    let (status, refused) = bed.convoy.post(
        "bob",
        "/repos/mesh/config/promotions",
        &json!({"stage": "beta", "bundle": bundle, "reason": "again"}),
    );
    assert!(status >= 400 || refused["promotion"]["status"] == "gated", "{status} {refused}");
}

#[test]
fn a_refusal_that_a_value_brought_names_the_file_of_values() {
    let bed = Bed::start("", "");
    let listener = answering("${{ port }}", "", "alone")
        .replace("name: front\naddress:", "name: alone\nenable_reuse_port: false\naddress:");
    assert!(listener.contains("enable_reuse_port"));
    let values = |port: u16| format!("who: all\nport: {port}\n");
    let free = values(free_port());
    let manifest = "stages:\n  - name: beta\n    auto: true\n";
    let files = [
        ("convoy.yaml", manifest),
        ("resources/listeners/alone.yaml", listener.as_str()),
        ("values/beta.yaml", free.as_str()),
        ("values/common.yaml", "other: 1\n"),
    ];
    let good = bed.upstream.commit(&files, "a port that is free", ADA).to_string();
    bed.convoy.wait_served("beta", &good);
    let envoy = bed.envoy("a-1");
    wait_text(&envoy, "alone");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = (values(taken.local_addr().unwrap().port()), taken);
    let files = [("values/beta.yaml", taken.0.as_str())];
    let bad = bed.upstream.commit(&files, "a port that is not", ADA).to_string();
    let text = bed.wait_promotion(&bad, "the rollback", is("rolledback")).to_string();
    assert!(text.contains("resources/listeners/alone.yaml:1"), "{text}");
    assert!(text.contains("what changed is values/beta.yaml:2, r2 by Ada Lovelace"), "{text}");
    bed.convoy.wait_served("beta", &good);
}

#[test]
fn what_is_aborted_comes_back_to_whom_it_went() {
    let bed = Bed::start(BY_HAND, "");
    let good = bed.push("good");
    bed.convoy.wait_served("beta", &good);
    let (a, b) = (bed.envoy("a-1"), bed.envoy("b-1"));
    [&a, &b].into_iter().for_each(|envoy| wait_text(envoy, "good"));
    let before = updates(&b);
    let next = bed.push("next");
    let held = bed.wait_promotion(&next, "the step to be over", is("paused"));
    wait_text(&a, "next");
    bed.act(&held, "abort", json!({"reason": "a test"}));
    bed.wait_promotion(&next, "the way back", is("rolledback"));
    wait_text(&a, "good");
    assert!(!has_text(&a, "next"));
    assert_eq!(updates(&b), before);
    bed.convoy.wait_served("beta", &good);
}

/// Steps with a metric that is `number`.
fn measured(number: &str) -> String {
    format!(
        "{BY_HAND}    metrics:\n      - {{name: errors, query: \"{number}\", at_most: 0.5, \
         inconclusive: pause}}\n"
    )
}

fn metrics_at(port: u16) -> String {
    format!("metrics: {{url: \"http://127.0.0.1:{port}\", timeout: 2s, every: 250ms}}\n")
}

#[test]
fn a_metrics_server_that_is_gone_stops_it_and_fails_nothing() {
    let port = free_port();
    let bed = Bed::start(&measured("vector(0)"), &metrics_at(port));
    let prometheus = Prometheus::open(port);
    let first = bed.push("one");
    bed.convoy.wait_served("beta", &first);
    let a = bed.envoy("a-1");
    wait_text(&a, "one");
    let second = bed.push("two");
    let held = bed.wait_promotion(&second, "the step to be over", is("paused"));
    wait_text(&a, "two");
    drop(prometheus);
    bed.act(&held, "advance", json!({}));
    let stopped = |promotion: &Value| {
        promotion["status"] == "paused"
            && promotion["metrics"]["errors"]["value"]["is"] == "unreachable"
    };
    let stopped = bed.wait_promotion(&second, "a person to be asked", stopped);
    assert_eq!(stopped["step"]["index"], 1, "{stopped}");
    assert!(has_text(&a, "two"), "nothing is taken back");
    let _prometheus = Prometheus::open(port);
    let resumed = wait_for("the metrics server to be back", || {
        bed.act_if(&stopped, "paused", "resume");
        let now = bed.promotion(&stopped)?;
        if now["status"] == "succeeded" { Ok(now) } else { Err(now.to_string()) }
    });
    assert_eq!(resumed["metrics"]["errors"]["value"]["is"], "pass", "{resumed}");
    bed.convoy.wait_served("beta", &second);
}

#[test]
fn a_metric_that_fails_in_a_step_takes_it_back() {
    let port = free_port();
    // Out of bounds in the second step.
    let bed = Bed::start(&measured("vector(${step})"), &metrics_at(port));
    let _prometheus = Prometheus::open(port);
    let good = bed.push("good");
    bed.convoy.wait_served("beta", &good);
    let next = bed.push("next");
    let held = bed.wait_promotion(&next, "the step to be over", is("paused"));
    bed.act(&held, "advance", json!({}));
    let ended = bed.wait_promotion(&next, "the rollback", is("rolledback")).to_string();
    assert!(ended.contains("1 is more than 0.5"), "{ended}");
    let card = bed.convoy.wait_served("beta", &good);
    assert!(!card["hold"].is_null(), "{card}");
}
