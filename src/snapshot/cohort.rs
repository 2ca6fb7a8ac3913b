//! Whether a node belongs to the part of a stage that a candidate goes to.
//!
//! Pure: a node's own words in, yes or no out. A share is taken by a hash of
//! the stage and the node's id, so the answer is the same in every process, in
//! any order of arrival and after any restart, and a larger share holds every
//! node of a smaller one. Another stage, or another repository, takes others:
//! no node is always the first to try something new.

use globset::GlobSet;

use super::routing::globs;
use crate::model::{ContentHash, NodeId, NodeIdentity, RepoName, Stage, Subset};

/// A subset of a stage's nodes, ready to be asked.
#[derive(Debug, Clone)]
pub struct Cohort {
    repo: RepoName,
    stage: Stage,
    subset: Subset,
    localities: Option<GlobSet>,
    nodes: Option<GlobSet>,
}

impl Cohort {
    /// The part `subset` of the nodes of a stage. A glob that can't be compiled
    /// names nobody; `render` refuses it in a manifest before it comes here.
    pub fn new(repo: RepoName, stage: Stage, subset: Subset) -> Self {
        let (localities, nodes) = (globs(&subset.localities), globs(&subset.nodes));
        Self { repo, stage, subset, localities, nodes }
    }

    /// What it was made of.
    pub fn subset(&self) -> &Subset {
        &self.subset
    }

    /// Whether `node` belongs to it.
    pub fn takes(&self, node: &NodeIdentity) -> bool {
        let named = |globs: &Option<GlobSet>, text: &str| {
            globs.as_ref().is_some_and(|globs| globs.is_match(text))
        };
        named(&self.nodes, &node.id.0)
            || named(&self.localities, &node.locality)
            || self.is_in_share(&node.id)
    }

    fn is_in_share(&self, node: &NodeId) -> bool {
        match self.subset.percent {
            None | Some(0) => false,
            Some(100..) => true,
            Some(percent) => point(&self.repo, &self.stage, node) < threshold(percent),
        }
    }
}

impl PartialEq for Cohort {
    fn eq(&self, other: &Self) -> bool {
        (&self.repo, &self.stage, &self.subset) == (&other.repo, &other.stage, &other.subset)
    }
}

/// Where a node stands between nothing and everything.
fn point(repo: &RepoName, stage: &Stage, node: &NodeId) -> u64 {
    let parts = ["share", repo.as_str(), stage.as_str(), &*node.0];
    let hash = ContentHash::of_parts(parts.into_iter().map(str::as_bytes)).0;
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The first point that so many of a hundred don't reach.
fn threshold(percent: u32) -> u64 {
    u64::MAX / 100 * u64::from(percent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn node(id: &str, locality: &str) -> NodeIdentity {
        NodeIdentity {
            id: NodeId(id.into()),
            cluster: "web".into(),
            metadata: BTreeMap::new(),
            envoy_version: None,
            locality: locality.into(),
        }
    }

    fn percent(percent: u32) -> Subset {
        Subset { percent: Some(percent), ..Subset::default() }
    }

    fn cohort_in(stage: &str, subset: Subset) -> Cohort {
        Cohort::new(RepoName::new("mesh/config").unwrap(), Stage::new(stage).unwrap(), subset)
    }

    fn cohort(subset: Subset) -> Cohort {
        cohort_in("release", subset)
    }

    fn globs_of(localities: &[&str], nodes: &[&str]) -> Subset {
        let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect();
        Subset { percent: None, localities: texts(localities), nodes: texts(nodes) }
    }

    #[test]
    fn a_locality_or_an_id_is_named_by_its_glob() {
        let cohort = cohort(globs_of(&["ap-northeast-1/*", "eu"], &["edge-1*"]));
        for (id, locality, expected) in [
            ("a", "ap-northeast-1/a", true),
            ("a", "ap-northeast-1/a/rack-3", true),
            ("a", "ap-northeast-2/a", false),
            ("a", "eu", true),
            ("a", "eu/b", false),
            ("a", "", false),
            ("edge-12", "", true),
            ("edge-2", "", false),
        ] {
            assert_eq!(cohort.takes(&node(id, locality)), expected, "{id} in `{locality}`");
        }
    }

    #[test]
    fn nobody_and_everybody_are_exact() {
        let all = (0..500).map(|n| node(&format!("n{n}"), ""));
        for node in all {
            assert!(!cohort(Subset::default()).takes(&node));
            assert!(cohort(percent(100)).takes(&node));
            assert!(!cohort(globs_of(&["a-["], &["b-["])).takes(&node));
        }
    }

    #[test]
    fn the_choice_is_the_same_in_every_build() {
        // Replicas of two releases must agree, and so must a restart after an
        // upgrade in the middle of a step.
        let quarter = cohort(percent(25));
        let taken: Vec<_> =
            (0..60).filter(|n| quarter.takes(&node(&format!("node-{n}"), ""))).collect();
        assert_eq!(taken, [9, 11, 18, 34, 43, 44, 46, 47, 51, 57]);
    }

    #[test]
    fn stages_try_on_different_nodes() {
        let (one, two) = (percent(20), percent(20));
        let (one, two) = (cohort_in("canary", one), cohort_in("release", two));
        let all: Vec<_> = (0..2000).map(|n| node(&format!("n{n}"), "")).collect();
        let both = all.iter().filter(|node| one.takes(node) && two.takes(node)).count();
        // Independent choices meet in 4 of 100.
        assert!((40..=130).contains(&both), "{both} of 2000");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_larger_share_holds_every_node_of_a_smaller_one(
            small in 0_u32..=100, more in 0_u32..=100, ids in proptest::collection::vec(".{0,24}", 1..40)
        ) {
            let large = small.saturating_add(more).min(100);
            let (small, large) = (cohort(percent(small)), cohort(percent(large)));
            for id in ids {
                let node = node(&id, "");
                prop_assert!(!small.takes(&node) || large.takes(&node));
            }
        }

        #[test]
        fn a_union_takes_whom_either_takes(
            a in 0_u32..=100, b in 0_u32..=100, ids in proptest::collection::vec("[a-c][0-9]{0,2}", 1..40)
        ) {
            let one = Subset { percent: Some(a), ..globs_of(&[], &["a*"]) };
            let other = Subset { percent: Some(b), ..globs_of(&["eu/*"], &[]) };
            let both = cohort(one.clone().and(&other));
            let (one, other) = (cohort(one), cohort(other));
            for (n, id) in ids.iter().enumerate() {
                let node = node(id, if n % 2 == 0 { "eu/b" } else { "us/a" });
                prop_assert_eq!(both.takes(&node), one.takes(&node) || other.takes(&node));
            }
        }

        #[test]
        fn a_share_is_as_large_as_it_says(share in 1_u32..100, salt in "[a-z]{1,8}") {
            let count: u32 = 4000;
            let cohort = cohort(percent(share));
            let taken = (0..count).filter(|n| cohort.takes(&node(&format!("{salt}-{n}"), ""))).count();
            let expected = f64::from(count) * f64::from(share) / 100.0;
            let deviation = (expected * (1.0 - f64::from(share) / 100.0)).sqrt();
            // Six standard deviations: once in 500 million.
            prop_assert!((taken as f64 - expected).abs() < 6.0 * deviation + 1.0,
                "{taken} of {count} for {share} %");
        }
    }
}
