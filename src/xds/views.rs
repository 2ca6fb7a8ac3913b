//! What the scopes leave of snapshots: made once for all who see the same, so
//! that they share resources and frames too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::access::Scope;
use crate::model::{ResourceKind, SnapshotKey};
use crate::snapshot::Snapshot;

/// Views are looked through for dead ones each time so many were added.
const SWEEP_AT: usize = 256;

/// The part of a scope that decides what is seen. Scopes that differ in
/// nothing else share their views.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sight {
    kinds: Vec<ResourceKind>,
    secrets: Vec<String>,
    /// Secrets are seen only where nobody can listen.
    secure: bool,
}

impl Sight {
    pub(super) fn of(scope: &Scope, secure: bool) -> Self {
        let rule = scope.rule();
        Self { kinds: rule.kinds.clone(), secrets: rule.secrets.clone(), secure }
    }
}

/// The views that are in use, the newest of a key last: there are two while a
/// candidate is tried. They live as long as somebody is served them. Those of
/// one place are cut behind a lock of its own: whoever waits there would have
/// made the same view, and nobody else waits.
#[derive(Debug, Default)]
pub(super) struct Views(Mutex<HashMap<(SnapshotKey, Arc<Sight>), Cuts>>);

/// What was cut for one key and sight.
type Cuts = Arc<Mutex<Vec<Made>>>;

/// A view, and what it was cut from.
#[derive(Debug)]
struct Made {
    from: Weak<Snapshot>,
    view: Weak<Snapshot>,
}

impl Made {
    fn is_used(&self) -> bool {
        self.view.strong_count() > 0
    }
}

impl Views {
    /// What `sight`, which is `scope`'s, sees of a snapshot.
    pub(super) fn view(
        &self,
        snapshot: &Arc<Snapshot>,
        sight: &Arc<Sight>,
        scope: &Scope,
    ) -> Arc<Snapshot> {
        let own = self.of(&snapshot.key, sight);
        let mut made = locked(&own);
        let same = made.iter().find(|made| std::ptr::eq(made.from.as_ptr(), Arc::as_ptr(snapshot)));
        if let Some(view) = same.and_then(|made| made.view.upgrade()) {
            return view;
        }
        let before = made.iter().rev().find_map(|made| made.view.upgrade());
        let secrets = ResourceKind::Secrets.type_url();
        let view = snapshot.seen_by(
            |type_url, name| (sight.secure || *type_url != secrets) && scope.sees(type_url, name),
            before.as_deref(),
        );
        made.retain(Made::is_used);
        made.push(Made { from: Arc::downgrade(snapshot), view: Arc::downgrade(&view) });
        view
    }

    /// The place of one sight's views.
    fn of(&self, key: &SnapshotKey, sight: &Arc<Sight>) -> Arc<Mutex<Vec<Made>>> {
        let mut views = locked(&self.0);
        let place = (key.clone(), sight.clone());
        if let Some(known) = views.get(&place) {
            return known.clone();
        }
        if views.len() % SWEEP_AT == SWEEP_AT - 1 {
            // One that is being cut is somebody's, and stays.
            views.retain(|_, made| {
                Arc::strong_count(made) > 1 || locked(made).iter().any(Made::is_used)
            });
        }
        views.entry(place).or_default().clone()
    }
}

fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::NodeScope;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key, resource};

    fn scope(secrets: &[&str], nodes: &[&str]) -> Scope {
        let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect();
        let (secrets, nodes) = (texts(secrets), texts(nodes));
        Scope::new(NodeScope { secrets, nodes, ..NodeScope::default() }).unwrap()
    }

    fn snapshot(secret: &[u8]) -> Arc<Snapshot> {
        let secret = resource(ResourceKind::Secrets, "s", secret);
        Arc::new(build(key("beta"), &[cluster("a", 1), secret]))
    }

    #[test]
    fn who_sees_the_same_shares_one_view() {
        let (views, all) = (Views::default(), snapshot(b"1"));
        let view =
            |scope: &Scope, secure| views.view(&all, &Arc::new(Sight::of(scope, secure)), scope);
        let one = view(&scope(&[], &["a"]), true);
        assert!(Arc::ptr_eq(&one, &view(&scope(&[], &["b"]), true)));
        assert_eq!(one.types.len(), 1);
        assert!(Arc::ptr_eq(&all, &view(&scope(&["*"], &[]), true)));
        // Secrets don't go where somebody could listen.
        assert_eq!(view(&scope(&["*"], &[]), false).types.len(), 1);
    }

    #[test]
    fn two_snapshots_of_a_key_keep_a_view_each() {
        let (views, scope) = (Views::default(), scope(&[], &[]));
        let (base, candidate) = (snapshot(b"1"), snapshot(b"2"));
        let sight = Arc::new(Sight::of(&scope, true));
        let of = |snapshot| views.view(snapshot, &sight, &scope);
        let (one, two) = (of(&base), of(&candidate));
        assert!(Arc::ptr_eq(&one, &of(&base)));
        assert!(Arc::ptr_eq(&two, &of(&candidate)));
        assert!(Arc::ptr_eq(&one, &of(&base)));
    }

    #[test]
    fn views_nobody_is_served_are_forgotten() {
        let (views, scope) = (Views::default(), scope(&[], &[]));
        for number in 0..2 * SWEEP_AT {
            let sight = Sight { secrets: vec![number.to_string()], ..Sight::of(&scope, true) };
            views.view(&snapshot(b"1"), &Arc::new(sight), &scope);
        }
        assert!(views.0.lock().unwrap().len() <= SWEEP_AT);
    }
}
