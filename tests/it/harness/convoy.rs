//! A real `convoy serve` on loopback, over a data folder of its own, ended
//! with the test. It can be killed and started again on the same folder.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Beside;

/// The longest that any condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(15);

/// The program under test.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_convoy")
}

/// Where real Envoys lie; a test that needs one fails without it.
pub(crate) fn envoys() -> PathBuf {
    let dir = std::env::var_os("CONVOY_ENVOYS").map(PathBuf::from);
    dir.expect("CONVOY_ENVOYS names the folder with <version>/envoy; ci/test sets it")
}

/// Looks until `condition` gives something; fails the test with what it was
/// waiting for and what the last look said.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let deadline = started() + PATIENCE;
    loop {
        match condition() {
            Ok(found) => return found,
            Err(seen) if started() > deadline => panic!("gave up waiting for {what}: {seen}"),
            Err(_) => std::thread::park_timeout(LOOK),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "waiting for other programs needs the real clock")]
fn started() -> Instant {
    Instant::now()
}

/// Tells threads to end when it goes, also where the test failed: without it
/// they would be waited for for ever.
pub(crate) struct Ends<'a>(pub(crate) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A port that nothing listens on now. It lies below those that the system
/// gives to whoever asks for any, so that nobody takes it while a server that
/// was killed is down.
pub(crate) fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(7919);
    let port = |n: u32| 10_000 + (first.wrapping_add(n.wrapping_mul(331)) % 22_000) as u16;
    let mut ports = std::iter::repeat_with(|| port(ASKED.fetch_add(1, Ordering::Relaxed)));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.by_ref().take(22_000).find(is_free).expect("loopback has a free port")
}

/// How a server is started.
pub(crate) struct Setup {
    config: String,
    flags: Vec<String>,
    insecure_dev: bool,
    environment: Vec<(String, String)>,
    home: TempDir,
}

impl Setup {
    /// Starts with a variable set.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The data folder that will be.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Adds to the configuration file.
    pub(crate) fn config(mut self, yaml: &str) -> Self {
        self.config.push_str(yaml);
        self
    }

    /// Follows an upstream as `mesh/config`, looked at every `poll`.
    pub(crate) fn upstream(self, url: &str, poll: &str) -> Self {
        let secret = self.secret("hook", "hook-secret");
        self.config(&format!(
            "repositories:\n  - name: mesh/config\n    upstream: {{url: \"{url}\", branch: main}}\n    \
             poll: {poll}\n    webhook: {{full_name: mesh/config, secret_files: [{}]}}\n",
            secret.display()
        ))
    }

    /// The people of the tests: ann writes, the others decide.
    pub(crate) fn people(self) -> Self {
        self.config(
            "people:\n  - {name: ann, emails: [ada@example.com], slack: [U0ANN]}\n  \
             - {name: bob, slack: [U0BOB]}\n  - {name: cleo, slack: [U0CLEO]}\n  \
             - {name: dan, slack: [U0DAN]}\n",
        )
    }

    /// Shows cards in a stand-in for Slack.
    pub(crate) fn slack(self, url: &str) -> Self {
        let signing = self.secret("signing", super::slack::SIGNING_SECRET);
        let token = self.secret("bot", super::slack::BOT_TOKEN);
        self.config(&format!(
            "slack:\n  signing_secret_files: [{}]\n  bot_token_file: {}\n  channel: C0MESH\n  \
             api_url: {url}/api\n",
            signing.display(),
            token.display()
        ))
    }

    /// The same in Socket Mode.
    pub(crate) fn slack_socket(self, url: &str) -> Self {
        let app = self.secret("app", "xapp-test");
        let setup = self.slack(url);
        setup.config(&format!("  app_token_file: {}\n", app.display()))
    }

    /// Starts without `--insecure-dev`.
    pub(crate) fn authenticated(mut self) -> Self {
        self.insecure_dev = false;
        self
    }

    /// Adds a flag.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Writes a secret file and names it.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.home.path().join(name);
        std::fs::write(&path, text).expect("the home can be written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("the mode can be set");
        path
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(self) -> Convoy {
        let config = self.home.path().join("convoy.yaml");
        std::fs::write(&config, &self.config).expect("the home can be written");
        let mut convoy = Convoy {
            http: free_port(),
            xds: free_port(),
            flags: self.flags,
            insecure_dev: self.insecure_dev,
            environment: self.environment,
            home: self.home,
            log: Arc::default(),
            running: None,
        };
        convoy.start_again();
        convoy
    }
}

/// A running server.
pub(crate) struct Convoy {
    http: u16,
    xds: u16,
    flags: Vec<String>,
    insecure_dev: bool,
    environment: Vec<(String, String)>,
    home: TempDir,
    log: Arc<Mutex<String>>,
    running: Option<Beside>,
}

impl Convoy {
    /// A server on an empty folder, not started yet.
    pub(crate) fn with() -> Setup {
        let home = tempfile::tempdir().expect("there is room for a home");
        Setup {
            config: String::new(),
            flags: Vec::new(),
            insecure_dev: true,
            environment: Vec::new(),
            home,
        }
    }

    /// Starts it (again) on its folder and waits until it is ready.
    pub(crate) fn start_again(&mut self) {
        let mut command = self.command("serve");
        command
            .args(["--config", &self.home.path().join("convoy.yaml").display().to_string()])
            .args(["--data", &self.data().display().to_string()])
            .args(["--listen", &format!("127.0.0.1:{}", self.http)])
            .args(["--xds-listen", &self.xds_address()])
            .args(self.insecure_dev.then_some("--insecure-dev"))
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped());
        if let Some(envoys) = std::env::var_os("CONVOY_ENVOYS") {
            command.env("CONVOY_ENVOYS", envoys);
        }
        let mut running = Beside::start(&mut command);
        let stderr = running.child.stderr.take().expect("stderr is piped");
        let log = self.log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = log.lock().expect("nobody panics with the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        self.running = Some(running);
        wait_for("the server to be ready", || {
            let ended = self.running.as_mut().and_then(|running| running.child.try_wait().ok()?);
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.log());
            self.try_get("/readyz").map_err(|error| format!("{error}\n{}", self.log()))
        });
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.running.as_mut()?.child.try_wait().ok()??.code()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Stops it with SIGTERM and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut running = self.running.take()?;
        let id = i32::try_from(running.child.id()).ok().and_then(rustix::process::Pid::from_raw)?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM).ok()?;
        running.child.wait().ok()?.code()
    }

    /// A command of the program that talks to this server.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("CONVOY_URL", self.url())
            .arg(verb);
        command
    }

    /// Where the console is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// Where xDS is.
    pub(crate) fn xds_address(&self) -> String {
        format!("127.0.0.1:{}", self.xds)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The folder of everything about this server.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// How much memory it holds, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let id = self.running.as_ref().expect("it runs").child.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        size.unwrap_or_else(|| panic!("no size in {status}"))
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panics with the log").clone()
    }

    /// Asks; `Err` where there is no 200.
    pub(crate) fn try_get(&self, path: &str) -> Result<Value, String> {
        let answer = client().get(format!("{}{path}", self.url())).send();
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().map_err(|error| error.to_string())?;
        match status.is_success() {
            true => Ok(serde_json::from_str(&text).unwrap_or(Value::String(text))),
            false => Err(format!("{path}: {status} {text}")),
        }
    }

    /// Asks the API, as an answer that must come.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(&format!("/api/v1{path}")).expect("the API answers")
    }

    /// Posts to the API as `person`; gives status and body.
    pub(crate) fn post(&self, person: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = client()
            .post(format!("{}/api/v1{path}", self.url()))
            .header("content-type", "application/json")
            .header("x-convoy-person", person)
            .body(body.to_string());
        let answer = request.send().expect("the server answers");
        let status = answer.status().as_u16();
        let text = answer.text().expect("the answer is text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A stage's card on the board.
    pub(crate) fn stage(&self, name: &str) -> Result<Value, String> {
        let board = self.try_get("/api/v1/repos/mesh/config/board")?;
        let stages = board["stages"].as_array().cloned().unwrap_or_default();
        let found = stages.into_iter().find(|stage| stage["stage"] == name);
        found.ok_or_else(|| format!("no stage {name} in {board}"))
    }

    /// Waits until a stage serves `commit` and nothing is open for it.
    pub(crate) fn wait_served(&self, stage: &str, commit: &str) -> Value {
        wait_for(&format!("{stage} to serve {commit}"), || {
            let card = self.stage(stage)?;
            let done = card["live"]["commit"] == commit && card["open"] == json!([]);
            if done { Ok(card) } else { Err(card.to_string()) }
        })
    }

    /// Waits until the commit has a bundle of this status; gives its record.
    pub(crate) fn wait_bundle(&self, commit: &str, status: &str) -> Value {
        let brief = wait_for(&format!("a {status} bundle of {commit}"), || {
            let answer = self.try_get("/api/v1/repos/mesh/config/bundles")?;
            let bundles = answer["bundles"].as_array().cloned().unwrap_or_default();
            let found =
                bundles.into_iter().find(|b| b["commit"] == commit && b["status"] == status);
            found.ok_or_else(|| answer.to_string())
        });
        let id = brief["id"].as_str().expect("a bundle has an id");
        self.get(&format!("/bundles/{id}"))["bundle"].clone()
    }

    /// The mirror's state in one word, and all of it.
    pub(crate) fn mirror(&self) -> Result<(String, Value), String> {
        let repo = self.try_get("/api/v1/repos/mesh/config")?;
        let mirror = repo["mirror"].clone();
        let word = mirror["state"].as_str().ok_or_else(|| repo.to_string())?;
        Ok((word.to_owned(), mirror.clone()))
    }

    /// Waits until the mirror is in a state.
    pub(crate) fn wait_mirror(&self, state: &str) -> Value {
        wait_for(&format!("the mirror to be {state}"), || {
            let (word, mirror) = self.mirror()?;
            if word == state { Ok(mirror) } else { Err(mirror.to_string()) }
        })
    }
}

fn client() -> reqwest::blocking::Client {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(20));
    client.build().expect("a client can be made")
}
