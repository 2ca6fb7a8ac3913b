//! The whole program with a real Envoy that comes with a certificate: it is
//! granted a secret, the server's certificate is replaced, its token revoked.

use std::net::SocketAddr;
use std::process::Output;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::client::{Client, certificates};
use crate::harness::api::{Asker, ROOT, guarded};
use crate::harness::convoy::{Convoy, free_port, wait_for};
use crate::harness::envoy::{Envoy, answering};
use crate::harness::pki::{Issued, Pki};
use crate::harness::upstream::{ADA, Upstream};

const VERSION: &str = "1.40.0";
const PIPELINE: &str = "stages:\n  - {name: beta, auto: true}\n";

struct Mesh {
    upstream: Upstream,
    convoy: Convoy,
    pki: Pki,
    root: Asker,
    port: u16,
    runtime: Runtime,
}

impl Mesh {
    fn start() -> Self {
        let (upstream, pki) = (Upstream::start(), Pki::new());
        let files = pki.files(true);
        let setup = guarded().upstream(upstream.url(), "1s").config(&format!(
            "xds:\n  tls:\n    cert_file: {}\n    key_file: {}\n    client_ca_files: [{}]\n",
            files.cert_file.display(),
            files.key_file.display(),
            files.client_ca_files[0].display(),
        ));
        let convoy = setup.start();
        let root = Asker::of(&convoy).with(ROOT);
        let runtime = Runtime::new().expect("a runtime can be made");
        Self { upstream, convoy, pki, root, port: free_port(), runtime }
    }

    /// Commits a listener that needs the secret `web`, and the secret.
    fn push(&self, issued: &Issued) {
        let read = |path: &std::path::Path| {
            let text = std::fs::read_to_string(path).expect("openssl wrote it");
            text.lines().map(|line| format!("      {line}\n")).collect::<String>()
        };
        let secret = format!(
            "name: web\ntls_certificate:\n  certificate_chain:\n    inline_string: |\n{}  \
             private_key:\n    inline_string: |\n{}",
            read(&issued.cert),
            read(&issued.key)
        );
        let listener = listener(self.port);
        let files = [
            ("convoy.yaml", PIPELINE),
            ("resources/listeners/front.yaml", listener.as_str()),
            ("resources/secrets/web.yaml", secret.as_str()),
        ];
        let commit = self.upstream.commit(&files, "Serve it", ADA).to_string();
        wait_for("beta to serve the commit", || {
            let board = self.root.get("/repos/mesh/config/board").json();
            let live = board["stages"][0]["live"]["commit"] == commit.as_str();
            if live { Ok(()) } else { Err(format!("{board}\n{}", self.convoy.log())) }
        });
    }

    fn envoy(&self, own: &Issued) -> Envoy {
        let path = |path: &std::path::Path| path.display().to_string();
        let (ca, cert, key) = (path(&self.pki.ca()), path(&own.cert), path(&own.key));
        let more = ["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key];
        Envoy::start(&self.convoy, VERSION, "beta", &more)
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        let file = self.pki.write("root.token", ROOT);
        let mut command = self.convoy.command("token");
        let output = command.args(arguments).env("CONVOY_TOKEN_FILE", file).output();
        output.expect("the program can be run")
    }

    fn ok(&self, arguments: &[&str]) {
        let output = self.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }

    fn refused(&self, arguments: &[&str], words: &str) {
        let output = self.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }

    /// By which credentials the connected nodes came.
    fn wait_credentials(&self, expected: &[&str]) {
        wait_for(&format!("nodes that came with {expected:?}"), || {
            let answer = self.root.get("/nodes").json();
            let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
            let seen: Vec<_> = nodes.iter().map(|node| node["credential"].clone()).collect();
            if seen == expected { Ok(()) } else { Err(answer.to_string()) }
        });
    }

    /// What Envoy shows to who connects to its listener.
    fn shown(&self) -> Result<Vec<u8>, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let client = Client::new(address, &self.pki);
        let shown = self.runtime.block_on(client.try_server_certificate());
        shown.map(|shown| shown.to_vec()).map_err(|error| error.to_string())
    }

    fn wait_shown(&self, expected: &Issued) {
        let expected = certificates(&expected.cert)[0].to_vec();
        wait_for("Envoy to use the secret", || match self.shown()? {
            shown if shown == expected => Ok(()),
            _ => Err("another certificate".to_owned()),
        });
    }

    fn wait_log(&self, words: &str) {
        wait_for(&format!("`{words}` in the log"), || {
            let log = self.convoy.log();
            if log.contains(words) { Ok(()) } else { Err(log) }
        });
    }
}

/// A listener over TLS, with the secret `web`.
fn listener(port: u16) -> String {
    let secret = r#"transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
        common_tls_context:
          tls_certificate_sds_secret_configs:
            - {name: web, sds_config: {ads: {}, resource_api_version: V3}}
    "#;
    answering(&port.to_string(), secret, "hello")
}

#[test]
fn an_envoy_with_a_certificate_is_granted_a_secret_and_turned_away_when_that_is_revoked() {
    let mesh = Mesh::start();
    let node = format!("URI:spiffe://mesh/beta-{VERSION}");
    let own = mesh.pki.issue("node", &node, &[]);
    let first = mesh.pki.issue("one", "IP:127.0.0.1", &[]);
    let second = mesh.pki.issue("two", "IP:127.0.0.1", &[]);
    mesh.push(&first);
    let _envoy = mesh.envoy(&own);

    mesh.refused(&["create", "edge", "--role", "node", "--node", "*"], "`stages`");
    mesh.refused(&["create", "edge", "--role", "node", "--stage", "beta"], "`nodes`");
    let pattern = "spiffe://mesh/{node}";
    mesh.ok(&["create", "edge", "--role", "node", "--stage", "beta", "--certificate", pattern]);
    mesh.wait_credentials(&["token edge"]);
    assert!(mesh.shown().is_err(), "a secret that was not granted");
    mesh.ok(&["scope", "edge", "--secret", "web"]);
    mesh.wait_shown(&first);

    let next = mesh.pki.issue("next", "IP:127.0.0.1", &[]);
    mesh.pki.install_certificate(&next);
    mesh.wait_log("the old ones stay in use");
    mesh.pki.install_key(&next);
    mesh.wait_log("xDS uses the new TLS files");
    mesh.push(&second);
    mesh.wait_shown(&second);

    mesh.ok(&["revoke", "edge"]);
    mesh.wait_credentials(&[]);
    let audit = mesh.root.get("/audit?limit=50").json().to_string();
    for act in ["Issue the token edge", "may be and see", "Revoke the token edge"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
    let key = std::fs::read_to_string(&second.key).expect("openssl wrote it");
    let bytes = key.lines().nth(1).expect("a key has lines");
    assert!(!mesh.convoy.log().contains(bytes), "a secret is in the log");
    let nodes: Value = mesh.root.get("/nodes").json();
    assert!(!nodes.to_string().contains(bytes));
}

#[test]
fn a_token_is_good_when_its_issue_is_answered_and_void_when_its_end_is() {
    let convoy = guarded().start();
    let root = Asker::of(&convoy).with(ROOT);
    let http = reqwest::blocking::Client::new();
    let url = format!("http://{}/v3/discovery:clusters", convoy.xds_address());
    let ask = |secret: &str| {
        let body = json!({ "node": { "id": "edge-1", "cluster": "edge" } }).to_string();
        let answer = http.post(&url).bearer_auth(secret).body(body).send();
        answer.expect("the server answers").status().as_u16()
    };
    let refused = ask("nobody's");
    assert!([401, 403].contains(&refused), "{refused}");
    for n in 0..40 {
        let scope = json!({ "nodes": ["edge-*"], "stages": ["beta"] });
        let body = json!({ "name": format!("edge-{n}"), "role": "node", "scope": scope });
        let made = root.post("/govern/tokens", &body).ok();
        let secret = made["secret"].as_str().expect("the secret is shown once");
        assert_ne!(ask(secret), refused, "token {n}");
        root.post(&format!("/govern/tokens/edge-{n}/revoke"), &json!({})).ok();
        assert_eq!(ask(secret), refused, "token {n}, revoked");
    }
}
