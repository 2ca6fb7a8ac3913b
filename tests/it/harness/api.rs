//! The JSON API of a server, as whoever holds a token.

use std::time::Duration;

use convoy::model::ContentHash;
use reqwest::blocking::{Client, Response};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::convoy::{Convoy, Setup};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().expect("the answer is text") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    /// The status, code and message of a refusal, which must carry a hint.
    pub(crate) fn refusal(&self) -> (u16, String, String) {
        let error = self.json()["error"].clone();
        let text = |key: &str| error[key].as_str().unwrap_or("").to_owned();
        assert!(self.status >= 400 && error["request_id"].is_string(), "{self:?}");
        (self.status, text("code"), text("message"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) client: Client,
    url: String,
    token: Option<String>,
}

/// The administrator's secret of [`guarded`].
pub(crate) const ROOT: &str = "root-secret";

/// A server that knows the token `root`.
pub(crate) fn guarded() -> Setup {
    let hash = ContentHash::of(ROOT.as_bytes());
    let token = format!("    - {{name: root, role: admin, sha256: {hash}}}\n");
    Convoy::with().config(&format!("auth:\n  tokens:\n{token}")).authenticated()
}

impl Asker {
    /// Asks a server, without a token.
    pub(crate) fn of(convoy: &Convoy) -> Self {
        convoy::app::choose_crypto();
        let client = Client::builder().timeout(Duration::from_secs(60)).build();
        let url = format!("{}/api/v1", convoy.url());
        Self { client: client.expect("a client can be made"), url, token: None }
    }

    /// The same, with a token.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Makes a project with a repository.
    pub(crate) fn make(&self, project: &str, repo: &str) {
        let made = self.post("/govern/projects", &json!({ "name": project }));
        assert!(matches!(made.status, 201 | 409), "{made:?}");
        let path = format!("/govern/projects/{project}/repos");
        let made = self.post(&path, &json!({ "name": repo }));
        assert_eq!(made.status, 201, "{made:?}");
    }

    /// Issues a token; gives its secret.
    pub(crate) fn token(&self, name: &str, role: &str) -> String {
        let made = self.post("/govern/tokens", &json!({ "name": name, "role": role })).ok();
        made["secret"].as_str().expect("the secret is shown once").to_owned()
    }

    /// Commits files on top of the head; gives the revision.
    pub(crate) fn commit(&self, repo: &str, changes: &Value) -> u64 {
        let body = json!({ "base_revision": -1, "changes": changes, "message": "change" });
        let saved = self.post(&format!("/repos/{repo}/commits"), &body).ok();
        saved["revision"].as_u64().expect("a revision")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        Answer::of(self.open(path, headers))
    }

    /// An answer whose body is not read yet.
    pub(crate) fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.signed(self.client.get(format!("{}{path}", self.url)));
        let request = headers.iter().fold(request, |all, (name, value)| all.header(*name, *value));
        request.send().expect("the server answers")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.try_post(path, body).expect("the server answers"))
    }

    pub(crate) fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = self.signed(request).header("content-type", "application/json");
        request.body(body.to_string()).send()
    }

    fn signed(
        &self,
        request: reqwest::blocking::RequestBuilder,
    ) -> reqwest::blocking::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}
