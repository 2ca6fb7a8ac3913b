//! What a program writes, taken as it comes: the beginning and the end of it,
//! however much there is between.
//!
//! It never touches a disk while the program runs, so one that writes without
//! end fills nothing. Called by `envoy`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::tasks::Tasks;

/// As much of the beginning as is kept.
const HEAD_BYTES: usize = 64 << 10;
/// As much of the end as is kept.
const TAIL_BYTES: usize = 256 << 10;
/// How long the last words of a program that has ended may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A log that is being taken. Dropping it stops that.
#[derive(Debug)]
pub(super) struct Log {
    ends: Arc<Mutex<Ends>>,
    closed: watch::Receiver<bool>,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    left_out: u64,
}

impl Log {
    /// A log, and where to write it.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        let mut reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let (ends, tasks) = (Arc::<Mutex<Ends>>::default(), Tasks::default());
        let (close, closed) = watch::channel(false);
        let taken = Arc::clone(&ends);
        tasks.spawn("smoke-log", async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                taken.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..read]);
            }
            let _ = close.send(true);
        });
        Ok((Self { ends, closed, tasks }, writer.into()))
    }

    /// The lines at its end.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = self.ends.lock().unwrap_or_else(PoisonError::into_inner).text();
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    /// The lines at its end, once the program has ended.
    pub(super) async fn last_words(&self) -> Vec<String> {
        let mut closed = self.closed.clone();
        let _ = timeout(LAST_WORDS, closed.wait_for(|closed| *closed)).await;
        self.lines()
    }

    /// All that was kept.
    pub(super) fn text(&self) -> String {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Ends {
    fn add(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(&bytes[room..]);
        // Twice as much, so that not every line moves all of it.
        if self.tail.len() > 2 * TAIL_BYTES {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.left_out += excess as u64;
    }

    fn text(&mut self) -> String {
        self.shorten();
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n… {} bytes are left out here …\n", self.left_out));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_of_a_long_log_are_kept() {
        let mut ends = Ends::default();
        ends.add(b"first\n");
        for _ in 0..100 {
            ends.add(&vec![b'x'; 32 << 10]);
        }
        ends.add(b"\nlast\n");
        let text = ends.text();
        assert!(text.starts_with("first\n") && text.ends_with("\nlast\n"));
        assert!(text.contains("bytes are left out here"), "{}", text.len());
        assert!(text.len() <= HEAD_BYTES + TAIL_BYTES + 64, "{}", text.len());
    }

    #[test]
    fn a_short_log_is_whole() {
        let mut ends = Ends::default();
        ends.add(b"a\nb\n");
        assert_eq!(ends.text(), "a\nb\n");
    }
}
