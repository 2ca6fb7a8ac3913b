//! A real Envoy that subscribes to the server under test.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::convoy::{Convoy, envoys, wait_for};
use super::process::Beside;

/// A listener `front` that answers `text` by itself on `port`; both may be
/// templates. `chain` goes before its filters: a transport socket, or nothing.
pub(crate) fn answering(port: &str, chain: &str, text: &str) -> String {
    format!(
        r#"name: front
address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
filter_chains:
  - {chain}filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          http_filters:
            - name: envoy.filters.http.router
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            name: front
            virtual_hosts:
              - name: all
                domains: ["*"]
                routes:
                  - match: {{prefix: /}}
                    direct_response: {{status: 200, body: {{inline_string: "{text}"}}}}
"#
    )
}

/// An admin interface on a port of Envoy's choice; `--admin-port 0` has none.
const ADMIN: &str = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}";

/// A running Envoy.
pub(crate) struct Envoy {
    admin: std::path::PathBuf,
    _running: Beside,
    _home: tempfile::TempDir,
}

impl Envoy {
    /// Boots `version` as a node of `stage`; more arguments go to
    /// `convoy bootstrap`.
    pub(crate) fn start(convoy: &Convoy, version: &str, stage: &str, more: &[&str]) -> Self {
        Self::start_as(convoy, &format!("{stage}-{version}"), version, stage, more)
    }

    /// As [`Envoy::start`], under a name of the test's choice.
    pub(crate) fn start_as(
        convoy: &Convoy,
        node: &str,
        version: &str,
        stage: &str,
        more: &[&str],
    ) -> Self {
        let home = tempfile::tempdir().expect("there is room for an Envoy");
        let mut bootstrap = convoy.command("bootstrap");
        bootstrap
            .args(["--node", node, "--stage", stage, "--xds", &convoy.xds_address()])
            .args(["--admin-port", "0"])
            .args(more);
        let output = bootstrap.output().expect("convoy runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "bootstrap: {said}");
        let config = home.path().join("bootstrap.yaml");
        std::fs::write(&config, &output.stdout).expect("the home can be written");
        let admin = home.path().join("admin");
        let program = envoys().join(version).join("envoy");
        assert!(program.is_file(), "{} is missing; ci/test installs it", program.display());
        let log = std::fs::File::create(home.path().join("log")).expect("a log can be made");
        let mut command = Command::new(program);
        command
            .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "-c"])
            .arg(&config)
            .args(["--config-yaml", ADMIN, "--admin-address-path"])
            .arg(&admin)
            .stdout(Stdio::null())
            .stderr(log);
        let running = Beside::start(&mut command);
        Self { admin, _running: running, _home: home }
    }

    /// Asks the admin interface for JSON.
    pub(crate) fn admin(&self, path: &str) -> Result<Value, String> {
        let address = std::fs::read_to_string(&self.admin).map_err(|error| error.to_string())?;
        let text = get(&format!("http://{}{path}", address.trim()), "admin")?.1;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Waits until it has a listener on `port`, and asks it.
    pub(crate) fn wait_answer(&self, port: u16, host: &str, path: &str, expected: &str) {
        wait_for(&format!("{host}{path} to answer {expected}"), || {
            let (_, text) = get(&format!("http://127.0.0.1:{port}{path}"), host)?;
            if text.contains(expected) { Ok(()) } else { Err(text) }
        });
    }
}

fn get(url: &str, host: &str) -> Result<(u16, String), String> {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build();
    let client = client.map_err(|error| error.to_string())?;
    let answer = client.get(url).header("host", host).send().map_err(|e| e.to_string())?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().map_err(|error| error.to_string())?))
}
