//! A real OpenSSH server on loopback, for the user who runs the test.
//!
//! Needs Debian's `openssh-server`; a test fails, and says so, without it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use convoy::mirror::SshKey;
use tempfile::TempDir;
use tokio::time::Instant;

use super::process::{Beside, run};

const SSHD: &str = "/usr/sbin/sshd";

/// The server, its keys, and a client's key that it lets in.
#[derive(Debug)]
pub(crate) struct Sshd {
    _server: Beside,
    folder: TempDir,
    port: u16,
}

impl Sshd {
    /// Starts the server and waits until it takes connections.
    pub(crate) fn start() -> Self {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: apt-get install openssh-server");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        for key in ["host", "client"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
        }
        std::fs::copy(at("client.pub"), at("authorized_keys")).expect("copied");
        // sshd can't be given port 0 and asked; the gap is a moment.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.expect("a port is free").port();
        write_known_hosts(&at("host.pub"), &at("known_hosts"), port);
        std::fs::write(at("config"), config(&at("host"), &at("authorized_keys"), port))
            .expect("written");
        // As root, sshd wants the folder its package makes at boot.
        let _ = std::fs::create_dir_all("/run/sshd");
        let log = std::fs::File::create(at("log")).expect("the log can be made");
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f", &at("config")]).stdin(Stdio::null()).stderr(log);
        let server = Beside::start(&mut command);
        await_port(port, &at("log"));
        Self { _server: server, folder, port }
    }

    /// The URL of a Git folder by this server.
    pub(crate) fn url(&self, git_dir: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", run("id", &["-un"]), self.port, git_dir.display())
    }

    /// The client's key, and the host keys to pin.
    pub(crate) fn key(&self) -> SshKey {
        let at = |name: &str| self.folder.path().join(name);
        SshKey { key_file: at("client"), known_hosts: at("known_hosts") }
    }

    /// A key that the server does not know.
    pub(crate) fn strange_key(&self) -> SshKey {
        let file = self.folder.path().join("stranger");
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file.to_string_lossy()]);
        SshKey { key_file: file, ..self.key() }
    }

    /// The right key, but the pinned host key is another's.
    pub(crate) fn impostor(&self) -> SshKey {
        let at = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        write_known_hosts(&at("client.pub"), &at("impostor"), self.port);
        SshKey { known_hosts: at("impostor").into(), ..self.key() }
    }
}

fn config(host_key: &str, authorized: &str, port: u16) -> String {
    format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {host_key}\nAuthorizedKeysFile {authorized}\n\
         PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
    )
}

fn write_known_hosts(public_key: &str, file: &str, port: u16) {
    let key = std::fs::read_to_string(public_key).expect("the public key is there");
    std::fs::write(file, format!("[127.0.0.1]:{port} {key}")).expect("written");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn await_port(port: u16, log: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "sshd does not listen: {}", said());
        std::thread::sleep(Duration::from_millis(10));
    }
}
