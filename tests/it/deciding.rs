//! What people decide besides asking and voting, over the API and the command
//! line of a real server: keeping promotions away, dry runs, `why`,
//! emergencies, and that all of it outlives the process.

use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, wait_for};

const MANIFEST: &str = "stages:
  - {name: beta, auto: true}
  - {name: release, approvals: 1}
";

fn cluster(timeout: u32) -> String {
    format!("name: api\nconnect_timeout: {timeout}s\ntype: STATIC\n")
}

/// A server whose beta has revision `revision` by itself.
struct Bed {
    convoy: Convoy,
}

impl Bed {
    fn start() -> Self {
        let convoy =
            Convoy::with().people().config("repositories: [{name: mesh/config}]\n").start();
        let bed = Self { convoy };
        bed.commit(0, &[("convoy.yaml", MANIFEST), ("resources/clusters/api.yaml", &cluster(1))]);
        bed.wait_live("beta", 1);
        bed
    }

    fn commit(&self, base: u64, files: &[(&str, &str)]) {
        let changes: Vec<Value> =
            files.iter().map(|(path, text)| json!({ "path": path, "content": text })).collect();
        let body = json!({ "base_revision": base, "changes": changes, "message": "change" });
        let (status, answer) = self.convoy.post("ann", "/repos/mesh/config/commits", &body);
        assert_eq!(status, 200, "{answer}");
    }

    fn wait_live(&self, stage: &str, revision: u64) {
        wait_for(&format!("{stage} to serve revision {revision}"), || {
            let card = self.convoy.stage(stage)?;
            let done = card["live"]["revision"] == revision && card["open"] == json!([]);
            if done { Ok(()) } else { Err(card.to_string()) }
        });
    }

    fn ok(&self, person: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.convoy.post(person, path, body);
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    fn refused(&self, person: &str, path: &str, body: &Value) -> (u16, String) {
        let (status, answer) = self.convoy.post(person, path, body);
        assert!(status >= 400, "{path} {body}: {answer}");
        (status, answer["error"].to_string())
    }

    fn cli(&self, person: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.convoy.command(arguments[0]);
        let output = command.args(&arguments[1..]).args(["--as", person]).output();
        let output = output.expect("the program can be run");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn cli_ok(&self, person: &str, arguments: &[&str]) -> String {
        let (code, said) = self.cli(person, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }
}

const RELEASE: &str = "/repos/mesh/config/stages/release";

#[test]
fn a_freeze_keeps_promotions_away_is_named_by_why_and_outlives_the_process() {
    let mut bed = Bed::start();
    let freeze = json!({ "reason": "year end", "until": "3d" });
    bed.ok("dan", &format!("{RELEASE}/freeze"), &freeze);
    let wish = json!({ "stage": "release", "bundle": "beta", "reason": "go" });
    let mut dry = wish.clone();
    dry["dry_run"] = json!(true);
    let tried = bed.ok("bob", "/repos/mesh/config/promotions", &dry);
    assert_eq!(tried["dry_run"]["safe"], false, "{tried}");
    let none = bed.convoy.get("/promotions?stage=release");
    assert_eq!(none["promotions"], json!([]), "a dry run leaves nothing behind");
    let asked = bed.ok("bob", "/repos/mesh/config/promotions", &wish);
    let id = asked["promotion"]["id"].as_str().expect("an id").to_owned();
    bed.ok("cleo", &format!("/promotions/{id}/approve"), &json!({}));
    bed.convoy.kill();
    bed.convoy.start_again();
    let why = bed.convoy.get(&format!("/promotions/{id}/why"));
    assert_eq!(why["blockers"][0]["gate"], "freeze", "{why}");
    assert_eq!(
        why["blockers"][0]["what"].as_str().map(|what| what.starts_with("dan froze")),
        Some(true)
    );
    assert!(why["blockers"][0]["at"].is_string() && why["blockers"][1].is_null(), "{why}");
    let said = bed.cli_ok("cleo", &["why", "release"]);
    assert!(said.contains("year end") && said.contains("thaw release"), "{said}");
    let said = bed.cli_ok("cleo", &["why", &id]);
    assert!(said.contains("dan froze release"), "{said}");
    bed.cli_ok("cleo", &["thaw", "release"]);
    bed.wait_live("release", 1);
    assert_eq!(bed.cli("cleo", &["thaw", "release"]).0, Some(6));
}

#[test]
fn pins_locks_and_vetoes_are_set_and_taken_off_from_the_command_line() {
    let bed = Bed::start();
    let said = bed.cli_ok("dan", &["pin", "release", "--until", "2h", "--reason", "load test"]);
    assert!(said.contains("dan pins release"), "{said}");
    bed.cli_ok("dan", &["lock", "release", "--reason", "debugging"]);
    let (code, said) = bed.cli("bob", &["unlock", "release"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("--steal"), "{said}");
    let said = bed.cli_ok("bob", &["unlock", "release", "--steal", "dan is away", "--dry-run"]);
    assert!(said.starts_with("would be: "), "{said}");
    bed.cli_ok("bob", &["unlock", "release", "--steal", "dan is away"]);
    bed.cli_ok("bob", &["veto", "beta", "--stage", "release", "--reason", "it breaks checkout"]);
    let (code, said) = bed.cli("bob", &["promote", "beta", "--to", "release"]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("it breaks checkout") && said.contains("unveto"), "{said}");
    bed.cli_ok("dan", &["unveto", "beta", "--stage", "release"]);
    bed.cli_ok("dan", &["unpin", "release"]);
    bed.cli_ok("bob", &["promote", "beta", "--to", "release"]);
    bed.cli_ok("cleo", &["approve", "P-2"]);
    bed.wait_live("release", 1);
}

#[test]
fn breaking_the_glass_is_confirmed_skips_what_it_names_and_is_reviewed() {
    let bed = Bed::start();
    let body = json!({
        "bundle": "beta", "incident": "INC-7", "reason": "the fix", "skip": ["approvals"],
        "typed": "beta",
    });
    let path = format!("{RELEASE}/breakglass");
    let (status, said) = bed.refused("bob", &path, &body);
    assert_eq!(status, 422, "{said}");
    assert!(said.contains("type the stage's name"), "{said}");
    let arguments = [
        "breakglass",
        "beta",
        "--to",
        "release",
        "--incident",
        "INC-7",
        "--skip",
        "approvals",
        "--reason",
        "the fix",
        "--confirm",
        "release",
    ];
    bed.cli_ok("bob", &arguments);
    bed.wait_live("release", 1);
    let why = bed.convoy.get(&format!("{RELEASE}/why"));
    assert!(why["blockers"][0]["clears"].to_string().contains("review P-2"), "{why}");
    assert_eq!(bed.cli("bob", &["review", "P-2", "--note", "fine"]).0, Some(4));
    bed.cli_ok("cleo", &["review", "P-2", "--note", "seen"]);
    assert_eq!(bed.convoy.get(&format!("{RELEASE}/why"))["blockers"], json!([]));
    assert!(bed.convoy.log().contains("INC-7"), "it is loud");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let bed = Bed::start();
    let reason = json!({ "reason": "x" });
    let table = [
        (format!("{RELEASE}/freeze"), json!({ "reason": "x", "until": "soon" }), 422, "2h"),
        (format!("{RELEASE}/freeze"), json!({ "until": "2h" }), 422, "needs a reason"),
        (
            format!("{RELEASE}/freeze"),
            json!({ "reason": "x", "until": "2020-01-01T00:00:00Z" }),
            422,
            "past",
        ),
        (format!("{RELEASE}/explode"), json!({}), 404, "pin, unpin"),
        (format!("{RELEASE}/pin"), json!({ "because": "x" }), 422, "because"),
        ("/repos/mesh/config/stages/moon/pin".into(), reason.clone(), 404, "no stage moon"),
        ("/repos/mesh/config/bundles/b-none/veto".into(), reason.clone(), 404, "b-none"),
        ("/promotions/P-99/abort".into(), reason.clone(), 404, "no promotion P-99"),
        ("/promotions/P-1/abort".into(), reason.clone(), 409, "succeeded already"),
        ("/promotions/P-1/explode".into(), reason, 404, "abort, pause"),
        (format!("{RELEASE}/unpin"), json!({}), 409, "neither pinned nor held"),
        ("/repos/mesh/config/thaw".into(), json!({}), 409, "is not frozen"),
    ];
    for (path, body, status, words) in table {
        let (found, said) = bed.refused("bob", &path, &body);
        assert_eq!(found, status, "{path} {body}: {said}");
        assert!(said.contains(words), "{path} {body}: {said}");
    }
}
