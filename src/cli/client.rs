//! A small client of a server's JSON API.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::Failure;
use crate::config::secrets;
use crate::model::RepoName;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request may take that waits for another server.
const LONG_TIMEOUT: Duration = Duration::from_secs(960);

/// Which server, and who asks.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Server {
    /// The server's address
    #[arg(long, env = "CONVOY_URL", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    url: String,
    /// The file that holds the token
    #[arg(long, env = "CONVOY_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who acts, where the server runs with --insecure-dev
    #[arg(long = "as", env = "CONVOY_PERSON", value_name = "PERSON")]
    person: Option<String>,
}

impl Server {
    /// A server that other flags name.
    pub(super) fn at(url: String, token_file: Option<PathBuf>, person: Option<String>) -> Self {
        Self { url, token_file, person }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(reqwest::Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(reqwest::Method::POST, path, Some(body)).await
    }

    /// As [`Self::post`], for what may take minutes.
    pub(super) async fn post_patiently(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call_within(LONG_TIMEOUT, reqwest::Method::POST, path, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(reqwest::Method::PUT, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(reqwest::Method::DELETE, path, None).await
    }

    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.call_within(TIMEOUT, method, path, body).await
    }

    async fn call_within(
        &self,
        time_max: Duration,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(Some(time_max), method, path)?;
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.unreachable(&error))?;
        if status == reqwest::StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        match serde_json::from_str(&text) {
            Ok(value) if status.is_success() => Ok(value),
            Ok(value) => Err(refused(status.as_u16(), &value)),
            Err(_) => {
                let message = format!("{} answered {status}, and not as Convoy does", self.url);
                Err(Failure::new(Failure::UNAVAILABLE, message)
                    .with_hint("is it the right address? --url or CONVOY_URL names another"))
            }
        }
    }

    /// An answer that is not JSON as a whole: bytes, or a stream without an end
    /// (then without `time_max`).
    pub(super) async fn open(
        &self,
        time_max: Option<Duration>,
        path: &str,
        accept: &'static str,
    ) -> Result<reqwest::Response, Failure> {
        let request = self.request(time_max, reqwest::Method::GET, path)?.header("accept", accept);
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.map_err(|error| self.unreachable(&error))?;
        Err(refused(status.as_u16(), &serde_json::from_str(&text).unwrap_or_default()))
    }

    /// The bytes of an answer.
    pub(super) async fn bytes(&self, path: &str) -> Result<bytes::Bytes, Failure> {
        let answer = self.open(Some(TIMEOUT), path, "*/*").await?;
        answer.bytes().await.map_err(|error| self.unreachable(&error))
    }

    fn request(
        &self,
        time_max: Option<Duration>,
        method: reqwest::Method,
        path: &str,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let client = reqwest::Client::builder().connect_timeout(TIMEOUT);
        let client = match time_max {
            Some(time_max) => client.timeout(time_max),
            None => client,
        };
        let client = client
            .build()
            .map_err(|error| Failure::new(Failure::FAILED, format!("no HTTP client: {error}")))?;
        let url = format!("{}/api/v1{path}", self.url.trim_end_matches('/'));
        let mut request = client.request(method, &url).header("x-convoy-client", "cli");
        if let Some(file) = &self.token_file {
            let token = secrets::read(file);
            let token = token.map_err(|error| Failure::new(Failure::USAGE, error.to_string()))?;
            request = request.bearer_auth(token.expose());
        }
        if let Some(person) = &self.person {
            request = request.header("x-convoy-person", person);
        }
        Ok(request)
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let cause = innermost(error);
        if error.is_builder() {
            let message = format!("`{}` is not a server's address: {cause}", self.url);
            return Failure::new(Failure::USAGE, message)
                .with_hint("write it as http://127.0.0.1:7400");
        }
        Failure::new(Failure::UNAVAILABLE, format!("no answer from {}: {cause}", self.url))
            .with_hint("is the server running? --url or CONVOY_URL names another")
    }

    /// The repository to work on: the one named, or the only one there is.
    pub(super) async fn repo(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(name) = named {
            let name: RepoName = name
                .parse()
                .map_err(|error| Failure::new(Failure::USAGE, format!("--repo: {error}")))?;
            return Ok(name.to_string());
        }
        let answer = self.get("/repos").await?;
        let repos = answer["repos"].as_array().cloned().unwrap_or_default();
        let with_pipeline: Vec<String> = repos
            .iter()
            .filter(|repo| repo["stages"].as_array().is_some_and(|stages| !stages.is_empty()))
            .filter_map(|repo| repo["repo"].as_str().map(str::to_owned))
            .collect();
        match with_pipeline.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::new(Failure::NOT_FOUND, "no repository has a pipeline so far")
                .with_hint("push a convoy.yaml to a repository that the server mirrors")),
            many => Err(Failure::new(Failure::USAGE, "several repositories have pipelines")
                .with_hint(format!("name one with --repo: {}", many.join(", ")))),
        }
    }
}

/// The cause that says most: `connection refused` rather than `no answer`.
fn innermost(error: &reqwest::Error) -> String {
    let first: &dyn std::error::Error = error;
    let last = std::iter::successors(Some(first), |one| one.source()).last();
    last.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn refused(status: u16, value: &Value) -> Failure {
    let code = match status {
        401 | 403 => Failure::FORBIDDEN,
        404 => Failure::NOT_FOUND,
        409 => Failure::CONFLICT,
        400 | 413 | 415 | 422 => Failure::USAGE,
        502..=504 => Failure::UNAVAILABLE,
        _ => Failure::FAILED,
    };
    let error = &value["error"];
    let text = |key: &str| error[key].as_str().unwrap_or("").to_owned();
    let message = match text("message") {
        message if message.is_empty() => format!("the server answered {status}"),
        message => message,
    };
    Failure::new(code, message).with_hint(text("hint"))
}

/// Escapes a path, keeping its slashes.
pub(super) fn segments(path: &str) -> String {
    let parts: Vec<_> = path.split('/').map(segment).collect();
    parts.join("/")
}

/// Escapes one segment of a path.
pub(super) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~@:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The parameters of an address, escaped.
#[derive(Debug, Default)]
pub(super) struct Query(String);

impl Query {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let mark = if self.0.is_empty() { '?' } else { '&' };
        self.0.push_str(&format!("{mark}{name}={}", segment(value)));
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
