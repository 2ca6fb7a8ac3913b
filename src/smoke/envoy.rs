//! One real Envoy at work: its process, its log and its admin.
//!
//! What its answers mean is `judge`'s.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::ExitStatus;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::client::{Client, ClientError, Way};
use super::fence::{Order, Program};
use super::log::Log;
use super::room::{Room, Running};

/// An Envoy that was started. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Envoy<'a> {
    running: Running,
    log: Log,
    room: &'a Room,
}

impl<'a> Envoy<'a> {
    /// Starts the room's Envoy.
    pub(super) async fn start(room: &'a Room, bootstrap: &str) -> io::Result<Self> {
        room.write("bootstrap.json", bootstrap.as_bytes(), 0o644)?;
        let inside = |name: &str| room.inner_folder().join(name).to_string_lossy().into_owned();
        let (config, admin) = (inside("bootstrap.json"), inside("admin"));
        let args = [
            "--config-path",
            &config,
            "--admin-address-path",
            &admin,
            "--log-level",
            "warning",
            "--log-format",
            "[%l][%n] %v",
            // No shared memory, so that Envoys don't meet each other in it.
            "--disable-hot-restart",
            "--concurrency",
            "1",
        ];
        let args = args.map(str::to_owned).to_vec();
        // Not `--log-path`: that file is written seconds later.
        let (log, output) = Log::open()?;
        let order = Order { program: Program::Envoy, args, env: Vec::new() };
        Ok(Self { running: room.start(order, output).await?, log, room })
    }

    /// Where it runs.
    pub(super) fn room(&self) -> &'a Room {
        self.room
    }

    /// Where its admin listens, once it does.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        fs::read_to_string(self.room.folder().join("admin")).ok()?.trim().parse().ok()
    }

    /// How it ended, where it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.running.ended()
    }

    /// Its log.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn end(self) {
        self.running.end().await;
    }
}

/// Envoy's admin interface.
pub(super) struct Admin<'a>(Client<'a>);

impl<'a> Admin<'a> {
    /// The admin at `address`.
    pub(super) fn new(room: &'a Room, address: SocketAddr) -> Self {
        Self(Client::new(room, address, Way::plain()))
    }

    /// Whether Envoy says that it is ready, and in which words.
    pub(super) async fn ready(&mut self) -> Result<(bool, String), ClientError> {
        let (status, body) = self.get("/ready").await?;
        Ok((status == StatusCode::OK, String::from_utf8_lossy(&body).trim().to_owned()))
    }

    /// The counters and gauges whose names match `filter`, a percent-encoded
    /// regular expression.
    pub(super) async fn stats(
        &mut self,
        filter: &str,
    ) -> Result<BTreeMap<String, u64>, ClientError> {
        let (_, body) = self.get(&format!("/stats?filter={filter}")).await?;
        Ok(numbers(&body))
    }

    /// All counters, which alone only ever grow.
    pub(super) async fn counters(&mut self) -> Result<BTreeMap<String, u64>, ClientError> {
        let (_, body) = self.get("/stats?type=Counters").await?;
        Ok(numbers(&body))
    }

    /// All counters and gauges.
    pub(super) async fn all_stats(&mut self) -> Result<BTreeMap<String, u64>, ClientError> {
        let (_, body) = self.get("/stats").await?;
        Ok(numbers(&body))
    }

    /// Sets values of the runtime; an empty one takes an earlier one back.
    pub(super) async fn set_runtime(
        &mut self,
        values: &[(String, String)],
    ) -> Result<(StatusCode, String), ClientError> {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish();
        let (status, body) = self.ask(Method::POST, &format!("/runtime_modify?{query}")).await?;
        Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
    }

    /// A JSON answer; null where it is none.
    pub(super) async fn json(&mut self, path: &str) -> Result<Value, ClientError> {
        let (_, body) = self.get(path).await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// An answer as it is.
    pub(super) async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        self.ask(Method::GET, path).await
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "envoy")
            .body(Full::new(Bytes::new()))
            .map_err(|error| ClientError::Body(error.to_string()))?;
        let answer = self.0.send(request).await?;
        Ok((answer.status(), answer.body))
    }
}

fn numbers(body: &[u8]) -> BTreeMap<String, u64> {
    let text = String::from_utf8_lossy(body);
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(": ")?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}
