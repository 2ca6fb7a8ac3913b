//! What handlers take and give, refusing bad input in one way.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json, body::Body};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::auth::{Caller, Proof};
use super::csrf;
use super::error::Fault;
use crate::model::{Actor, Origin, RepoName};

/// The version of everything the API sends.
pub(crate) const API_VERSION: &str = "convoy/v1";

/// A JSON body.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// The query's parameters.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// The path's parameters.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

/// The repository that `/{project}/{repo}` in the path names.
#[derive(Debug)]
pub(crate) struct InRepo(pub(crate) RepoName);

/// Whom the record names for a request.
#[derive(Debug)]
pub(crate) struct By(pub(crate) Origin);

/// A console form that carried its session's token, and who sent it.
#[derive(Debug)]
pub(crate) struct Posted<T> {
    pub(crate) form: T,
    /// The person chosen in the form, of meaning in open development mode.
    person: Option<String>,
    pub(crate) caller: Caller,
}

impl<T> Posted<T> {
    /// Whom the record names.
    pub(crate) fn actor(&self) -> Result<Actor, Fault> {
        self.caller.actor_of_form(self.person.as_deref())
    }

    /// Whom the record names, services too.
    pub(crate) fn origin(&self) -> Result<Origin, Fault> {
        self.caller.origin_of_form(self.person.as_deref())
    }
}

/// A JSON answer: the value's fields behind `apiVersion`.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub(crate) T);

#[derive(Serialize)]
struct Versioned<T> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    #[serde(flatten)]
    body: T,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        Json(Versioned { api_version: API_VERSION, body: self.0 }).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let query = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(query.0))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let path = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(path.0))
    }
}

#[derive(Deserialize)]
struct Named {
    project: String,
    repo: String,
}

impl<S: Send + Sync> FromRequestParts<S> for InRepo {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let Path(Named { project, repo }) = Path::from_request_parts(parts, state).await?;
        Ok(Self(repo_name(&project, &repo)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let caller = Caller::from_request_parts(parts, state).await?;
        Ok(Self(caller.origin(&parts.headers)))
    }
}

#[derive(Deserialize)]
struct Stamp {
    #[serde(default)]
    csrf: String,
    person: Option<String>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Posted<T> {
    type Rejection = Fault;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Fault> {
        let caller = request.extensions_mut().remove::<Caller>();
        let caller = caller.ok_or_else(Fault::unauthenticated)?;
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            use axum::extract::rejection::FormRejection;
            Fault::from(FormRejection::from(rejection))
        })?;
        let again = || {
            let mut request = Request::new(Body::from(body.clone()));
            *request.method_mut() = axum::http::Method::POST;
            if let Some(kind) = &kind {
                request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
            }
            request
        };
        let Form(stamp) = Form::<Stamp>::from_request(again(), state).await?;
        if !matches!(caller.proof, Proof::Bearer) && !csrf::matches(caller.csrf(), &stamp.csrf) {
            return Err(Fault::bad_csrf());
        }
        let Form(form) = Form::<T>::from_request(again(), state).await?;
        Ok(Self { form, person: stamp.person, caller })
    }
}

/// The repository that `/{project}/{repo}` names.
pub(crate) fn repo_name(project: &str, repo: &str) -> Result<RepoName, Fault> {
    Ok(RepoName::new(&format!("{project}/{repo}"))?)
}

/// Escapes a text for use as a query's value.
pub(crate) fn encode_query(text: &str) -> String {
    encode(text, |byte| matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/'))
}

/// Escapes a path, keeping its slashes.
pub(crate) fn encode_path(text: &str) -> String {
    encode(text, |byte| matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b'@' | b':'))
}

fn encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || keep(byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Where to go after login: a path of ours, or the board. Browsers read `\`
/// as `/` and skip tabs and line ends, so none of these may be in it.
pub(crate) fn safe_next(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.chars().any(|c| c == '\\' || c.is_control());
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_leads_to_our_own_pages_only() {
        for evil in
            ["//evil", "https://evil", "/\\evil", "\\\\evil", "evil", "", "/\t/evil", "/\n/evil"]
        {
            assert_eq!(safe_next(evil), "/", "{evil:?}");
        }
        assert_eq!(safe_next("/nodes?stage=beta"), "/nodes?stage=beta");
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(encode_path("a b/ü?.yaml"), "a%20b/%C3%BC%3F.yaml");
        assert_eq!(encode_query("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
