//! Requests that the Python client never sends: every kind of refusal, every
//! form of body and header, and exactly what each answer holds.

use serde_json::{Value, json};

use super::{Answer, Api, text, upsert};

const REPO: &str = "/projects/p/repos/r";

fn at(rest: &str) -> String {
    format!("{REPO}{rest}")
}

fn check(answer: &Answer, status: u16, name: &str, what: &str) {
    assert_eq!(answer.fault(), (status, name.to_owned()), "{what}: {answer:?}");
}

#[test]
fn every_refusal_has_the_status_and_the_name_that_clients_know() {
    let api = Api::with_repository();
    api.push(&json!([upsert("/a.json", &json!({"a": 1})), text("/t.txt", "one")]));
    let long = "x".repeat(9 << 20);
    for (method, path, body, status, name) in [
        ("GET", "/projects/none", Value::Null, 404, "ProjectNotFoundException"),
        ("GET", "/projects/none/repos", Value::Null, 404, "ProjectNotFoundException"),
        ("DELETE", "/projects/none", Value::Null, 404, "ProjectNotFoundException"),
        ("DELETE", "/projects/p/removed", Value::Null, 404, "ProjectNotFoundException"),
        ("GET", "/projects?status=gone", Value::Null, 400, "IllegalArgumentException"),
        ("GET", "/projects/p/repos?status=x", Value::Null, 400, "IllegalArgumentException"),
        ("POST", "/projects", json!({"name": "p"}), 409, "ProjectExistsException"),
        ("POST", "/projects", json!({"name": "-p"}), 400, "IllegalArgumentException"),
        ("POST", "/projects", json!({"name": "p.git"}), 400, "IllegalArgumentException"),
        ("POST", "/projects", json!({}), 400, "IllegalArgumentException"),
        ("POST", "/projects", json!({"name": 1}), 400, "IllegalArgumentException"),
        ("POST", "/projects", json!([]), 400, "IllegalArgumentException"),
        ("POST", "/projects/p/repos", json!({"name": "r"}), 409, "RepositoryExistsException"),
        ("POST", "/projects/p/repos", json!({"name": "dogma"}), 409, "RepositoryExistsException"),
        ("POST", "/projects/p/repos", json!({"name": "a b"}), 400, "IllegalArgumentException"),
        (
            "POST",
            "/projects/p/repos",
            json!({"name": "e", "encrypt": true}),
            400,
            "UnsupportedOperationException",
        ),
        ("GET", "/projects/p/repos/none/list", Value::Null, 404, "RepositoryNotFoundException"),
        ("DELETE", "/projects/p/repos/none", Value::Null, 404, "RepositoryNotFoundException"),
        ("DELETE", &at("/removed"), Value::Null, 404, "RepositoryNotFoundException"),
        ("GET", &at("/revision/0"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/revision/x"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/revision/9"), Value::Null, 404, "RevisionNotFoundException"),
        ("GET", &at("/revision/-9"), Value::Null, 404, "RevisionNotFoundException"),
        ("GET", &at("/contents/no.json"), Value::Null, 404, "EntryNotFoundException"),
        ("GET", &at("/contents/a.json?revision=9"), Value::Null, 404, "RevisionNotFoundException"),
        ("GET", &at("/contents/a.json?revision=1"), Value::Null, 404, "EntryNotFoundException"),
        ("GET", &at("/contents/%C3%BC"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/contents/***"), Value::Null, 400, "IllegalArgumentException"),
        (
            "GET",
            &at("/contents/a.json?queryType=IDENTITY_YAML"),
            Value::Null,
            400,
            "QueryExecutionException",
        ),
        (
            "GET",
            &at("/contents/t.txt?queryType=IDENTITY_JSON"),
            Value::Null,
            400,
            "QueryExecutionException",
        ),
        ("GET", &at("/contents/t.txt?jsonpath=$.a"), Value::Null, 400, "QueryExecutionException"),
        ("GET", &at("/contents/a.json?queryType=X"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/contents/a.json?jsonpath=$.b"), Value::Null, 400, "QueryExecutionException"),
        ("GET", &at("/contents/a.json?jsonpath=$.["), Value::Null, 400, "QuerySyntaxException"),
        ("GET", &at("/contents/*.json?jsonpath=$.a"), Value::Null, 400, "IllegalArgumentException"),
        (
            "GET",
            &at("/contents/a.json?renderTemplate=true"),
            Value::Null,
            400,
            "UnsupportedOperationException",
        ),
        ("GET", &at("/commits?maxCommits=0"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/commits/9"), Value::Null, 404, "RevisionNotFoundException"),
        ("GET", &at("/compare?from=1&to=9"), Value::Null, 404, "RevisionNotFoundException"),
        ("GET", &at("/compare?path=/none.txt"), Value::Null, 404, "EntryNotFoundException"),
        ("GET", &at("/compare?jsonpath=$.a"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/merge"), Value::Null, 400, "IllegalArgumentException"),
        ("GET", &at("/merge?path=/none.json"), Value::Null, 404, "EntryNotFoundException"),
        ("GET", &at("/merge?path=/t.txt"), Value::Null, 400, "QueryExecutionException"),
        (
            "GET",
            &at("/merge?path=/a.json&jsonpath=$.z"),
            Value::Null,
            400,
            "QueryExecutionException",
        ),
        ("POST", &at("/revert"), json!({}), 400, "IllegalArgumentException"),
        ("POST", &at("/revert"), json!({"targetRevision": 9}), 404, "RevisionNotFoundException"),
        ("POST", &at("/revert"), json!({"targetRevision": -1}), 409, "RedundantChangeException"),
        (
            "POST",
            "/projects/p/repos/meta/contents",
            json!({"commitMessage": {"summary": "s"}, "changes": [text("/x", "x")]}),
            400,
            "InvalidPushException",
        ),
        (
            "GET",
            "/projects/p/repos/meta/contents/x",
            Value::Null,
            404,
            "RepositoryNotFoundException",
        ),
        ("PUT", &at("/status"), json!({"status": "X"}), 400, "IllegalArgumentException"),
        ("PUT", "/status", json!({"serverStatus": "X"}), 400, "IllegalArgumentException"),
        (
            "PUT",
            "/status",
            json!({"serverStatus": "READ_ONLY", "scope": "ALL"}),
            400,
            "UnsupportedOperationException",
        ),
        ("GET", "/projects/p/variables", Value::Null, 400, "UnsupportedOperationException"),
        ("POST", &at("/variables"), json!({}), 400, "UnsupportedOperationException"),
        ("GET", "/loggers", Value::Null, 400, "UnsupportedOperationException"),
        ("POST", &at("/contents"), json!(long), 413, "ContentTooLargeException"),
        ("DELETE", "/projects", Value::Null, 405, "HttpStatusException"),
        ("GET", "/projects/p/nowhere", Value::Null, 404, "HttpStatusException"),
        ("GET", "/appIdentities/none", Value::Null, 405, "HttpStatusException"),
        ("DELETE", "/appIdentities/none", Value::Null, 404, "AppIdentityNotFoundException"),
        ("DELETE", "/metadata/p/members/none", Value::Null, 404, "MemberNotFoundException"),
    ] {
        let answer = match body {
            Value::Null => api.send(method, path, &[], ""),
            body => {
                let kind = [("content-type", "application/json")];
                api.send(method, path, &kind, &body.to_string())
            }
        };
        check(&answer, status, name, &format!("{method} {path}"));
    }
    let plain = [("content-type", "text/plain")];
    check(
        &api.send("POST", &at("/contents"), &plain, "x"),
        415,
        "HttpStatusException",
        "a body of text",
    );
    let json_kind = [("content-type", "application/json")];
    let broken = api.send("POST", &at("/contents"), &json_kind, "{");
    check(&broken, 400, "IllegalArgumentException", "a broken body");
    let wrong = api.send("PATCH", "/projects/p", &json_kind, "[]");
    check(&wrong, 415, "HttpStatusException", "a patch of another type");
    let other = json!([{"op": "replace", "path": "/status", "value": "gone"}]);
    check(&api.patch("/projects/p", &other), 400, "UnsupportedOperationException", "a patch");
}

#[test]
fn pushes_are_refused_by_name() {
    let api = Api::with_repository();
    api.push(&json!([upsert("/a.json", &json!({"a": 1})), text("/t.txt", "one\ntwo\n")]));
    let patch = |ops: Value| json!({"path": "/a.json", "type": "APPLY_JSON_PATCH", "content": ops});
    let diff = |path: &str, content: &str| json!({"path": path, "type": "APPLY_TEXT_PATCH", "content": content});
    let rename = |from: &str, to: &str| json!({"path": from, "type": "RENAME", "content": to});
    let remove = |path: &str| json!({"path": path, "type": "REMOVE"});
    for (change, status, name) in [
        (upsert("/a.json", &json!({"a": 1})), 409, "RedundantChangeException"),
        (remove("/none"), 409, "ChangeConflictException"),
        (rename("/none", "/x"), 409, "ChangeConflictException"),
        (rename("/a.json", "/t.txt"), 409, "ChangeConflictException"),
        (rename("/t.txt", "/t.json"), 400, "ChangeFormatException"),
        (text("/a.json", "{"), 400, "ChangeFormatException"),
        (text("/b.yaml", "a: [1"), 400, "ChangeFormatException"),
        (upsert("/b.txt", &json!({})), 400, "ChangeFormatException"),
        (
            patch(json!([{"op": "test", "path": "/a", "value": 2}])),
            409,
            "JsonPatchConflictException",
        ),
        (
            patch(json!([{"op": "safeReplace", "path": "/a", "oldValue": 9, "value": 2}])),
            409,
            "JsonPatchConflictException",
        ),
        (patch(json!([{"op": "explode", "path": "/a"}])), 400, "ChangeFormatException"),
        (diff("/t.txt", "@@ -1,1 +1,1 @@\n-other\n+x\n"), 409, "TextPatchConflictException"),
        (diff("/none.txt", "@@ -1,1 +1,1 @@\n-a\n+b\n"), 409, "ChangeConflictException"),
        (text("/t.txt/below", "x"), 409, "ChangeConflictException"),
        (text("/ü", "x"), 400, "IllegalArgumentException"),
        (json!({"path": "/a", "type": "UPSERT_TEXT"}), 400, "IllegalArgumentException"),
        (
            json!({"path": "/a", "type": "UPSERT_TEXT", "content": "a", "rawContent": "a"}),
            400,
            "IllegalArgumentException",
        ),
    ] {
        let body = json!({"commitMessage": {"summary": "s"}, "changes": [change]});
        check(&api.post(&at("/contents"), &body), status, name, &change.to_string());
    }
    for (body, name) in [
        (json!({"changes": [text("/x", "x")]}), "IllegalArgumentException"),
        (json!({"commitMessage": {}, "changes": [text("/x", "x")]}), "IllegalArgumentException"),
        (json!({"commitMessage": {"summary": "s"}}), "IllegalArgumentException"),
        (json!({"commitMessage": {"summary": "s"}, "changes": []}), "IllegalArgumentException"),
    ] {
        check(&api.post(&at("/contents"), &body), 400, name, &body.to_string());
    }
    let body = json!({"commitMessage": {"summary": "s"}, "changes": [text("/x", "x")]});
    let stale = api.post(&at("/contents?revision=1"), &body);
    check(&stale, 409, "ChangeConflictException", "an old base");
    assert_eq!(api.post(&at("/contents?revision=2"), &body).status, 200);
    assert_eq!(api.put(&at("/status"), &json!({"status": "READ_ONLY"})).status, 200);
    let body = json!({"commitMessage": {"summary": "s"}, "changes": [text("/y", "y")]});
    check(&api.post(&at("/contents"), &body), 503, "ReadOnlyException", "a read-only repository");
    assert_eq!(api.get(&at("")).json()["status"], "READ_ONLY");
    assert_eq!(api.put(&at("/status"), &json!({"status": "ACTIVE"})).status, 200);
    assert_eq!(api.post(&at("/contents"), &body).status, 200);
}

#[test]
fn answers_hold_exactly_what_clients_read() {
    let api = Api::open();
    let made = api.post("/projects", &json!({"name": "p"}));
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/projects/p"));
    assert!(made.json().get("url").is_none());
    assert_eq!(made.json()["userRole"], "OWNER");
    assert_eq!(api.get("/projects/p/repos").status, 204);
    assert_eq!(api.get("/projects?status=removed").status, 204);
    let made = api.post("/projects/p/repos", &json!({"name": "r"}));
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/projects/p/repos/r"));
    assert_eq!(
        (&made.json()["headRevision"], &made.json()["status"]),
        (&json!(1), &json!("ACTIVE"))
    );
    for empty in ["/list", "/list/", "/contents", "/contents/**", "/compare"] {
        let answer = api.get(&at(empty));
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{empty}");
    }
    api.push(&json!([
        {"path": "/d/a.json", "type": "UPSERT_JSON", "rawContent": "{ \"a\":\n 1 }"},
        {"path": "/d/five.json5", "type": "UPSERT_JSON", "rawContent": "{a: 1, /* why */}"},
        {"path": "/y.yaml", "type": "UPSERT_YAML", "content": "# why\na: 1"},
        {"path": "/z.yml", "type": "UPSERT_YAML", "content": {"a": [1]}},
        text("/t.txt", "a\r\nb"),
    ]));
    let entry = |path: &str, kind: &str, rest: Value| {
        let mut entry = json!({
            "revision": 2, "path": path, "type": kind,
            "url": format!("/api/v1/projects/p/repos/r/contents{path}"),
        });
        let fields = entry.as_object_mut().expect("fields");
        fields.extend(rest.as_object().expect("fields").clone());
        entry
    };
    let json_file = entry("/d/a.json", "JSON", json!({"content": {"a": 1}}));
    for same in [
        "/contents/d/a.json",
        "/contents//d//a.json",
        "/contents/d/a.json?revision=2",
        "/contents/d/a.json?revision=2.0",
        "/contents/d/a.json?revision=head&queryType=IDENTITY",
        "/contents/d/a.json?queryType=IDENTITY_JSON",
        "/contents/%64/a.json",
    ] {
        assert_eq!(api.get(&at(same)).json(), json_file, "{same}");
    }
    for (path, expect) in [
        ("/contents/d/five.json5", entry("/d/five.json5", "JSON", json!({"content": {"a": 1}}))),
        (
            "/contents/d/five.json5?viewRaw=true",
            entry("/d/five.json5", "JSON", json!({"rawContent": "{a: 1, /* why */}"})),
        ),
        (
            "/contents/d/a.json?viewRaw=true",
            entry("/d/a.json", "JSON", json!({"rawContent": "{ \"a\":\n 1 }"})),
        ),
        (
            "/contents/d/a.json?queryType=IDENTITY_TEXT",
            entry("/d/a.json", "TEXT", json!({"content": "{ \"a\":\n 1 }"})),
        ),
        (
            "/contents/d/a.json?jsonpath=%24.a&queryType=IDENTITY_TEXT",
            entry("/d/a.json", "JSON", json!({"content": 1})),
        ),
        ("/contents/y.yaml", entry("/y.yaml", "TEXT", json!({"content": "# why\na: 1\n"}))),
        (
            "/contents/y.yaml?viewRaw=true",
            entry("/y.yaml", "YAML", json!({"rawContent": "# why\na: 1\n"})),
        ),
        ("/contents/y.yaml?jsonpath=$.a", entry("/y.yaml", "JSON", json!({"content": 1}))),
        ("/contents/t.txt", entry("/t.txt", "TEXT", json!({"content": "a\nb\n"}))),
        (
            "/list",
            json!([
                entry("/d", "DIRECTORY", json!({})),
                entry("/t.txt", "TEXT", json!({})),
                entry("/y.yaml", "TEXT", json!({})),
                entry("/z.yml", "TEXT", json!({})),
            ]),
        ),
        (
            "/list/?preserveTrailingSlash=true&revision=2",
            json!([
                entry("/d/", "DIRECTORY", json!({})),
                entry("/t.txt", "TEXT", json!({})),
                entry("/y.yaml", "TEXT", json!({})),
                entry("/z.yml", "TEXT", json!({})),
            ]),
        ),
        ("/contents/*.txt", json!([entry("/t.txt", "TEXT", json!({"content": "a\nb\n"}))])),
        ("/contents/%2A%2A/%2A.json", json!([json_file])),
    ] {
        assert_eq!(api.get(&at(path)).json(), expect, "{path}");
    }
    for folder in ["/list/d", "/list/d/", "/list/d/*", "/list//d"] {
        let paths = api.get(&at(folder)).json();
        let paths: Vec<_> =
            paths.as_array().into_iter().flatten().map(|one| &one["path"]).collect();
        assert_eq!(paths, ["/d/a.json", "/d/five.json5"], "{folder}");
    }
    // A folder has no content.
    assert_eq!(api.get(&at("/contents/d")).status, 204);
    assert_eq!(api.get(&at("/revision/-1")).json(), json!({"revision": 2}));
    assert_eq!(api.delete(&at("")).status, 204);
    assert_eq!(api.get("/projects/p/repos?status=removed").json(), json!([{"name": "r"}]));
}

#[test]
fn history_is_told_newest_first() {
    let api = Api::with_repository();
    for (number, path) in [(2, "/a.txt"), (3, "/b.txt"), (4, "/a.txt")] {
        let body = json!({
            "commitMessage": {"summary": format!("s{number}"), "detail": "d\nd", "markup": "MARKDOWN"},
            "changes": text(path, &format!("{number}")),
        });
        let pushed = api.post(&at("/contents"), &body).json();
        assert_eq!(pushed["revision"], number);
        let at = pushed["pushedAt"].as_str().expect("a time");
        assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    }
    let one = api.get(&at("/commits/2")).json();
    let message = json!({"summary": "s2", "detail": "d\nd", "markup": "MARKDOWN"});
    assert_eq!((&one["revision"], &one["commitMessage"]), (&json!(2), &message));
    assert!(one["author"]["name"].is_string() && one["author"]["email"].is_string(), "{one}");
    let numbers = |path: &str| -> Vec<u64> {
        let list = api.get(&at(path)).json();
        let list = list.as_array().unwrap_or_else(|| panic!("{path}: {list}"));
        list.iter().filter_map(|one| one["revision"].as_u64()).collect()
    };
    assert_eq!(numbers("/commits"), [4, 3, 2, 1]);
    assert_eq!(numbers("/commits?maxCommits=2"), [4, 3]);
    assert_eq!(numbers("/commits/1?to=3"), [3, 2, 1]);
    assert_eq!(numbers("/commits/3?to=1"), [3, 2, 1]);
    assert_eq!(numbers("/commits/-1?to=-2"), [4, 3]);
    assert_eq!(numbers("/commits?to=3"), [4, 3]);
    assert_eq!(numbers("/commits?path=/a.txt"), [4, 2]);
    assert_eq!(numbers("/commits?path=/b*"), [3]);
    assert_eq!(api.get(&at("/commits?path=/none")).status, 204);
    let first = api.get(&at("/commits/1")).json();
    assert_eq!(first["commitMessage"]["summary"], "Create a new repository");
}

#[test]
fn differences_and_previews_are_told_as_changes() {
    let api = Api::with_repository();
    api.push(&json!([upsert("/a.json", &json!({"a": 1})), text("/gone.txt", "x")]));
    api.push(&json!([
        upsert("/a.json", &json!({"a": 2})),
        {"path": "/gone.txt", "type": "REMOVE"},
        text("/new.txt", "new"),
    ]));
    let patch = json!([{"op": "replace", "path": "/a", "value": 2}]);
    let changed = json!({"path": "/a.json", "type": "APPLY_JSON_PATCH", "content": patch});
    let expect = json!([
        changed,
        {"path": "/gone.txt", "type": "REMOVE"},
        {"path": "/new.txt", "type": "UPSERT_TEXT", "content": "new\n"},
    ]);
    assert_eq!(api.get(&at("/compare?from=2&to=3")).json(), expect);
    assert_eq!(api.get(&at("/compare?from=-2&to=head&pathPattern=/**")).json(), expect);
    // Whatever the order, it is told forwards.
    assert_eq!(api.get(&at("/compare?from=3&to=2")).json(), expect);
    assert_eq!(api.get(&at("/compare?from=2&to=3&path=/a.json")).json(), changed);
    let inner = json!([{"op": "replace", "path": "", "value": 2}]);
    let told = api.get(&at("/compare?from=2&to=3&path=/a.json&jsonpath=$.a")).json();
    assert_eq!(told, json!({"path": "/a.json", "type": "APPLY_JSON_PATCH", "content": inner}));
    let whole = json!({"path": "/a.json", "type": "UPSERT_JSON", "content": {"a": 2}});
    assert_eq!(api.get(&at("/compare?path=/a.json")).json(), whole);
    let preview = api.post(
        &at("/preview?revision=-1"),
        &json!([{"path": "/new.txt", "type": "RENAME", "content": "/moved.txt"}]),
    );
    assert_eq!(
        preview.json(),
        json!([
            {"path": "/moved.txt", "type": "UPSERT_TEXT", "content": "new\n"},
            {"path": "/new.txt", "type": "REMOVE"},
        ])
    );
    assert_eq!(api.get(&at("/revision/head")).json(), json!({"revision": 3}), "nothing is written");
    let reverted = api.post(&at("/revert"), &json!({"targetRevision": 2, "commitMessage": {}}));
    assert_eq!(reverted.json()["revision"], 4);
    assert_eq!(api.get(&at("/contents/gone.txt")).json()["content"], "x\n");
    assert_eq!(api.get(&at("/compare?from=2&to=4")).status, 204);
}

#[test]
fn what_this_api_cannot_carry_is_left_out_and_said() {
    let api = Api::with_repository();
    api.push(&json!([text("/plain.txt", "x")]));
    let body = json!({
        "base_revision": 2, "message": "odd",
        "changes": [
            {"path": "ü b.txt", "content": "u"},
            {"path": "a+b.txt", "content": "p"},
        ],
    });
    let (status, answer) = api.convoy.post("ann", "/repos/p/r/commits", &body);
    assert_eq!(status, 200, "{answer}");
    for path in ["/list", "/contents", "/contents/**", "/compare?from=1"] {
        let answer = api.get(&at(path));
        let listed = answer.json().as_array().map(Vec::len);
        assert_eq!((listed, answer.header("x-convoy-left-out")), (Some(1), "2"), "{path}");
    }
    let only = api.get(&at("/compare?from=2"));
    assert_eq!((only.status, only.header("x-convoy-left-out")), (204, "2"));
    for named in ["/contents/%C3%BC%20b.txt", "/contents/a%2Bb.txt"] {
        let answer = api.get(&at(named));
        check(&answer, 400, "IllegalArgumentException", named);
        assert!(
            answer.json()["message"].as_str().is_some_and(|text| text.contains("Convoy's own"))
        );
    }
    // What lies in a folder goes with it, whatever its name.
    let moved = json!([{"path": "/plain.txt", "type": "RENAME", "content": "/moved.txt"}]);
    assert_eq!(api.push(&moved), 4);
}

#[test]
fn the_server_says_how_it_is() {
    let api = Api::open();
    assert_eq!(api.get("/status").json(), json!({"writable": true, "replicating": true}));
    let same = api.put("/status", &json!({"serverStatus": "WRITABLE", "scope": "LOCAL"}));
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    assert_eq!(api.get("/mirror/config").status, 204);
    let outside = |path: &str| {
        let answer = api.client.get(format!("{}{path}", api.convoy.url())).send();
        super::Answer::of(answer.expect("the server answers"))
    };
    assert_eq!(outside("/monitor/l7check").json(), json!({"healthy": true}));
    assert_eq!(outside("/title").json()["title"], "Convoy");
    assert_eq!(outside("/security_enabled").status, 404);
}

#[test]
fn credentials_and_mirrors_are_kept() {
    let api = Api::with_repository();
    let credential = json!({"id": "c", "type": "ACCESS_TOKEN", "accessToken": "very-secret"});
    let made = api.post("/projects/p/credentials", &credential);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("location"), "/api/v1/projects/p/credentials/c");
    let listed = api.get("/projects/p/credentials");
    assert_eq!(listed.json()[0]["name"], "projects/p/credentials/c");
    assert!(!listed.text.contains("very-secret"));
    assert_eq!(api.post("/projects/p/credentials", &credential).status, 409);
    let mirror = json!({
        "id": "m", "enabled": false, "projectName": "p", "schedule": "0 */5 * * * ?",
        "direction": "REMOTE_TO_LOCAL", "localRepo": "r", "localPath": "/in/",
        "remoteScheme": "git+https", "remoteUrl": "git.example.com/x.git", "remotePath": "/",
        "remoteBranch": "main", "credentialName": "projects/p/credentials/c",
    });
    let made = api.post(&at("/mirrors"), &mirror);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("location"), "/api/v1/projects/p/repos/r/mirrors/m");
    let mut expect = mirror.clone();
    expect["allow"] = json!(true);
    assert_eq!(api.get(&at("/mirrors/m")).json(), expect);
    assert_eq!(api.get("/projects/p/mirrors").json(), json!([expect]));
    assert_eq!(api.get(&at("/mirrors")).json(), json!([expect]));
    expect["schedule"] = json!("0 0 * * * ?");
    assert_eq!(api.put(&at("/mirrors/m"), &expect).json(), expect);
    let mut unknown = mirror.clone();
    unknown["id"] = json!("other");
    unknown["credentialName"] = json!("nobody");
    assert_eq!(api.post(&at("/mirrors"), &unknown).status, 400);
    assert_eq!(api.delete(&at("/mirrors/m")).status, 204);
    check(&api.get(&at("/mirrors/m")), 404, "EntryNotFoundException", "a mirror that is gone");
    assert_eq!(api.delete("/projects/p/credentials/c").status, 204);
    assert_eq!(api.get("/projects/p/credentials").status, 204);
    check(
        &api.post(&at("/credentials"), &credential),
        400,
        "UnsupportedOperationException",
        "a repository's own credential",
    );
}
