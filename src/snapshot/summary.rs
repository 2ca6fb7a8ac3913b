//! What differs between two sides, told in sentences: each change once with
//! the node groups that get it, what an Envoy does with it, and how many
//! connected nodes that concerns.
//!
//! For chat, where there is no room for a diff. What is sensitive is hidden.
//! Pure; called by `reconcile`, shown by `chat`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Impact, ResourceChange, ResourceDiff, Snapshot, diff, masked_sentences, references};
use crate::model::{ResourceName, SnapshotKey, TypeUrl};
use crate::schema::Schema;

/// One side: snapshots by what they are for (a node group, or a stage and a
/// node group).
pub type Sides = BTreeMap<String, Arc<Snapshot>>;

/// More changes than these are counted, not told.
const CHANGES_MAX: usize = 200;
/// Fields of one resource that are told.
const FIELDS_MAX: usize = 6;

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Resources that are new, by node group.
    pub added: usize,
    /// Resources whose content differs.
    pub changed: usize,
    /// Resources that go.
    pub removed: usize,
    /// Nodes that are connected now and would be served something else.
    pub nodes: usize,
    /// What Envoys do, and with how many resources: the gravest first.
    pub effects: Vec<(String, usize)>,
    /// What changes: the gravest first.
    pub changes: Vec<Change>,
    /// How many changes are not told.
    pub more: usize,
}

/// One change, wherever it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The resource, as in `cluster payments`.
    pub what: String,
    /// How it differs.
    pub change: ResourceChange,
    /// What differs, a field each: `connect_timeout: 1s → 3s`.
    pub details: Vec<String>,
    /// What an Envoy that takes it does.
    pub impact: Impact,
    /// What of the sides gets it.
    pub places: Vec<String>,
    /// How many connected nodes get it.
    pub nodes: usize,
}

impl Summary {
    /// Whether both sides are the same.
    pub fn is_empty(&self) -> bool {
        self.added + self.changed + self.removed == 0
    }
}

/// Compares two sides; `nodes` are those that are connected, by what they are
/// served, and `keep` says by its name whether a resource is looked at.
pub fn summarize(
    schema: &Schema,
    (from, to): (&Sides, &Sides),
    nodes: &BTreeMap<SnapshotKey, usize>,
    keep: &dyn Fn(&ResourceName) -> bool,
) -> Summary {
    let mut found = Found::default();
    let keys: std::collections::BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for place in keys {
        let (old, new) = (from.get(place), to.get(place));
        if old.zip(new).is_some_and(|(old, new)| old.version == new.version) {
            continue;
        }
        let Some(key) = new.or(old).map(|side| &side.key) else { continue };
        let nodes = nodes.get(key).copied().unwrap_or(0);
        let all = diff(schema, old.map(Arc::as_ref), new.map(Arc::as_ref));
        let kept: Vec<_> = all.into_iter().filter(|one| keep(&one.name)).collect();
        found.summary.nodes += if kept.is_empty() { 0 } else { nodes };
        for one in kept {
            found.add(one, place, nodes);
        }
    }
    found.end()
}

/// Names one change, wherever it comes to.
type Same = (TypeUrl, ResourceName, Vec<String>, u8);

#[derive(Default)]
struct Found {
    summary: Summary,
    changes: BTreeMap<Same, Change>,
    effects: BTreeMap<u8, usize>,
}

impl Found {
    fn add(&mut self, one: ResourceDiff, place: &str, nodes: usize) {
        match one.change {
            ResourceChange::Added => self.summary.added += 1,
            ResourceChange::Changed => self.summary.changed += 1,
            ResourceChange::Removed => self.summary.removed += 1,
        }
        let rank = rank(&one.impact, one.change);
        *self.effects.entry(rank).or_default() += 1;
        let what = format!("{} {}", references::called(&one.type_url), one.name);
        let details = details(&one, &what);
        let fresh = Change {
            what,
            change: one.change,
            details: details.clone(),
            impact: one.impact,
            places: Vec::new(),
            nodes: 0,
        };
        let change = self.changes.entry((one.type_url, one.name, details, rank)).or_insert(fresh);
        change.places.push(place.to_owned());
        change.nodes += nodes;
    }

    fn end(self) -> Summary {
        let effect = |(rank, count): (u8, usize)| (effect(rank).to_owned(), count);
        let mut changes: Vec<_> = self.changes.into_iter().collect();
        changes.sort_by_key(|((.., rank), _)| *rank);
        let more = changes.len().saturating_sub(CHANGES_MAX);
        let changes = changes.into_iter().take(CHANGES_MAX).map(|(_, change)| change).collect();
        let effects = self.effects.into_iter().map(effect).collect();
        Summary { effects, changes, more, ..self.summary }
    }
}

/// The fields of a change; what is new or goes has none.
fn details(one: &ResourceDiff, what: &str) -> Vec<String> {
    if one.change != ResourceChange::Changed {
        return Vec::new();
    }
    let before = format!("{what}: ");
    let own = |told: String| told.strip_prefix(&before).map(str::to_owned).unwrap_or(told);
    masked_sentences(one, FIELDS_MAX).into_iter().map(own).collect()
}

/// How grave it is: what may fail requests, then what loses connections.
fn rank(impact: &Impact, change: ResourceChange) -> u8 {
    match (impact, change) {
        (Impact::RemovedInUse { .. }, _) => 0,
        (Impact::DrainsListener, _) => 1,
        (Impact::RecreatesCluster, _) => 2,
        (Impact::DrainsChains { .. }, _) => 3,
        (Impact::Removed, _) | (Impact::InPlace, ResourceChange::Removed) => 4,
        (Impact::InPlace, _) => 5,
        (Impact::New, _) => 6,
    }
}

fn effect(rank: u8) -> &'static str {
    match rank {
        0 => "removed although still named",
        1 => "drained",
        2 => "made anew",
        3 => "drained in part",
        4 => "removed",
        5 => "changed in place",
        _ => "new",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeGroup, Resource, ResourceKind};
    use crate::snapshot::testing::{cluster, key, resource_of, route_to};
    use crate::snapshot::{build, testing};

    fn side(group: &str, resources: &[Arc<Resource>]) -> (String, Arc<Snapshot>) {
        let key = SnapshotKey { group: NodeGroup::new(group).unwrap(), ..key("beta") };
        (group.to_owned(), Arc::new(build(key, resources)))
    }

    fn nodes() -> BTreeMap<SnapshotKey, usize> {
        let of = |group: &str| SnapshotKey { group: NodeGroup::new(group).unwrap(), ..key("beta") };
        BTreeMap::from([(of("edge"), 3), (of("inner"), 4), (key("release"), 50)])
    }

    fn told(from: Sides, to: Sides) -> Summary {
        summarize(&Schema::load(), (&from, &to), &nodes(), &|_| true)
    }

    #[test]
    fn one_change_of_two_groups_is_told_once() {
        let both = |seconds| {
            let shared = [cluster("pay", seconds)];
            Sides::from([side("edge", &shared), side("inner", &shared)])
        };
        let summary = told(both(1), both(3));
        assert_eq!((summary.added, summary.changed, summary.removed), (0, 2, 0));
        assert_eq!((summary.nodes, summary.more), (7, 0));
        assert_eq!(summary.effects, [("made anew".to_owned(), 2)]);
        let change = Change {
            what: "cluster pay".into(),
            change: ResourceChange::Changed,
            details: vec!["connect_timeout: 1s → 3s".into()],
            impact: Impact::RecreatesCluster,
            places: vec!["edge".into(), "inner".into()],
            nodes: 7,
        };
        assert_eq!(summary.changes, [change]);
        assert!(told(both(1), both(1)).is_empty());
    }

    #[test]
    fn the_gravest_comes_first_and_who_still_names_it_is_told() {
        let route = route_to("main", "gone");
        let from = [cluster("gone", 1), cluster("a", 1), route.clone()];
        let to = [cluster("a", 2), cluster("b", 1), route];
        let summary = told(Sides::from([side("edge", &from)]), Sides::from([side("edge", &to)]));
        let what: Vec<_> = summary.changes.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(what, ["cluster gone", "cluster a", "cluster b"]);
        let by = vec!["route configuration main".to_owned()];
        assert_eq!(summary.changes[0].impact, Impact::RemovedInUse { by });
        let effects: Vec<_> = summary.effects.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(effects, ["removed although still named", "made anew", "new"]);
    }

    #[test]
    fn a_group_in_which_nothing_of_that_name_differs_touches_no_node() {
        let from = Sides::from([side("edge", &[cluster("a", 1)]), side("inner", &[])]);
        let to = Sides::from([side("edge", &[cluster("a", 1)]), side("inner", &[cluster("b", 1)])]);
        assert_eq!(told(from.clone(), to.clone()).nodes, 4);
        let only = summarize(&Schema::load(), (&from, &to), &nodes(), &|name| &*name.0 == "a");
        assert!(only.is_empty() && only.nodes == 0, "{only:?}");
    }

    #[test]
    fn no_secret_and_no_hash_of_one_is_told() {
        use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
        use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
            GenericSecret, Secret, secret,
        };
        use prost::Message as _;
        let secret = |text: &str| {
            let specifier = Some(data_source::Specifier::InlineString(text.into()));
            let source = DataSource { specifier, ..DataSource::default() };
            let generic = GenericSecret { secret: Some(source), ..GenericSecret::default() };
            let message =
                Secret { name: "token".into(), r#type: Some(secret::Type::GenericSecret(generic)) };
            Sides::from([side(
                "edge",
                &[resource_of(ResourceKind::Secrets, "token", message.encode_to_vec())],
            )])
        };
        let summary = told(secret("hunter1"), secret("hunter2"));
        let shown = format!("{summary:?}");
        assert_eq!(summary.changed, 1);
        assert!(!shown.contains("hunter") && !shown.contains("sha256"), "{shown}");
        assert!(shown.contains("[hidden]"), "{shown}");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let many: Vec<_> = (0..250).map(|n| testing::cluster(&format!("c{n:03}"), 1)).collect();
        let summary = told(Sides::new(), Sides::from([side("edge", &many)]));
        assert_eq!((summary.added, summary.changes.len(), summary.more), (250, CHANGES_MAX, 50));
    }
}
