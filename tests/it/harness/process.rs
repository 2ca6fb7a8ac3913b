//! Programs that a test runs: to their end, or beside it until it ends.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that runs beside the test, killed with its group on drop.
#[derive(Debug)]
pub(crate) struct Beside {
    /// The program, for reading its output.
    pub(crate) child: Child,
}

impl Beside {
    /// Starts it as the leader of a group of its own.
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.process_group(0).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }
}

impl Beside {
    /// Reads the first line of a server's output, `listening on PORT`.
    pub(crate) fn listening_port(&mut self) -> u16 {
        let mut first = String::new();
        let stdout = self.child.stdout.take().expect("the output is piped");
        BufReader::new(stdout).read_line(&mut first).expect("the server says where it listens");
        let port = first.trim().strip_prefix("listening on ").and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("a server said {first:?}"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs a program to its end and gives its trimmed output; fails the test
/// where the program fails.
pub(crate) fn run(program: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    run_with(Command::new(program).args(arguments), &[])
}

/// Runs `git` in a Git folder, without the user's configuration.
pub(crate) fn git(git_dir: &Path, arguments: &[&str]) -> String {
    git_with(git_dir, arguments, &[])
}

/// As [`git`], with an input.
pub(crate) fn git_with(git_dir: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("git");
    command
        .env("GIT_DIR", git_dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(arguments);
    run_with(&mut command, input)
}

fn run_with(command: &mut Command, input: &[u8]) -> String {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    // All programs here read their input before they write much.
    let mut stdin = child.stdin.take().expect("the input is piped");
    stdin.write_all(input).unwrap_or_else(|error| panic!("{shown}: {error}"));
    drop(stdin);
    let output = child.wait_with_output().expect("the program is waited for once");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
