//! What changes from one snapshot to another, resource by resource.
//!
//! For people: the console, the Slack card and `convoy diff` show it, and the
//! plan digest covers it. What goes over a stream is `xds`'s own comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::{Served, Snapshot};
use crate::model::{ResourceName, TypeUrl};
use crate::schema::Schema;

/// How a resource differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceChange {
    /// It is new.
    Added,
    /// Its content differs.
    Changed,
    /// It goes.
    Removed,
}

/// One resource that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDiff {
    /// Its type.
    pub type_url: TypeUrl,
    /// Its name.
    pub name: ResourceName,
    /// How.
    pub change: ResourceChange,
    /// A unified diff of its YAML form, three lines of context, no header.
    pub text: String,
}

/// Every resource that differs, by type then name. `None` is an empty snapshot.
pub fn diff(schema: &Schema, from: Option<&Snapshot>, to: Option<&Snapshot>) -> Vec<ResourceDiff> {
    let yaml = |type_url: &TypeUrl, served: &Served| {
        let text = match schema.decode(type_url, &served.body()) {
            Ok(message) => schema.to_yaml(&message),
            Err(error) => format!("# can't be shown: {error}\n"),
        };
        wrapping(served) + &text
    };
    diff_with(&yaml, from, to)
}

/// What is said around the message, as comments: it is no field of it.
fn wrapping(served: &Served) -> String {
    let ttl = served.wrapping.ttl.map(|ttl| format!("# ttl: {}s\n", ttl.as_secs_f64()));
    let aliases = served.wrapping.aliases.iter().map(|alias| format!("# alias: {alias}\n"));
    ttl.into_iter().chain(aliases).collect()
}

/// The comparison, apart from how a resource is shown.
fn diff_with(
    yaml: &dyn Fn(&TypeUrl, &Served) -> String,
    from: Option<&Snapshot>,
    to: Option<&Snapshot>,
) -> Vec<ResourceDiff> {
    let types: BTreeSet<_> =
        [from, to].into_iter().flatten().flat_map(|s| s.types.keys()).collect();
    let mut all = Vec::new();
    for type_url in types {
        let (old, new) = (resources(from, type_url), resources(to, type_url));
        let names: BTreeSet<_> = [old, new].into_iter().flatten().flat_map(|m| m.keys()).collect();
        for name in names {
            let at = |side: Option<&'_ BTreeMap<ResourceName, Arc<Served>>>| {
                side.and_then(|resources| resources.get(name)).cloned()
            };
            let (old, new) = (at(old), at(new));
            let Some(change) = change(old.as_deref(), new.as_deref()) else { continue };
            let shown =
                |one: Option<Arc<Served>>| one.map(|s| yaml(type_url, &s)).unwrap_or_default();
            let text = unified(&shown(old), &shown(new));
            let (type_url, name) = (type_url.clone(), name.clone());
            all.push(ResourceDiff { type_url, name, change, text });
        }
    }
    all
}

fn resources<'a>(
    snapshot: Option<&'a Snapshot>,
    type_url: &TypeUrl,
) -> Option<&'a BTreeMap<ResourceName, Arc<Served>>> {
    Some(&snapshot?.types.get(type_url)?.resources)
}

fn change(old: Option<&Served>, new: Option<&Served>) -> Option<ResourceChange> {
    match (old, new) {
        (None, Some(_)) => Some(ResourceChange::Added),
        (Some(_), None) => Some(ResourceChange::Removed),
        (Some(old), Some(new)) if old.hash != new.hash => Some(ResourceChange::Changed),
        _ => None,
    }
}

fn unified(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Resource, ResourceKind, Wrapping};
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key, resource};

    fn check(from: Option<&Snapshot>, to: Option<&Snapshot>, expected: &[&str]) {
        let yaml = |_: &TypeUrl, served: &Served| {
            format!("name: {}\nversion: {}\n", served.name, served.version)
        };
        let found: Vec<_> = diff_with(&yaml, from, to)
            .iter()
            .map(|one| format!("{} {} {:?}", one.type_url.message(), one.name, one.change))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn differences_come_by_type_then_name() {
        let from = build(key("beta"), &[cluster("a", 1), cluster("b", 1), cluster("c", 1)]);
        let route = resource(ResourceKind::Routes, "r", b"r");
        let to = build(key("beta"), &[cluster("a", 1), cluster("b", 2), cluster("d", 1), route]);
        let expected = [
            "envoy.config.cluster.v3.Cluster b Changed",
            "envoy.config.cluster.v3.Cluster c Removed",
            "envoy.config.cluster.v3.Cluster d Added",
            "envoy.config.route.v3.RouteConfiguration r Added",
        ];
        check(Some(&from), Some(&to), &expected);
        check(Some(&from), Some(&from), &[]);
    }

    #[test]
    fn nothing_is_an_empty_snapshot() {
        let some = build(key("beta"), &[cluster("a", 1)]);
        check(None, Some(&some), &["envoy.config.cluster.v3.Cluster a Added"]);
        check(Some(&some), None, &["envoy.config.cluster.v3.Cluster a Removed"]);
        check(None, None, &[]);
    }

    #[test]
    fn the_text_has_three_lines_of_context_and_no_header() {
        let lines = |changed: &str| format!("1\n2\n3\n4\n{changed}\n6\n7\n8\n9\n");
        let text = unified(&lines("5"), &lines("five"));
        assert_eq!(text, "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    }

    #[test]
    fn a_changed_time_to_live_shows() {
        let with = |seconds: u64| {
            let mut one = Resource::clone(&cluster("a", 1));
            let ttl = Some(Duration::from_secs(seconds));
            one.wrapping = Wrapping { ttl, aliases: vec![ResourceName("b".into())] };
            one.hash = one.wrapping.hash(&one.body);
            build(key("beta"), &[Arc::new(one)])
        };
        let found = diff(&Schema::load(), Some(&with(30)), Some(&with(60)));
        let expected = "@@ -1,4 +1,4 @@\n-# ttl: 30s\n+# ttl: 60s\n # alias: b\n name: a\n";
        assert!(found[0].text.starts_with(expected), "{}", found[0].text);
    }

    #[test]
    fn a_diff_shows_the_messages_as_yaml() {
        let from = build(key("beta"), &[cluster("a", 1)]);
        let to = build(key("beta"), &[cluster("a", 2)]);
        let found = diff(&Schema::load(), Some(&from), Some(&to));
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("-connect_timeout: 1s"), "{}", found[0].text);
        assert!(found[0].text.contains("+connect_timeout: 2s"), "{}", found[0].text);
    }
}
