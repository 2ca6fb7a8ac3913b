//! Central Dogma's API over a real server: by its own Python client, by
//! requests that the client never sends, and by people with fewer rights.

mod import;
mod rights;
mod table;
mod watch;

use std::process::Command;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, Setup};

/// A server, and who asks it.
struct Api {
    convoy: Convoy,
    client: Client,
    token: String,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().expect("the answer is text") }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The status, and the last part of the exception's name.
    fn fault(&self) -> (u16, String) {
        let body = self.json();
        assert!(body["message"].is_string(), "{self:?}");
        let name = body["exception"].as_str().unwrap_or("");
        (self.status, name.rsplit('.').next().unwrap_or("").to_owned())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Api {
    /// A server without authentication.
    fn open() -> Self {
        Self::start(Convoy::with())
    }

    fn start(setup: Setup) -> Self {
        convoy::app::choose_crypto();
        let client = Client::builder().timeout(Duration::from_secs(60)).build();
        Self {
            convoy: setup.start(),
            client: client.expect("a client can be made"),
            token: "anonymous".into(),
        }
    }

    /// A server with the repository `p/r`.
    fn with_repository() -> Self {
        Self::open().with_p_r()
    }

    /// The same, which logs when a watch begins.
    fn telling_of_watches() -> Self {
        Self::start(Convoy::with().flag("--log-level=info,convoy::web::dogma=debug")).with_p_r()
    }

    fn with_p_r(self) -> Self {
        let api = self;
        assert_eq!(api.post("/projects", &json!({ "name": "p" })).status, 201);
        assert_eq!(api.post("/projects/p/repos", &json!({ "name": "r" })).status, 201);
        api
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.convoy.url())
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, self.url(path));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        Answer::of(request.send().expect("the server answers"))
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], &body.to_string())
    }

    fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], &body.to_string())
    }

    fn patch(&self, path: &str, body: &Value) -> Answer {
        let kind = [("content-type", "application/json-patch+json")];
        self.send("PATCH", path, &kind, &body.to_string())
    }

    /// Pushes changes to `p/r`; gives the new revision.
    fn push(&self, changes: &Value) -> u64 {
        let body = json!({ "commitMessage": { "summary": "A push" }, "changes": changes });
        let answer = self.post("/projects/p/repos/r/contents", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["revision"].as_u64().expect("a revision")
    }

    /// Another caller of the same server.
    fn as_caller(&self, token: &str) -> Caller<'_> {
        Caller { api: self, token: token.into() }
    }
}

/// Somebody with a token of their own.
struct Caller<'a> {
    api: &'a Api,
    token: String,
}

impl Caller<'_> {
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let method: reqwest::Method = method.parse().expect("a method");
        let kind = match method {
            reqwest::Method::PATCH => "application/json-patch+json",
            _ => "application/json",
        };
        let mut request = self.api.client.request(method, self.api.url(path));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if !body.is_null() {
            request = request.header("content-type", kind).body(body.to_string());
        }
        Answer::of(request.send().expect("the server answers"))
    }
}

fn text(path: &str, content: &str) -> Value {
    json!({ "path": path, "type": "UPSERT_TEXT", "content": content })
}

fn upsert(path: &str, content: &Value) -> Value {
    json!({ "path": path, "type": "UPSERT_JSON", "content": content })
}

#[test]
fn the_unmodified_python_client_works_in_every_method() {
    let convoy = Convoy::with().start();
    let python = std::env::var("CONVOY_PY")
        .expect("CONVOY_PY must name a python that has centraldogma-python (ci/test sets it up)");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dogma_client.py");
    let output = Command::new(&python).args([script, &convoy.url()]).output();
    let output = output.unwrap_or_else(|error| panic!("{python} can't be started: {error}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}\n{}", convoy.log());
    assert_eq!(out.matches("ok ").count(), 10, "{out}");
}
