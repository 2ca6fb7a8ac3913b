//! Which resources a refusal is about, found in the client's own words.
//!
//! Envoy and gRPC name what they refuse, each in a form of its own. Only names
//! that were in the refused response are ever given, so that words in a message
//! can't accuse what was not sent. Pure.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::model::ResourceName;
use crate::snapshot::Served;

/// How many resources one refusal is put down to at most.
const BLAMED_MAX: usize = 32;
/// How many beginnings of an item are looked at in one message.
const ITEMS_MAX: usize = 512;
/// Shorter names are words that a sentence may hold by chance.
const MENTION_BYTES_MIN: usize = 3;

/// What stands right before a name that an item begins with:
/// `Error adding/updating cluster(s) NAME: why, NAME: why` (Envoy's CDS),
/// one item a line (its LDS), `resource index 2: NAME: why` (gRPC's core).
const BEFORE_ITEM: [&str; 6] = ["(s) ", ", ", "; ", "\n", "index ", "["];
/// What may surround a name: `resource "NAME"`, `route_config 'NAME'`.
const QUOTES: [char; 3] = ['"', '\'', '`'];

/// The resources among `sent` that `message` refuses, sorted; none where it
/// names none and several were sent.
pub(super) fn blamed(message: &str, sent: &[Arc<Served>]) -> Vec<ResourceName> {
    if let [only] = sent {
        return vec![only.name.clone()];
    }
    let named = pick(&items(message), sent);
    if !named.is_empty() {
        return named;
    }
    pick(&quoted(message), sent)
        .into_iter()
        .chain(mentioned(message, sent))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(BLAMED_MAX)
        .collect()
}

fn pick(names: &HashSet<&str>, sent: &[Arc<Served>]) -> Vec<ResourceName> {
    let named = sent.iter().filter(|one| names.contains(&*one.name.0));
    let named: BTreeSet<_> = named.map(|one| one.name.clone()).collect();
    named.into_iter().take(BLAMED_MAX).collect()
}

/// What may be a name at the beginning of an item: everything up to a colon.
/// Names have colons too, so every colon of the line may be the one.
fn items(message: &str) -> HashSet<&str> {
    let marks = BEFORE_ITEM
        .iter()
        .flat_map(|mark| message.match_indices(mark).map(|(at, mark)| at + mark.len()));
    let mut names = HashSet::new();
    for begin in std::iter::once(0).chain(marks).take(ITEMS_MAX) {
        let line = message[begin..].lines().next().unwrap_or("");
        // `resource index 2: NAME: …`
        let behind_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let behind_number = behind_number.strip_prefix(": ").filter(|rest| rest.len() < line.len());
        for text in [Some(line), behind_number].into_iter().flatten() {
            let ends = text.match_indices(": ").map(|(at, _)| at).take(8);
            names.extend(ends.map(|end| &text[..end]));
            names.extend(text.strip_suffix(':'));
        }
    }
    names
}

/// What stands in quotes.
fn quoted(message: &str) -> HashSet<&str> {
    let mut names = HashSet::new();
    for quote in QUOTES {
        // Quotes may be apostrophes: each piece between two may be a name.
        let pieces: Vec<_> = message.split(quote).take(ITEMS_MAX).collect();
        let inner = pieces.len().saturating_sub(1);
        names.extend(pieces.into_iter().take(inner).skip(1));
    }
    names
}

/// What a sentence holds as a word of its own.
fn mentioned(message: &str, sent: &[Arc<Served>]) -> Vec<ResourceName> {
    let is_end = |c: char| c.is_whitespace() || ",;:()[]{}\"'`".contains(c);
    let words: HashSet<_> = message
        .split(is_end)
        .chain(message.split_whitespace())
        .map(|word| word.trim_matches(|c: char| ",;:.()[]{}\"'`".contains(c)))
        .filter(|word| word.len() >= MENTION_BYTES_MIN)
        .collect();
    pick(&words, sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::cluster;

    fn sent(names: &[&str]) -> Vec<Arc<Served>> {
        names.iter().map(|name| Arc::new(Served::of(&cluster(name, 1)))).collect()
    }

    fn check(message: &str, among: &[&str], expected: &[&str]) {
        let found = blamed(message, &sent(among));
        let found: Vec<_> = found.iter().map(|name| &*name.0).collect();
        assert_eq!(found, expected, "{message}");
    }

    #[test]
    fn envoy_names_what_it_refuses() {
        let among = ["a", "api", "api-2", "web", "outbound|80||x.y:80", "xdstp://a/b?c=d"];
        let words = "Error adding/updating cluster(s) api: no such filter, web: bad type";
        check(words, &among, &["api", "web"]);
        check(
            "Error adding/updating listener(s) api-2: cannot bind '0.0.0.0:80'",
            &among,
            &["api-2"],
        );
        let lines = "Error adding/updating listener(s) a: unable to read file: /x\nweb: no\n";
        check(lines, &among, &["a", "web"]);
        let words = "Error adding/updating cluster(s) outbound|80||x.y:80: missing hosts";
        check(words, &among, &["outbound|80||x.y:80"]);
        check(
            "Error adding/updating listener(s) xdstp://a/b?c=d: no",
            &among,
            &["xdstp://a/b?c=d"],
        );
        check("web: Proto constraint validation failed (X)", &among, &["web"]);
    }

    #[test]
    fn grpc_names_what_it_refuses() {
        let among = ["api", "web", "edge"];
        let core = "xDS response validation errors: [resource index 0: api: INVALID_ARGUMENT: \
                    errors validating Cluster; resource index 2: edge: field x]";
        check(core, &among, &["api", "edge"]);
        let go = "error parsing 2 response: resource \"web\": unsupported type";
        check(go, &among, &["web"]);
        check("CDS response Cluster 'edge' validation error: no", &among, &["edge"]);
    }

    #[test]
    fn one_resource_in_a_response_is_the_one() {
        check("whatever", &["api"], &["api"]);
        check("route: unknown cluster 'web'", &["api"], &["api"]);
    }

    #[test]
    fn nobody_is_accused_by_chance() {
        check("a route of x is not what it was", &["a", "of", "is"], &[]);
        check("it failed", &["api", "web"], &[]);
        check("", &["api", "web"], &[]);
        check("Error adding/updating cluster(s) other: no", &["api", "web"], &[]);
    }

    #[test]
    fn a_name_within_another_is_not_meant() {
        check("Error adding/updating cluster(s) api-2: no", &["api", "api-2"], &["api-2"]);
        check("something about api-2 is wrong", &["api", "api-2"], &["api-2"]);
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<_> = (0..100).map(|n| format!("cluster-{n:03}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let items: Vec<_> = names.iter().map(|name| format!("{name}: no")).collect();
        let words = format!("Error adding/updating cluster(s) {}", items.join(", "));
        assert_eq!(blamed(&words, &sent(&names)).len(), BLAMED_MAX);
    }
}
