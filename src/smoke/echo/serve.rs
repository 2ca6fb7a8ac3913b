//! What a stand-in answers, in the protocol that it is spoken to.
//!
//! HTTP/1.1 and HTTP/2 get a description of the request; gRPC gets its own
//! message back, and its health check an answer; other bytes get a line that
//! names the endpoint, and then themselves. TLS is taken with a certificate
//! of the run, because a listener may pass it through.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::{CLUSTER_HEADER, Conduct, ENDPOINT_HEADER, Failure};
use crate::smoke::client::Bytewise;

/// A response to `Check` that says SERVING, in gRPC's framing.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
/// The largest message that gRPC gets back.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How a TLS handshake begins.
const TLS_HANDSHAKE: u8 = 0x16;

/// What one endpoint is.
pub(super) struct Stand {
    cluster: HeaderValue,
    number: usize,
    tls: TlsAcceptor,
    conduct: Mutex<Conduct>,
    /// Its only permit is held while the port is open.
    open: Arc<Semaphore>,
}

impl Stand {
    pub(super) fn new(cluster: HeaderValue, number: usize, tls: TlsAcceptor) -> Self {
        let open = Arc::new(Semaphore::new(1));
        Self { cluster, number, tls, conduct: Mutex::default(), open }
    }

    pub(super) fn change(&self, change: impl Fn(&mut Conduct)) {
        change(&mut self.conduct.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// To be held while the port is open.
    pub(super) fn open(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.open).try_acquire_owned().ok()
    }

    /// Waits until the port is closed.
    pub(super) async fn closed(&self) {
        let _ = self.open.acquire().await;
    }

    fn next(&self) -> (Option<Failure>, std::time::Duration) {
        self.conduct.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, stand: Arc<Stand>) {
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let tls = matches!(stream.peek(&mut first).await, Ok(1)) && first[0] == TLS_HANDSHAKE;
    // An Envoy that goes away or breaks off ends the connection only.
    let _ = match tls {
        false => speak(Box::new(stream), &stand).await,
        true => match stand.tls.accept(stream).await {
            Ok(stream) => speak(Box::new(stream), &stand).await,
            Err(error) => Err(error),
        },
    };
}

async fn speak(mut stream: Box<dyn Bytewise>, stand: &Arc<Stand>) -> io::Result<()> {
    let mut start = BytesMut::with_capacity(16 << 10);
    stream.read_buf(&mut start).await?;
    if !looks_like_http(&start) {
        return echo_bytes(stream, start.freeze(), stand).await;
    }
    let (reader, writer) = tokio::io::split(stream);
    let whole = tokio::io::join(io::Cursor::new(start).chain(reader), writer);
    let stand = Arc::clone(stand);
    let service = service_fn(move |request| {
        let stand = Arc::clone(&stand);
        async move { answer(request, &stand).await }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(whole), service).await.map_err(io::Error::other)
}

/// A method in capitals and a blank: HTTP/2 begins with `PRI `.
fn looks_like_http(start: &[u8]) -> bool {
    let method = start.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (3..=16).contains(&method) && start.get(method) == Some(&b' ')
}

async fn echo_bytes(mut stream: Box<dyn Bytewise>, start: Bytes, stand: &Stand) -> io::Result<()> {
    let (failure, delay) = stand.next();
    tokio::time::sleep(delay).await;
    if failure.is_some() || start.is_empty() {
        return Ok(());
    }
    let cluster = String::from_utf8_lossy(stand.cluster.as_bytes()).into_owned();
    stream.write_all(greeting(&cluster, stand.number).as_bytes()).await?;
    stream.write_all(&start).await?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            read => stream.write_all(&buffer[..read]).await?,
        }
    }
}

/// What plain bytes are greeted with.
pub(in crate::smoke) fn greeting(cluster: &str, endpoint: usize) -> String {
    format!("convoy cluster={cluster} endpoint={endpoint}\n")
}

type Body = BoxBody<Bytes, Infallible>;

/// A request that was failed by cutting its connection.
#[derive(Debug, thiserror::Error)]
#[error("cut by a check")]
struct Cut;

async fn answer(request: Request<Incoming>, stand: &Stand) -> Result<Response<Body>, Cut> {
    let (failure, delay) = stand.next();
    let is_grpc = content_type(&request).starts_with("application/grpc");
    let is_health_check = request.uri().path() == "/grpc.health.v1.Health/Check";
    let described = describe(&request, stand);
    // Read to the end, or Envoy resets the stream of a request with a body.
    let sent = read(request.into_body()).await;
    tokio::time::sleep(delay).await;
    let mut response = match failure {
        Some(Failure::Reset) => return Err(Cut),
        Some(Failure::Status(status)) => failed(status),
        Some(Failure::Grpc(status)) => grpc(Bytes::new(), status),
        None if is_health_check => grpc(Bytes::from_static(SERVING), 0),
        None if is_grpc => grpc(sent, 0),
        None => told(described),
    };
    response.headers_mut().insert(CLUSTER_HEADER, stand.cluster.clone());
    response.headers_mut().insert(ENDPOINT_HEADER, HeaderValue::from(stand.number));
    Ok(response)
}

fn content_type(request: &Request<Incoming>) -> &str {
    let value = request.headers().get(http::header::CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn read(mut body: Incoming) -> Bytes {
    let mut read = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() <= MAX_BODY_BYTES {
            read.extend_from_slice(&data);
        }
    }
    read.freeze()
}

fn describe(request: &Request<Incoming>, stand: &Stand) -> Vec<u8> {
    let mut headers = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in request.headers() {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(text);
    }
    let authority = request.uri().authority().map(ToString::to_string);
    let host = authority.or_else(|| headers.get("host")?.first().cloned());
    serde_json::json!({
        "cluster": String::from_utf8_lossy(stand.cluster.as_bytes()),
        "endpoint": stand.number,
        "method": request.method().as_str(),
        "path": request.uri().path_and_query().map(ToString::to_string),
        "host": host,
        "headers": headers.into_iter().map(|(k, v)| (k, v.join(", "))).collect::<BTreeMap<_, _>>(),
    })
    .to_string()
    .into_bytes()
}

fn told(described: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(described)).boxed());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn failed(status: u16) -> Response<Body> {
    let text = Bytes::from_static(b"failed by a check");
    let mut response = Response::new(Full::new(text).boxed());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response
}

fn grpc(message: Bytes, status: u16) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let data = (!message.is_empty()).then(|| Ok(Frame::data(message)));
    let frames = data.into_iter().chain([Ok(Frame::trailers(trailers))]);
    let frames: Vec<Result<_, Infallible>> = frames.collect();
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_told_from_other_bytes() {
        for http in ["GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "OPTIONS * HTTP/1.1"] {
            assert!(looks_like_http(http.as_bytes()), "{http}");
        }
        for other in ["", "ping\n", "*1\r\n$4\r\nPING\r\n", "\u{16}\u{3}\u{1}", "GO", "HELLO\r\n"] {
            assert!(!looks_like_http(other.as_bytes()), "{other}");
        }
    }
}
