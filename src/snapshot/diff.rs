//! What changes from one snapshot to another, resource by resource.
//!
//! For people: the console, the Slack card, pull requests and `convoy diff`
//! show it, and the plan digest covers it. What goes over a stream is `xds`'s
//! own comparison. Which fields differ is `diff/fields`, what that does to an
//! Envoy `diff/impact`.

mod fields;
mod impact;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_yaml::Value;
use similar::TextDiff;

pub use self::fields::FieldChange;
use self::fields::{Fields, fields};
pub use self::impact::Impact;
use self::impact::impact;
use super::{Served, Snapshot, mentioned, references};
use crate::model::{Mention, ResourceName, TypeUrl};
use crate::schema::Schema;

/// How many of those who name what goes are named.
const USERS_SHOWN_MAX: usize = 3;

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
    /// The fields that differ, where it changed; sensitive ones by a hash.
    #[serde(default)]
    pub fields: Vec<FieldChange>,
    /// How many more fields differ.
    #[serde(default)]
    pub more_fields: usize,
    /// What an Envoy that takes it does.
    pub impact: Impact,
}

impl ResourceDiff {
    /// The change in a few words for each field that differs, at most `max`:
    /// `cluster payments: connect_timeout: 1s → 3s`.
    pub fn sentences(&self, max: usize) -> Vec<String> {
        let what = format!("{} {}", references::called(&self.type_url), self.name);
        let word = match self.change {
            ResourceChange::Added => "is new".to_owned(),
            ResourceChange::Removed if self.impact == Impact::InPlace => "goes".to_owned(),
            ResourceChange::Removed => self.impact.to_string(),
            ResourceChange::Changed if self.fields.is_empty() => "differs".to_owned(),
            ResourceChange::Changed => {
                let shown = self.fields.iter().take(max);
                let mut all: Vec<_> = shown.map(|field| format!("{what}: {field}")).collect();
                let rest = self.fields.len() + self.more_fields - all.len();
                if rest > 0 {
                    all.push(format!("{what}: {rest} more field(s)"));
                }
                return all;
            }
        };
        vec![format!("{what} {word}")]
    }
}

/// A resource as it is shown.
#[derive(Default)]
struct Shown {
    text: String,
    /// Its fields, where it can be read.
    value: Option<Value>,
}

/// Every resource that differs, by type then name. `None` is an empty snapshot.
pub fn diff(schema: &Schema, from: Option<&Snapshot>, to: Option<&Snapshot>) -> Vec<ResourceDiff> {
    let show = |type_url: &TypeUrl, served: &Served| match schema.decode(type_url, &served.body()) {
        Ok(message) => Shown {
            text: wrapping(served) + &schema.to_yaml(&message),
            value: Some(schema.to_value(&message)),
        },
        Err(error) => Shown { text: format!("# can't be shown: {error}\n"), value: None },
    };
    let mut all = diff_with(&show, from, to);
    let gone = all.iter_mut().filter(|one| one.change == ResourceChange::Removed);
    note_users(schema, gone.collect(), to);
    all
}

/// What is said around the message, as comments: it is no field of it.
fn wrapping(served: &Served) -> String {
    let ttl = served.wrapping.ttl.map(|ttl| format!("# ttl: {}s\n", ttl.as_secs_f64()));
    let aliases = served.wrapping.aliases.iter().map(|alias| format!("# alias: {alias}\n"));
    ttl.into_iter().chain(aliases).collect()
}

/// The comparison, apart from how a resource is shown.
fn diff_with(
    show: &dyn Fn(&TypeUrl, &Served) -> Shown,
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
                |one: Option<Arc<Served>>| one.map(|s| show(type_url, &s)).unwrap_or_default();
            all.push(resource_diff(type_url, name, change, &shown(old), &shown(new)));
        }
    }
    all
}

fn resource_diff(
    type_url: &TypeUrl,
    name: &ResourceName,
    change: ResourceChange,
    old: &Shown,
    new: &Shown,
) -> ResourceDiff {
    let fields = match (&old.value, &new.value) {
        (Some(old), Some(new)) => fields(old, new),
        _ => Fields::default(),
    };
    ResourceDiff {
        type_url: type_url.clone(),
        name: name.clone(),
        change,
        text: unified(&old.text, &new.text),
        impact: impact(type_url.kind(), change, &fields.changes, Vec::new()),
        fields: fields.changes,
        more_fields: fields.more,
    }
}

/// Finds who still names what goes.
fn note_users(schema: &Schema, gone: Vec<&mut ResourceDiff>, to: Option<&Snapshot>) {
    let Some(to) = to.filter(|_| !gone.is_empty()) else { return };
    let names: BTreeSet<String> = gone.iter().map(|one| one.name.to_string()).collect();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let mut users: BTreeMap<Mention, Vec<String>> = BTreeMap::new();
    for (type_url, of_type) in &to.types {
        for one in of_type.resources.values() {
            // Reading the wire is cheap, reading the message is not.
            if mentioned(&one.body(), &names).is_empty() {
                continue;
            }
            for mention in references::of(schema, type_url, &one.body()) {
                let user = format!("{} {}", references::called(type_url), one.name);
                users.entry(mention).or_default().push(user);
            }
        }
    }
    for one in gone {
        let Some(kind) = one.type_url.kind() else { continue };
        let mention = Mention { kind, name: one.name.to_string() };
        let mut by = users.get(&mention).cloned().unwrap_or_default();
        by.truncate(USERS_SHOWN_MAX);
        one.impact = impact(Some(kind), one.change, &[], by);
    }
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
    use crate::snapshot::testing::{cluster, key, resource, route_to};

    fn check(from: Option<&Snapshot>, to: Option<&Snapshot>, expected: &[&str]) {
        let yaml = |_: &TypeUrl, served: &Served| Shown {
            text: format!("name: {}\nversion: {}\n", served.name, served.version),
            value: None,
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
        assert_eq!(found[0].sentences(5), ["cluster a: connect_timeout: 1s → 2s"]);
        assert_eq!(found[0].impact, Impact::RecreatesCluster);
    }

    #[test]
    fn what_goes_and_is_still_named_says_by_whom() {
        let route = route_to("main", "a");
        let from = build(key("beta"), &[cluster("a", 1), cluster("b", 1), route.clone()]);
        let to = build(key("beta"), &[route]);
        let found = diff(&Schema::load(), Some(&from), Some(&to));
        let told: Vec<_> = found.iter().flat_map(|one| one.sentences(5)).collect();
        let expected = [
            "cluster a goes, although route configuration main names it",
            "cluster b goes, and its connections close",
        ];
        assert_eq!(told, expected);
    }
}
