//! What was said and heard in one case: the evidence of a failure.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// How many lines are kept; a loop of answers must not fill the memory.
const MAX_LINES: usize = 60;

/// A record that the lines of a case write to; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    since: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Exchange {
    /// An empty record that begins now.
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), lines: Arc::default() }
    }

    /// Notes what happened.
    pub(super) fn note(&self, text: impl AsRef<str>) {
        let at = self.since.elapsed().as_millis();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.len() {
            kept if kept < MAX_LINES => lines.push(format!("{at:>6} ms {}", text.as_ref())),
            MAX_LINES => lines.push("          … and more of it".to_owned()),
            _ => {}
        }
    }

    /// Everything noted so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
