//! The outermost layer: a request id, the security headers, and the bodies of
//! faults: in Central Dogma's shape for its paths, as JSON below `/api`, and as
//! a page elsewhere.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::json;

use super::Site;
use super::auth::{Caller, random_hex};
use super::dogma;
use super::error::Fault;
use super::extract::API_VERSION;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request id of the caller's is kept if it is not longer and plain.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
     base-uri 'none'";

/// Runs around every route.
pub(crate) async fn finish(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let uri = request.uri().clone();
    let caller = site.web.auth.identify(request.headers());
    let caller = caller.map(|caller| Caller { request: Some(id.clone()), ..caller });
    if let Some(caller) = &caller {
        // Asked once; the guard and the handler find it here.
        request.extensions_mut().insert(caller.clone());
    }
    let mut response = next.run(request).await;
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = with_body(&site, response, &fault, &id, uri.path(), caller.as_ref());
    }
    harden(response.headers_mut(), &id);
    response
}

/// Answers where no route is.
pub(crate) async fn no_such_page() -> Fault {
    Fault::no_route()
}

/// Answers where the route has other methods.
pub(crate) async fn wrong_method() -> Fault {
    Fault::wrong_method()
}

fn with_body(
    site: &Site,
    bare: Response,
    fault: &Fault,
    id: &str,
    path: &str,
    caller: Option<&Caller>,
) -> Response {
    tracing::debug!(request_id = id, code = fault.code, message = fault.message, "refused");
    let (mut parts, _) = bare.into_parts();
    let filled = if dogma::is_ours(path) {
        let (status, body) = dogma::told(site, path, caller, fault);
        parts.status = status;
        Json(body).into_response()
    } else if path.starts_with("/api/") {
        let mut error = json!({
            "code": fault.code, "message": fault.message, "hint": fault.hint, "request_id": id,
        });
        if let Some(conflict) = &fault.conflict {
            error["conflict"] = json!(conflict);
        }
        Json(json!({ "apiVersion": API_VERSION, "error": error })).into_response()
    } else {
        Html(site.pages.fault(fault, id, caller)).into_response()
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    if parts.status == StatusCode::PAYLOAD_TOO_LARGE {
        // The rest of the body is not read, so nothing can follow on the same
        // connection; told so, a client does not try.
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (body_parts, body) = filled.into_parts();
    parts.headers.extend(body_parts.headers);
    Response::from_parts(parts, Body::new(body))
}

fn harden(headers: &mut HeaderMap, id: &str) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it browsers send `Origin: null` with our
        // own forms. Other sites are told nothing under either.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}

fn request_id(headers: &HeaderMap) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.chars().all(plain) => {
            id.into()
        }
        _ => random_hex().map_or_else(|_| "none".into(), |hex| hex[..16].into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_request_ids_are_kept() {
        let with = |id: &'static str| {
            request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))]))
        };
        assert_eq!(with("abc-1"), "abc-1");
        for bad in ["", "a b", "<script>", "a\tb"] {
            assert_eq!(with(bad).len(), 16, "{bad}");
        }
    }
}
