//! A certificate authority for one run, by openssl: what the server shows, and
//! what all clients come with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use convoy::xds::TlsFiles;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The name in the clients' certificate, and the pattern that knows it.
pub const CLIENT: &str = "node.bench.example.com";
pub const CLIENTS: &str = "*.bench.example.com";

/// A folder with an authority, a server's certificate and a client's.
pub struct Pki {
    folder: tempfile::TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let pki = Self { folder: tempfile::tempdir().expect("room for certificates") };
        let own = ["req", "-x509", "-days", "2", "-subj", "/CN=bench", "-out", "ca.pem"];
        pki.openssl(&[&own[..], &key("ca.key")].concat());
        pki.issue("server", "IP:127.0.0.1");
        pki.issue("client", &format!("DNS:{CLIENT}"));
        pki
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How a client connects.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        certificates(&self.at("ca.pem")).into_iter().for_each(|one| roots.add(one).expect("a CA"));
        let key = PrivateKeyDer::from_pem_file(self.at("client.key")).expect("a key");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let own = certificates(&self.at("client.pem"));
        let mut config = builder.with_client_auth_cert(own, key).expect("a pair");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    fn issue(&self, name: &str, names: &str) {
        let (ask, cert, ext) =
            (format!("{name}.csr"), format!("{name}.pem"), format!("{name}.ext"));
        let subject = format!("/CN={name}");
        std::fs::write(self.at(&ext), format!("subjectAltName={names}\n")).expect("a file");
        let asked = ["req", "-subj", &subject, "-out", &ask];
        self.openssl(&[&asked[..], &key(&format!("{name}.key"))].concat());
        let signed = ["x509", "-req", "-days", "2", "-in", &ask, "-CA", "ca.pem"];
        let more = ["-CAkey", "ca.key", "-CAcreateserial", "-extfile", &ext, "-out", &cert];
        self.openssl(&[&signed[..], &more[..]].concat());
    }

    fn openssl(&self, words: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(words).current_dir(self.folder()).stderr(Stdio::null());
        assert!(command.status().expect("openssl").success(), "openssl {words:?}");
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// What the server reads of such a folder.
pub fn files(folder: &Path) -> TlsFiles {
    TlsFiles {
        cert_file: folder.join("server.pem"),
        key_file: folder.join("server.key"),
        client_ca_files: vec![folder.join("ca.pem")],
        client_crl_files: Vec::new(),
        required: true,
    }
}

fn key(name: &str) -> [&str; 7] {
    ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name]
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file).expect("a file that can be read");
    read.map(|one| one.expect("a certificate")).collect()
}
