//! The client of checks and of Envoy's admin: requests exactly as written,
//! over HTTP/1.1 or HTTP/2, with TLS or without, or plain bytes.
//!
//! A general client tidies paths (`//admin`, `/a/../b`) and picks the `Host`
//! itself, and it is those that routes are tested with. TLS is spoken without
//! verification: the peer is a process of ours on loopback, whose certificate
//! is made for another name.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::pki::Issued;
use super::room::Room;

/// The largest body that is read; an admin answer of thousands of clusters.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection, or no TLS over it.
    #[error("could not connect: {0}")]
    Connect(#[from] io::Error),
    /// The peer broke off or doesn't speak the protocol.
    #[error("the connection ended without an answer: {0}")]
    Http(#[from] hyper::Error),
    /// The body is too large or broke off.
    #[error("the answer's body could not be read: {0}")]
    Body(String),
}

/// How a peer is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// Over TLS, asking for this name.
    pub(super) tls: Option<ServerName<'static>>,
    /// The certificate that is shown to who asks for one.
    pub(super) identity: Option<Arc<Issued>>,
    /// In HTTP/2.
    pub(super) http2: bool,
}

impl Way {
    /// HTTP/1.1 without TLS.
    pub(super) fn plain() -> Self {
        Self { tls: None, identity: None, http2: false }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its head.
    pub(super) head: http::response::Parts,
    /// Its body.
    pub(super) body: Bytes,
    /// Its trailers.
    pub(super) trailers: HeaderMap,
}

impl Answer {
    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// A header, or else a trailer: gRPC has its status in either.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let value = self.head.headers.get(name).or_else(|| self.trailers.get(name))?;
        value.to_str().ok()
    }
}

/// A peer that is asked repeatedly, over one connection while that lasts.
pub(super) struct Client<'a> {
    room: &'a Room,
    address: SocketAddr,
    way: Way,
    connection: Option<Connection>,
}

struct Connection {
    sender: Sender,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl<'a> Client<'a> {
    /// A client of `address` in the room's network.
    pub(super) fn new(room: &'a Room, address: SocketAddr, way: Way) -> Self {
        Self { room, address, way, connection: None }
    }

    /// Sends `request`, whose URI must be in origin form, and reads the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ClientError> {
        let mut connection = match self.connection.take() {
            Some(open) if open.sender.is_ready() => open,
            _ => connect(self.room, self.address, &self.way).await?,
        };
        let request = match connection.sender {
            Sender::One(_) => request,
            Sender::Two(_) => absolute(request, self.way.tls.is_some())?,
        };
        let answer = exchange(&mut connection, request).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

impl Sender {
    fn is_ready(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_ready(),
            Self::Two(sender) => sender.is_ready(),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// Owns what it holds: a connection can't be looked at from two threads.
async fn connect(room: &Room, address: SocketAddr, way: &Way) -> Result<Connection, ClientError> {
    let stream = open(room, address, way).await?;
    handshake(stream, way.http2).await
}

/// A connection of bytes.
pub(super) trait Bytewise: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytewise for T {}

/// Connects, with TLS where the way has it.
pub(super) async fn open(
    room: &Room,
    address: SocketAddr,
    way: &Way,
) -> io::Result<Box<dyn Bytewise>> {
    let stream = room.connect(address).await?;
    let Some(name) = way.tls.clone() else { return Ok(Box::new(stream)) };
    let connector = TlsConnector::from(tls_config(way)?);
    Ok(Box::new(connector.connect(name, stream).await?))
}

async fn handshake(stream: Box<dyn Bytewise>, in_two: bool) -> Result<Connection, ClientError> {
    let stream = TokioIo::new(stream);
    if in_two {
        let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
        return Ok(Connection { sender: Sender::Two(sender), driver: Box::pin(driver) });
    }
    let (sender, driver) = http1::handshake(stream).await?;
    Ok(Connection { sender: Sender::One(sender), driver: Box::pin(driver) })
}

/// HTTP/2 has the host in the URI.
fn absolute(request: Request<Full<Bytes>>, tls: bool) -> Result<Request<Full<Bytes>>, ClientError> {
    let (mut head, body) = request.into_parts();
    let host = head.headers.remove(http::header::HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(host)
        .path_and_query(path)
        .build();
    head.uri = uri.map_err(|error| ClientError::Body(error.to_string()))?;
    Ok(Request::from_parts(head, body))
}

/// Drives the connection only while an answer is awaited: no task beside us.
async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<Answer, ClientError> {
    let Connection { sender, driver } = connection;
    let answer = async {
        let (head, body) = sender.send(request).await?.into_parts();
        let (body, trailers) = read(body).await?;
        Ok(Answer { head, body, trailers })
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = driver => {
            ended?;
            // What came before the end is still to be read.
            answer.await
        }
    }
}

async fn read(body: Incoming) -> Result<(Bytes, HeaderMap), ClientError> {
    let read = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let read = read.map_err(|e| ClientError::Body(e.to_string()))?;
    let trailers = read.trailers().cloned().unwrap_or_default();
    Ok((read.to_bytes(), trailers))
}

fn tls_config(way: &Way) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    let mut config = match &way.identity {
        None => config.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = issued.chain();
            config.with_client_auth_cert(chain, key).map_err(io::Error::other)?
        }
    };
    config.alpn_protocols = vec![if way.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(Arc::new(config))
}

/// Takes whatever certificate the Envoy under test shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
