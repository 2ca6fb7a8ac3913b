//! What scopes and certificate names let through, and what they refuse.

use super::*;
use crate::model::{NodeGroup, NodeId, RepoName, Stage};

fn node(id: &str, cluster: &str) -> NodeIdentity {
    NodeIdentity {
        id: NodeId(id.into()),
        cluster: cluster.into(),
        metadata: Default::default(),
        envoy_version: None,
        locality: String::new(),
    }
}

fn key(stage: &str) -> SnapshotKey {
    SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new(stage).unwrap(),
        group: NodeGroup::default(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn a_part_that_is_empty_does_not_restrict_but_secrets_must_be_named() {
    let open = Scope::new(NodeScope::default()).unwrap();
    assert_eq!(open.may_be(&node("any", "any")), Ok(()));
    assert_eq!(open.may_have(&key("beta")), Ok(()));
    let name = ResourceName("web".into());
    for kind in ResourceKind::ALL {
        let expected = kind != ResourceKind::Secrets;
        assert_eq!(open.sees(&kind.type_url(), &name), expected, "{kind:?}");
    }
    let all = Scope::new(NodeScope::everything()).unwrap();
    assert!(all.sees(&ResourceKind::Secrets.type_url(), &name));
}

#[test]
fn what_is_outside_is_told_with_the_rule() {
    let scope = Scope::new(NodeScope {
        nodes: texts(&["web-*"]),
        clusters: texts(&["edge"]),
        stages: texts(&["beta", "staging"]),
        groups: texts(&["default", "edge-*"]),
        ..NodeScope::default()
    })
    .unwrap();
    assert_eq!(scope.may_be(&node("web-1", "edge")), Ok(()));
    let told = |outside: Result<(), Outside>| outside.unwrap_err().to_string();
    assert_eq!(
        told(scope.may_be(&node("api-1", "edge"))),
        "its node.id `api-1` is not among `nodes` (web-*)"
    );
    assert_eq!(
        told(scope.may_be(&node("web-1", "core"))),
        "its node.cluster `core` is not among `clusters` (edge)"
    );
    assert_eq!(
        told(scope.may_have(&key("release"))),
        "its stage `release` is not among `stages` (beta, staging)"
    );
    let of_group =
        |group: &str| SnapshotKey { group: NodeGroup::new(group).unwrap(), ..key("beta") };
    assert_eq!(scope.may_have(&of_group("edge-eu")), Ok(()));
    assert_eq!(
        told(scope.may_have(&of_group("core"))),
        "its node group `core` is not among `groups` (default, edge-*)"
    );
}

#[test]
fn kinds_and_secrets_are_seen_as_listed() {
    let scope = Scope::new(NodeScope {
        kinds: vec![ResourceKind::Clusters, ResourceKind::Secrets],
        secrets: texts(&["web-*"]),
        ..NodeScope::default()
    })
    .unwrap();
    let sees =
        |kind: ResourceKind, name: &str| scope.sees(&kind.type_url(), &ResourceName(name.into()));
    assert!(sees(ResourceKind::Clusters, "x"));
    assert!(!sees(ResourceKind::Listeners, "x"));
    assert!(sees(ResourceKind::Secrets, "web-1"));
    assert!(!sees(ResourceKind::Secrets, "api"));
    let custom = TypeUrl("type.googleapis.com/acme.Thing".into());
    assert!(!scope.sees(&custom, &ResourceName("x".into())));
}

#[test]
fn a_scope_that_can_not_be_meant_is_refused_with_its_part() {
    let table: [(NodeScope, &str); 4] = [
        (NodeScope { nodes: texts(&["web-["]), ..NodeScope::default() }, "`nodes`: `web-[`"),
        (NodeScope { stages: texts(&[""]), ..NodeScope::default() }, "`stages`: a pattern has"),
        (
            NodeScope {
                kinds: vec![ResourceKind::Clusters],
                secrets: texts(&["a"]),
                ..NodeScope::default()
            },
            "`secrets`: secrets are named although",
        ),
        (NodeScope { groups: texts(&["a"; 1001]), ..NodeScope::default() }, "`groups`: at most"),
    ];
    for (scope, words) in table {
        let error = Scope::new(scope).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn certificate_names_are_matched_segment_by_segment() {
    let uri = |name: &str| CertificateName::Uri(name.into());
    let dns = |name: &str| CertificateName::Dns(name.into());
    let table = [
        ("spiffe://mesh/edge/*", uri("spiffe://mesh/edge/a"), true),
        ("spiffe://mesh/edge/*", uri("spiffe://mesh/edge/a/b"), false),
        ("spiffe://mesh/**", uri("spiffe://mesh/edge/a/b"), true),
        ("spiffe://mesh/edge", uri("spiffe://mesh/edge/a"), false),
        ("spiffe://mesh/edge", uri("xspiffe://mesh/edge"), false),
        ("spiffe://mesh/Edge", uri("spiffe://mesh/edge"), false),
        ("*.example.com", dns("web-1.example.com"), true),
        ("*.example.com", dns("WEB-1.Example.com"), true),
        ("*.example.com", dns("a.b.example.com"), false),
        ("*.example.com", dns("webXexampleYcom"), false),
        ("**", dns("a.b"), true),
        ("**", uri("spiffe://a"), false),
        ("a+b.example.com", dns("aab.example.com"), false),
    ];
    for (pattern, name, expected) in table {
        let found = NamePattern::new(pattern).unwrap().matches(&name);
        assert_eq!(found.is_some(), expected, "{pattern} {name:?}");
    }
}

#[test]
fn a_name_binds_its_holder_to_the_node_in_it() {
    let pattern = NamePattern::new("spiffe://mesh/{cluster}/{node}").unwrap();
    let bound = pattern.matches(&CertificateName::Uri("spiffe://mesh/edge/web-1".into())).unwrap();
    assert_eq!(bound.may_be(&node("web-1", "edge")), Ok(()));
    let error = bound.may_be(&node("web-2", "edge")).unwrap_err().to_string();
    assert_eq!(error, "its node.id `web-2` is not among `the name in the certificate` (web-1)");
    assert!(bound.may_be(&node("web-1", "core")).is_err());
    for (wrong, words) in [
        ("spiffe://{id}", "only {node} and {cluster}"),
        ("spiffe://{node", "not closed"),
        ("{node}.{node}", "once"),
        ("", "1 to 512"),
    ] {
        let error = NamePattern::new(wrong).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
