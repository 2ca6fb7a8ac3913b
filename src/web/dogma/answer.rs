//! Answers in Central Dogma's shapes: JSON, 204 for what is empty, 201 with
//! the address of what was made.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::web::error::Fault;

/// What a handler gives.
pub(super) type Reply = Result<Response, Fault>;

/// Says how many entries an answer leaves out because this API can't carry
/// their names or content.
pub(super) const LEFT_OUT: HeaderName = HeaderName::from_static("x-convoy-left-out");

/// JSON that is written already.
pub(super) fn written(bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A value.
pub(super) fn value(value: &impl Serialize) -> Reply {
    let bytes = serde_json::to_vec(value).map_err(|error| Fault::internal(&error))?;
    Ok(written(bytes))
}

/// A list; 204 where it is empty.
pub(super) fn list(items: &[Value]) -> Reply {
    if items.is_empty() { Ok(nothing()) } else { value(&items) }
}

/// Nothing.
pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Nothing new.
pub(super) fn unchanged() -> Response {
    StatusCode::NOT_MODIFIED.into_response()
}

/// What was made; its `url` goes into the header.
pub(super) fn created(mut made: Value, url: Option<String>) -> Reply {
    let inner = made.as_object_mut().and_then(|fields| fields.shift_remove("url"));
    let url = url.or_else(|| Some(inner?.as_str()?.to_owned()));
    let mut response = value(&made)?;
    *response.status_mut() = StatusCode::CREATED;
    if let Some(url) = url.and_then(|url| HeaderValue::try_from(url).ok()) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

/// The same answer, saying how much it leaves out.
pub(super) fn left_out(mut response: Response, count: usize) -> Response {
    if count > 0 {
        response.headers_mut().insert(LEFT_OUT, count.into());
    }
    response
}

/// A moment, in seconds.
pub(super) fn instant(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// Somebody, where only a name is known.
pub(super) fn creator(name: &str) -> Value {
    json!({ "name": name, "email": email(name) })
}

/// The mail address that a name is given where none is known.
pub(super) fn email(name: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@localhost.localdomain") }
}

/// Who did something, and when.
pub(super) fn stamp(stamp: &crate::govern::Stamp) -> Value {
    json!({ "user": email(&stamp.by), "timestamp": instant(stamp.at) })
}
