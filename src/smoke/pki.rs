//! Certificates for one run, made on the fly and known to nobody else.
//!
//! They stand in for what a listener reads from files or from elsewhere, and
//! are what checks show to a listener that asks for a certificate. They end
//! with the run.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Who a client says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The subject's common name.
    pub(super) name: Option<String>,
    /// Alternative names: `spiffe://…` and other URIs, or host names.
    pub(super) alternatives: Vec<String>,
}

/// An authority of one run.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Issued {
    /// The certificate, as PEM.
    pub(super) cert: String,
    /// Its key, as PEM.
    pub(super) key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Convoy smoke test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate, as PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server that nobody verifies by name.
    pub(super) fn server(&self) -> Result<Issued, rcgen::Error> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.distinguished_name = named("convoy-smoke");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A certificate for a client.
    pub(super) fn client(&self, identity: &Identity) -> Result<Issued, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(identity.name.as_deref().unwrap_or("convoy-smoke"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for name in &identity.alternatives {
            let text = name.as_str().try_into()?;
            params.subject_alt_names.push(match name.contains("://") {
                true => SanType::URI(text),
                false => SanType::DnsName(text),
            });
        }
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            cert: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().clone(),
            key_der: key.serialize_der(),
        })
    }
}

impl Issued {
    /// As rustls takes it.
    pub(super) fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key_der.clone());
        (vec![self.der.clone()], PrivateKeyDer::Pkcs8(key))
    }

    /// The TLS side of a server that shows it.
    pub(super) fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
        let (chain, key) = self.chain();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
