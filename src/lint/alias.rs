//! Other names that lead to two resources: whoever asks by such a name is
//! given one of them, and nothing tells the author which.
//!
//! The one rule here that is about resources together: it looks at those of
//! one group, which one client may ask for. Two resources of different types
//! may share a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Finding, Problem, Resource, ResourceName, Severity, TypeUrl};

/// The findings about one group's resources.
pub(super) fn check(group: &[Arc<Resource>]) -> Vec<Finding> {
    let aliased: Vec<_> = group.iter().filter(|one| !one.wrapping.aliases.is_empty()).collect();
    if aliased.is_empty() {
        return Vec::new();
    }
    let named = |one: &'_ Arc<Resource>| (one.type_url.clone(), one.name.clone());
    let own: BTreeMap<(TypeUrl, ResourceName), &Resource> =
        group.iter().map(|one| (named(one), &**one)).collect();
    let mut first: BTreeMap<(&TypeUrl, &ResourceName), &Resource> = BTreeMap::new();
    let mut found = Vec::new();
    for one in aliased {
        for alias in &one.wrapping.aliases {
            let owner = own.get(&(one.type_url.clone(), alias.clone()));
            let before = first.insert((&one.type_url, alias), one);
            found.extend(owner.map(|owner| is_a_name(one, alias, owner)));
            found.extend(before.map(|before| is_an_alias(one, alias, before)));
        }
    }
    found
}

fn is_a_name(one: &Resource, alias: &ResourceName, owner: &Resource) -> Finding {
    let message = format!(
        "`{}` has the alias `{alias}`, which is the name of another {}, in {}: \
         whoever asks for it is given that one",
        one.name,
        kind(one),
        owner.place,
    );
    finding(one, message)
}

fn is_an_alias(one: &Resource, alias: &ResourceName, before: &Resource) -> Finding {
    let message = format!(
        "`{}` and `{}`, in {}, both have the alias `{alias}`: \
         whoever asks for that {} is given only one of them",
        one.name,
        before.name,
        before.place,
        kind(one),
    );
    finding(one, message)
}

fn kind(one: &Resource) -> &str {
    one.type_url.message().rsplit('.').next().unwrap_or_default()
}

fn finding(one: &Resource, message: String) -> Finding {
    let hint = "leave the alias to one of them";
    let problem = Problem::new(one.place.clone(), "duplicate-alias", message).with_hint(hint);
    Finding { problem, severity: Severity::Error }
}
