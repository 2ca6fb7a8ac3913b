//! The upstream that stands in for every cluster's endpoints.
//!
//! One loopback port per endpoint, so that hosts of one cluster stay distinct
//! to Envoy (it folds equal addresses into one host, and with them localities
//! and subsets). Each answers HTTP/1.1 and HTTP/2 without TLS, says which
//! cluster it stands for, and knows gRPC's health check.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

use crate::tasks::Tasks;

/// The response header that names the cluster.
pub(super) const CLUSTER_HEADER: &str = "x-convoy-cluster";
/// Endpoints of one cluster beyond this many share ports.
const PORTS_PER_CLUSTER: usize = 64;
/// Ports of one cell; clusters beyond it get one port each.
const PORTS: usize = 2048;
/// A response to `Check` that says SERVING, in gRPC's framing.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

/// The ports of each cluster's stand-ins; they serve until it is dropped.
#[derive(Debug)]
pub(super) struct Echo {
    ports: BTreeMap<String, Vec<u16>>,
    tasks: Tasks,
}

impl Echo {
    /// Listens for `clusters`, given with how many endpoints each has.
    pub(super) async fn start(clusters: &BTreeMap<String, usize>) -> io::Result<Self> {
        let mut echo = Self { ports: BTreeMap::new(), tasks: Tasks::default() };
        let mut left = PORTS;
        for (cluster, endpoints) in clusters {
            let wanted = (*endpoints).clamp(1, PORTS_PER_CLUSTER).min(left.max(1));
            left = left.saturating_sub(wanted);
            let mut ports = Vec::with_capacity(wanted);
            for _ in 0..wanted {
                ports.push(echo.listen(cluster).await?);
            }
            echo.ports.insert(cluster.clone(), ports);
        }
        Ok(echo)
    }

    /// The port of a cluster's `endpoint`-th endpoint.
    pub(super) fn port(&self, cluster: &str, endpoint: usize) -> Option<u16> {
        let ports = self.ports.get(cluster)?;
        ports.get(endpoint % ports.len().max(1)).copied()
    }

    async fn listen(&self, cluster: &str) -> io::Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        // A name that can't be a header is shown in a readable form of it.
        let name = HeaderValue::from_str(cluster)
            .or_else(|_| HeaderValue::from_str(&cluster.escape_default().to_string()))
            .map_err(io::Error::other)?;
        let tasks = self.tasks.clone();
        self.tasks.spawn("smoke-echo", accept(listener, name, tasks));
        Ok(port)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn accept(listener: TcpListener, cluster: HeaderValue, tasks: Tasks) {
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn("smoke-echo-connection", serve(stream, cluster.clone()));
    }
}

async fn serve(stream: TcpStream, cluster: HeaderValue) {
    let _ = stream.set_nodelay(true);
    let cluster = Arc::new(cluster);
    let service = service_fn(move |request| {
        let cluster = Arc::clone(&cluster);
        async move { Ok::<_, Infallible>(answer(request, &cluster).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // An Envoy that goes away or speaks no HTTP ends the connection only.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, cluster: &HeaderValue) -> Response<Body> {
    let is_health_check = request.uri().path() == "/grpc.health.v1.Health/Check";
    let described = describe(&request, cluster);
    // Read to the end, or Envoy resets the stream of a request with a body.
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let mut response = if is_health_check { serving() } else { Response::new(full(described)) };
    response.headers_mut().insert(CLUSTER_HEADER, cluster.clone());
    if !is_health_check {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    }
    response
}

fn describe(request: &Request<Incoming>, cluster: &HeaderValue) -> Vec<u8> {
    let mut headers = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in request.headers() {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(text);
    }
    let authority = request.uri().authority().map(ToString::to_string);
    let host = authority.or_else(|| headers.get("host")?.first().cloned());
    serde_json::json!({
        "cluster": String::from_utf8_lossy(cluster.as_bytes()),
        "method": request.method().as_str(),
        "path": request.uri().path_and_query().map(ToString::to_string),
        "host": host,
        "headers": headers.into_iter().map(|(k, v)| (k, v.join(", "))).collect::<BTreeMap<_, _>>(),
    })
    .to_string()
    .into_bytes()
}

fn serving() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(Bytes::from_static(SERVING))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).boxed()
}
