//! A part of a snapshot, for those who may not see all of it.
//!
//! Pure. The version of a type is that of what can be seen of it, so a change
//! of what is hidden changes nothing for who does not see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Snapshot, TypeSnapshot};
use crate::model::{ContentHash, ResourceName, TypeUrl};

impl Snapshot {
    /// What is left of a snapshot where only what `sees` says is seen; itself
    /// where that is all. A type that is seen whole stays the same pointer, and
    /// one whose rest is what `before` shows of it is the one of `before`.
    pub fn seen_by(
        self: &Arc<Self>,
        sees: impl Fn(&TypeUrl, &ResourceName) -> bool,
        before: Option<&Self>,
    ) -> Arc<Self> {
        let mut types = BTreeMap::new();
        let mut whole = true;
        for (type_url, all) in &self.types {
            let known = before.and_then(|before| before.types.get(type_url));
            let seen = seen_of(type_url, all, known, &sees);
            whole &= Arc::ptr_eq(&seen, all);
            if !seen.resources.is_empty() {
                types.insert(type_url.clone(), seen);
            }
        }
        if whole {
            return self.clone();
        }
        let parts = types.iter().flat_map(|(url, one): (&TypeUrl, &Arc<TypeSnapshot>)| {
            [url.0.as_bytes(), one.version.as_bytes()]
        });
        let version = ContentHash::of_parts(parts);
        Arc::new(Self { key: self.key.clone(), types, version })
    }
}

fn seen_of(
    type_url: &TypeUrl,
    all: &Arc<TypeSnapshot>,
    known: Option<&Arc<TypeSnapshot>>,
    sees: impl Fn(&TypeUrl, &ResourceName) -> bool,
) -> Arc<TypeSnapshot> {
    if all.resources.keys().all(|name| sees(type_url, name)) {
        return all.clone();
    }
    let seen = all.resources.iter().filter(|(name, _)| sees(type_url, name));
    let seen = TypeSnapshot::new(seen.map(|(name, one)| (name.clone(), one.clone())).collect());
    match known {
        Some(known) if known.version == seen.version => known.clone(),
        _ => Arc::new(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key, resource};

    fn snapshot(secrets: &[(&str, &[u8])]) -> Arc<Snapshot> {
        let secret = |(name, body): &(&str, &[u8])| resource(ResourceKind::Secrets, name, body);
        let mut all = vec![cluster("a", 1)];
        all.extend(secrets.iter().map(secret));
        Arc::new(build(key("beta"), &all))
    }

    fn only(wanted: &str) -> impl Fn(&TypeUrl, &ResourceName) -> bool {
        move |type_url, name| type_url.kind() != Some(ResourceKind::Secrets) || &*name.0 == wanted
    }

    #[test]
    fn a_snapshot_that_is_seen_whole_is_the_same_pointer() {
        let all = snapshot(&[("x", b"1")]);
        assert!(Arc::ptr_eq(&all.seen_by(|_, _| true, None), &all));
        assert!(Arc::ptr_eq(&all.seen_by(only("x"), None), &all));
    }

    #[test]
    fn what_is_hidden_changes_no_version_and_types_seen_whole_are_shared() {
        let (cds, sds) = (ResourceKind::Clusters.type_url(), ResourceKind::Secrets.type_url());
        let old = snapshot(&[("x", b"1"), ("y", b"1")]);
        let new = snapshot(&[("x", b"1"), ("y", b"2")]);
        let before = old.seen_by(only("x"), None);
        let after = new.seen_by(only("x"), Some(&before));
        assert_eq!(before.version, after.version);
        assert!(Arc::ptr_eq(&after.types[&cds], &new.types[&cds]));
        assert!(Arc::ptr_eq(&after.types[&sds], &before.types[&sds]));
        assert!(Arc::ptr_eq(&before.types[&cds], &old.types[&cds]));
        assert_eq!(before.types[&sds].resources.len(), 1);
        let nothing = old.seen_by(only("z"), None);
        assert!(!nothing.types.contains_key(&sds));
    }
}
