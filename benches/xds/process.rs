//! A server in a process of its own, and what processes cost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// A server; it ends when it is dropped.
pub struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Server {
    /// Starts this very program as a server.
    pub fn start(words: &[&str]) -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a server");
        let orders = child.stdin.take().expect("its input");
        let mut answers = BufReader::new(child.stdout.take().expect("its output"));
        let port = read(&mut answers)["port"].as_u64().expect("a port");
        let port = u16::try_from(port).expect("a port");
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Self { child, orders, answers, address }
    }

    /// Gives an order; gives when, and the answer.
    pub fn order(&mut self, order: &str) -> (Instant, Value) {
        let at = Instant::now();
        writeln!(self.orders, "{order}").expect("a server that listens");
        self.orders.flush().expect("a server that listens");
        (at, read(&mut self.answers))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(answers: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    answers.read_line(&mut line).expect("a server that answers");
    serde_json::from_str(&line).expect("an answer that is JSON")
}

/// The CPU time that a process has used, in milliseconds, summed over the
/// threads that it has now.
pub fn cpu_ms(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let nanos = threads.filter_map(|thread| {
        let path = thread.ok()?.path().join("schedstat");
        let text = std::fs::read_to_string(path).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e6
}

/// The resident memory of a process, in KiB.
pub fn rss_kib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}
