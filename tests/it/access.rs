//! Who may do what, over a real server: every route against everybody, grants
//! by path, the life of repositories, tokens and their end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Output;
use std::time::Duration;

use convoy::model::ContentHash;
use convoy::web;
use reqwest::Method;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, wait_for};

/// Everybody: name, the role of their token, and whether they are a person.
const EVERYBODY: [(&str, &str); 8] = [
    ("node", "node"),
    ("gus", "guest"),
    ("pat", "guest"),
    ("mia", "guest"),
    ("olga", "guest"),
    ("rea", "reader"),
    ("opal", "operator"),
    ("ada", "admin"),
];

struct Home {
    convoy: Convoy,
    client: Client,
}

impl Home {
    /// A project `mesh` with the repository `config`, owned by olga, with mia
    /// as a member, and pat who may write below `/values/`.
    fn start() -> Self {
        let token = |(name, role): &(&str, &str)| {
            let hash = ContentHash::of(name.as_bytes());
            let scope = match *role {
                "node" => ", scope: {nodes: ['*'], stages: ['*']}",
                _ => "",
            };
            format!("    - {{name: {name}, role: {role}, person: {name}, sha256: {hash}{scope}}}\n")
        };
        let tokens: String = EVERYBODY.iter().map(token).collect();
        let config = format!("auth:\n  tokens:\n{tokens}");
        let convoy = Convoy::with().authenticated().config(&config).start();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        let home = Self { convoy, client: client.build().expect("a client can be made") };
        let project =
            json!({ "name": "mesh", "owners": ["person:olga"], "members": ["person:mia"] });
        home.ok("ada", Method::POST, "/api/v1/govern/projects", &project);
        home.ok(
            "mia",
            Method::POST,
            "/api/v1/govern/projects/mesh/repos",
            &json!({"name": "config"}),
        );
        let files = json!([
            { "path": "values/a.yaml", "content": "a: 1\n" },
            { "path": "values/deep/b.yaml", "content": "b: 1\n" },
            { "path": "secret/c.yaml", "content": "c: hidden-word\n" },
        ]);
        home.commit("mia", &files).expect("a member may write");
        let grant = json!({ "to": "person:pat", "right": "WRITE", "paths": "/values/**" });
        home.ok("olga", Method::POST, "/api/v1/govern/repos/mesh/config/grants", &grant);
        home
    }

    fn send(&self, who: &str, method: Method, path: &str, body: Option<&Value>) -> Response {
        let url = format!("{}{path}", self.convoy.url());
        let mut request = self.client.request(method, url);
        if !who.is_empty() {
            request = request.bearer_auth(who);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().expect("the server answers")
    }

    fn ask(&self, who: &str, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.send(who, method, path, body);
        let status = answer.status().as_u16();
        let text = answer.text().expect("the answer is text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn ok(&self, who: &str, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(who, method.clone(), path, Some(body));
        assert!(status < 300, "{method} {path} as {who}: {status} {answer}");
        answer
    }

    fn get(&self, who: &str, path: &str) -> (u16, Value) {
        self.ask(who, Method::GET, path, None)
    }

    fn head(&self) -> u64 {
        let (_, repo) = self.get("ada", "/api/v1/repos/mesh/config");
        repo["head"]["revision"].as_u64().expect("a revision")
    }

    fn commit(&self, who: &str, changes: &Value) -> Result<Value, (u16, Value)> {
        let body =
            json!({ "base_revision": self.head(), "changes": changes, "message": "Change it" });
        let (status, answer) =
            self.ask(who, Method::POST, "/api/v1/repos/mesh/config/commits", Some(&body));
        if status < 300 { Ok(answer) } else { Err((status, answer)) }
    }

    /// How many acts are on record: what was refused adds none.
    fn acts(&self) -> u64 {
        let (status, audit) = self.get("ada", "/api/v1/audit?limit=1");
        assert_eq!(status, 200, "{audit}");
        audit["head"]["number"].as_u64().expect("a number")
    }

    fn cli(&self, who: &str, arguments: &[&str]) -> Output {
        let file = self.convoy.home().join(format!("{who}.token"));
        if !file.exists() {
            keep(&file, who);
        }
        let mut command = self.convoy.command(arguments[0]);
        command.args(&arguments[1..]).env("CONVOY_TOKEN_FILE", &file);
        command.output().expect("the program can be run")
    }
}

fn keep(file: &std::path::Path, secret: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(file, secret).expect("the home can be written");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("the mode can be set");
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

/// Who may take a route that says it needs this. Written down a second time,
/// on purpose: a need that is not here fails the test.
fn admitted(needs: &str) -> &'static [&'static str] {
    let all: &[&str] = &["gus", "pat", "mia", "olga", "rea", "opal", "ada"];
    match needs {
        "Login" => all,
        "Role(Reader)" => &["rea", "opal", "ada"],
        "Role(Operator)" => &["opal", "ada"],
        "Role(Admin)" | "RepoRole(Admin)" => &["ada"],
        "RepoRole(Operator)" => &["opal", "ada"],
        "Repo(Read)" => &["pat", "mia", "olga", "rea", "opal", "ada"],
        "Repo(Write)" => &["pat", "mia", "olga", "opal", "ada"],
        "Whole(Read)" => &["mia", "olga", "rea", "opal", "ada"],
        "Whole(Write)" => &["mia", "olga", "opal", "ada"],
        "Repo(Admin)" | "Whole(Admin)" | "Owner" => &["olga", "ada"],
        "Member" => &["mia", "olga", "opal", "ada"],
        "Project" => &["pat", "mia", "olga", "rea", "opal", "ada"],
        other => panic!("nobody wrote down who may take a route that needs {other}"),
    }
}

/// A route's path with something in place of each name.
fn filled(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('/').skip(1) {
        out.push('/');
        out.push_str(match part {
            "{project}" => "mesh",
            "{repo}" => "config",
            "{stage}" => "beta",
            "{subject}" => "person:zoe",
            "{revision}" | "{rev}" => "1",
            part if part.starts_with("{*") => "values/a.yaml",
            part if part.starts_with('{') => "x",
            part => part,
        });
    }
    out
}

#[test]
fn every_route_turns_away_whoever_it_must() {
    let home = Home::start();
    let before = home.acts();
    let routes = web::routes();
    assert!(routes.len() > 100, "{}", routes.len());
    let mut wrong = Vec::new();
    for route in routes.iter().filter(|route| route.needs != "Public") {
        let (path, may) = (filled(route.path), admitted(&route.needs));
        let method: Method = route.method.parse().expect("a method");
        let outsiders = EVERYBODY.iter().map(|(name, _)| *name).filter(|name| !may.contains(name));
        for who in std::iter::once("").chain(outsiders) {
            let body = json!({});
            let (status, answer) = home.ask(who, method.clone(), &path, Some(&body));
            let ok = match (who, status) {
                ("", 401 | 303) => true,
                // A sub-path may be refused as if nothing were there.
                (who, 403 | 404) => !who.is_empty(),
                _ => false,
            };
            let names = answer.to_string();
            if !ok || names.contains("hidden-word") {
                wrong.push(format!(
                    "{method} {path} ({}) as `{who}`: {status} {answer}",
                    route.needs
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(home.acts(), before, "a refused request changed something");
}

#[test]
fn every_route_lets_in_whoever_it_may() {
    let home = Home::start();
    let quick = Client::builder().redirect(reqwest::redirect::Policy::none());
    let quick = quick.timeout(Duration::from_millis(700)).build().expect("a client can be made");
    let mut wrong = Vec::new();
    let reads = web::routes().into_iter().filter(|route| {
        route.method == "GET" && route.needs != "Public" && !route.path.starts_with("/assets")
    });
    for route in reads {
        let path = filled(route.path);
        for who in admitted(&route.needs) {
            let url = format!("{}{path}", home.convoy.url());
            // A long poll that waits was let in.
            let Ok(answer) = quick.get(url).bearer_auth(who).send() else { continue };
            let status = answer.status().as_u16();
            let text =
                if status == 200 { String::new() } else { answer.text().unwrap_or_default() };
            let refused = status == 401 || text.contains("no repository `mesh/config`");
            // Handlers look at paths; none of these is out of reach.
            if refused || status == 403 || status >= 500 && status != 503 {
                wrong.push(format!("GET {path} ({}) as `{who}`: {status} {text}", route.needs));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_grant_reaches_its_paths_and_no_further() {
    let home = Home::start();
    let repo = "/api/v1/repos/mesh/config";
    let (_, files) = home.get("pat", &format!("{repo}/files"));
    let paths: Vec<_> =
        files["files"].as_array().expect("files").iter().map(|f| &f["path"]).collect();
    assert_eq!(paths, ["values/a.yaml", "values/deep/b.yaml"]);
    assert_eq!(home.get("pat", &format!("{repo}/files/values/a.yaml")).0, 200);
    let (status, refused) = home.get("pat", &format!("{repo}/files/secret/c.yaml"));
    let said = refused["error"].to_string();
    assert_eq!(status, 403, "{refused}");
    for part in ["`pat`", "`read`", "mesh/config:/secret/c.yaml", "person:olga"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(home.get("pat", &format!("{repo}/files/no/such")).0, 403, "nor what is not there");
    assert_eq!(home.get("pat", &format!("{repo}/board")).0, 403);
    let (_, found) = home.get("pat", "/api/v1/search?q=hidden-word");
    assert_eq!(found["hits"], 0, "{found}");
    home.commit("ada", &json!([{ "path": "secret/c.yaml", "content": "c: hidden-word 2\n" }]))
        .unwrap();
    let (_, history) = home.get("pat", &format!("{repo}/revisions"));
    let revisions: Vec<_> =
        history["revisions"].as_array().expect("a list").iter().map(|r| &r["revision"]).collect();
    assert_eq!(revisions, [2], "only what changed something in reach");
    home.commit("pat", &json!([{ "path": "values/a.yaml", "content": "a: 2\n" }])).unwrap();
    for changes in [
        json!([{ "path": "secret/c.yaml", "content": "x" }]),
        json!([{ "path": "secret/c.yaml", "content": null }]),
        json!([{ "rename": { "from": "secret", "to": "values/mine" } }]),
        json!([{ "rename": { "from": "values/deep", "to": "secret/deep" } }]),
        json!([{ "path": "values/ok.yaml", "content": "x" }, { "path": "convoy.yaml", "content": "x" }]),
    ] {
        let (status, answer) = home.commit("pat", &changes).expect_err("a refusal");
        assert!(status == 403, "{changes}: {status} {answer}");
    }
    let (_, repos) = home.get("pat", "/api/v1/repos");
    assert_eq!(repos["repos"].as_array().map(Vec::len), Some(1));
    let (_, repos) = home.get("gus", "/api/v1/repos");
    assert_eq!(repos["repos"], json!([]));
}

#[test]
fn a_team_and_guests_get_what_they_are_given() {
    let home = Home::start();
    home.ok("ada", Method::PUT, "/api/v1/govern/teams/sre", &json!({ "members": ["gus"] }));
    let grants = "/api/v1/govern/repos/mesh/config/grants";
    home.ok("olga", Method::POST, grants, &json!({ "to": "team:sre", "right": "READ" }));
    assert_eq!(home.get("gus", "/api/v1/repos/mesh/config").0, 200);
    home.ok("ada", Method::DELETE, "/api/v1/govern/teams/sre", &json!({}));
    assert_eq!(home.get("gus", "/api/v1/repos/mesh/config").0, 404);
    let rights = "/api/v1/govern/repos/mesh/config/rights";
    home.ok("olga", Method::PUT, rights, &json!({ "member": "READ", "guest": "READ" }));
    assert_eq!(home.get("gus", "/api/v1/repos/mesh/config").0, 200);
    let change = json!([{ "path": "values/a.yaml", "content": "a: 3\n" }]);
    assert_eq!(home.commit("mia", &change).expect_err("members only read now").0, 403);
    let (status, _) = home.ask("olga", Method::PUT, rights, Some(&json!({ "member": "READ" })));
    assert_eq!(status, 422, "leaving one out is a mistake");
}

#[test]
fn what_is_removed_is_nowhere_until_it_is_restored() {
    let home = Home::start();
    let one = "/api/v1/govern/repos/mesh/config";
    home.ok("olga", Method::DELETE, one, &json!({}));
    for path in [
        "/api/v1/repos/mesh/config",
        "/api/v1/repos/mesh/config/files",
        "/api/v1/repos/mesh/config/files/values/a.yaml",
        "/api/v1/repos/mesh/config/revisions",
        "/r/mesh/config/files",
        "/r/mesh/config/history",
        "/mesh/config.git/info/refs?service=git-upload-pack",
        "/api/v1/projects/mesh/repos/config/contents/values/a.yaml",
    ] {
        assert_eq!(home.get("ada", path).0, 404, "{path}");
    }
    let (_, repos) = home.get("ada", "/api/v1/repos");
    assert_eq!(repos["repos"], json!([]));
    let again = json!({ "name": "config" });
    let (status, answer) =
        home.ask("olga", Method::POST, "/api/v1/govern/projects/mesh/repos", Some(&again));
    assert!(status == 409 && answer.to_string().contains("restore or purge"), "{answer}");
    home.ok("olga", Method::POST, &format!("{one}/restore"), &json!({}));
    assert_eq!(home.get("mia", "/api/v1/repos/mesh/config/files/values/a.yaml").0, 200);
    home.ok("olga", Method::DELETE, "/api/v1/govern/projects/mesh", &json!({}));
    assert_eq!(home.get("olga", "/api/v1/repos/mesh/config").0, 404);
    assert_eq!(home.ask("olga", Method::POST, "/api/v1/govern/projects/mesh/restore", None).0, 403);
    home.ok("ada", Method::POST, "/api/v1/govern/projects/mesh/restore", &json!({}));
    assert_eq!(home.get("olga", "/api/v1/repos/mesh/config").0, 200);
}

#[test]
fn a_read_only_repository_says_so() {
    let home = Home::start();
    let path = "/api/v1/govern/repos/mesh/config/status";
    home.ok("olga", Method::PUT, path, &json!({ "status": "READ_ONLY" }));
    let change = json!([{ "path": "values/a.yaml", "content": "a: 9\n" }]);
    let (status, answer) = home.commit("mia", &change).expect_err("a refusal");
    assert!(status == 409 && answer.to_string().contains("read-only"), "{answer}");
    assert_eq!(home.get("mia", "/api/v1/repos/mesh/config/files/values/a.yaml").0, 200);
    home.ok("olga", Method::PUT, path, &json!({ "status": "ACTIVE" }));
    home.commit("mia", &change).unwrap();
}

#[test]
fn a_quota_refuses_what_is_too_much() {
    let home = Home::start();
    let path = "/api/v1/govern/repos/mesh/config/quota";
    let card = home.ok("ada", Method::PUT, path, &json!({ "files_max": 3 }));
    assert_eq!((&card["usage"]["files"], &card["quota"]["files_max"]), (&json!(3), &json!(3)));
    let change = json!([{ "path": "values/more.yaml", "content": "x: 1\n" }]);
    assert_eq!(home.commit("mia", &change).expect_err("a refusal").0, 413);
    home.ok("ada", Method::PUT, path, &json!({}));
    home.commit("mia", &change).unwrap();
}

#[test]
fn a_revoked_token_ends_at_once_and_its_streams_too() {
    let home = Home::start();
    let body = json!({ "name": "ci", "role": "reader", "expires": "1h" });
    let made = home.ok("ada", Method::POST, "/api/v1/govern/tokens", &body);
    let secret = made["secret"].as_str().expect("a secret");
    assert!(convoy::govern::is_token(secret));
    let stream = home.send(secret, Method::GET, "/api/v1/events", None);
    assert_eq!(stream.status(), 200);
    let watched = "/api/v1/watch?watch=mesh/config:/**";
    let watching = home.send(secret, Method::GET, watched, None);
    assert_eq!(watching.status(), 200);
    home.ok("ada", Method::POST, "/api/v1/govern/tokens/ci/revoke", &json!({}));
    assert_eq!(home.get(secret, "/api/v1/whoami").0, 401);
    for stream in [stream, watching] {
        // Ends; the client's own limit would be an error.
        for line in BufReader::new(stream).lines() {
            line.expect("the stream ends in order");
        }
    }
    assert!(!home.convoy.log().contains(secret), "the secret is in the log");
}

#[test]
fn people_issue_tokens_for_themselves_alone() {
    let home = Home::start();
    let path = "/api/v1/govern/tokens";
    let made = home.ok("opal", Method::POST, path, &json!({ "name": "opals" }));
    assert_eq!(
        (&made["token"]["person"], &made["token"]["role"]),
        (&json!("opal"), &json!("operator"))
    );
    for (body, why) in [
        (json!({ "name": "a", "role": "admin" }), "more than they may"),
        (json!({ "name": "b", "person": "ada" }), "for somebody else"),
    ] {
        assert_eq!(home.ask("opal", Method::POST, path, Some(&body)).0, 403, "{why}");
    }
    let own = made["secret"].as_str().expect("a secret");
    let more = json!({ "name": "c" });
    assert_eq!(home.ask(own, Method::POST, path, Some(&more)).0, 403, "a token issues no others");
    assert_eq!(home.ask("rea", Method::POST, &format!("{path}/opals/revoke"), None).0, 404);
    assert_eq!(home.ask("rea", Method::DELETE, &format!("{path}/opals"), None).0, 404);
    let (_, seen) = home.get("rea", path);
    assert!(!seen.to_string().contains("opals"), "{seen}");
    let rotated = home.ok("opal", Method::POST, &format!("{path}/opals/rotate"), &json!({}));
    assert_eq!(home.get(own, "/api/v1/whoami").0, 401);
    assert_eq!(home.get(rotated["secret"].as_str().unwrap(), "/api/v1/whoami").0, 200);
}

#[test]
fn the_audit_log_says_who_from_where_and_what() {
    let home = Home::start();
    let (_, audit) = home.get("ada", "/api/v1/audit?limit=1000");
    let entries = audit["entries"].as_array().expect("entries").clone();
    let made = entries.iter().find(|e| e["summary"].to_string().contains("Create the repository"));
    let made = made.expect("the making is recorded");
    assert_eq!((&made["origin"]["person"], &made["origin"]["via"]), (&json!("mia"), &json!("api")));
    assert!(made["origin"]["request"].is_string(), "{made}");
    let (status, lines) = home.get("ada", "/api/v1/audit/export?repo=mesh/config");
    assert_eq!(status, 200);
    let lines = lines.as_str().map(str::to_owned).unwrap_or_else(|| lines.to_string());
    assert!(lines.lines().count() >= 1 && lines.contains("mesh/config"), "{lines}");
    let page = home.send("ada", Method::GET, "/audit?repo=mesh/config&who=mia", None);
    assert!(page.status().is_success());
    assert!(page.text().expect("a page").contains("Change it"));
}

#[test]
fn the_command_line_governs() {
    let home = Home::start();
    let done = |who: &str, arguments: &[&str]| {
        let output = home.cli(who, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let secret = done("ada", &["token", "create", "ci", "--role", "guest", "--expires", "30d"]);
    keep(&home.convoy.home().join("ci.token"), &secret);
    assert!(done("ada", &["token", "list"]).contains("ci"));
    done("ada", &["project", "create", "shop"]);
    done("ada", &["repo", "create", "shop/values"]);
    assert!(!done("ci", &["repo", "list"]).contains("shop/values"));
    done("ada", &["grant", "add", "token:ci", "write", "shop/values", "--paths", "/ci/**"]);
    assert!(done("ada", &["grant", "list", "shop/values"]).contains("/ci/**"));
    assert!(done("ci", &["repo", "list"]).contains("shop/values"));
    assert!(done("ci", &["repo", "status", "shop/values"]).contains("active"));
    done("ada", &["grant", "remove", "token:ci", "shop/values", "--paths", "/ci/**"]);
    assert_eq!(home.cli("ci", &["repo", "status", "shop/values"]).status.code(), Some(5));
    done("ada", &["repo", "quota", "shop/values", "--files", "10"]);
    done("ada", &["repo", "status", "shop/values", "--set", "read-only"]);
    done("ada", &["person", "set", "zoe", "--role", "reader", "--email", "zoe@example.com"]);
    assert!(done("ada", &["person", "list"]).contains("zoe@example.com"));
    done("ada", &["team", "set", "sre", "zoe"]);
    done("ada", &["project", "admit", "shop", "team:sre", "--role", "owner"]);
    assert!(done("ada", &["project", "list"]).contains("team:sre"));
    done("ada", &["project", "expel", "shop", "team:sre"]);
    done("ada", &["repo", "remove", "shop/values"]);
    done("ada", &["repo", "restore", "shop/values"]);
    done("ada", &["repo", "remove", "shop/values"]);
    done("ada", &["repo", "purge", "shop/values"]);
    done("ada", &["project", "remove", "shop"]);
    assert!(done("ada", &["project", "list", "--removed"]).contains("shop"));
    done("ada", &["project", "purge", "shop"]);
    done("ada", &["token", "revoke", "ci"]);
    assert_eq!(home.cli("ci", &["repo", "list"]).status.code(), Some(4));
}

#[test]
fn governing_survives_a_kill() {
    let mut home = Home::start();
    let made = home.ok("ada", Method::POST, "/api/v1/govern/tokens", &json!({ "name": "ci" }));
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    home.convoy.kill();
    home.convoy.start_again();
    let (status, who) =
        wait_for("the token to be known", || Ok(home.get(&secret, "/api/v1/whoami")));
    assert_eq!((status, &who["role"]), (200, &json!("guest")));
    assert_eq!(home.get("pat", "/api/v1/repos/mesh/config/files/secret/c.yaml").0, 403);
    assert_eq!(home.get("pat", "/api/v1/repos/mesh/config/files/values/a.yaml").0, 200);
}

#[test]
fn forms_of_the_access_page_act_and_show_a_secret_once() {
    let convoy = Convoy::with().start();
    let client = Client::new();
    let url = convoy.url();
    let page = client.get(format!("{url}/access")).send().unwrap().text().unwrap();
    let csrf = page.split("name=\"csrf\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = |path: &str, fields: &str| {
        let request = client.post(format!("{url}{path}")).header("origin", &url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(format!("csrf={csrf}&person=kim&{fields}")).send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    let (status, page) = form("/access/projects", "name=mesh");
    assert!(status == 200 && page.contains("person:kim"), "{page}");
    let (status, page) = form("/access/projects/mesh/repos", "name=config");
    assert!(
        status == 200 && page.contains("mesh&#x2f;config") || page.contains("mesh/config"),
        "{page}"
    );
    let grant = "to=person%3Aann&right=write&paths=%2Fvalues%2F**";
    let (status, page) = form("/access/repos/mesh/config/grants", grant);
    assert!(status == 200 && page.contains("person:ann"), "{page}");
    let (status, page) = form("/access/tokens", "name=ci&role=guest&expires=30d");
    assert!(status == 200 && page.contains("convoy_"), "{page}");
    let page = client.get(format!("{url}/access")).send().unwrap().text().unwrap();
    assert!(page.contains("data-token=\"ci\"") && !page.contains("convoy_"), "{page}");
    assert_eq!(form("/access/tokens", "name=ci&role=guest").0, 409);
    assert_eq!(form("/access/tokens/ci", "act=revoke").0, 200);
    assert_eq!(form("/access/projects", "name=.bad").0, 422);
}
