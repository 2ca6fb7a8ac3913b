//! Asks Prometheus. One request per question, bounded in time and bytes; what
//! it is led to elsewhere is not followed.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;

use super::Reading;
use super::reading::{AnswerError, words};
use crate::config::secrets;
use crate::telemetry::chain;

/// The longest answer that is read: one number is asked for.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where the server is, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Its address, without `/api/v1`.
    pub url: String,
    /// The file with the token that it is shown; read each time, so that a
    /// token may be replaced while we run.
    pub token_file: Option<PathBuf>,
    /// The certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one answer may take.
    pub timeout: Duration,
}

/// A Prometheus server, or what speaks like one.
#[derive(Debug, Clone)]
pub struct Metrics {
    http: reqwest::Client,
    query: Url,
    token_file: Option<PathBuf>,
    timeout: Duration,
}

/// Why there is no answer. None of it says anything about a candidate.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The configuration can't be used.
    #[error("the metrics server can't be asked: {0}")]
    Config(String),
    /// Nobody answered, or not in time.
    #[error("the metrics server does not answer: {0}")]
    Silent(String),
    /// It answered with something else.
    #[error("the metrics server answers {0}: {1}")]
    Status(u16, String),
    /// The answer is too long.
    #[error("the metrics server answers with more than {} KiB", ANSWER_BYTES_MAX >> 10)]
    TooLong,
    /// The answer can't be read, or says that there is none.
    #[error("{0}")]
    Answer(String),
}

impl Metrics {
    /// A client of the server that `settings` name; nothing is asked yet.
    ///
    /// # Errors
    /// The address is none, or the certificates can't be read.
    pub fn new(settings: MetricsSettings) -> Result<Self, MetricsError> {
        let bad = |error: &dyn std::fmt::Display| MetricsError::Config(error.to_string());
        let root = settings.url.trim_end_matches('/');
        let query = Url::parse(&format!("{root}/api/v1/query")).map_err(|error| bad(&error))?;
        let mut http =
            reqwest::Client::builder().timeout(settings.timeout).redirect(Policy::none());
        if let Some(path) = &settings.ca_file {
            let place = path.display();
            let pem = std::fs::read(path).map_err(|error| bad(&format!("{place}: {error}")))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem);
            let certificates =
                certificates.map_err(|error| bad(&format!("{place}: {}", chain(&error))))?;
            if certificates.is_empty() {
                return Err(bad(&format!("{place} holds no certificate (PEM)")));
            }
            http = http.tls_certs_only(certificates);
        }
        let http = http.build().map_err(|error| bad(&chain(&error)))?;
        let MetricsSettings { token_file, timeout, .. } = settings;
        Ok(Self { http, query, token_file, timeout })
    }

    /// Asks for the value of `query` now.
    ///
    /// # Errors
    /// There is no answer; whether that is so for the query, or because there
    /// is no data, is a [`Reading`].
    pub async fn ask(&self, query: &str) -> Result<Reading, MetricsError> {
        let authorization = self.authorization().await?;
        let timeout = format!("{}ms", self.timeout.as_millis());
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("timeout", &timeout)
            .finish();
        let request = self.http.post(self.query.clone()).body(body);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = authorization
            .into_iter()
            .fold(request, |request, value| request.header(AUTHORIZATION, value));
        let mut answer = request.send().await.map_err(silent)?;
        let status = answer.status().as_u16();
        let body = read(&mut answer).await?;
        match (status, Reading::parse(&body)) {
            // A query that it does not understand comes with 400 or 422.
            (200 | 400 | 422, Ok(reading)) => Ok(reading),
            (200 | 503, Err(error)) => Err(MetricsError::Answer(error.to_string())),
            (status, Err(AnswerError::Unable(text))) => Err(MetricsError::Status(status, text)),
            (status, _) => {
                Err(MetricsError::Status(status, words(&String::from_utf8_lossy(&body))))
            }
        }
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, MetricsError> {
        let Some(path) = self.token_file.clone() else { return Ok(None) };
        let reading = tokio::task::spawn_blocking(move || secrets::read(&path)).await;
        let token = reading.map_err(|error| MetricsError::Config(error.to_string()))?;
        let token = token.map_err(|error| MetricsError::Config(error.to_string()))?;
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value =
            value.map_err(|_| MetricsError::Config("the token can't stand in a header".into()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

async fn read(answer: &mut reqwest::Response) -> Result<Vec<u8>, MetricsError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(silent)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(MetricsError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Without the address: whoever reads it may not be meant to know it.
fn silent(error: reqwest::Error) -> MetricsError {
    MetricsError::Silent(words(&chain(&error.without_url())))
}
