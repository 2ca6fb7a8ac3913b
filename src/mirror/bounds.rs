//! The bounds of one fetch in progress: time, and bytes as they arrive.
//!
//! The readers that carry the remote's bytes ask here before and after every
//! read, so a transfer ends where a bound is passed and not when it is done.
//! Shared between the thread that fetches and the task that waits for it.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Limits, MirrorError};

/// What a server may send before the pack: capabilities and refs. A million
/// refs of usual length fit.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How much a fetch has used of what it may.
#[derive(Debug)]
pub(super) struct Bounds {
    deadline: Instant,
    time_max: Duration,
    pack_bytes_max: u64,
    pack_bytes: AtomicU64,
    answer_bytes: AtomicU64,
    receiving: AtomicBool,
    late: AtomicBool,
    /// Ends the fetch at its next step; gix looks at it too.
    pub(super) stop: AtomicBool,
}

impl Bounds {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            deadline: Instant::now() + limits.time_max,
            time_max: limits.time_max,
            pack_bytes_max: limits.bytes_max,
            pack_bytes: AtomicU64::new(0),
            answer_bytes: AtomicU64::new(0),
            receiving: AtomicBool::new(false),
            late: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// The time that is left, never zero (which some would read as no limit).
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Says that the remote has answered and the pack comes next.
    pub(super) fn begin_pack(&self) {
        self.receiving.store(true, Ordering::Relaxed);
    }

    /// Whether the pack has begun to come.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.load(Ordering::Relaxed)
    }

    /// The error of a fetch that ran out of time. A remote that never got to
    /// the pack is unreachable; one that sends too slowly is over the limit.
    pub(super) fn late(&self, url: &str) -> MirrorError {
        let seconds = self.time_max.as_secs_f64();
        if self.receiving.load(Ordering::Relaxed) {
            let detail = format!("the fetch took longer than {seconds} s");
            MirrorError::Limit { url: url.into(), detail }
        } else {
            let detail = format!("no answer within {seconds} s");
            MirrorError::Unreachable { url: url.into(), detail }
        }
    }

    /// The bound that was passed, if one was: it explains whatever else went
    /// wrong afterwards.
    pub(super) fn passed(&self, url: &str) -> Option<MirrorError> {
        let limit = |detail| Some(MirrorError::Limit { url: url.into(), detail });
        if self.pack_bytes.load(Ordering::Relaxed) > self.pack_bytes_max {
            return limit(format!("more than {} bytes to fetch", self.pack_bytes_max));
        }
        if self.answer_bytes.load(Ordering::Relaxed) > ANSWER_BYTES_MAX {
            return limit(format!("more than {ANSWER_BYTES_MAX} bytes of references"));
        }
        let late = self.late.load(Ordering::Relaxed) || Instant::now() >= self.deadline;
        late.then(|| self.late(url))
    }

    /// Fails once a bound is passed or the fetch is to stop.
    pub(super) fn check(&self) -> io::Result<()> {
        if Instant::now() >= self.deadline {
            self.late.store(true, Ordering::Relaxed);
        }
        let over = self.late.load(Ordering::Relaxed)
            || self.stop.load(Ordering::Relaxed)
            || self.pack_bytes.load(Ordering::Relaxed) > self.pack_bytes_max
            || self.answer_bytes.load(Ordering::Relaxed) > ANSWER_BYTES_MAX;
        if over { Err(io::Error::other("a limit of the fetch was passed")) } else { Ok(()) }
    }
}

/// What a reader's bytes count as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counts {
    /// An answer before the pack.
    Answer,
    /// The pack.
    Pack,
}

/// A reader that stops where a bound is passed.
pub(super) struct Guard<R> {
    inner: R,
    bounds: Arc<Bounds>,
    counts: Counts,
}

impl<R> Guard<R> {
    pub(super) fn new(inner: R, bounds: &Arc<Bounds>, counts: Counts) -> Self {
        Self { inner, bounds: Arc::clone(bounds), counts }
    }

    fn count(&self, bytes: usize) {
        let counter = match self.counts {
            Counts::Pack => &self.bounds.pack_bytes,
            // The pack comes inside an HTTP answer; it is counted once.
            Counts::Answer if self.bounds.receiving.load(Ordering::Relaxed) => return,
            Counts::Answer => &self.bounds.answer_bytes,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<R: BufRead> Read for Guard<R> {
    /// Takes what is there. gix's pipes would wait until the whole buffer is
    /// full, which a remote that drips can draw out for hours.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        self.consume(length);
        self.bounds.check()?;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Guard<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bounds.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count(amount);
        self.inner.consume(amount);
    }
}
