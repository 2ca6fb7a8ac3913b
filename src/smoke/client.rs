//! The HTTP client of checks and of Envoy's admin: one request at a time,
//! exactly as written.
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
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest body that is read; an admin answer of thousands of clusters.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection, or no TLS over it.
    #[error("could not connect: {0}")]
    Connect(#[from] io::Error),
    /// The peer broke off or speaks no HTTP/1.1.
    #[error("the connection ended without an answer: {0}")]
    Http(#[from] hyper::Error),
    /// The body is too large or broke off.
    #[error("the answer's body could not be read: {0}")]
    Body(String),
}

/// A peer that is asked repeatedly, over one connection while that lasts.
pub(super) struct Client {
    address: SocketAddr,
    tls: Option<ServerName<'static>>,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

impl Client {
    /// A client of `address` that speaks TLS when given a server name.
    pub(super) fn new(address: SocketAddr, tls: Option<ServerName<'static>>) -> Self {
        Self { address, tls, connection: None }
    }

    /// Sends `request`, whose URI must be in origin form, and reads the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, ClientError> {
        let mut connection = match self.connection.take() {
            Some(open) if open.sender.is_ready() => open,
            _ => connect(self.address, self.tls.clone()).await?,
        };
        let answer = exchange(&mut connection, request).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// Owns what it needs: a borrowed client could not cross threads.
async fn connect(
    address: SocketAddr,
    tls: Option<ServerName<'static>>,
) -> Result<Connection, ClientError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(name) = tls else { return handshake(stream).await };
    let stream = TlsConnector::from(tls_config()?).connect(name, stream).await?;
    handshake(stream).await
}

async fn handshake<S>(stream: S) -> Result<Connection, ClientError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    Ok(Connection { sender, driver: Box::pin(driver) })
}

/// Drives the connection only while an answer is awaited: no task beside us.
async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, ClientError> {
    let Connection { sender, driver } = connection;
    let answer = async {
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, read(body).await?))
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

async fn read(body: Incoming) -> Result<Bytes, ClientError> {
    let read = Limited::new(body, MAX_BODY_BYTES).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|e| ClientError::Body(e.to_string()))
}

fn tls_config() -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
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
