//! What a request carries: parameters that may repeat, and a JSON body.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::Value;

use super::fault;
use crate::web::error::Fault;

/// Parameters of a query or form, in their order.
#[derive(Debug, Default)]
pub(super) struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads a query or a form.
    pub(super) fn parse(text: Option<&'a str>) -> Self {
        match text {
            None | Some("") => Self(Vec::new()),
            Some(text) => Self(url::form_urlencoded::parse(text.as_bytes()).collect()),
        }
    }

    /// The first of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// All of this name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let ours = self.0.iter().filter(|(key, _)| key == name);
        ours.map(|(_, value)| value.clone().into_owned()).collect()
    }

    /// Whether a switch is on.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => {
                let text = format!("{name}: `{}`: write true or false", other.escape_debug());
                Err(fault::illegal(text))
            }
        }
    }
}

/// A JSON body.
#[derive(Debug)]
pub(super) struct Json(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let is_json = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        };
        let kind = request.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| !kind.to_str().is_ok_and(is_json)) {
            return Err(fault::wrong_type("the body's type: send application/json"));
        }
        let bytes = whole(request, state).await?;
        let read = serde_json::from_slice(&bytes);
        let value =
            read.map_err(|error| fault::illegal(format!("the body is no JSON: {error}")))?;
        Ok(Self(value))
    }
}

/// The one JSON patch that brings something removed back.
#[derive(Debug)]
pub(super) struct Unremove;

impl<S: Send + Sync> FromRequest<S> for Unremove {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let body = patch(request, state).await?;
        if body == serde_json::json!([{ "op": "replace", "path": "/status", "value": "active" }]) {
            return Ok(Self);
        }
        let expected = r#"[{"op":"replace","path":"/status","value":"active"}]"#;
        Err(fault::unsupported(format!("the patch can only be {expected}")))
    }
}

/// The one value that a JSON patch of `/role` or the like replaces.
#[derive(Debug)]
pub(super) struct Replaced {
    /// What is replaced, as `/role`.
    pub(super) path: String,
    /// By what.
    pub(super) value: Value,
}

impl<S: Send + Sync> FromRequest<S> for Replaced {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let body = patch(request, state).await?;
        let only = body.as_array().filter(|list| list.len() == 1).and_then(|list| list.first());
        let op = only.filter(|op| op["op"] == "replace");
        let path = op.and_then(|op| op["path"].as_str()).map(str::to_owned);
        match (path, op) {
            (Some(path), Some(op)) => Ok(Self { path, value: op["value"].clone() }),
            _ => Err(fault::illegal("send a JSON patch of one `replace`")),
        }
    }
}

async fn patch<S: Send + Sync>(request: Request, state: &S) -> Result<Value, Fault> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json-patch+json") {
        return Err(fault::wrong_type("the body's type: send application/json-patch+json"));
    }
    Ok(Json::from_request(request, state).await?.0)
}

/// The whole body, as far as the route takes.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Fault> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return fault::too_large("the body is too large; push less at once");
        }
        fault::illegal("the body can't be read")
    })
}

/// A field of an object that is a text; null is none.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> Result<Option<&'v str>, Fault> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(fault::illegal(format!("`{field}` is no text"))),
    }
}

/// A field of an object that must be a text.
pub(super) fn required<'v>(value: &'v Value, field: &str) -> Result<&'v str, Fault> {
    let found = text(value, field)?.filter(|text| !text.is_empty());
    found.ok_or_else(|| fault::illegal(format!("`{field}` is missing")))
}
