//! Mirrors of a running server: over the API, the command line, the console,
//! and across kills.

use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::process::{git, run};
use crate::harness::upstream::{ADA, Upstream};
use convoy::model::ContentHash;

const REPOSITORY: &str = "repositories: [{name: mesh/config}]\n";

/// Sends JSON by any method; gives status and body.
fn send(convoy: &Convoy, method: &str, path: &str, body: &Value) -> (u16, Value) {
    send_as(convoy, "", method, path, body)
}

fn send_as(convoy: &Convoy, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/api/v1{path}", convoy.url());
    let mut arguments = vec!["-s", "-w", "\n%{http_code}", "-X", method, &url];
    let (body, token) = (body.to_string(), format!("authorization: Bearer {token}"));
    arguments.extend(["-H", "content-type: application/json", "-d", &body]);
    if !token.ends_with(' ') {
        arguments.extend(["-H", &token]);
    }
    let answer = run("curl", &arguments);
    let (body, status) = answer.rsplit_once('\n').unwrap_or(("", &answer));
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn cli(convoy: &Convoy, arguments: &[&str]) -> (Option<i32>, String) {
    let output = convoy.command("mirror").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn document(url: &str) -> Value {
    json!({
        "repo": "config", "folder": "/up/", "direction": "REMOTE_TO_LOCAL", "url": url,
        "branch": "main", "ignore": "*.tmp", "every_s": 3600,
    })
}

#[test]
fn a_mirror_is_written_run_shown_and_removed() {
    let upstream = Upstream::start();
    upstream.commit(&[("a.yaml", "a: 1\n"), ("n.tmp", "no")], "One", ADA);
    let convoy = Convoy::with().config(REPOSITORY).start();
    let (status, made) =
        send(&convoy, "PUT", "/mirrors/mesh/up?new=true", &document(upstream.url()));
    assert_eq!((status, &made["mirror"]["local_folder"]), (200, &json!("up")), "{made}");
    assert_eq!(send(&convoy, "PUT", "/mirrors/mesh/up?new=true", &document(upstream.url())).0, 409);
    let (status, ran) = send(&convoy, "POST", "/mirrors/mesh/up/run", &json!({}));
    assert!(status == 200 && ran["run"]["ended"].is_string(), "{ran}");
    let one = wait_for("the mirror to be in step", || {
        let one = convoy.try_get("/api/v1/mirrors/mesh/up")?;
        if one["state"]["in_step_at"].is_string() { Ok(one) } else { Err(one.to_string()) }
    });
    assert_eq!(one["state"]["failures"], 0);
    let file = convoy.get("/repos/mesh/config/files/up/a.yaml");
    assert_eq!(file["content"], "a: 1\n");
    let metrics = convoy.try_get("/metrics").unwrap();
    let metrics = metrics.as_str().unwrap();
    assert!(
        metrics.contains("convoy_mirror_lag_seconds{project=\"mesh\",mirror=\"up\"}"),
        "{metrics}"
    );
    let page = convoy.try_get("/mirrors").unwrap();
    assert!(page.as_str().unwrap().contains("IN STEP"), "{page}");

    let (code, listed) = cli(&convoy, &["list"]);
    assert!(code == Some(0) && listed.contains("mesh/up"), "{listed}");
    let (code, said) = cli(&convoy, &["run", "mesh/up"]);
    assert!(code == Some(0) && said.contains("nothing had changed"), "{said}");
    let set =
        ["set", "mesh/out", "--repo", "config", "--to", &upstream.file_url(), "--branch", "x"];
    assert_eq!(cli(&convoy, &set).0, Some(0));
    let (code, said) = cli(&convoy, &["run", "mesh/out"]);
    assert!(code == Some(0) && said.contains("files changed"), "{said}");
    assert_eq!(upstream.git(&["show", "x:up/a.yaml"]), "a: 1");
    assert_eq!(cli(&convoy, &["run", "mesh/none"]).0, Some(5));
    let wrong = ["set", "mesh/bad", "--repo", "config", "--from", "ext::sh", "--branch", "x"];
    let (code, said) = cli(&convoy, &wrong);
    assert!(code == Some(2) && said.contains("remote helpers"), "{said}");
    assert_eq!(cli(&convoy, &["remove", "mesh/out"]).0, Some(0));
    assert_eq!(send(&convoy, "DELETE", "/mirrors/mesh/up", &json!({})).0, 204);
    assert_eq!(send(&convoy, "DELETE", "/mirrors/mesh/up", &json!({})).0, 404);
    assert_eq!(convoy.get("/mirrors")["mirrors"], json!([]));
}

#[test]
fn a_credential_is_written_and_never_read_back() {
    let convoy = Convoy::with().config(REPOSITORY).start();
    let file = convoy.home().join("token");
    std::fs::write(&file, "ghp_canary\n").unwrap();
    run("chmod", &["600", &file.display().to_string()]);
    let set = ["credential", "set", "mesh/ghe", "--token-from", &file.display().to_string()];
    assert_eq!(cli(&convoy, &set).0, Some(0));
    let body = json!({"type": "PASSWORD", "user": "ann", "secret": "canary"});
    assert_eq!(send(&convoy, "PUT", "/credentials/mesh/pw", &body).0, 200);
    let listed = convoy.get("/credentials/mesh").to_string();
    assert!(listed.contains("ACCESS_TOKEN") && !listed.contains("canary"), "{listed}");
    // One that a mirror uses stays.
    let mut mirror = document("https://git.example.com/a.git");
    mirror["credential"] = json!("ghe");
    mirror["enabled"] = json!(false);
    assert_eq!(send(&convoy, "PUT", "/mirrors/mesh/up", &mirror).0, 200);
    assert_eq!(send(&convoy, "DELETE", "/credentials/mesh/ghe", &json!({})).0, 409);
    assert_eq!(cli(&convoy, &["credential", "remove", "mesh/pw"]).0, Some(0));
    mirror["credential"] = json!("pw");
    assert_eq!(send(&convoy, "PUT", "/mirrors/mesh/up", &mirror).0, 404);
    assert!(!convoy.log().contains("canary"));
    let state = convoy.data().join("repositories/@convoy/state.git");
    let all = git(&state, &["log", "-p", "--all"]);
    assert!(!all.contains("canary"));
}

#[test]
fn bad_mirrors_are_refused_with_the_field_and_the_remedy() {
    let hash = ContentHash::of(b"sesame");
    let config = format!(
        "{REPOSITORY}auth:\n  tokens:\n    - {{name: kim, role: admin, sha256: {hash}}}\n\
         mirrors: {{allow: [git.example.com]}}\n"
    );
    let convoy = Convoy::with().config(&config).authenticated().start();
    let with = |field: &str, value: Value| {
        let mut document = document("https://git.example.com/a.git");
        document[field] = value;
        document
    };
    for (body, hint) in [
        (with("url", json!("https://10.0.0.1/a.git")), "mirrors.allow"),
        (with("url", json!("https://github.com/a.git")), "mirrors.allow"),
        (with("url", json!("file:///etc")), "mirrors.allow"),
        (with("url", json!("https://u:hunter2@git.example.com/a")), "set the credentials"),
        (with("branch", json!("a..b")), "not a branch name"),
        (with("folder", json!("a/../b")), "local folder"),
        (with("ignore", json!("[z-a]")), "rule 1"),
        (with("every_s", json!(0)), "every_s"),
        (with("direction", json!("SIDEWAYS")), "SIDEWAYS"),
        (with("colour", json!("red")), "colour"),
    ] {
        let (status, answer) = send_as(&convoy, "sesame", "PUT", "/mirrors/mesh/up", &body);
        let text = answer.to_string();
        assert!(status == 422 && text.contains(hint), "{hint}: {status} {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let missing = with("repo", json!("none"));
    assert_eq!(send_as(&convoy, "sesame", "PUT", "/mirrors/mesh/up", &missing).0, 404);
    let body = document("https://git.example.com/a.git");
    assert_eq!(send_as(&convoy, "", "PUT", "/mirrors/mesh/up", &body).0, 401);
}

#[test]
fn a_kill_in_the_middle_neither_loses_nor_doubles_anything() {
    let (upstream, target) = (Upstream::start(), Upstream::start());
    upstream.commit(&[("n", "0")], "0", ADA);
    let mut convoy = Convoy::with().config(REPOSITORY).start();
    let mut inward = document(upstream.url());
    inward["every_s"] = json!(1);
    let mut outward = inward.clone();
    outward["direction"] = json!("LOCAL_TO_REMOTE");
    outward["url"] = json!(target.url());
    assert_eq!(send(&convoy, "PUT", "/mirrors/mesh/in", &inward).0, 200);
    assert_eq!(send(&convoy, "PUT", "/mirrors/mesh/out", &outward).0, 200);
    for n in 1..=4 {
        upstream.commit(&[("n", n.to_string()), (&format!("f{n}"), "x".repeat(5000))], "n", ADA);
        // At once, so that it hits a run at any of its steps.
        let _ = send(&convoy, "POST", "/mirrors/mesh/in/run", &json!({}));
        convoy.kill();
        convoy.start_again();
    }
    let head = |git_dir: &std::path::Path, branch: &str, folder: &str| {
        git(git_dir, &["rev-parse", &format!("{branch}:{folder}")])
    };
    wait_for("both ends to be equal", || {
        let ends = [upstream.git_dir(), target.git_dir()]
            .map(|dir| std::panic::catch_unwind(|| head(&dir, "main", "")).unwrap_or_default());
        if ends[0] == ends[1] {
            Ok(())
        } else {
            Err(format!("{ends:?} {}", convoy.get("/mirrors")))
        }
    });
    let revisions = convoy.get("/repos/mesh/config/revisions?limit=200");
    let mut seen = std::collections::BTreeSet::new();
    for revision in revisions["revisions"].as_array().unwrap() {
        let message = revision["message"].as_str().unwrap_or("");
        if let Some(at) = message.lines().find(|line| line.starts_with("Mirror-Commit: ")) {
            assert!(seen.insert(at.to_owned()), "{at} came twice: {revisions}");
        }
    }
    let quarantine = convoy.data().join("mirroring/quarantine");
    wait_for("the folders of runs to be gone", || {
        let left = std::fs::read_dir(&quarantine).map_or(0, Iterator::count);
        if left == 0 { Ok(()) } else { Err(left.to_string()) }
    });
}
