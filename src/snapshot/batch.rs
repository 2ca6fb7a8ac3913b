//! Resources that go into one response together: encoded once, however many
//! streams send them.
//!
//! Pure. A batch is immutable and cheap to clone; equal lists made apart are
//! equal but don't share their bytes, so whoever wants them shared hands the
//! same batch on (`TypeSnapshot` does, for what many streams ask alike).

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};

use super::{Served, wire};

/// How many bytes of resources go into one incremental response: half of what
/// gRPC clients commonly take, which leaves room for one more of any usual size.
pub const PART_BYTES: usize = 2 << 20;

/// A list of resources of one type, each name once.
#[derive(Debug, Clone, Default)]
pub struct Batch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    resources: Vec<Arc<Served>>,
    /// As `DeltaDiscoveryResponse.resources`.
    entries: OnceLock<Bytes>,
    /// As `DiscoveryResponse.resources`.
    anys: OnceLock<Bytes>,
    /// Cut up; empty where one part holds all of it.
    parts: OnceLock<Vec<Batch>>,
}

impl Batch {
    /// The batch in parts that each fit an incremental response, unless a
    /// single resource does not. Cut once, so that streams share the parts too.
    pub fn parts(&self) -> Vec<Self> {
        let parts = self.0.parts.get_or_init(|| {
            let len = self.iter().map(|one| wire::entry_len(one)).sum::<usize>();
            if len <= PART_BYTES { Vec::new() } else { cut(self) }
        });
        if parts.is_empty() { vec![self.clone()] } else { parts.clone() }
    }

    /// The resources as fields of an incremental response.
    pub fn entries(&self) -> &Bytes {
        self.0.entries.get_or_init(|| {
            let len = self.iter().map(|one| wire::entry_len(one)).sum();
            let mut bytes = BytesMut::with_capacity(len);
            self.iter().for_each(|one| wire::put_entry(one, &mut bytes));
            bytes.freeze()
        })
    }

    /// The resources as fields of a state-of-the-world response.
    pub fn anys(&self) -> &Bytes {
        self.0.anys.get_or_init(|| {
            let len = self.iter().map(|one| wire::any_field_len(one)).sum();
            let mut bytes = BytesMut::with_capacity(len);
            self.iter().for_each(|one| wire::put_any_field(one, &mut bytes));
            bytes.freeze()
        })
    }
}

fn cut(resources: &[Arc<Served>]) -> Vec<Batch> {
    let mut parts: Vec<Vec<Arc<Served>>> = Vec::new();
    let mut room = 0;
    for one in resources {
        let len = wire::entry_len(one);
        match parts.last_mut().filter(|_| len <= room) {
            Some(last) => last.push(one.clone()),
            None => {
                parts.push(vec![one.clone()]);
                room = PART_BYTES;
            }
        }
        room = room.saturating_sub(len);
    }
    parts.into_iter().map(Batch::from).collect()
}

impl Deref for Batch {
    type Target = [Arc<Served>];

    fn deref(&self) -> &[Arc<Served>] {
        &self.0.resources
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl Eq for Batch {}

impl From<Vec<Arc<Served>>> for Batch {
    fn from(resources: Vec<Arc<Served>>) -> Self {
        Self(Arc::new(Inner { resources, ..Inner::default() }))
    }
}

impl FromIterator<Arc<Served>> for Batch {
    fn from_iter<I: IntoIterator<Item = Arc<Served>>>(resources: I) -> Self {
        resources.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Arc<Served>;
    type IntoIter = std::slice::Iter<'a, Arc<Served>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };
    use prost::Message;

    use super::*;
    use crate::model::ResourceKind;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key, resource};

    #[test]
    fn both_forms_read_back_as_the_resources_of_a_response() {
        let snapshot = build(key("beta"), &[cluster("a", 1), cluster("b", 1)]);
        let batch = snapshot.types[&ResourceKind::Clusters.type_url()].all();
        let delta = DeltaDiscoveryResponse::decode(batch.entries().clone()).unwrap();
        let names: Vec<_> = delta.resources.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let sotw = DiscoveryResponse::decode(batch.anys().clone()).unwrap();
        let bodies: Vec<_> = sotw.resources.iter().map(|any| any.value.clone()).collect();
        assert_eq!(bodies, batch.iter().map(|one| one.body()).collect::<Vec<_>>());
    }

    #[test]
    fn a_large_batch_is_cut_once_into_parts_that_fit() {
        let large = |name: &str, bytes: usize| {
            let one = resource(ResourceKind::Listeners, name, &vec![0; bytes]);
            Arc::new(Served::of(&one))
        };
        let half = PART_BYTES / 2;
        let sizes = [("a", half), ("b", half), ("c", 3 * half), ("d", 1), ("e", 1)];
        let batch: Batch = sizes.into_iter().map(|(name, bytes)| large(name, bytes)).collect();
        let names = |part: &Batch| part.iter().map(|one| one.name.to_string()).collect::<String>();
        assert_eq!(batch.parts().iter().map(names).collect::<Vec<_>>(), ["a", "b", "c", "de"]);
        let (first, again) = (batch.parts(), batch.clone().parts());
        assert_eq!(first[3].entries().as_ptr(), again[3].entries().as_ptr());
        let small: Batch = [large("a", 1)].into_iter().collect();
        assert_eq!(small.parts(), [small]);
    }

    #[test]
    fn a_clone_shares_its_bytes() {
        let snapshot = build(key("beta"), &[cluster("a", 1)]);
        let batch = snapshot.types[&ResourceKind::Clusters.type_url()].all();
        assert_eq!(batch.entries().as_ptr(), batch.clone().entries().as_ptr());
        assert_eq!(Batch::default().anys().len(), 0);
    }
}
