//! What machines ask: alive, ready, metrics. None of it depends on Git,
//! Slack or an Envoy being there.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Site;
use super::access::{Access, Entry};

/// The health routes.
pub(crate) fn routes() -> Vec<Entry> {
    vec![
        Entry::get("/healthz", Access::Public, alive),
        Entry::get("/readyz", Access::Public, ready),
        Entry::get("/metrics", Access::Public, metrics),
    ]
}

async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(site): State<Site>) -> Response {
    if site.web.ready.load(Ordering::Acquire) {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
}

async fn metrics(State(site): State<Site>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (site.web.metrics)()).into_response()
}
