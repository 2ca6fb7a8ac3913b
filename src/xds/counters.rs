//! What the hub counts, for telemetry to export.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts as of one moment. All but `streams` only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Streams that are open.
    pub streams: u64,
    /// Streams that were ever opened.
    pub streams_opened: u64,
    /// Streams that were refused or ended for a reason of ours.
    pub streams_refused: u64,
    /// Requests that came.
    pub requests: u64,
    /// Responses that were sent.
    pub pushes: u64,
    /// Resources in them.
    pub resources_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Responses that clients took.
    pub acks: u64,
    /// Responses that clients refused.
    pub nacks: u64,
    /// Reports that found the channel full.
    pub reports_dropped: u64,
}

/// One number that any thread may raise.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts at work.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) opened: Count,
    pub(super) closed: Count,
    pub(super) refused: Count,
    pub(super) requests: Count,
    pub(super) pushes: Count,
    pub(super) resources: Count,
    pub(super) bytes: Count,
    pub(super) acks: Count,
    pub(super) nacks: Count,
    pub(super) reports_dropped: Count,
}

impl Counts {
    /// The counts now.
    pub(super) fn read(&self) -> HubCounters {
        let closed = self.closed.get();
        let streams_opened = self.opened.get();
        HubCounters {
            streams: streams_opened.saturating_sub(closed),
            streams_opened,
            streams_refused: self.refused.get(),
            requests: self.requests.get(),
            pushes: self.pushes.get(),
            resources_sent: self.resources.get(),
            bytes_sent: self.bytes.get(),
            acks: self.acks.get(),
            nacks: self.nacks.get(),
            reports_dropped: self.reports_dropped.get(),
        }
    }
}
