//! TLS of the xDS listener: the server's certificate and whose certificates
//! are trusted, read from files and read again when these change.
//!
//! A set of files that does not go together, as a certificate without its key
//! while both are replaced, changes nothing: the old ones stay, and a warning
//! names the file and the reason. Connections that are open stay open; streams
//! look again at their own certificate when what is trusted changes.

use std::fmt;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::certificate::Certificate;
use crate::model::ContentHash;
use crate::telemetry::clock;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest file; a list of revoked certificates may be long.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The files, and whether clients must bring a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate (PEM), followed by those it rests on.
    pub cert_file: PathBuf,
    /// Its key (PEM).
    pub key_file: PathBuf,
    /// Whose certificates of clients are trusted (PEM); empty: none is asked
    /// for.
    pub client_ca_files: Vec<PathBuf>,
    /// Lists of revoked certificates of clients (PEM).
    pub client_crl_files: Vec<PathBuf>,
    /// Whether who brings none is turned away at once.
    pub required: bool,
}

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// TLS as it is now; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    server: watch::Sender<Secured>,
    trust: watch::Sender<Trust>,
    looked: Mutex<Looked>,
}

/// What connections are secured with, and under which trust.
type Secured = (Arc<ServerConfig>, ContentHash);

/// What was found at the last look.
#[derive(Debug)]
struct Looked {
    at: Instant,
    stamps: Vec<Option<Stamp>>,
}

/// What changes about a file when it is written or replaced.
type Stamp = (u64, u64, i64, i64, u64);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that can't be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let looked = Looked { at: Instant::now(), stamps: stamps(&files) };
        let (server, trust) = read_all(&files)?;
        let inner = Inner {
            server: watch::Sender::new((server, trust.hash)),
            trust: watch::Sender::new(trust),
            looked: Mutex::new(looked),
            files,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What a connection that is made now is secured with, and under which
    /// trust.
    pub(super) fn acceptor(&self) -> (TlsAcceptor, ContentHash) {
        let (server, trust) = self.inner.server.borrow().clone();
        (TlsAcceptor::from(server), trust)
    }

    /// Whose certificates are trusted, to be followed.
    pub(super) fn trust(&self) -> watch::Receiver<Trust> {
        self.inner.trust.subscribe()
    }

    /// Looks at the files for as long as it is polled.
    pub(super) async fn keep_fresh(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.refresh().await;
        }
    }

    /// Looks at the files, unless somebody just did.
    pub(super) async fn refresh(&self) {
        if !self.take_turn() {
            return;
        }
        let this = self.clone();
        // Files may lie on a slow disk. A look that was cut off comes again.
        let _ = tokio::task::spawn_blocking(move || this.look()).await;
    }

    fn look(&self) {
        let files = &self.inner.files;
        let found = stamps(files);
        if found == self.looked().stamps {
            return;
        }
        self.looked().stamps = found;
        match read_all(files).map(|(server, trust)| self.take(server, trust)) {
            Ok(()) => {
                tracing::info!(cert_file = %files.cert_file.display(), "xDS uses the new TLS files")
            }
            Err(error) => {
                tracing::warn!(
                    file = %error.file.display(),
                    reason = error.reason,
                    "the TLS files of xDS changed and can't be used; the old ones stay in use"
                );
            }
        }
    }

    fn take_turn(&self) -> bool {
        let (mut looked, now) = (self.looked(), Instant::now());
        let turn = now.duration_since(looked.at) >= LOOK_EVERY / 2;
        if turn {
            looked.at = now;
        }
        turn
    }

    fn take(&self, server: Arc<ServerConfig>, trust: Trust) {
        self.inner.server.send_replace((server, trust.hash));
        self.inner.trust.send_if_modified(|known| {
            let news = known.hash != trust.hash;
            if news {
                *known = trust;
            }
            news
        });
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.inner.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_all(files: &TlsFiles) -> Result<(Arc<ServerConfig>, Trust), TlsError> {
    let material = Material::read(files)?;
    let trust = Trust::new(&material, files)?;
    Ok((Arc::new(material.server(&trust, files)?), trust))
}

/// Whose certificates are trusted.
#[derive(Clone)]
pub(super) struct Trust {
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    hash: ContentHash,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Trust {
    fn new(material: &Material, files: &TlsFiles) -> Result<Self, TlsError> {
        let parts = material.authorities.iter().chain(&material.revoked);
        let hash = ContentHash::of_parts(parts.map(Vec::as_slice));
        let Some(first) = files.client_ca_files.first() else {
            return Ok(Self { verifier: None, hash });
        };
        let mut roots = RootCertStore::empty();
        for (file, bytes) in files.client_ca_files.iter().zip(&material.authorities) {
            for one in certificates(file, bytes)? {
                roots.add(one).map_err(|error| refuse(file, error.to_string()))?;
            }
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let builder = builder.with_crls(material.lists(files)?);
        // A list says who is revoked, not who is not.
        let builder = builder.allow_unknown_revocation_status();
        let builder = if files.required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| refuse(first, error.to_string()))?;
        Ok(Self { verifier: Some(verifier), hash })
    }

    /// Whether a certificate is trusted now.
    pub(super) fn covers(&self, certificate: &Certificate) -> bool {
        certificate.holds(self.hash, |own, rest| {
            let now = u64::try_from(clock::now().as_second()).unwrap_or_default();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
            let verifier = self.verifier.as_ref();
            verifier.is_some_and(|verifier| verifier.verify_client_cert(own, rest, now).is_ok())
        })
    }
}

/// What the files hold.
struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<Vec<u8>>,
    revoked: Vec<Vec<u8>>,
}

impl Material {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let (mut authorities, mut revoked) = (Vec::new(), Vec::new());
        for file in &files.client_ca_files {
            authorities.push(read(file)?);
        }
        for file in &files.client_crl_files {
            revoked.push(read(file)?);
        }
        let about = std::fs::metadata(&files.key_file);
        if about.is_ok_and(|about| about.permissions().mode() & 0o007 != 0) {
            let hint = format!("chmod 600 {}", files.key_file.display());
            let reason = format!("this key is open to every user of the machine; {hint}");
            return Err(refuse(&files.key_file, reason));
        }
        let (certificate, key) = (read(&files.cert_file)?, read(&files.key_file)?);
        Ok(Self { certificate, key, authorities, revoked })
    }

    fn lists(
        &self,
        files: &TlsFiles,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let mut lists = Vec::new();
        for (file, bytes) in files.client_crl_files.iter().zip(&self.revoked) {
            let before = lists.len();
            for one in CertificateRevocationListDer::pem_slice_iter(bytes) {
                lists.push(one.map_err(|error| refuse(file, format!("this is no PEM: {error}")))?);
            }
            if lists.len() == before {
                let reason = "there is no list of revoked certificates in it; write it as PEM";
                return Err(refuse(file, reason));
            }
        }
        Ok(lists)
    }

    fn server(&self, trust: &Trust, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&files.cert_file, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        // The decoder's own words could quote the key.
        let key =
            key.map_err(|_| refuse(&files.key_file, "there is no private key (PEM) in it"))?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| refuse(&files.cert_file, error.to_string()))?;
        let builder = match &trust.verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let unusable = |error: rustls::Error| {
            let key = files.key_file.display();
            refuse(&files.cert_file, format!("it can't be used with the key in {key}: {error}"))
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would not be verified again, and streams last.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error: std::io::Error| refuse(file, format!("can't be read: {error}"));
    let about = std::fs::metadata(file).map_err(unreadable)?;
    if about.len() > FILE_BYTES_MAX {
        return Err(refuse(file, format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read(file).map_err(unreadable)
}

fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match read {
        Ok(found) if found.is_empty() => {
            Err(refuse(file, "there is no certificate in it; write it as PEM"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(refuse(file, format!("this is no PEM: {error}"))),
    }
}

fn refuse(file: &Path, reason: impl Into<String>) -> TlsError {
    TlsError { file: file.to_owned(), reason: reason.into() }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn stamps(files: &TlsFiles) -> Vec<Option<Stamp>> {
    let pair = [&files.cert_file, &files.key_file];
    let mut stamps = Vec::new();
    for file in pair.into_iter().chain(&files.client_ca_files).chain(&files.client_crl_files) {
        let about = std::fs::metadata(file).ok();
        stamps.push(about.map(|about| {
            (about.dev(), about.ino(), about.ctime(), about.ctime_nsec(), about.len())
        }));
    }
    stamps
}
