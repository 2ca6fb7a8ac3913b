//! References between resources: what one names, another must be.
//!
//! Works over decoded messages of any type, `Any`s within `Any`s included, so
//! that a filter nobody here has heard of is checked as soon as it names a
//! cluster the way Envoy's messages do. What the names mean is in
//! [`references/mention.rs`](mention); this file holds them against what is there.
//! References whose config source is not this control plane are left alone.

mod mention;

use std::collections::BTreeSet;
use std::sync::Arc;

use prost_reflect::DynamicMessage;

use self::mention::mentions;
use crate::model::{Mention, Problem, Resource, ResourceKind, TypeUrl, did_you_mean};
use crate::schema::Schema;

/// Every reference that leads nowhere within `resources` (one node group's
/// complete set): route → cluster, listener → route, cluster → endpoints,
/// anything → secret … Of the kinds that are `incomplete`, because a mistake
/// kept some of them back, nothing is reported missing.
pub fn check(
    schema: &Schema,
    resources: &[Arc<Resource>],
    incomplete: &BTreeSet<ResourceKind>,
) -> Vec<Problem> {
    let decode = |type_url: &TypeUrl, body: &[u8]| schema.decode(type_url, body).ok();
    check_with(&decode, resources, incomplete)
}

/// Everything that one message names.
pub(super) fn of(schema: &Schema, type_url: &TypeUrl, body: &[u8]) -> Vec<Mention> {
    let decode = |type_url: &TypeUrl, body: &[u8]| schema.decode(type_url, body).ok();
    decode(type_url, body).map(|message| mentions(&decode, &message)).unwrap_or_default()
}

/// What people call a resource of a type.
pub(super) fn called(type_url: &TypeUrl) -> &str {
    match type_url.kind() {
        Some(kind) => singular(kind),
        None => type_url.message(),
    }
}

/// How a message is decoded; `None` where it can't be. Decoding is what others
/// report on, so an unreadable message simply mentions nothing here.
type Decode<'a> = dyn Fn(&TypeUrl, &[u8]) -> Option<DynamicMessage> + 'a;

fn check_with(
    decode: &Decode<'_>,
    resources: &[Arc<Resource>],
    incomplete: &BTreeSet<ResourceKind>,
) -> Vec<Problem> {
    let names = Names::of(resources);
    let mut problems = BTreeSet::new();
    for one in resources {
        let named = one.derived.mentions(|| {
            let message = decode(&one.type_url, &one.body);
            message.map(|message| mentions(decode, &message)).unwrap_or_default()
        });
        let missing = named.iter().filter(|m| !names.hold(m) && !incomplete.contains(&m.kind));
        problems.extend(missing.map(|mention| problem(one, mention, &names)));
    }
    problems.into_iter().collect()
}

/// The names that are there, sorted.
struct Names<'a>(Vec<(ResourceKind, &'a str)>);

impl<'a> Names<'a> {
    fn of(resources: &'a [Arc<Resource>]) -> Self {
        let named = |one: &'a Arc<Resource>| Some((one.type_url.kind()?, &*one.name.0));
        let mut names: Vec<_> = resources.iter().filter_map(named).collect();
        // They mostly are in order, and each is there once.
        names.sort_unstable();
        Self(names)
    }

    fn hold(&self, mention: &Mention) -> bool {
        self.0.binary_search(&(mention.kind, mention.name.as_str())).is_ok()
    }

    /// A hint at the name of the same kind that is most like `mention`'s.
    fn hint(&self, mention: &Mention) -> Option<String> {
        let same_kind = self.0.iter().filter(|(kind, _)| *kind == mention.kind);
        did_you_mean(&mention.name, same_kind.map(|(_, name)| *name))
    }
}

fn problem(one: &Resource, mention: &Mention, names: &Names<'_>) -> Problem {
    let (rule, what) = match mention.kind {
        ResourceKind::Clusters => ("missing-cluster", "cluster"),
        ResourceKind::Endpoints => ("missing-endpoints", "endpoints"),
        ResourceKind::Secrets => ("missing-secret", "secret"),
        ResourceKind::ExtensionConfigs => ("missing-extension-config", "extension config"),
        _ => ("missing-route", "route configuration"),
    };
    let user = called(&one.type_url);
    let message = format!(
        "{user} `{}` names the {what} `{}`, {}",
        one.name,
        mention.name,
        not_there(mention)
    );
    let hint = names.hint(mention).unwrap_or_else(|| match mention.kind {
        ResourceKind::Endpoints => {
            "list its hosts in discovery/, or define them under resources/endpoints/".into()
        }
        kind => format!("define it under resources/{}/", kind.folder()),
    });
    Problem::new(one.place.clone(), rule, message).with_hint(hint)
}

fn not_there(mention: &Mention) -> &'static str {
    match mention.kind {
        ResourceKind::Endpoints => "which are not there",
        _ => "which is not there",
    }
}

/// What people call one resource of a kind.
fn singular(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Clusters => "cluster",
        ResourceKind::Endpoints => "endpoints",
        ResourceKind::Secrets => "secret",
        ResourceKind::ExtensionConfigs => "extension config",
        ResourceKind::Listeners => "listener",
        ResourceKind::ScopedRoutes => "scoped route",
        ResourceKind::Routes => "route configuration",
        ResourceKind::VirtualHosts => "virtual host",
        ResourceKind::Runtime => "runtime",
    }
}

#[cfg(test)]
mod tests;
