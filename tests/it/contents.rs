//! What repositories hold, over the JSON API of a real server.

use serde_json::{Value, json};

use crate::harness::api::{Asker, ROOT, guarded};
use crate::harness::convoy::Convoy;

const COMMON: &str = "timeouts:\n  connect: 1s\n  idle: [5, 6]\n";

/// A server with `p/r`: revision 2 brings files, 3 changes one, 4 removes one.
fn filled() -> (Convoy, Asker) {
    let convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    fill(&api);
    (convoy, api)
}

fn fill(api: &Asker) {
    let write = |path: &str, content: &str| json!({ "path": path, "content": content });
    api.commit(
        "p/r",
        &json!([
            write("values/common.yaml", COMMON),
            write("values/beta.yaml", "timeouts: {connect: 9s}\n"),
            write("a b/ü,*.txt", "one\ntwo\nthree\n"),
            write("list.json", "{\"list\": [1, 2, 3]}\n"),
        ]),
    );
    api.commit("p/r", &json!([write("a b/ü,*.txt", "one\nTWO\nthree\n")]));
    api.commit("p/r", &json!([{ "path": "list.json", "content": null }]));
}

fn paths(files: &Value) -> Vec<&str> {
    files.as_array().into_iter().flatten().filter_map(|one| one["path"].as_str()).collect()
}

#[test]
fn a_file_is_read_raw_at_any_revision_and_not_sent_twice() {
    let (_convoy, api) = filled();
    let raw = |revision: &str| api.get(&format!("/repos/p/r/raw/list.json?revision={revision}"));
    for revision in ["2", "3", "-2", "-3"] {
        let answer = raw(revision);
        assert_eq!((answer.status, answer.text.as_str()), (200, "{\"list\": [1, 2, 3]}\n"));
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(raw("-2").header("x-convoy-revision"), "3");
    for (revision, words) in [
        ("4", "is not in revision 4"),
        ("head", "is not in revision 4"),
        ("-9", "no revision -9"),
        ("99", "no revision 99"),
    ] {
        let (status, code, message) = raw(revision).refusal();
        assert_eq!((status, code.as_str()), (404, "not_found"), "{revision}");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(raw("x").refusal().0, 422);
    let tag = raw("2").header("etag").to_owned();
    let known = [("if-none-match", tag.as_str())];
    let again = api.get_with("/repos/p/r/raw/list.json?revision=2", &known);
    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag.as_str()));
    let blob = api.get("/repos/p/r/files/list.json?revision=2").ok()["blob"].clone();
    assert_eq!(json!(tag.trim_matches('"')), blob);
    let head =
        api.client.head(format!("{}/api/v1/repos/p/r/raw/values/common.yaml", _convoy.url()));
    let head = head.send().expect("the server answers");
    assert_eq!(head.status().as_u16(), 200);
    assert_eq!(head.headers()["content-length"], COMMON.len().to_string().as_str());
}

#[test]
fn names_of_every_kind_are_listed_and_read() {
    let (_convoy, api) = filled();
    let files = api.get("/repos/p/r/files").ok();
    let expected = ["a b/ü,*.txt", "values/beta.yaml", "values/common.yaml"];
    assert_eq!(paths(&files["files"]), expected);
    assert_eq!(files["files"][2]["size"], COMMON.len());
    let some = |query: &str| {
        let listed = api.get(&format!("/repos/p/r/files?{query}")).ok();
        paths(&listed["files"]).len()
    };
    for (query, count) in [
        ("pattern=/values/**", 2),
        ("pattern=*.txt", 1),
        ("pattern=/values/*,/**/list.json&revision=2", 3),
        ("folder=values", 2),
        ("folder=/values/", 2),
        ("folder=value", 0),
        ("pattern=/nothing", 0),
        ("revision=1", 0),
        ("revision=0", 0),
    ] {
        assert_eq!(some(query), count, "{query}");
    }
    let odd = api.get("/repos/p/r/raw/a%20b/%C3%BC%2C%2A.txt");
    assert_eq!(odd.text, "one\nTWO\nthree\n");
    let found = api.get("/repos/p/r/revisions?path=a%20b/%C3%BC,*.txt").ok();
    assert_eq!(found["revisions"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(api.get("/repos/p/r/files?patern=/a").refusal().0, 422);
    assert_eq!(api.get("/repos/p/r/files?pattern=***").refusal().0, 422);
    assert_eq!(api.get("/repos/p/r/raw/a/../b").status, 404);
}

#[test]
fn queries_give_one_value_or_every_node() {
    let (_convoy, api) = filled();
    let query = |query: &str| api.get(&format!("/repos/p/r/files/values/common.yaml?{query}"));
    assert_eq!(query("query=$.timeouts.connect").ok()["value"], "1s");
    assert_eq!(query("query=$.timeouts&query=$.idle[1]").ok()["value"], 6);
    assert_eq!(query("query=$.timeouts.idle[*]").ok()["value"], json!([5, 6]));
    assert_eq!(query("jsonpath=$..connect").ok()["nodes"], json!(["1s"]));
    assert_eq!(query("jsonpath=$.nothing").ok()["nodes"], json!([]));
    for (bad, status) in [
        ("query=$.nothing", 404),
        ("query=$[", 422),
        ("jsonpath=x", 422),
        ("query=$&jsonpath=$", 422),
        ("jsonpath=$&jsonpath=$", 422),
    ] {
        assert_eq!(query(bad).refusal().0, status, "{bad}");
    }
    let text = api.get("/repos/p/r/files/a%20b/%C3%BC%2C%2A.txt?query=$");
    assert_eq!(text.refusal().0, 422);
}

#[test]
fn files_are_laid_over_each_other_in_their_order() {
    let (_convoy, api) = filled();
    let merged = |query: &str| api.get(&format!("/repos/p/r/merged?{query}"));
    let both = merged("path=values/common.yaml&path=/values/beta.yaml").ok();
    assert_eq!(both["value"], json!({"timeouts": {"connect": "9s", "idle": [5, 6]}}));
    let other = merged("optional=values/beta.yaml&path=values/common.yaml&optional=no.yaml");
    let other = other.ok();
    assert_eq!(other["value"]["timeouts"]["connect"], "1s");
    assert_eq!(other["paths"], json!(["values/beta.yaml", "values/common.yaml"]));
    let one = merged("path=values/common.yaml&path=values/beta.yaml&query=$.timeouts.connect");
    assert_eq!(one.ok()["value"], "9s");
    for (bad, status) in
        [("", 422), ("path=no.yaml", 404), ("optional=no.yaml", 404), ("path=a//b", 422)]
    {
        assert_eq!(merged(bad).refusal().0, status, "{bad}");
    }
}

#[test]
fn differences_come_as_text_and_as_patches() {
    let (_convoy, api) = filled();
    let changes = |query: &str| api.get(&format!("/repos/p/r/changes?{query}")).ok();
    let last = changes("from=-2");
    assert_eq!((last["from"].as_u64(), last["to"].as_u64()), (Some(3), Some(4)));
    assert_eq!(last["files"][0]["change"], "removed");
    let text = changes("from=2&to=3&pattern=*.txt");
    let diff = text["files"][0]["text_diff"].as_str().unwrap_or("");
    assert!(diff.contains("-two\n+TWO\n"), "{diff}");
    assert_eq!(paths(&changes("from=4&to=2")["files"]).len(), 2);
    assert_eq!(paths(&changes("from=0&to=2")["files"]).len(), 4);
    api.commit(
        "p/r",
        &json!([{"path": "values/beta.yaml", "content": "timeouts: {connect: 2s}\n"}]),
    );
    let patch = changes("from=-2")["files"][0]["json_patch"].clone();
    assert_eq!(patch[0]["path"], "/timeouts/connect", "{patch}");
}

#[test]
fn history_is_exact_by_pattern_and_can_be_paged() {
    let (_convoy, api) = filled();
    let numbers = |query: &str| -> Vec<u64> {
        let found = api.get(&format!("/repos/p/r/revisions?{query}")).ok();
        let found = found["revisions"].as_array().cloned().unwrap_or_default();
        found.iter().filter_map(|one| one["revision"].as_u64()).collect()
    };
    assert_eq!(numbers("pattern=/list.json"), [4, 2]);
    assert_eq!(numbers("path=values"), [2]);
    assert_eq!(numbers("pattern=*.txt&to=3"), [3]);
    assert_eq!(numbers("from=2&to=3&pattern=*.txt"), [3, 2]);
    assert_eq!(numbers("from=-3&pattern=/**"), [2, 1]);
    let first = api.get("/repos/p/r/revisions?limit=1&pattern=/list.json").ok();
    assert_eq!(first["next"], 2);
    assert!(api.get("/repos/p/r/revisions?pattern=/list.json&from=2").ok()["next"].is_null());
    assert_eq!(api.get("/repos/p/r/revisions?limit=0").refusal().0, 422);
    assert_eq!(api.get("/repos/p/r/revisions?path=a&pattern=b").refusal().0, 422);
}

#[test]
fn search_finds_lines_in_one_repository_and_in_all() {
    let (_convoy, api) = filled();
    let one = api.get("/repos/p/r/search?q=two&ignore_case=1").ok();
    let hits = json!([{"line": 2, "column": 1, "text": "TWO"}]);
    assert_eq!((&one["hits"], &one["files"][0]["hits"]), (&json!(1), &hits));
    assert_eq!(api.get("/repos/p/r/search?q=two").ok()["hits"], 0);
    assert_eq!(api.get("/repos/p/r/search?q=two&revision=2").ok()["hits"], 1);
    let regex = api.get("/repos/p/r/search?q=connect:%20%5B0-9%5Ds&regex=1&pattern=/values/**");
    assert_eq!(regex.ok()["hits"], 2);
    let all = api.get("/search?q=connect").ok();
    assert_eq!((&all["hits"], &all["repos"][0]["repo"]), (&json!(2), &json!("p/r")));
    for bad in ["", "q=", "q=(&regex=1", "q=a&regex=maybe", "q=a&q=b", "q=a&limit=1"] {
        assert_eq!(api.get(&format!("/repos/p/r/search?{bad}")).refusal().0, 422, "{bad}");
    }
}

#[test]
fn changes_are_previewed_merged_and_taken_back() {
    let (_convoy, api) = filled();
    let change = json!({"changes": [{"rename": {"from": "values", "to": "v"}}]});
    let preview = api.post("/repos/p/r/preview", &change).ok();
    let all = ["v/beta.yaml", "v/common.yaml", "values/beta.yaml", "values/common.yaml"];
    assert_eq!(paths(&preview["files"]), all);
    let body = |base: i64, content: &str| json!({"path": "a b/ü,*.txt", "base_revision": base, "content": content});
    let merged = api.post("/repos/p/r/merge", &body(2, "one\ntwo\nthree\nfour\n")).ok();
    assert_eq!(
        (&merged["clean"], merged["content"].as_str()),
        (&json!(true), Some("one\nTWO\nthree\nfour\n"))
    );
    let clash = api.post("/repos/p/r/merge", &body(2, "one\n2\nthree\n")).ok();
    let marked = clash["content"].as_str().unwrap_or("");
    assert!(clash["clean"] == false && marked.contains("<<<<<<<"), "{clash}");
    let stale = json!({"to": 2, "message": "back", "expected": 3});
    assert_eq!(api.post("/repos/p/r/revert", &stale).refusal().0, 409);
    let saved = api.post("/repos/p/r/revert", &json!({"to": -3, "message": "back", "expected": 4}));
    assert_eq!(saved.ok()["revision"], 5);
    assert!(paths(&api.get("/repos/p/r/changes?from=2&to=head").ok()["files"]).is_empty());
    let again = api.post("/repos/p/r/revert", &json!({"to": 2, "message": "back"}));
    assert_eq!(again.refusal().1, "no_change");
    for bad in
        [json!({"to": 2}), json!({"to": 2, "message": " "}), json!({"to": "x", "message": "m"})]
    {
        assert_eq!(api.post("/repos/p/r/revert", &bad).refusal().0, 422, "{bad}");
    }
}

#[test]
fn whoever_may_read_some_paths_only_sees_nothing_of_the_others() {
    let convoy = guarded().start();
    let root = Asker::of(&convoy).with(ROOT);
    root.make("p", "r");
    fill(&root);
    let ann = root.with(&root.token("ann", "guest"));
    for path in ["files", "raw/values/common.yaml", "search?q=o", "watch?wait=1"] {
        assert_eq!(ann.get(&format!("/repos/p/r/{path}")).refusal().0, 404, "{path}");
    }
    let grant = json!({"to": "token:ann", "right": "READ", "paths": "/values/**"});
    root.post("/govern/repos/p/r/grants", &grant).ok();
    assert_eq!(paths(&ann.get("/repos/p/r/files").ok()["files"]).len(), 2);
    assert_eq!(ann.get("/repos/p/r/raw/values/beta.yaml").status, 200);
    let (status, _, message) = ann.get("/repos/p/r/raw/list.json?revision=2").refusal();
    assert!(status == 403 && message.contains("p/r:/list.json"), "{message}");
    assert_eq!(
        ann.get("/repos/p/r/merged?path=values/beta.yaml&path=list.json&revision=2").status,
        403
    );
    assert_eq!(ann.get("/repos/p/r/search?q=o").ok()["files"][0]["path"], "values/beta.yaml");
    assert_eq!(ann.get("/search?q=three").ok()["hits"], 0);
    assert_eq!(paths(&ann.get("/repos/p/r/changes?from=1").ok()["files"]).len(), 2);
    let seen = ann.get("/repos/p/r/revisions").ok();
    assert_eq!(seen["revisions"].as_array().map(Vec::len), Some(1), "{seen}");
    let peek = json!({"changes": [{"path": "list.json", "content": "x"}], "revision": 2});
    assert_eq!(ann.post("/repos/p/r/preview", &peek).status, 403);
    assert_eq!(
        ann.post(
            "/repos/p/r/preview",
            &json!({"changes": [{"rename": {"from": "a b", "to": "values/x"}}]})
        )
        .status,
        403
    );
    let back = json!({"to": 2, "message": "back"});
    assert_eq!(ann.post("/repos/p/r/revert", &back).status, 403);
}
