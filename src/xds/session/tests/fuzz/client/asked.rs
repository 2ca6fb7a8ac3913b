//! What the model client asks for, and which resources that means.

use std::collections::BTreeSet;

use super::super::steps::{Item, World};
use super::Kind;

/// A subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) names: BTreeSet<String>,
    pub(super) wildcard: bool,
    /// Whether the wildcard was never said.
    pub(super) legacy: bool,
    /// Whether a name was ever said.
    pub(super) named: bool,
}

impl Asked {
    pub(super) fn is_for(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// As a list of all names.
    pub(super) fn list(&self) -> Vec<String> {
        let star = (self.wildcard && !self.legacy).then(|| "*".to_owned());
        star.into_iter().chain(self.names.iter().cloned()).collect()
    }
}

/// Whether what is absent from a state of the world of that kind is gone. The
/// legacy wildcard of virtual hosts stands for some of them, by name.
pub(super) fn is_full(kind: Kind, asked: &Asked) -> bool {
    let whole = asked.wildcard && !(kind == Kind::VirtualHosts && asked.legacy);
    matches!(kind, Kind::Clusters | Kind::Listeners) || whole
}

/// Whether a subscription reaches `name`.
pub(super) fn reaches(kind: Kind, asked: &Asked, name: &str, world: Option<&World>) -> bool {
    asked.is_for(name) || asked.names.iter().any(|one| targets(kind, one, world).contains(name))
}

/// The resources that an `xdstp` name is for without being their name.
pub(super) fn alike(asked: &str) -> &'static [&'static str] {
    match asked {
        "xdstp://a/C/x/*" => &["xdstp://a/C/x/1"],
        "xdstp://a/C/x/2?q=2&p=1" => &["xdstp://a/C/x/2?p=1&q=2"],
        _ => &[],
    }
}

/// What `asked` stands for in `world`: the resource of that name, the first
/// that has it for an alias, the virtual host that serves it, the same name
/// with its parameters in another order, or the members of a collection.
pub(super) fn targets(kind: Kind, asked: &str, world: Option<&World>) -> BTreeSet<String> {
    let of_kind = || world.into_iter().flatten().filter(|one| one.kind == kind);
    let first = |fits: &dyn Fn(&&Item) -> bool| of_kind().filter(fits).map(|one| one.name).min();
    let host = |one: &&Item| {
        let (route, host) = asked.rsplit_once('/').unwrap_or_default();
        let own = one.name.rsplit_once('/').is_some_and(|(own, _)| own == route);
        kind == Kind::VirtualHosts && own && one.domains().contains(&host)
    };
    let single = first(&|one| one.name == asked)
        .or_else(|| first(&|one| one.alias == Some(asked)))
        .or_else(|| first(&host));
    if let Some(name) = single {
        return BTreeSet::from([name.to_owned()]);
    }
    of_kind()
        .filter(|one| alike(asked).contains(&one.name))
        .map(|one| one.name.to_owned())
        .collect()
}
