//! A bundle's content as files of its folder. The next bundle of a large
//! repository takes over what did not change: the same bytes, not encoded
//! again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::bundle::{Bundle, PlaceRecord};
use crate::model::{NodeGroup, Place, RepoName, ResourceName, Stage, TypeUrl};
use crate::snapshot::parts::{Cut, cut};

/// How many repositories' files are kept.
const KEPT_MAX: usize = 8;

/// What was stored last, of a few large repositories; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct StoredFiles(Arc<Mutex<Kept>>);

type Kept = VecDeque<(RepoName, Arc<Stored>)>;

/// The parts of a bundle that was stored.
#[derive(Debug)]
struct Stored {
    bundle: Arc<Bundle>,
    snapshots: BTreeMap<(Stage, NodeGroup), BTreeMap<u8, Bytes>>,
    places: BTreeMap<u8, Bytes>,
}

/// Where a resource was written.
type Placed<'b> = (&'b (TypeUrl, ResourceName), &'b Place);

impl StoredFiles {
    /// The files of `bundle`, by their path in its folder.
    pub(super) fn of(&self, repo: &RepoName, bundle: &Arc<Bundle>) -> Vec<(String, Bytes)> {
        let known = |(of, stored): &(RepoName, Arc<Stored>)| (of == repo).then(|| stored.clone());
        let before = self.kept().iter().find_map(known);
        let (stored, files) = files(bundle, before.as_deref());
        let mut kept = self.kept();
        kept.retain(|(of, _)| of != repo);
        // Small bundles have no parts, and nothing to take over.
        if !stored.places.is_empty() {
            kept.push_front((repo.clone(), Arc::new(stored)));
            kept.truncate(KEPT_MAX);
        }
        files
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn files(bundle: &Arc<Bundle>, before: Option<&Stored>) -> (Stored, Vec<(String, Bytes)>) {
    let mut files = Vec::new();
    let mut snapshots = BTreeMap::new();
    for (of, snapshot) in &bundle.snapshots {
        let before = before.and_then(|before| {
            Some((&**before.bundle.snapshots.get(of)?, before.snapshots.get(of)?))
        });
        let (first, parts) = snapshot.to_parts_on(before);
        let name = format!("snapshots/{}/{}", of.0, of.1);
        let file = |(part, bytes): (&u8, &Bytes)| (format!("{name}/{part:02x}.pb"), bytes.clone());
        files.extend(parts.iter().map(file));
        files.push((format!("{name}.pb"), first));
        snapshots.insert(of.clone(), parts);
    }
    let places = match places(bundle) {
        Cut::Whole(all) => {
            files.push(("places.json".into(), json(&all)));
            BTreeMap::new()
        }
        Cut::Parts(parts) => encoded(parts, before),
    };
    let file = |(part, bytes): (&u8, &Bytes)| (format!("places/{part:02x}.json"), bytes.clone());
    files.extend(places.iter().map(file));
    (Stored { bundle: bundle.clone(), snapshots, places }, files)
}

fn encoded(parts: BTreeMap<u8, Vec<Placed<'_>>>, before: Option<&Stored>) -> BTreeMap<u8, Bytes> {
    let before = before.and_then(|before| match places(&before.bundle) {
        Cut::Parts(parts) => Some((parts, &before.places)),
        Cut::Whole(_) => None,
    });
    let known = |number: u8, part: &[Placed<'_>]| {
        let (parts, stored) = before.as_ref()?;
        stored.get(&number).filter(|_| parts.get(&number).is_some_and(|old| old == part)).cloned()
    };
    let encode = |(number, part): (u8, Vec<_>)| {
        (number, known(number, &part).unwrap_or_else(|| json(&part)))
    };
    parts.into_iter().map(encode).collect()
}

fn places(bundle: &Bundle) -> Cut<Placed<'_>> {
    let all: Vec<_> = bundle.places.iter().collect();
    cut(all.into_iter(), |((_, name), _)| name)
}

/// Paths, names and numbers only, so it can always be written.
fn json(places: &[Placed<'_>]) -> Bytes {
    let records: Vec<_> = places.iter().copied().map(PlaceRecord::of).collect();
    let mut bytes = serde_json::to_vec_pretty(&records).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BundleId, ContentHash, FilePath};
    use crate::snapshot::testing::{cluster, key};
    use crate::snapshot::{Snapshot, build_on};

    fn bundle(count: usize, changed: usize, before: Option<&Bundle>) -> Arc<Bundle> {
        let version = |n| if n == changed { 2 } else { 1 };
        let all: Vec<_> = (0..count).map(|n| cluster(&format!("c{n}"), version(n))).collect();
        let of = (Stage::new("beta").unwrap(), NodeGroup::default());
        let before: Option<&Snapshot> =
            before.and_then(|before| Some(&**before.snapshots.get(&of)?));
        let snapshot = Arc::new(build_on(before, key("beta"), &all));
        let place = |n: usize| Place {
            file: FilePath::new(&format!("c{n}.yaml")).unwrap(),
            line: if n == changed { 7 } else { 1 },
            column: 1,
        };
        let named = |(n, one): (usize, &Arc<crate::model::Resource>)| {
            ((one.type_url.clone(), one.name.clone()), place(n))
        };
        Arc::new(Bundle {
            id: BundleId::of(&ContentHash::of(&changed.to_be_bytes())),
            snapshots: [(of, snapshot)].into(),
            places: all.iter().enumerate().map(named).collect(),
        })
    }

    #[test]
    fn what_is_taken_over_is_what_would_be_written() {
        let repo = RepoName::new("mesh/config").unwrap();
        for count in [3, 2000] {
            let stored = StoredFiles::default();
            let first = bundle(count, 0, None);
            let old: BTreeMap<_, _> = stored.of(&repo, &first).into_iter().collect();
            let second = bundle(count, 1, Some(&first));
            let new = stored.of(&repo, &second);
            assert_eq!(new, StoredFiles::default().of(&repo, &second), "{count}");
            let taken = |(path, bytes): &&(String, Bytes)| {
                old.get(path).is_some_and(|old| old.as_ptr() == bytes.as_ptr())
            };
            let taken = new.iter().filter(taken).count();
            // One of two parts of 64 differs, in the snapshot and in the places.
            assert_eq!(taken > 120, count == 2000, "{count}: {taken} of {}", new.len());
        }
    }
}
