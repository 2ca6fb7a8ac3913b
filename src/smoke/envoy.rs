//! One real Envoy at work: its process, its log and its admin.
//!
//! What its answers mean is `judge`'s.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::client::{Client, ClientError};
use super::process::{Group, Ledger};

/// As much of the end of the log as is read.
const LOG_BYTES: u64 = 256 * 1024;

/// An Envoy that was started. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Envoy {
    group: Group,
    folder: PathBuf,
}

impl Envoy {
    /// Starts `binary` with its files in `folder`.
    pub(super) async fn start(
        binary: &Path,
        folder: &Path,
        bootstrap: &str,
        ledger: &Ledger,
    ) -> io::Result<Self> {
        let config = folder.join("bootstrap.json");
        fs::write(&config, bootstrap)?;
        let mut command = Command::new(binary);
        command
            .current_dir(folder)
            .arg("--config-path")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(folder.join("admin"))
            .args(["--log-level", "warning", "--log-format", "[%l][%n] %v"])
            // No shared memory, so that Envoys don't meet each other in it.
            .args(["--disable-hot-restart", "--concurrency", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Not `--log-path`: that file is written seconds later.
            .stderr(File::create(folder.join("envoy.log"))?);
        let group = Group::spawn(command).await?;
        ledger.add(&group)?;
        Ok(Self { group, folder: folder.to_owned() })
    }

    /// Where its admin listens, once it does.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        fs::read_to_string(self.folder.join("admin")).ok()?.trim().parse().ok()
    }

    /// How it ended, where it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.group.ended()
    }

    /// The end of its log.
    pub(super) fn log(&self) -> Vec<String> {
        let text = tail(&self.folder.join("envoy.log")).unwrap_or_default();
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn end(self) {
        self.group.end().await;
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Envoy's admin interface.
pub(super) struct Admin(Client);

impl Admin {
    /// The admin at `address`.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(Client::new(address, None))
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
        let text = String::from_utf8_lossy(&body).into_owned();
        let parse = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Ok(text.lines().filter_map(parse).collect())
    }

    /// A JSON answer; null where it is none.
    pub(super) async fn json(&mut self, path: &str) -> Result<Value, ClientError> {
        let (_, body) = self.get(path).await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        let request = Request::get(path)
            .header(http::header::HOST, "envoy")
            .body(Full::new(Bytes::new()))
            .map_err(|error| ClientError::Body(error.to_string()))?;
        let answer = self.0.send(request).await?;
        Ok((answer.status(), answer.into_body()))
    }
}
