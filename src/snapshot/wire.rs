//! A snapshot at rest: one `DeltaDiscoveryResponse`, readable by any protobuf tool.
use bytes::Bytes;

use super::Snapshot;
use crate::model::SnapshotKey;

/// Why stored bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("the stored snapshot of {key} is damaged: {detail}")]
pub struct WireError {
    /// Whose.
    pub key: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Snapshot {
    /// The snapshot's stored form; equal snapshots give equal bytes.
    pub fn to_bytes(&self) -> Bytes {
        todo!()
    }
    /// Reads the stored form back, hashing every resource anew.
    ///
    /// # Errors
    /// The bytes are no such message, or a content does not fit its version.
    pub fn from_bytes(_key: SnapshotKey, _bytes: &Bytes) -> Result<Self, WireError> {
        todo!()
    }
}
