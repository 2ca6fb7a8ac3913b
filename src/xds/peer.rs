//! A connection as it was accepted: plain, or TLS whose handshake is made by
//! whoever reads first, which is the connection's own task, so that a slow
//! handshake holds up nobody else.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Timeout, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tonic::transport::server::Connected;

use super::certificate::Certificate;
use crate::model::ContentHash;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Who is at the other end, as far as the connection tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    address: Option<SocketAddr>,
    /// With TLS, once the handshake is done: the certificate, if one was given.
    shaken: Option<Arc<OnceLock<Option<Arc<Certificate>>>>>,
}

impl Peer {
    #[cfg(test)]
    pub(super) fn at(address: &str) -> Self {
        Self { address: address.parse().ok(), shaken: None }
    }

    /// The certificate that was verified.
    pub(super) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.shaken.as_ref()?.get()?.clone()
    }

    /// Whether nobody between us can listen: TLS, or the same machine.
    pub(super) fn is_secure(&self) -> bool {
        self.shaken.is_some() || self.address.is_some_and(|address| address.ip().is_loopback())
    }
}

/// A connection.
pub(super) struct Connection {
    peer: Peer,
    io: Io,
}

enum Io {
    Plain(TcpStream),
    Shaking(Pin<Box<Timeout<Accept<TcpStream>>>>, ContentHash),
    Tls(Box<TlsStream<TcpStream>>),
    Failed,
}

impl Connection {
    /// Takes what was accepted, to be secured by `tls`.
    pub(super) fn new(stream: TcpStream, tls: Option<&(TlsAcceptor, ContentHash)>) -> Self {
        let address = stream.peer_addr().ok();
        match tls {
            None => Self { peer: Peer { address, shaken: None }, io: Io::Plain(stream) },
            Some((tls, trust)) => {
                let peer = Peer { address, shaken: Some(Arc::default()) };
                let shaking = Box::pin(timeout(HANDSHAKE_MAX, tls.accept(stream)));
                Self { peer, io: Io::Shaking(shaking, *trust) }
            }
        }
    }

    /// Carries the handshake on until it is done.
    fn poll_shaken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io::Shaking(shaking, trust) = &mut self.io else { return Poll::Ready(Ok(())) };
        let done = ready!(shaking.as_mut().poll(cx));
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
        match done.unwrap_or_else(|_| Err(late())) {
            Ok(stream) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.map(|chain| Arc::new(Certificate::read(chain, *trust)));
                if let Some(shaken) = &self.peer.shaken {
                    let _ = shaken.set(certificate);
                }
                self.io = Io::Tls(Box::new(stream));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.io = Io::Failed;
                self.tell(&error);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Who only looks whether the port is open says nothing, and is no news.
    fn tell(&self, error: &io::Error) {
        let address = self.peer.address.map(|address| address.to_string()).unwrap_or_default();
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                tracing::debug!(peer = address, %error, "a TLS handshake ended early");
            }
            _ => tracing::info!(peer = address, %error, "a TLS handshake failed"),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Does one thing with whichever stream it is, after the handshake.
macro_rules! with {
    ($connection:expr, $cx:expr, $stream:ident => $work:expr) => {{
        ready!($connection.poll_shaken($cx))?;
        match &mut $connection.io {
            Io::Plain($stream) => $work,
            Io::Tls(boxed) => {
                let $stream = boxed.as_mut();
                $work
            }
            Io::Shaking(..) | Io::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }};
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(self, cx, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        with!(self, cx, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(self, cx, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(_) | Io::Shaking(..) => true,
            Io::Failed => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, cx, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Io::Shaking(..) | Io::Failed => Poll::Ready(Ok(())),
        }
    }
}
