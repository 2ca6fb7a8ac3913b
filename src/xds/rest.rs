//! xDS over plain HTTP, in proto3 JSON: `POST /v3/discovery:clusters` and its
//! siblings, as Envoy asks with `api_type: REST`.
//!
//! 200 with everything that was asked for, 304 where the client has it, 404
//! where nothing is served to it, and else what is wrong with the request.
//! Answers have proto field names; requests may have either spelling and fields
//! that we don't know. `poll` decides what is answered, this file only speaks
//! HTTP, and `server` has checked before who calls.

mod memo;
mod request;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tonic::body::Body;
use tonic::{Code, Status};

use self::memo::Memo;
use super::Refusal;
use super::guard::Caller;
use super::method::Method;
use super::poll::{Poll, Polls, Reply};
use crate::model::ResourceKind;

/// The largest request: some 200,000 names beside a node.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// How long a request's body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What follows `/v3/discovery:` for each kind. Virtual hosts have no such path.
const KINDS: [(&str, ResourceKind); 8] = [
    ("clusters", ResourceKind::Clusters),
    ("endpoints", ResourceKind::Endpoints),
    ("listeners", ResourceKind::Listeners),
    ("routes", ResourceKind::Routes),
    ("scoped-routes", ResourceKind::ScopedRoutes),
    ("secrets", ResourceKind::Secrets),
    ("runtime", ResourceKind::Runtime),
    ("extension_configs", ResourceKind::ExtensionConfigs),
];

/// Speaks HTTP and JSON.
#[derive(Debug, Default)]
pub(super) struct Rest {
    memo: Memo,
}

/// Whether `request` is no gRPC, and so ours to answer.
pub(super) fn wants<B>(request: &Request<B>) -> bool {
    let content = request.headers().get(CONTENT_TYPE);
    !content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

/// A refusal of `request` that is no xDS of ours to decide on, such as one for
/// want of a token.
pub(super) fn refuse(refusal: Refusal) -> Response<Body> {
    Fault::from(refusal).into_response()
}

impl Rest {
    /// Answers `request`, which `polls` knows the answer to.
    pub(super) async fn answer(
        &self,
        polls: &Polls,
        caller: &Caller,
        request: Request<Body>,
    ) -> Response<Body> {
        match self.reply(polls, caller, request).await {
            Ok(Some(body)) => json(StatusCode::OK, body),
            Ok(None) => status(StatusCode::NOT_MODIFIED),
            Err(fault) => fault.into_response(),
        }
    }

    async fn reply(
        &self,
        polls: &Polls,
        caller: &Caller,
        request: Request<Body>,
    ) -> Result<Option<Bytes>, Fault> {
        let method = method(&request)?;
        let body = read(request.into_body()).await?;
        let asked = request::parse(&body).map_err(|error| {
            Fault::new(
                StatusCode::BAD_REQUEST,
                format!("the body is no discovery request: {error}"),
            )
        })?;
        let poll = Poll::read(&method, asked)?;
        match polls.answer(&poll, caller)? {
            Reply::Unchanged => Ok(None),
            Reply::Full(part) => self.memo.body(part).await.map(Some).map_err(|error| {
                let text = format!("{error}; ask for it over gRPC");
                tracing::warn!(node.id = %poll.identity.id, error = %text, "a poll can't be answered");
                Fault::new(StatusCode::NOT_ACCEPTABLE, text)
            }),
        }
    }
}

/// What a request is for, by its path.
fn method(request: &Request<Body>) -> Result<Method, Fault> {
    let path = request.uri().path().replace("%3A", ":").replace("%3a", ":");
    let name = path.strip_prefix("/v3/discovery:").unwrap_or_default();
    let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
        let text = format!(
            "there is nothing at this path; POST to /v3/discovery:KIND, where KIND is one of {}",
            known.join(", ")
        );
        return Err(Fault::new(StatusCode::NOT_FOUND, text));
    };
    if request.method() != http::Method::POST {
        let text = format!("{} is not answered here; use POST", request.method());
        return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    Ok(Method::fetching(*kind))
}

async fn read(body: Body) -> Result<Bytes, Fault> {
    let reading = Limited::new(body, MAX_REQUEST_BYTES).collect();
    let read = tokio::time::timeout(PATIENCE, reading).await.map_err(|_| {
        let text = format!("the body did not come within {} s", PATIENCE.as_secs());
        Fault::new(StatusCode::REQUEST_TIMEOUT, text)
    })?;
    read.map(|body| body.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
        true => {
            let text = format!("the body is larger than {} MiB", MAX_REQUEST_BYTES >> 20);
            Fault::new(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        false => Fault::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")),
    })
}

/// Why a request is not answered.
#[derive(Debug)]
struct Fault {
    status: StatusCode,
    message: String,
}

impl Fault {
    fn new(status: StatusCode, message: String) -> Self {
        Self { status, message }
    }

    fn into_response(self) -> Response<Body> {
        let message = serde_json::json!({ "message": self.message }).to_string();
        let mut response = json(self.status, message.into());
        let challenge = match self.status {
            StatusCode::UNAUTHORIZED => (http::header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::METHOD_NOT_ALLOWED => (ALLOW, "POST"),
            _ => return response,
        };
        response.headers_mut().insert(challenge.0, HeaderValue::from_static(challenge.1));
        response
    }
}

impl From<Refusal> for Fault {
    /// The HTTP status nearest to the one that gRPC's clients are told.
    fn from(refusal: Refusal) -> Self {
        let status = Status::from(refusal);
        let code = match status.code() {
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound | Code::Unimplemented => StatusCode::NOT_FOUND,
            Code::ResourceExhausted => StatusCode::PAYLOAD_TOO_LARGE,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(code, status.message().to_owned())
    }
}

fn json(code: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = status(code);
    let content = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, content);
    *response.body_mut() = Body::new(Full::new(body));
    response
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}
