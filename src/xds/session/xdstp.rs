//! Names of the form `xdstp://authority/type/id?context`.
//!
//! Opaque but for two rules: the order of the context parameters does not
//! count, and an id that ends in `/*` is a collection: it stands for every
//! name right below it that has the same context.

use std::collections::BTreeSet;

use crate::model::ResourceName;
use crate::snapshot::TypeSnapshot;

/// What such names begin with.
const SCHEME: &str = "xdstp://";

/// Whether `name` has this form.
pub(super) fn is_xdstp(name: &str) -> bool {
    name.starts_with(SCHEME)
}

/// Whether `name` is a collection.
pub(super) fn is_collection(name: &str) -> bool {
    is_xdstp(name) && split(name).0.ends_with("/*")
}

/// The resources of `current` that `asked` stands for.
pub(super) fn find(asked: &ResourceName, current: &TypeSnapshot) -> BTreeSet<ResourceName> {
    let (path, context) = split(&asked.0);
    let collection = path.strip_suffix('*').filter(|stem| stem.ends_with('/'));
    let stem = collection.unwrap_or(path);
    let from = ResourceName(stem.into());
    let near = current.resources.range(from..).map(|(name, _)| name);
    let near = near.take_while(|name| name.0.starts_with(stem));
    let fits = |name: &&ResourceName| {
        let (own, parameters) = split(&name.0);
        let member = own.strip_prefix(stem).filter(|member| !member.contains('/'));
        parameters == context
            && match collection {
                Some(_) => member.is_some_and(|member| !member.is_empty()),
                None => own == path,
            }
    };
    near.filter(fits).cloned().collect()
}

/// The name without its context, and the context's parameters, sorted.
fn split(name: &str) -> (&str, Vec<&str>) {
    let Some((path, context)) = name.split_once('?') else { return (name, Vec::new()) };
    let mut parameters: Vec<_> = context.split('&').filter(|one| !one.is_empty()).collect();
    parameters.sort_unstable();
    (path, parameters)
}

#[cfg(test)]
mod tests {
    use super::super::tests::script::{Kind, snapshot, thing};
    use super::*;

    fn check(names: &[&str], cases: &[(&str, &[&str])]) {
        let snapshot = snapshot(names.iter().map(|name| thing(Kind::Clusters, name, 1)));
        let current = &snapshot.types[&Kind::Clusters.type_url()];
        for (asked, expected) in cases {
            let found = find(&ResourceName((*asked).into()), current);
            let found: Vec<_> = found.iter().map(|name| name.0.as_ref()).collect();
            assert_eq!(found, *expected, "{asked}");
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_count() {
        check(
            &["xdstp://a/T/x?p=1&q=2", "xdstp://a/T/x", "xdstp://a/T/xy?p=1&q=2"],
            &[
                ("xdstp://a/T/x?q=2&p=1", &["xdstp://a/T/x?p=1&q=2"]),
                ("xdstp://a/T/x?p=1", &[]),
                ("xdstp://a/T/x?", &["xdstp://a/T/x"]),
                ("xdstp://b/T/x", &[]),
            ],
        );
    }

    #[test]
    fn a_collection_stands_for_what_is_right_below_it() {
        check(
            &[
                "xdstp://a/T/c/one",
                "xdstp://a/T/c/two",
                "xdstp://a/T/c/deep/three",
                "xdstp://a/T/c/four?p=1",
                "xdstp://a/T/cc/five",
            ],
            &[
                ("xdstp://a/T/c/*", &["xdstp://a/T/c/one", "xdstp://a/T/c/two"]),
                ("xdstp://a/T/c/*?p=1", &["xdstp://a/T/c/four?p=1"]),
                ("xdstp://a/T/none/*", &[]),
            ],
        );
        assert!(is_collection("xdstp://a/T/c/*?p=1"));
        assert!(!is_collection("a/*") && !is_collection("xdstp://a/T/c*"));
    }
}
