//! What a change does to an Envoy that takes it.
//!
//! As Envoy's listener and cluster managers handle updates: routes, endpoints,
//! secrets and runtime change in place; a listener's connections drain, those
//! of the changed filter chains alone where nothing else changed; a cluster is
//! made anew, with cold pools and health unknown. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FieldChange, ResourceChange};
use crate::model::ResourceKind;

/// What Envoy does with one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Impact {
    /// Nothing is disturbed.
    InPlace,
    /// Something new comes; nothing that is there is disturbed.
    New,
    /// Connections of these filter chains drain; the others stay.
    DrainsChains {
        /// Which, by name or place; empty where they can't be told apart.
        chains: Vec<String>,
    },
    /// All connections of the listener drain, for ten minutes by default.
    DrainsListener,
    /// The cluster is made anew beside the old one and takes its place when it
    /// is warm: its connections, and what is known of its hosts, are lost.
    RecreatesCluster,
    /// It goes, and with it its connections.
    Removed,
    /// It goes although something still names it.
    RemovedInUse {
        /// What names it, at most a few.
        by: Vec<String>,
    },
}

impl Impact {
    /// Whether connections are lost or requests may fail.
    pub fn disturbs(&self) -> bool {
        !matches!(self, Self::InPlace | Self::New)
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace => f.write_str("changes in place"),
            Self::New => f.write_str("is new"),
            Self::DrainsChains { chains } if chains.is_empty() => {
                f.write_str("drains connections of the changed filter chains")
            }
            Self::DrainsChains { chains } => {
                write!(f, "drains connections of the filter chains {}", chains.join(", "))
            }
            Self::DrainsListener => f.write_str("drains all connections of the listener"),
            Self::RecreatesCluster => {
                f.write_str("makes the cluster anew: connections and host health are lost")
            }
            Self::Removed => f.write_str("goes, and its connections close"),
            Self::RemovedInUse { by } => write!(f, "goes, although {} names it", by.join(", ")),
        }
    }
}

/// What a change does; `users` still name what goes.
pub(super) fn impact(
    kind: Option<ResourceKind>,
    change: ResourceChange,
    fields: &[FieldChange],
    users: Vec<String>,
) -> Impact {
    use ResourceKind as Kind;
    match (change, kind) {
        (ResourceChange::Added, _) => Impact::New,
        (ResourceChange::Removed, _) if !users.is_empty() => Impact::RemovedInUse { by: users },
        (ResourceChange::Removed, Some(Kind::Listeners | Kind::Clusters)) => Impact::Removed,
        (ResourceChange::Changed, Some(Kind::Listeners)) => listener(fields),
        (ResourceChange::Changed, Some(Kind::Clusters)) => Impact::RecreatesCluster,
        _ => Impact::InPlace,
    }
}

/// Envoy updates a TCP listener in place if nothing but its filter chains
/// differs, and the newer one has any.
fn listener(fields: &[FieldChange]) -> Impact {
    let is_chain = |path: &str| {
        let top = path.split(['.', '[']).next().unwrap_or("");
        ["filter_chains", "default_filter_chain", "filter_chain_matcher"].contains(&top)
    };
    let loses_all = |one: &FieldChange| one.path == "filter_chains" && one.to.is_none();
    if fields.is_empty() || !fields.iter().all(|one| is_chain(&one.path)) {
        return Impact::DrainsListener;
    }
    if fields.iter().any(loses_all) {
        return Impact::DrainsListener;
    }
    let mut chains: Vec<String> = fields.iter().filter_map(|one| chain(&one.path)).collect();
    chains.dedup();
    Impact::DrainsChains { chains }
}

/// `web` of `filter_chains[web].filters[0]`.
fn chain(path: &str) -> Option<String> {
    match path.strip_prefix("filter_chains[") {
        Some(rest) => Some(rest.split(']').next()?.to_owned()),
        None => path.starts_with("default_filter_chain").then(|| "(default)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(kind: ResourceKind, paths: &[&str]) -> String {
        let field = |path: &&str| FieldChange {
            path: (*path).into(),
            from: Some("1".into()),
            to: Some("2".into()),
        };
        let fields: Vec<_> = paths.iter().map(field).collect();
        impact(Some(kind), ResourceChange::Changed, &fields, Vec::new()).to_string()
    }

    #[test]
    fn each_kind_changes_in_its_own_way() {
        use ResourceKind as Kind;
        for kind in [Kind::Routes, Kind::Endpoints, Kind::Secrets, Kind::Runtime] {
            assert_eq!(changed(kind, &["x"]), "changes in place");
        }
        let anew = "makes the cluster anew: connections and host health are lost";
        assert_eq!(changed(Kind::Clusters, &["connect_timeout"]), anew);
        let drains = "drains all connections of the listener";
        assert_eq!(changed(Kind::Listeners, &["per_connection_buffer_limit_bytes"]), drains);
        assert_eq!(changed(Kind::Listeners, &["filter_chains[web].x", "address"]), drains);
        let two = ["filter_chains[web].filters[0]", "filter_chains[web].name", "filter_chains[1]"];
        assert_eq!(
            changed(Kind::Listeners, &two),
            "drains connections of the filter chains web, 1"
        );
        assert_eq!(
            changed(Kind::Listeners, &["default_filter_chain.filters[0]"]),
            "drains connections of the filter chains (default)"
        );
    }

    #[test]
    fn what_goes_says_who_still_names_it() {
        let gone = |users: &[&str]| {
            let users = users.iter().map(ToString::to_string).collect();
            impact(Some(ResourceKind::Clusters), ResourceChange::Removed, &[], users).to_string()
        };
        assert_eq!(gone(&[]), "goes, and its connections close");
        assert_eq!(
            gone(&["route configuration main"]),
            "goes, although route configuration main names it"
        );
    }
}
