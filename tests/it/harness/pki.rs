//! A certificate authority of the test's own, by openssl, and the files that
//! the server under test reads.

use std::path::PathBuf;

use convoy::xds::TlsFiles;

use super::process::run;

/// The authority and its folder.
pub(crate) struct Pki {
    folder: tempfile::TempDir,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

const NEW: [&str; 5] = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

impl Pki {
    /// An authority, and a server that it knows as 127.0.0.1.
    pub(crate) fn new() -> Self {
        let pki = Self { folder: tempfile::tempdir().expect("there is room") };
        pki.authority("ca");
        std::fs::create_dir(pki.at("db")).expect("the folder can be written");
        pki.write("db/index.txt", "");
        pki.write("db/crlnumber", "01\n");
        pki.write(
            "ca.conf",
            &format!(
                "[ca]\ndefault_ca = own\n[own]\ndatabase = {0}/db/index.txt\n\
                 crlnumber = {0}/db/crlnumber\nserial = {0}/db/serial\nunique_subject = no\n\
                 new_certs_dir = {0}/db\ncertificate = {0}/ca.pem\nprivate_key = {0}/ca.key\n\
                 default_md = sha256\ndefault_days = 2\ndefault_crl_days = 2\npolicy = any\n\
                 [any]\ncommonName = supplied\n",
                pki.folder.path().display()
            ),
        );
        let server = pki.issue("first", "IP:127.0.0.1", &[]);
        pki.install_certificate(&server);
        pki.install_key(&server);
        pki.install("ca.pem", "trusted.pem");
        pki.list();
        pki
    }

    /// The files of a server.
    pub(crate) fn files(&self, required: bool) -> TlsFiles {
        TlsFiles {
            cert_file: self.at("server.pem"),
            key_file: self.at("server.key"),
            client_ca_files: vec![self.at("trusted.pem")],
            client_crl_files: vec![self.at("revoked.pem")],
            required,
        }
    }

    /// A certificate with these alternative names; more goes to `openssl ca`.
    pub(crate) fn issue(&self, name: &str, names: &str, more: &[&str]) -> Issued {
        let (cert, key, ask, extensions) = (
            self.text(&format!("{name}.pem")),
            self.text(&format!("{name}.key")),
            self.text(&format!("{name}.csr")),
            self.write(&format!("{name}.ext"), &format!("subjectAltName={names}\n")),
        );
        let subject = format!("/CN={name}");
        let asked = ["-nodes", "-subj", &subject, "-keyout", &key, "-out", &ask];
        run("openssl", &[&NEW[..], &asked[..]].concat());
        let (config, extensions) = (self.text("ca.conf"), extensions.display().to_string());
        let sign = ["ca", "-config", &config, "-batch", "-notext", "-create_serial", "-in", &ask];
        let out = ["-extfile", &extensions, "-out", &cert];
        run("openssl", &[&sign[..], &out[..], more].concat());
        Issued { cert: cert.into(), key: key.into() }
    }

    /// Takes a certificate back before its end.
    pub(crate) fn revoke(&self, issued: &Issued) {
        let (config, cert) = (self.text("ca.conf"), issued.cert.display().to_string());
        run("openssl", &["ca", "-config", &config, "-revoke", &cert]);
        self.list();
    }

    /// Trusts another authority instead of this one.
    pub(crate) fn trust_another(&self) {
        self.authority("another");
        self.install("another.pem", "trusted.pem");
    }

    /// Replaces the server's certificate, but not its key.
    pub(crate) fn install_certificate(&self, issued: &Issued) {
        self.install(&issued.cert.display().to_string(), "server.pem");
    }

    /// Replaces the server's key.
    pub(crate) fn install_key(&self, issued: &Issued) {
        self.install(&issued.key.display().to_string(), "server.key");
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.at("ca.pem")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.at(name);
        std::fs::write(&path, text).expect("the folder can be written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("the mode can be set");
        path
    }

    fn authority(&self, name: &str) {
        let (cert, key) = (self.text(&format!("{name}.pem")), self.text(&format!("{name}.key")));
        let subject = format!("/CN=test {name}");
        let own = ["-x509", "-days", "2", "-nodes", "-subj", &subject];
        let out = ["-keyout", &key, "-out", &cert];
        run("openssl", &[&NEW[..], &own[..], &out[..]].concat());
    }

    fn list(&self) {
        let (config, out) = (self.text("ca.conf"), self.text("list.pem"));
        run("openssl", &["ca", "-config", &config, "-gencrl", "-out", &out]);
        self.install("list.pem", "revoked.pem");
    }

    /// Puts a file into place as a whole.
    fn install(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.at(from)).expect("openssl wrote it");
        let new = self.write(&format!("{to}.new"), &text);
        std::fs::rename(new, self.at(to)).expect("the folder can be written");
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}
