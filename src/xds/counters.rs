//! What the hub counts, for telemetry to export.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{ResourceKind, TypeUrl};
use crate::telemetry::metrics::{Distribution, Spread};

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
    /// Streams of nodes that had been here before.
    pub reconnects: u64,
    /// Reports that found the channel full.
    pub reports_dropped: u64,
    /// Requests that named another node than their stream's first one, which
    /// changes nothing.
    pub other_nodes: u64,
}

/// How long news take, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Lags {
    /// From a commit to its publication to a key.
    pub commit_to_publish: Spread,
    /// From a publication to each node's last ACK of it.
    pub publish_to_ack: Spread,
    /// From a commit to each node's last ACK of it.
    pub commit_to_ack: Spread,
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
    pub(super) reconnects: Count,
    pub(super) closed: Count,
    pub(super) refused: Count,
    pub(super) requests: Count,
    pub(super) pushes: Count,
    pub(super) resources: Count,
    pub(super) bytes: Count,
    pub(super) acks: Count,
    /// By kind, in the order of `ResourceKind::ALL`; the last one is for others.
    nacks: [Count; ResourceKind::ALL.len() + 1],
    /// From a commit to its publication.
    pub(super) publish_lag: Distribution,
    /// From a publication to a node's last ACK of it.
    pub(super) ack_lag: Distribution,
    /// From a commit to a node's last ACK of it.
    pub(super) commit_lag: Distribution,
    pub(super) reports_dropped: Count,
    pub(super) other_nodes: Count,
}

impl Counts {
    /// A response was refused.
    pub(super) fn nacked(&self, type_url: &TypeUrl) {
        let known = type_url.kind();
        let at = ResourceKind::ALL.iter().position(|kind| Some(*kind) == known);
        if let Some(count) = self.nacks.get(at.unwrap_or(ResourceKind::ALL.len())) {
            count.add(1);
        }
    }

    /// How many responses of each kind were refused, by the kind's word.
    pub(super) fn nacks_by_kind(&self) -> Vec<(&'static str, u64)> {
        let words = ResourceKind::ALL.iter().map(|kind| kind.folder()).chain(["other"]);
        words.zip(self.nacks.iter().map(Count::get)).collect()
    }

    /// How long news take.
    pub(super) fn lags(&self) -> Lags {
        Lags {
            commit_to_publish: self.publish_lag.read(),
            publish_to_ack: self.ack_lag.read(),
            commit_to_ack: self.commit_lag.read(),
        }
    }

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
            nacks: self.nacks.iter().map(Count::get).sum(),
            reconnects: self.reconnects.get(),
            reports_dropped: self.reports_dropped.get(),
            other_nodes: self.other_nodes.get(),
        }
    }
}
