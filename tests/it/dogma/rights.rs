//! The same API where callers must log in: who may do what, and what those are
//! told who may not.

use convoy::model::ContentHash;
use serde_json::{Value, json};

use super::{Answer, Api, text};
use crate::harness::convoy::Convoy;

const ROOT: &str = "root-secret";
const REPO: &str = "/projects/p/repos/r";

/// A server with the tokens `root` (administrator), `reader` and `node`.
fn closed() -> Api {
    let token = |name: &str, role: &str| {
        let hash = ContentHash::of(format!("{name}-secret").as_bytes());
        format!("    - {{name: {name}, sha256: {hash}, role: {role}}}\n")
    };
    let node = "node, scope: {nodes: ['*'], stages: ['*']}";
    let tokens = [token("root", "admin"), token("reader", "reader"), token("node", node)];
    let config = format!("auth:\n  tokens:\n{}", tokens.concat());
    let mut api = Api::start(Convoy::with().config(&config).authenticated());
    api.token = ROOT.into();
    api.with_p_r()
}

/// Makes an application identity; gives its secret.
fn app(api: &Api, id: &str) -> String {
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let made = api.send("POST", "/appIdentities", &kind, &format!("appId={id}&type=TOKEN"));
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("location"), format!("/api/v1/appIdentities/{id}"));
    made.json()["secret"].as_str().expect("the secret is shown once").to_owned()
}

fn ok(answer: &Answer) {
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

#[test]
fn whoever_does_not_log_in_is_told_so() {
    let api = closed();
    for token in ["", "wrong", "anonymous"] {
        let caller = api.as_caller(token);
        for (method, path) in [
            ("GET", "/projects"),
            ("GET", "/projects/p"),
            ("GET", "/projects/p/repos/r/contents/a.json"),
            ("POST", "/projects/p/repos/r/contents"),
            ("DELETE", "/projects/p"),
            ("GET", "/appIdentities"),
            ("GET", "/status"),
        ] {
            let answer = caller.send(method, path, &Value::Null);
            assert_eq!(answer.fault(), (401, "AuthorizationException".into()), "{method} {path}");
        }
    }
    let outside = |path: &str| {
        let answer = api.client.get(format!("{}{path}", api.convoy.url())).send();
        answer.expect("the server answers").status().as_u16()
    };
    assert_eq!(outside("/security_enabled"), 200);
    assert_eq!(outside("/monitor/l7check"), 200);
}

#[test]
fn roles_open_what_they_say_and_nothing_else() {
    let api = closed();
    api.push(&json!([text("/a.txt", "a")]));
    let secret = app(&api, "ci");
    let ci = api.as_caller(&secret);
    let push = json!({"commitMessage": {"summary": "s"}, "changes": [text("/b.txt", "b")]});
    let contents = format!("{REPO}/contents");
    // A token without any right sees nothing.
    assert_eq!(ci.send("GET", "/projects", &Value::Null).status, 204);
    for path in ["/projects/p", "/projects/p/repos", "/projects/p/repos/r/contents/a.txt"] {
        let answer = ci.send("GET", path, &Value::Null);
        assert_eq!(answer.fault(), (404, "ProjectNotFoundException".into()), "{path}");
    }
    let grant = |role: &str| {
        let path = "/metadata/p/repos/r/roles/appIdentities";
        let done = api.post(path, &json!({"id": "ci", "role": role}));
        assert!(done.json().is_u64(), "the new revision: {done:?}");
    };
    grant("READ");
    ok(&ci.send("GET", &format!("{contents}/a.txt"), &Value::Null));
    assert_eq!(ci.send("GET", "/projects", &Value::Null).json()[0]["userRole"], "GUEST");
    for (method, path, body) in [
        ("POST", contents.as_str(), push.clone()),
        ("DELETE", REPO, Value::Null),
        ("DELETE", "/projects/p", Value::Null),
        ("POST", "/projects", json!({"name": "q"})),
        ("POST", "/projects/p/repos", json!({"name": "q"})),
        ("PUT", "/projects/p/repos/r/status", json!({"status": "READ_ONLY"})),
        ("POST", "/metadata/p/members", json!({"id": "ann", "role": "OWNER"})),
        ("POST", "/projects/p/credentials", json!({"id": "c", "type": "NONE"})),
    ] {
        let answer = ci.send(method, path, &body);
        assert_eq!(answer.fault(), (403, String::new()), "{method} {path}: {answer:?}");
    }
    grant("WRITE");
    ok(&ci.send("POST", &contents, &push));
    assert_eq!(ci.send("DELETE", REPO, &Value::Null).status, 403);
    grant("ADMIN");
    ok(&ci.send("GET", REPO, &Value::Null));
    let metadata = api.get("/projects/p").json();
    assert_eq!(metadata["repos"]["r"]["roles"]["appIds"], json!({"ci": "ADMIN"}));
    let taken = api.delete("/metadata/p/repos/r/roles/appIdentities/ci");
    assert_eq!(taken.status, 204);
    assert_eq!(ci.send("GET", &format!("{contents}/a.txt"), &Value::Null).status, 404);
    // As a member of the project, then as its owner.
    ok(&api.post("/metadata/p/appIdentities", &json!({"id": "ci", "role": "MEMBER"})));
    ok(&ci.send("GET", &format!("{contents}/a.txt"), &Value::Null));
    ok(&ci.send("POST", "/projects/p/repos", &json!({"name": "q"})));
    assert_eq!(ci.send("DELETE", "/projects/p", &Value::Null).status, 403);
    let owner = json!([{"op": "replace", "path": "/role", "value": "OWNER"}]);
    ok(&api.patch("/metadata/p/tokens/ci", &owner));
    assert_eq!(ci.send("DELETE", "/projects/p/repos/q", &Value::Null).status, 204);
    let members = ci.send("GET", "/projects/p/repos?status=removed", &Value::Null);
    assert_eq!(members.json(), json!([{"name": "q"}]));
    assert_eq!(ci.send("DELETE", "/projects/p/repos/q/removed", &Value::Null).status, 204);
    // Nodes subscribe, and do nothing else.
    let node = api.as_caller("node-secret");
    assert_eq!(node.send("GET", "/projects", &Value::Null).status, 403);
}

#[test]
fn people_are_members_by_name_and_guests_by_role() {
    let api = closed();
    let path = "/metadata/p/members";
    ok(&api.put("/govern/teams/sre", &json!({"members": []})));
    assert!(api.post(path, &json!({"id": "ann", "role": "MEMBER"})).json().is_u64());
    assert!(api.post(path, &json!({"id": "team:sre", "role": "OWNER"})).json().is_u64());
    for bad in [
        json!({"id": "ann"}),
        json!({"id": "ann", "role": "KING"}),
        json!({"id": "nobody@example.com", "role": "OWNER"}),
        json!({"id": "a b", "role": "OWNER"}),
    ] {
        assert_eq!(api.post(path, &bad).status, 400, "{bad}");
    }
    let members = api.get("/projects/p").json()["members"].clone();
    assert_eq!(
        (&members["ann"]["role"], &members["team:sre"]["role"]),
        (&json!("MEMBER"), &json!("OWNER"))
    );
    assert_eq!(api.delete("/metadata/p/members/ann").status, 204);
    assert_eq!(
        api.delete("/metadata/p/members/ann").fault(),
        (404, "MemberNotFoundException".into())
    );
    let roles = "/metadata/p/repos/r/roles";
    let set = |body: Value| api.post(&format!("{roles}/projects"), &body);
    assert_eq!(set(json!({"member": "ADMIN", "guest": null})).status, 400);
    ok(&set(json!({"member": "READ", "guest": "READ"})));
    let secret = app(&api, "guest");
    let guest = api.as_caller(&secret);
    ok(&guest.send("GET", "/projects/p/repos/r/revision/-1", &Value::Null));
    ok(&api.post(&format!("{roles}/users"), &json!({"id": "ann", "role": "WRITE"})));
    let told = api.get("/projects/p").json()["repos"]["r"]["roles"].clone();
    assert_eq!(
        told,
        json!({
            "projects": {"member": "READ", "guest": "READ"},
            "users": {"ann": "WRITE"},
            "appIds": {},
        })
    );
    ok(&api.delete(&format!("{roles}/users/ann")));
    let unknown = api.post(&format!("{roles}/appIdentities"), &json!({"id": "no", "role": "READ"}));
    assert_eq!(unknown.fault(), (404, "AppIdentityNotFoundException".into()));
}

#[test]
fn application_identities_live_and_end() {
    let api = closed();
    let secret = app(&api, "ci");
    let listed = api.get("/tokens");
    assert_eq!(listed.json()[0]["appId"], "ci");
    assert!(!listed.text.contains(&secret), "{listed:?}");
    assert_eq!(api.as_caller(&secret).send("GET", "/projects", &Value::Null).status, 204);
    let patch = |path: &str, body: Value| {
        let kind = [("content-type", "application/json")];
        api.send("PATCH", path, &kind, &body.to_string())
    };
    assert_eq!(patch("/appIdentities/ci", json!({"status": "active"})).status, 304);
    let ended = patch("/appIdentities/ci", json!({"status": "inactive"}));
    assert!(ended.json()["deactivation"]["timestamp"].is_string(), "{ended:?}");
    assert_eq!(api.as_caller(&secret).send("GET", "/projects", &Value::Null).status, 401);
    ok(&patch("/tokens/ci", json!({"status": "active"})));
    assert_eq!(patch("/appIdentities/ci/level", json!({"level": "USER"})).status, 304);
    let level = patch("/appIdentities/ci/level", json!({"level": "SYSTEMADMIN"}));
    assert_eq!(level.json()["systemAdmin"], true);
    assert_eq!(api.as_caller(&secret).send("GET", "/projects/p", &Value::Null).status, 200);
    let rotated = api.post("/appIdentities/ci/secret", &Value::Null).json();
    let fresh = rotated["secret"].as_str().expect("a new secret").to_owned();
    assert_ne!(fresh, secret);
    assert_eq!(api.as_caller(&secret).send("GET", "/projects", &Value::Null).status, 401);
    assert_eq!(api.as_caller(&fresh).send("GET", "/projects", &Value::Null).status, 200);
    // A client may bring a secret of its own.
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let body = "appId=own&secret=appToken-brought-along-0123456789&isSystemAdmin=false";
    assert_eq!(api.send("POST", "/tokens", &kind, body).status, 201);
    let own = api.as_caller("appToken-brought-along-0123456789");
    assert_eq!(own.send("GET", "/projects", &Value::Null).status, 204);
    assert_eq!(api.send("POST", "/tokens", &kind, body).status, 409);
    assert_eq!(api.send("POST", "/tokens", &kind, "appId=x&type=CERTIFICATE").status, 400);
    assert_eq!(api.delete("/appIdentities/own").status, 204);
    assert_eq!(own.send("GET", "/projects", &Value::Null).status, 401);
    assert_eq!(api.delete("/appIdentities/own/removed").status, 204);
    assert_eq!(
        api.delete("/appIdentities/own").fault(),
        (404, "AppIdentityNotFoundException".into())
    );
    // Others' tokens are not there, and those of the configuration stay.
    let secret = app(&api, "two");
    assert_eq!(api.as_caller(&secret).send("DELETE", "/tokens/ci", &Value::Null).status, 404);
    assert_eq!(api.delete("/tokens/root").fault(), (400, "UnsupportedOperationException".into()));
}

#[test]
fn a_right_on_some_paths_is_one_on_no_other() {
    let api = closed();
    api.push(&json!([text("/open/a.txt", "a"), text("/closed/b.txt", "b"), text("/c.txt", "c")]));
    let secret = app(&api, "ci");
    let grant = json!({"to": "token:ci", "right": "WRITE", "paths": "/open/**"});
    let granted = api.post("/govern/repos/p/r/grants", &grant);
    ok(&granted);
    let ci = api.as_caller(&secret);
    let paths = |rest: &str| {
        let found = ci.send("GET", &format!("{REPO}{rest}"), &Value::Null);
        let list = if found.status == 204 { json!([]) } else { found.json() };
        let list = list.as_array().expect("a list").iter();
        list.map(|one| one["path"].as_str().expect("a path").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths("/contents/**"), ["/open", "/open/a.txt"]);
    assert_eq!(paths("/list"), ["/open"]);
    assert_eq!(paths("/compare"), ["/open/a.txt"]);
    let get = |path: &str| ci.send("GET", &format!("{REPO}{path}"), &Value::Null).status;
    assert_eq!((get("/contents/open/a.txt"), get("/contents/closed/b.txt")), (200, 403));
    assert_eq!(get("/merge?path=/closed/b.json"), 403);
    let push = |change: Value| {
        let body = json!({"commitMessage": {"summary": "s"}, "changes": [change]});
        ci.send("POST", &format!("{REPO}/contents"), &body).status
    };
    assert_eq!(push(text("/open/new.txt", "x")), 200);
    assert_eq!(push(text("/closed/new.txt", "x")), 403);
    assert_eq!(push(json!({"path": "/closed", "type": "REMOVE"})), 403);
    assert_eq!(push(json!({"path": "/c.txt", "type": "RENAME", "content": "/open/c.txt"})), 403);
    assert_eq!(push(json!({"path": "/open/new.txt", "type": "REMOVE"})), 200);
    let revert = ci.send("POST", &format!("{REPO}/revert"), &json!({"targetRevision": 1}));
    assert_eq!(revert.status, 403);
    // A watch is told of what is within reach only.
    let watch = |path: &str| {
        let request = api.client.get(api.url(&format!("{REPO}/contents{path}")));
        let request = request.header("authorization", format!("Bearer {secret}"));
        let request = request.header("if-none-match", "4").header("prefer", "wait=1");
        request.send().expect("the server answers").status().as_u16()
    };
    api.push(&json!([text("/closed/b.txt", "other")]));
    assert_eq!((watch("/**"), watch("/closed/b.txt")), (304, 403));
}

#[test]
fn a_watch_ends_when_its_token_does() {
    let api = closed();
    let secret = app(&api, "ci");
    ok(&api.post("/metadata/p/repos/r/roles/tokens", &json!({"id": "ci", "role": "READ"})));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let request = api.client.get(api.url(&format!("{REPO}/contents/**")));
            let request = request.header("authorization", format!("Bearer {secret}"));
            let request = request.header("if-none-match", "1").header("prefer", "wait=50");
            Answer::of(request.send().expect("the server answers"))
        });
        assert_eq!(api.delete("/appIdentities/ci").status, 204);
        let told = watch.join().expect("the watch ends");
        assert_eq!(told.fault(), (401, "AuthorizationException".into()));
    });
}
