//! Which node gets which snapshot.
//!
//! Pure: a node's own words in, a key out. The manifest's globs are compiled
//! once, when a bundle becomes active; `xds` asks once per stream and again
//! whenever the rules change.
//!
//! While a candidate is tried on a part of a stage, its own rules hold for that
//! part: a group that it adds is tried too.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::Cohort;
use crate::model::{GroupRule, NodeGroup, NodeIdentity, NodeRule, RepoName, SnapshotKey, Stage};

/// The rules of one stage, taken from the bundle that is active in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The repository.
    pub repo: RepoName,
    /// The stage.
    pub stage: Stage,
    /// Which nodes are of the stage; one must match.
    pub nodes: Vec<NodeRule>,
    /// The stage's groups, first match wins; none matching is `default`.
    pub groups: Vec<GroupRule>,
}

/// The rules that a candidate brings for the nodes that it is tried on.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The repository.
    pub repo: RepoName,
    /// The stage; one that serves nothing yet has a route without nodes.
    pub stage: Stage,
    /// Whom it is tried on.
    pub cohort: Arc<Cohort>,
    /// As in [`Route`].
    pub nodes: Vec<NodeRule>,
    /// As in [`Route`].
    pub groups: Vec<GroupRule>,
}

/// The rules of every stage of every pipeline, in matching order.
#[derive(Debug, Default)]
pub struct Routing {
    routes: Vec<CompiledRoute>,
}

impl Routing {
    /// Compiles the rules. A glob that can't be compiled matches nothing;
    /// `render` refuses it in a manifest before it comes here.
    pub fn new(routes: Vec<Route>) -> Self {
        Self::trying(routes, Vec::new())
    }

    /// Compiles the rules, and those of the candidates that are tried, at most
    /// one per stage.
    pub fn trying(routes: Vec<Route>, trials: Vec<Trial>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().map(CompiledRoute::new).collect();
        for Trial { repo, stage, cohort, nodes, groups } in trials {
            let route = routes.iter_mut().find(|one| one.repo == repo && one.stage == stage);
            if let Some(route) = route {
                route.trial = Some((cohort, Rules::new(nodes, groups)));
            }
        }
        Self { routes }
    }

    /// What `node` is served from; `None` where no stage matches it.
    pub fn assign(&self, node: &NodeIdentity) -> Option<SnapshotKey> {
        self.routes.iter().find_map(|route| {
            let group = route.rules(node).group(node)?;
            Some(SnapshotKey { repo: route.repo.clone(), stage: route.stage.clone(), group })
        })
    }
}

#[derive(Debug)]
struct CompiledRoute {
    repo: RepoName,
    stage: Stage,
    rules: Rules,
    trial: Option<(Arc<Cohort>, Rules)>,
}

impl CompiledRoute {
    fn new(route: Route) -> Self {
        let Route { repo, stage, nodes, groups } = route;
        Self { repo, stage, rules: Rules::new(nodes, groups), trial: None }
    }

    /// Those that hold for `node`.
    fn rules(&self, node: &NodeIdentity) -> &Rules {
        match &self.trial {
            Some((cohort, rules)) if cohort.takes(node) => rules,
            _ => &self.rules,
        }
    }
}

/// Which nodes are of a stage, and of which of its groups.
#[derive(Debug)]
struct Rules {
    nodes: Vec<CompiledRule>,
    groups: Vec<(NodeGroup, Vec<CompiledRule>)>,
}

impl Rules {
    fn new(nodes: Vec<NodeRule>, groups: Vec<GroupRule>) -> Self {
        let groups = groups.into_iter().map(|group| (group.name, compile(group.nodes)));
        Self { nodes: compile(nodes), groups: groups.collect() }
    }

    /// The group of `node`; `None` where it is not of the stage.
    fn group(&self, node: &NodeIdentity) -> Option<NodeGroup> {
        if !any_matches(&self.nodes, node) {
            return None;
        }
        let of = |rules: &[CompiledRule]| rules.is_empty() || any_matches(rules, node);
        let group = self.groups.iter().find(|(_, rules)| of(rules));
        Some(group.map_or_else(NodeGroup::default, |(name, _)| name.clone()))
    }
}

/// A rule whose globs are compiled; a part that was not given is `None`.
#[derive(Debug)]
struct CompiledRule {
    clusters: Option<GlobSet>,
    ids: Option<GlobSet>,
    metadata: Vec<(String, String)>,
}

impl CompiledRule {
    fn matches(&self, node: &NodeIdentity) -> bool {
        self.clusters.as_ref().is_none_or(|globs| globs.is_match(&node.cluster))
            && self.ids.as_ref().is_none_or(|globs| globs.is_match(&*node.id.0))
            && self.metadata.iter().all(|(key, value)| node.metadata.get(key) == Some(value))
    }
}

fn compile(rules: Vec<NodeRule>) -> Vec<CompiledRule> {
    let compiled = |rule: NodeRule| CompiledRule {
        clusters: globs(&rule.clusters),
        ids: globs(&rule.ids),
        metadata: rule.metadata,
    };
    rules.into_iter().map(compiled).collect()
}

pub(super) fn globs(patterns: &[String]) -> Option<GlobSet> {
    if patterns.is_empty() {
        return None;
    }
    let mut set = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()) {
        set.add(glob);
    }
    Some(set.build().unwrap_or_else(|_| GlobSet::empty()))
}

fn any_matches(rules: &[CompiledRule], node: &NodeIdentity) -> bool {
    rules.iter().any(|rule| rule.matches(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeId, Subset};

    fn node(id: &str, cluster: &str, stage: &str) -> NodeIdentity {
        NodeIdentity {
            id: NodeId(id.into()),
            cluster: cluster.into(),
            metadata: [("stage".to_owned(), stage.to_owned())].into(),
            envoy_version: None,
            locality: String::new(),
        }
    }

    fn of_stage(stage: &str) -> NodeRule {
        NodeRule { metadata: vec![("stage".into(), stage.into())], ..NodeRule::default() }
    }

    fn ids(glob: &str) -> NodeRule {
        NodeRule { ids: vec![glob.into()], ..NodeRule::default() }
    }

    fn route(stage: &str, nodes: Vec<NodeRule>, groups: Vec<(&str, Vec<NodeRule>)>) -> Route {
        Route {
            repo: RepoName::new("mesh/config").unwrap(),
            stage: Stage::new(stage).unwrap(),
            nodes,
            groups: groups
                .into_iter()
                .map(|(name, nodes)| GroupRule { name: NodeGroup::new(name).unwrap(), nodes })
                .collect(),
        }
    }

    fn check(routes: Vec<Route>, node: &NodeIdentity, expected: Option<&str>) {
        let key =
            Routing::new(routes).assign(node).map(|key| format!("{}:{}", key.stage, key.group));
        assert_eq!(key.as_deref(), expected);
    }

    #[test]
    fn the_first_stage_whose_rule_matches_wins() {
        let routes = || {
            vec![
                route("beta", vec![of_stage("beta"), ids("odd-*")], vec![]),
                route("release", vec![of_stage("release")], vec![]),
            ]
        };
        check(routes(), &node("a", "web", "beta"), Some("beta:default"));
        check(routes(), &node("odd-1", "web", "release"), Some("beta:default"));
        check(routes(), &node("a", "web", "release"), Some("release:default"));
        check(routes(), &node("a", "web", "nowhere"), None);
    }

    #[test]
    fn a_stage_without_rules_matches_no_node() {
        check(vec![route("beta", vec![], vec![])], &node("a", "web", "beta"), None);
    }

    #[test]
    fn the_first_group_whose_rule_matches_wins() {
        let groups = || {
            let edge = NodeRule { clusters: vec!["edge*".into()], ..NodeRule::default() };
            vec![("edge", vec![edge]), ("ones", vec![ids("*-1")]), ("rest", vec![])]
        };
        let routes = || vec![route("beta", vec![of_stage("beta")], groups())];
        check(routes(), &node("a-1", "edge-eu", "beta"), Some("beta:edge"));
        check(routes(), &node("a-1", "web", "beta"), Some("beta:ones"));
        check(routes(), &node("a-2", "web", "beta"), Some("beta:rest"));
    }

    #[test]
    fn every_part_of_a_rule_must_hold() {
        let rule = || NodeRule {
            clusters: vec!["web".into(), "api".into()],
            ids: vec!["a-*".into()],
            metadata: vec![("stage".into(), "beta".into())],
        };
        let routes = || vec![route("beta", vec![rule()], vec![])];
        check(routes(), &node("a-1", "api", "beta"), Some("beta:default"));
        check(routes(), &node("b-1", "api", "beta"), None);
        check(routes(), &node("a-1", "db", "beta"), None);
        check(routes(), &node("a-1", "api", "staging"), None);
    }

    #[test]
    fn the_rules_of_a_candidate_hold_for_whom_it_is_tried_on() {
        let base = || {
            vec![
                route("beta", vec![of_stage("beta")], vec![("ones", vec![ids("*-1")])]),
                route("new", vec![], vec![]),
                route("release", vec![of_stage("release")], vec![]),
            ]
        };
        let trial = |stage: &str, nodes: Vec<NodeRule>, groups| {
            let Route { repo, stage, nodes, groups } = route(stage, nodes, groups);
            let subset = Subset { nodes: vec!["a-*".into()], ..Subset::default() };
            let cohort = Arc::new(Cohort::new(repo.clone(), stage.clone(), subset));
            Trial { repo, stage, cohort, nodes, groups }
        };
        let trials = vec![
            trial("beta", vec![ids("*-1")], vec![("edge", vec![])]),
            trial("new", vec![of_stage("new")], vec![]),
        ];
        let routing = Routing::trying(base(), trials);
        let key = |node: &NodeIdentity| {
            routing.assign(node).map(|key| format!("{}:{}", key.stage, key.group))
        };
        // As before for everybody else.
        assert_eq!(key(&node("b-1", "web", "beta")).as_deref(), Some("beta:ones"));
        assert_eq!(key(&node("b-2", "web", "beta")).as_deref(), Some("beta:default"));
        assert_eq!(key(&node("b-1", "web", "new")), None);
        // A group that it adds, a node that it leaves out, a stage that is new.
        assert_eq!(key(&node("a-1", "web", "beta")).as_deref(), Some("beta:edge"));
        assert_eq!(key(&node("a-2", "web", "beta")), None);
        assert_eq!(key(&node("a-1", "web", "release")).as_deref(), Some("beta:edge"));
        assert_eq!(key(&node("a-2", "web", "new")).as_deref(), Some("new:default"));
        assert_eq!(key(&node("a-2", "web", "release")).as_deref(), Some("release:default"));
    }

    #[test]
    fn a_broken_glob_matches_nothing_rather_than_everything() {
        check(vec![route("beta", vec![ids("a-[")], vec![])], &node("a-[", "web", "beta"), None);
    }
}
