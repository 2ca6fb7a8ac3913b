//! The clusters that a client was sent before it asked for endpoints.
//!
//! A cluster that warms needs its endpoints even if the client has their
//! version; so those of the clusters sent so far are owed when the client
//! begins to ask. Kept as the batches that were sent, which every stream
//! shares, so that a client that never asks costs a pointer or two.

use crate::model::ResourceName;
use crate::snapshot::Batch;

/// How many batches are told apart.
const BATCHES: usize = 4;

/// What was sent so far.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    batches: Vec<Batch>,
    /// More was sent than is told apart.
    all: bool,
}

impl Awaited {
    /// Clusters were sent.
    pub(super) fn add(&mut self, clusters: &Batch) {
        if self.all || clusters.iter().all(|cluster| cluster.endpoints.is_none()) {
            return;
        }
        self.batches.push(clusters.clone());
        if self.batches.len() > BATCHES {
            // Endpoints that come once too often cost a message; names that
            // are kept for every stream cost memory for as long as it lasts.
            *self = Self { batches: Vec::new(), all: true };
        }
    }

    /// Which of `names` a cluster waits for.
    pub(super) fn among<'a>(
        &self,
        names: impl Iterator<Item = &'a ResourceName>,
    ) -> Vec<ResourceName> {
        if self.batches.is_empty() && !self.all {
            return Vec::new();
        }
        let clusters = self.batches.iter().flat_map(|batch| batch.iter());
        let mut awaited: Vec<_> = clusters.filter_map(|one| one.endpoints.as_ref()).collect();
        awaited.sort_unstable();
        names.filter(|name| self.all || awaited.binary_search(name).is_ok()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::ContentHash;
    use crate::snapshot::Served;

    fn clusters(names: &[&str], eds: bool) -> Batch {
        let name = |name: &str| ResourceName(name.into());
        let one = |cluster: &&str| {
            Arc::new(Served {
                name: name(cluster),
                version: "1".into(),
                any: bytes::Bytes::new(),
                hash: ContentHash::of(cluster.as_bytes()),
                wrapping: crate::model::Wrapping::default(),
                endpoints: eds.then(|| name(cluster)),
            })
        };
        names.iter().map(one).collect()
    }

    fn check(awaited: &Awaited, expected: &[&str]) {
        let names = ["a", "b", "c"].map(|name| ResourceName(name.into()));
        let found = awaited.among(names.iter());
        assert_eq!(found.iter().map(|name| name.0.as_ref()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_clusters_that_were_sent_and_ask_for_endpoints_wait_for_them() {
        let mut awaited = Awaited::default();
        check(&awaited, &[]);
        awaited.add(&clusters(&["b"], false));
        check(&awaited, &[]);
        awaited.add(&clusters(&["a", "z"], true));
        awaited.add(&clusters(&["c"], true));
        check(&awaited, &["a", "c"]);
    }

    #[test]
    fn after_many_batches_every_name_is_taken_for_awaited() {
        let mut awaited = Awaited::default();
        (0..=BATCHES).for_each(|_| awaited.add(&clusters(&["a"], true)));
        assert!(awaited.batches.is_empty());
        check(&awaited, &["a", "b", "c"]);
    }
}
