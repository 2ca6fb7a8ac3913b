//! Why nothing could be tried at all, and how to find out: what answers at an
//! address, where it does not answer as an xDS server does.

use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::target::Target;
use super::tls::Tls;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(2);
/// How HTTP/2 begins, and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How HTTP/1.1 begins.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: conform\r\nconnection: close\r\n\r\n";

/// Why nothing could be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Nobody listens, or the name is nobody's.
    #[error("no connection to {address}: {reason}")]
    Unreachable {
        /// Of the server.
        address: String,
        /// In the system's words.
        reason: String,
    },
    /// It was addressed in the clear.
    #[error("{0} speaks TLS, and was spoken to in the clear")]
    SpeaksTls(String),
    /// It was addressed over TLS.
    #[error("{0} does not speak TLS")]
    SpeaksNoTls(String),
    /// Its certificate is not one that is trusted.
    #[error("the certificate of {address} is not trusted: {reason}")]
    Untrusted {
        /// Of the server.
        address: String,
        /// Why not.
        reason: String,
    },
    /// Its certificate has other names.
    #[error("the certificate of {address} is not for `{name}`")]
    OtherName {
        /// Of the server.
        address: String,
        /// What it was called.
        name: String,
    },
    /// It wants a certificate, or another one.
    #[error("{address} ends the TLS handshake: {reason}")]
    Handshake {
        /// Of the server.
        address: String,
        /// In TLS's words.
        reason: String,
    },
    /// It is a server of another kind.
    #[error("{0} speaks HTTP/1.1, and no HTTP/2 as gRPC needs it")]
    OldHttp(String),
    /// It says nothing that is HTTP/2.
    #[error("{address} does not answer as gRPC does: {reason}")]
    NoGrpc {
        /// Of the server.
        address: String,
        /// What went wrong first.
        reason: String,
    },
    /// It speaks gRPC, without discovery.
    #[error("{0} speaks gRPC, but has none of the discovery services of xDS v3")]
    NoDiscovery(String),
    /// It wants to know who asks.
    #[error("the server turns this client away: {0}")]
    TurnedAway(String),
    /// It does not show what there is to start from.
    #[error("the server does not show {due} to node `{node}`: {reason}")]
    ShowsNothing {
        /// What was due.
        due: &'static str,
        /// Who asked.
        node: String,
        /// What came instead.
        reason: String,
    },
    /// It can't be given other resources.
    #[error("the driver failed: {0}")]
    Driver(String),
}

/// What is wrong with the server of `target`, which failed with `reason`;
/// `None` where it speaks HTTP/2 as it should.
pub(super) async fn diagnose(target: &Target, reason: &str) -> Option<Obstacle> {
    let address = target.address.clone();
    let unreachable = |reason: String| Obstacle::Unreachable { address: address.clone(), reason };
    let stream = match timeout(target.patience, TcpStream::connect(&target.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Some(unreachable(error.to_string())),
        Err(_) => return Some(unreachable(format!("no answer within {:?}", target.patience))),
    };
    if let Some(tls) = &target.tls {
        return secured(tls, stream, address).await;
    }
    if speaks_http2(stream).await.unwrap_or(false) {
        return None;
    }
    if Tls::is_spoken_at(&target.address, LOOK).await {
        return Some(Obstacle::SpeaksTls(address));
    }
    match speaks_http1(&target.address).await.unwrap_or(false) {
        true => Some(Obstacle::OldHttp(address)),
        false => Some(Obstacle::NoGrpc { address, reason: reason.to_owned() }),
    }
}

/// What is wrong where TLS is spoken.
async fn secured(tls: &Tls, stream: TcpStream, address: String) -> Option<Obstacle> {
    let silent = |what: &str| {
        let reason = format!("{what} within {LOOK:?}");
        Obstacle::Handshake { address: address.clone(), reason }
    };
    let secured = match timeout(LOOK, tls.clone().secure(stream)).await {
        Ok(secured) => secured,
        Err(_) => return Some(silent("it comes to no end")),
    };
    let said = match secured {
        Ok(mut stream) => {
            // That a certificate is wanted is told with the first bytes only.
            let first = async {
                stream.write_all(PREFACE).await?;
                stream.read(&mut [0; 1]).await
            };
            match timeout(LOOK, first).await {
                Ok(Ok(1..)) => return None,
                Ok(Ok(_)) => Err(io::Error::other("it is closed")),
                Ok(Err(error)) => Err(error),
                Err(_) => return Some(silent("nothing comes")),
            }
        }
        Err(error) => Err::<(), _>(error),
    };
    said.err().map(|error| of_handshake(&error, tls, address))
}

fn of_handshake(error: &io::Error, tls: &Tls, address: String) -> Obstacle {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => Obstacle::SpeaksNoTls(address),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Obstacle::OtherName { address, name: tls.name() },
        Some(rustls::Error::InvalidCertificate(reason)) => {
            Obstacle::Untrusted { address, reason: reason.to_string() }
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Obstacle::Handshake { address, reason: words(*alert) }
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => Obstacle::SpeaksNoTls(address),
        _ => Obstacle::Handshake { address, reason: error.to_string() },
    }
}

fn words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "it wants a certificate of the client".into(),
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => {
            format!("it refuses the client's certificate: {alert:?}")
        }
        other => format!("{other:?}"),
    }
}

/// Whether the first frame that comes is one of settings, as HTTP/2 has it.
async fn speaks_http2(mut stream: TcpStream) -> io::Result<bool> {
    let answer = async {
        stream.write_all(PREFACE).await?;
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        Ok(head[3] == 4 && head[5..] == [0; 4])
    };
    timeout(LOOK, answer).await.unwrap_or(Ok(false))
}

async fn speaks_http1(address: &str) -> io::Result<bool> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(REQUEST).await?;
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        Ok(&head == b"HTTP/1.")
    };
    timeout(LOOK, answer).await.unwrap_or(Ok(false))
}
