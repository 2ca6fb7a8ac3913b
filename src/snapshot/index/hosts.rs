//! Which virtual host of a route configuration serves a host name.
//!
//! Envoy's own order: the exact name, then `*.suffix` and after it `prefix.*`,
//! the longest first, then `*`. Letter case does not count.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;

use crate::model::ResourceName;
use crate::snapshot::Served;

/// The virtual hosts of all route configurations.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    routes: HashMap<String, Domains>,
}

/// One route configuration's domains.
#[derive(Debug, Default)]
struct Domains {
    exact: HashMap<String, ResourceName>,
    /// By what follows the `*`.
    suffixes: HashMap<String, ResourceName>,
    /// By what precedes the `*`.
    prefixes: HashMap<String, ResourceName>,
    any: Option<ResourceName>,
}

/// The field of a virtual host that says which hosts it serves; a decoder
/// skips all others.
#[derive(Clone, PartialEq, Message)]
struct VirtualHostPeek {
    #[prost(string, repeated, tag = "2")]
    domains: Vec<String>,
}

impl Hosts {
    /// Reads the domains of `all`, each named `route/…`.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Arc<Served>>) -> Self {
        let mut hosts = Self::default();
        for one in all {
            let Some((route, _)) = one.name.0.rsplit_once('/') else { continue };
            // What is no virtual host serves no host.
            let read = VirtualHostPeek::decode(one.body()).unwrap_or_default();
            let domains = hosts.routes.entry(route.to_owned()).or_default();
            read.domains.iter().for_each(|domain| domains.add(domain, &one.name));
        }
        hosts
    }

    /// The virtual host for `asked`, a `route/host`.
    pub(super) fn find(&self, asked: &str) -> Option<&ResourceName> {
        let (route, host) = asked.rsplit_once('/')?;
        let domains = self.routes.get(route)?;
        let host = host.to_ascii_lowercase();
        // A route may ignore the port, which is not to be seen from here; a
        // virtual host that Envoy does not match changes nothing there.
        let without_port = host.rsplit_once(':').map(|(name, _)| name);
        let found = domains.find(&host).or_else(|| domains.find(without_port?));
        found.or(domains.any.as_ref())
    }
}

impl Domains {
    fn add(&mut self, domain: &str, name: &ResourceName) {
        let domain = domain.to_ascii_lowercase();
        let (map, key) = match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
            (Some(""), _) => {
                self.any.get_or_insert_with(|| name.clone());
                return;
            }
            (Some(suffix), _) => (&mut self.suffixes, suffix),
            (None, Some(prefix)) => (&mut self.prefixes, prefix),
            (None, None) => (&mut self.exact, domain.as_str()),
        };
        map.entry(key.to_owned()).or_insert_with(|| name.clone());
    }

    /// The virtual host for `host`, `*` aside.
    fn find(&self, host: &str) -> Option<&ResourceName> {
        // A wildcard stands for one letter at least.
        let cuts = || host.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
        let suffix = || cuts().find_map(|at| self.suffixes.get(&host[at..]));
        let prefix = || cuts().rev().find_map(|at| self.prefixes.get(&host[..at]));
        self.exact.get(host).or_else(suffix).or_else(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;
    use crate::snapshot::build;
    use crate::snapshot::testing::{key, resource_of};

    /// What `asked` finds among virtual hosts given as name and domains.
    fn check(hosts: &[(&str, &[&str])], cases: &[(&str, Option<&str>)]) {
        let all: Vec<_> = hosts
            .iter()
            .map(|(name, domains)| {
                let domains = domains.iter().map(|one| (*one).to_owned()).collect();
                let body = VirtualHostPeek { domains }.encode_to_vec();
                resource_of(ResourceKind::VirtualHosts, name, body)
            })
            .collect();
        let snapshot = build(key("beta"), &all);
        let of_type = &snapshot.types[&ResourceKind::VirtualHosts.type_url()];
        for (asked, expected) in cases {
            let found = of_type.virtual_host(asked).map(|name| name.0.as_ref());
            assert_eq!(found, *expected, "{asked}");
        }
    }

    #[test]
    fn a_host_is_found_as_envoy_matches_it() {
        check(
            &[
                ("r/exact", &["a.example.com", "b.example.com:8080"]),
                ("r/wide", &["*.example.com"]),
                ("r/wider", &["*.com", "api.*", "api.v1.*"]),
                ("r/rest", &["*"]),
                ("s/one", &["Only.Example.com"]),
                ("dir/s/one", &["deep"]),
            ],
            &[
                ("r/a.example.com", Some("r/exact")),
                ("r/A.Example.COM", Some("r/exact")),
                ("r/a.example.com:443", Some("r/exact")),
                ("r/b.example.com:8080", Some("r/exact")),
                ("r/x.example.com", Some("r/wide")),
                ("r/x.com", Some("r/wider")),
                ("r/api.v1.org", Some("r/wider")),
                ("r/.example.com", Some("r/wider")),
                ("r/elsewhere", Some("r/rest")),
                ("s/only.example.com", Some("s/one")),
                ("s/other", None),
                ("dir/s/deep", Some("dir/s/one")),
                ("none/a", None),
                ("a", None),
            ],
        );
    }
}
