//! What we know of each node, for people. Plain data; the hub fills it in.
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{NodeIdentity, SnapshotKey, TypeUrl};

/// A refused update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// The version refused.
    pub version: Arc<str>,
    /// Envoy's own words.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// One type on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeStatus {
    /// The type.
    pub type_url: TypeUrl,
    /// Whether it asks for all resources.
    pub wildcard: bool,
    /// How many names it asks for one by one.
    pub names: usize,
    /// The version sent last (of the whole type, for delta streams too).
    pub sent: Option<Arc<str>>,
    /// The version it took last.
    pub acked: Option<Arc<str>>,
    /// When it answered last, with either.
    pub answered_at: Option<Timestamp>,
    /// Its last refusal, until it takes a newer version.
    pub nacked: Option<Nack>,
}

/// One connected node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Who it is.
    pub identity: NodeIdentity,
    /// What it is served from; `None` where no stage matches.
    pub key: Option<SnapshotKey>,
    /// Since when.
    pub connected_at: Timestamp,
    /// How many streams it has open.
    pub streams: usize,
    /// By type, sorted.
    pub types: Vec<TypeStatus>,
}
