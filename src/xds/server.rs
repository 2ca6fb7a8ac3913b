//! The thin server: checks the token, finds the method, and hands the stream,
//! the fetch or the REST request over. It decides nothing about resources.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use futures_util::{Stream, StreamExt as _};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceExt as _;

use super::codec::Requests;
use super::guard::{Caller, Guard};
use super::method::Method;
use super::peer::{Connection, Peer};
use super::poll::Polls;
use super::rest::{self, Rest};
use super::session::Protocol;
use super::stream::{Incoming, answer};
use super::tls::Tls;
use super::{Hub, Refusal, bell, csds, fetch, lrs};

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
/// Connections that wait to be accepted; the kernel may allow fewer
/// (`net.core.somaxconn`, 4,096 by default).
const WAITING_MAX: u32 = 16_384;
/// How long streams may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the xDS server ended")]
pub struct XdsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Listens on `address` for a fleet that comes all at once. With the usual
/// 1,024 places for connections that wait to be accepted, the 2,000th Envoy of
/// a restart would be turned away, and try again after one, three and seven
/// seconds.
///
/// # Errors
/// The address can't be listened on.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the connections of the last run to be gone.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_MAX)
}

/// Serves xDS on `listener` until `shutdown`, then closes streams in order.
/// `guard` says who may open a stream and what it is served. What is not xDS
/// goes to `beside`, whose services check for themselves who calls.
///
/// # Errors
/// The server could not go on accepting connections.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    guard: impl Into<Guard>,
    beside: Option<Routes>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), XdsError> {
    let guard = guard.into();
    let (stop, bell) = (watch::Sender::new(false), watch::Sender::default());
    let state = Arc::new(State {
        polls: Polls::new(hub.clone()),
        rest: Rest::default(),
        hub,
        guard,
        bell: bell.subscribe(),
        stopping: stop.subscribe(),
        origin: Instant::now(),
    });
    let sweeping = state.clone();
    let (routing, access) = (state.hub.routing(), state.guard.changes());
    let ringing = bell::ring(bell, routing, access, stop.subscribe());
    let tls = state.guard.tls().cloned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (state, beside) = (state.clone(), beside.clone());
        async move {
            match beside {
                _ if rest::wants(&request) => Ok(state.rest(request).await),
                Some(beside) if !is_ours(request.uri().path()) => beside.oneshot(request).await,
                _ if request.uri().path() == lrs::PATH => Ok(state.load(request).await),
                _ => Ok::<_, Infallible>(state.call(request).await),
            }
        }
    });
    let incoming = connections(listener, tls.clone());
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
        () = keep_fresh(tls) => Ok(()),
        () = sweeping.polls.sweep() => Ok(()),
        () = ringing => Ok(()),
        () = grace => {
            tracing::warn!("connections did not end in time and are dropped");
            Ok(())
        }
    }
}

/// What is accepted, secured where there is TLS.
fn connections(
    listener: TcpListener,
    tls: Option<Tls>,
) -> impl Stream<Item = io::Result<Connection>> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    incoming.then(move |accepted| {
        let tls = tls.clone();
        async move {
            if let Some(tls) = &tls {
                tls.refresh().await;
            }
            Ok(Connection::new(accepted?, tls.map(|tls| tls.acceptor()).as_ref()))
        }
    })
}

async fn keep_fresh(tls: Option<Tls>) {
    match tls {
        Some(tls) => tls.keep_fresh().await,
        None => std::future::pending().await,
    }
}

/// Whether a path is xDS. What clients' states are belongs beside it, because
/// people ask for it, not nodes.
fn is_ours(path: &str) -> bool {
    path.starts_with(XDS_PATHS) && !path.starts_with(csds::PATHS)
}

/// What every request sees.
struct State {
    hub: Hub,
    guard: Guard,
    polls: Polls,
    rest: Rest,
    bell: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
    /// What every stream's pace is counted from.
    origin: Instant,
}

impl State {
    async fn call(&self, request: http::Request<Body>) -> http::Response<Body> {
        match self.admit(&request) {
            Ok((method, caller)) if method.once => {
                fetch::answer(&self.polls, &method, &caller, request).await
            }
            Ok((method, caller)) => match method.protocol {
                Protocol::Sotw => self.stream::<DiscoveryRequest>(method, caller, request),
                Protocol::Delta => self.stream::<DeltaDiscoveryRequest>(method, caller, request),
            },
            Err(refusal) => {
                self.hub.refused();
                Status::from(refusal).into_http()
            }
        }
    }

    /// Takes reports of load from whoever may open a stream.
    async fn load(&self, request: http::Request<Body>) -> http::Response<Body> {
        let caller = match self.caller(&request) {
            Ok(caller) => caller,
            Err(refusal) => {
                self.hub.refused();
                return Status::from(refusal).into_http();
            }
        };
        lrs::answer(self.hub.clone(), caller, self.stopping.clone(), request).await
    }

    fn admit(&self, request: &http::Request<Body>) -> Result<(Method, Caller), Refusal> {
        let caller = self.caller(request)?;
        Ok((Method::at(request.uri().path())?, caller))
    }

    fn caller(&self, request: &http::Request<Body>) -> Result<Caller, Refusal> {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        self.guard.admit(request.headers(), &peer)
    }

    /// A request over plain HTTP.
    async fn rest(&self, request: http::Request<Body>) -> http::Response<Body> {
        match self.caller(&request) {
            Ok(caller) => self.rest.answer(&self.polls, &caller, request).await,
            Err(refusal) => {
                self.hub.refused();
                rest::refuse(refusal)
            }
        }
    }

    fn stream<R: Incoming>(
        &self,
        method: Method,
        caller: Caller,
        request: http::Request<Body>,
    ) -> http::Response<Body> {
        let requests = Requests::<R>::new(request.into_body());
        let (stopping, bell) = (self.stopping.clone(), self.bell.clone());
        let pieces =
            answer(self.hub.clone(), method, caller, requests, (stopping, bell), self.origin);
        let mut response = http::Response::new(Body::new(StreamBody::new(pieces)));
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        response
    }
}
