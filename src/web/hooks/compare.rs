//! The answer to `diff`: which resources differ, and where to read how.
//!
//! Names only: a resource's content is not for Slack, and comparing hashes
//! needs no decoding. The console's page shows the text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::GlobMatcher;

use crate::chat::{Message, clean, escape};
use crate::promote::DiffStat;
use crate::snapshot::{ResourceChange, Snapshot};

/// Longer lists are cut; the page has all of it.
const LINES_MAX: usize = 20;

/// One side: snapshots by what they are for (a node group, or a stage and a
/// node group).
pub(super) type Side = BTreeMap<String, Arc<Snapshot>>;

/// One resource that differs, ready to be sorted: what for, type, name.
type Row = (String, String, String, ResourceChange);

/// The summary of what changes from one side to the other.
/// `only` leaves out resources of other names.
pub(super) fn summary(
    title: &str,
    (from, to): (&Side, &Side),
    only: Option<&GlobMatcher>,
    page: &str,
) -> Message {
    let mut rows = rows(from, to);
    rows.retain(|(_, _, name, _)| only.is_none_or(|only| only.is_match(name)));
    let stat = stat(&rows);
    let link = format!("<{}|View diff>", page.replace('&', "&amp;"));
    let head = match rows.len() {
        0 => format!("*{}*: no difference", escape(title)),
        _ => format!(
            "*{}*: +{} ~{} −{} resources · {link}",
            escape(title),
            stat.added,
            stat.changed,
            stat.removed
        ),
    };
    let mut lines = vec![head];
    lines.extend(rows.iter().take(LINES_MAX - 2).map(line));
    if rows.len() > LINES_MAX - 2 {
        lines.push(format!("… and {} more", rows.len() - (LINES_MAX - 2)));
    }
    Message::plain(&lines.join("\n"))
}

fn rows(from: &Side, to: &Side) -> Vec<Row> {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let mut rows = Vec::new();
    for key in keys {
        let (old, new) = (from.get(key), to.get(key));
        if let (Some(old), Some(new)) = (old, new)
            && old.version == new.version
        {
            continue;
        }
        let (old, new) = (named(old), named(new));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for name @ (kind, resource) in names {
            let change = match (old.get(name), new.get(name)) {
                (None, _) => ResourceChange::Added,
                (_, None) => ResourceChange::Removed,
                (Some(old), Some(new)) if old == new => continue,
                _ => ResourceChange::Changed,
            };
            rows.push((key.clone(), kind.clone(), resource.clone(), change));
        }
    }
    rows
}

/// Every resource's content hash by (type, name).
fn named(
    snapshot: Option<&Arc<Snapshot>>,
) -> BTreeMap<(String, String), crate::model::ContentHash> {
    let types = snapshot.into_iter().flat_map(|snapshot| &snapshot.types);
    let all = types.flat_map(|(kind, of_type)| {
        of_type.resources.iter().map(|(name, served)| {
            ((short(&kind.to_string()).to_owned(), name.to_string()), served.hash)
        })
    });
    all.collect()
}

/// `type.googleapis.com/envoy.config.cluster.v3.Cluster` is `Cluster` to people.
fn short(type_url: &str) -> &str {
    type_url.rsplit(['.', '/']).next().unwrap_or(type_url)
}

fn stat(rows: &[Row]) -> DiffStat {
    let count = |wanted| rows.iter().filter(|row| row.3 == wanted).count();
    DiffStat {
        added: count(ResourceChange::Added),
        changed: count(ResourceChange::Changed),
        removed: count(ResourceChange::Removed),
    }
}

fn line((key, kind, name, change): &Row) -> String {
    let sign = match change {
        ResourceChange::Added => "+",
        ResourceChange::Changed => "~",
        ResourceChange::Removed => "−",
    };
    format!("{sign} {kind} `{}` ({})", clean(name, 100), clean(key, 130))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::hooks::testing::snapshot;

    fn side(resources: &[(&str, &str)]) -> Side {
        Side::from([("default".to_owned(), Arc::new(snapshot("canary", "default", resources)))])
    }

    #[test]
    fn every_kind_of_change_is_counted_and_named() {
        let from = side(&[("same", "1"), ("goes", "1"), ("differs", "1")]);
        let to = side(&[("same", "1"), ("comes", "1"), ("differs", "2")]);
        let message = summary("canary", (&from, &to), None, "https://convoy/diff?a=1&b=2");
        assert_eq!(
            message.text,
            "*canary*: +1 ~1 −1 resources · <https://convoy/diff?a=1&amp;b=2|View diff>\n\
             + Cluster `comes` (default)\n\
             ~ Cluster `differs` (default)\n\
             − Cluster `goes` (default)"
        );
    }

    #[test]
    fn equal_sides_say_so() {
        let both = side(&[("a", "1")]);
        assert_eq!(summary("x", (&both, &both), None, "https://c").text, "*x*: no difference");
    }

    #[test]
    fn a_long_list_is_cut_to_twenty_lines() {
        let names: Vec<_> = (0..500).map(|n| format!("cluster-{n:03}")).collect();
        let resources: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let text = summary("x", (&Side::new(), &side(&resources)), None, "https://c").text;
        assert_eq!(text.lines().count(), 20);
        assert!(text.ends_with("… and 482 more"), "{text}");
    }
}
