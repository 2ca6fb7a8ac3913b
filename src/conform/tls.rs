//! TLS towards the server under test: whom we believe, and who we are.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a connection is secured; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Believes servers called `name` whose certificate `authorities` vouch
    /// for, and shows the certificates and the key of `identity`; all in PEM.
    ///
    /// # Errors
    /// Something is not what it should be; the text says what.
    pub fn new(
        name: &str,
        authorities: &[u8],
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for one in certificates(authorities)? {
            roots.add(one).map_err(|error| format!("a certificate authority: {error}"))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the client's key: {error}"))?;
                let config = config.with_client_auth_cert(certificates(chain)?, key);
                config.map_err(|error| format!("the client's certificate: {error}"))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is no name of a server"))?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// Opens a connection to `address`.
    pub(super) async fn connect(
        self,
        address: String,
    ) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(self.secure(stream).await?))
    }

    /// Secures a connection that there is.
    pub(super) async fn secure(self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(self.config).connect(self.name, stream).await
    }

    /// Whether TLS is spoken at `address`, by whomever: a certificate that is
    /// not trusted shows it too.
    pub(super) async fn is_spoken_at(address: &str, time_max: Duration) -> bool {
        let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        let config = Arc::new(config.with_no_client_auth());
        let handshake = async {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::from(std::net::Ipv4Addr::LOCALHOST);
            TlsConnector::from(config).connect(name, stream).await
        };
        match timeout(time_max, handshake).await {
            Ok(Err(error)) => {
                let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                let told = |error: &rustls::Error| {
                    use rustls::Error::{AlertReceived, InvalidCertificate};
                    matches!(error, InvalidCertificate(_) | AlertReceived(_))
                };
                error.is_some_and(told)
            }
            Ok(Ok(_)) => true,
            Err(_) => false,
        }
    }

    /// What the server is called.
    pub(super) fn name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// The same for HTTP/1.1 and 2.
    pub(super) fn for_http(&self) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = Vec::new();
        config
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("certificates: {error}"))?;
    if read.is_empty() { Err("there is no certificate in the file".into()) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told() {
        let told = |pem: &[u8]| Tls::new("a.example", pem, None).unwrap_err();
        assert_eq!(told(b""), "there is no certificate in the file");
        assert_eq!(told(b"hello"), "there is no certificate in the file");
    }
}
