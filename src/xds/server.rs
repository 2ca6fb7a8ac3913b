//! The thin server: checks the token, finds the method, and hands the stream,
//! the fetch or the REST request over. It decides nothing about resources.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceExt as _;

use super::codec::Requests;
use super::method::Method;
use super::poll::Polls;
use super::rest::{self, Rest};
use super::session::Protocol;
use super::stream::{Incoming, answer};
use super::tokens::Tokens;
use super::{Hub, Refusal, fetch};

/// What a gRPC response calls itself.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// What every method of xDS begins with.
const XDS_PATHS: &str = "/envoy.";
/// How often a silent connection is asked whether it lives, and how long it
/// may take to say so. Half-open connections are gone after both.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// An Envoy that does not aggregate opens one stream per name.
const MAX_STREAMS_PER_CONNECTION: u32 = 10_000;
/// How long streams may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the xDS server ended")]
pub struct XdsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Serves xDS on `listener` until `shutdown`, then closes streams in order.
/// With `tokens`, a stream must carry one of them (hashed with SHA-256) as
/// `authorization: Bearer …`. What is not xDS goes to `beside`, whose services
/// check for themselves who calls.
///
/// # Errors
/// The server could not go on accepting connections.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    tokens: Vec<crate::model::ContentHash>,
    beside: Option<Routes>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), XdsError> {
    let stop = watch::Sender::new(false);
    let state = Arc::new(State {
        polls: Polls::new(hub.clone()),
        rest: Rest::default(),
        hub,
        tokens: Tokens::new(tokens),
        stopping: stop.subscribe(),
        origin: Instant::now(),
    });
    let sweeping = state.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (state, beside) = (state.clone(), beside.clone());
        async move {
            match beside {
                _ if rest::wants(&request) => Ok(state.rest(request).await),
                Some(beside) if !request.uri().path().starts_with(XDS_PATHS) => {
                    beside.oneshot(request).await
                }
                _ => Ok::<_, Infallible>(state.call(request).await),
            }
        }
    });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let signal = async {
        shutdown.await;
        // Streams end first; then the connections say goodbye and close.
        stop.send_replace(true);
    };
    let mut stopping = stop.subscribe();
    let grace = async {
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(GRACE).await;
    };
    let served = Server::builder()
        // For REST; the first bytes of a connection tell which it speaks.
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .serve_with_incoming_shutdown(service, incoming, signal);
    tokio::select! {
        served = served => served.map_err(|error| XdsError(error.into())),
        () = sweeping.polls.sweep() => Ok(()),
        () = grace => {
            tracing::warn!("connections did not end in time and are dropped");
            Ok(())
        }
    }
}

/// What every request sees.
struct State {
    hub: Hub,
    polls: Polls,
    rest: Rest,
    tokens: Tokens,
    stopping: watch::Receiver<bool>,
    /// What every stream's pace is counted from.
    origin: Instant,
}

impl State {
    async fn call(&self, request: http::Request<Body>) -> http::Response<Body> {
        match self.admit(&request) {
            Ok(method) if method.once => fetch::answer(&self.polls, &method, request).await,
            Ok(method) => match method.protocol {
                Protocol::Sotw => self.stream::<DiscoveryRequest>(method, request),
                Protocol::Delta => self.stream::<DeltaDiscoveryRequest>(method, request),
            },
            Err(refusal) => {
                self.hub.refused();
                Status::from(refusal).into_http()
            }
        }
    }

    fn admit(&self, request: &http::Request<Body>) -> Result<Method, Refusal> {
        if !self.tokens.allow(request.headers()) {
            return Err(Refusal::Unauthenticated);
        }
        Method::at(request.uri().path())
    }

    /// A request over plain HTTP.
    async fn rest(&self, request: http::Request<Body>) -> http::Response<Body> {
        if !self.tokens.allow(request.headers()) {
            self.hub.refused();
            return rest::refuse(Refusal::Unauthenticated);
        }
        self.rest.answer(&self.polls, request).await
    }

    fn stream<R: Incoming>(
        &self,
        method: Method,
        request: http::Request<Body>,
    ) -> http::Response<Body> {
        let requests = Requests::<R>::new(request.into_body());
        let (hub, stopping) = (self.hub.clone(), self.stopping.clone());
        let pieces = answer(hub, method, requests, stopping, self.origin);
        let mut response = http::Response::new(Body::new(StreamBody::new(pieces)));
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        response
    }
}
