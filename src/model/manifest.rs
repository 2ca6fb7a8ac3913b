//! `convoy.yaml` as the rest of the program sees it: checked, with every
//! default filled in. Parsing it, and finding its mistakes, is `render`'s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::{FleetRule, MetricRule, OwnerRule, Quorum};
use super::rollout::Rollout;
use super::window::Window;
use super::{NodeGroup, Stage};

/// Where the manifest lies in a config repository.
pub const MANIFEST_PATH: &str = "convoy.yaml";

/// A repository's pipeline: its stages in order, what each needs, and which
/// node belongs where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// In promotion order; at least one.
    pub stages: Vec<StageSpec>,
    /// In matching order; the first whose rule matches a node wins. The
    /// group `default` is always there, last, and matches every node.
    pub groups: Vec<GroupRule>,
    /// Who owns which files; of the rules that match a file the last counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<OwnerRule>,
}

impl Manifest {
    /// The stage named `stage`.
    pub fn stage(&self, stage: &Stage) -> Option<&StageSpec> {
        self.stages.iter().find(|spec| &spec.name == stage)
    }

    /// The stage that must hold a bundle before `stage` may.
    pub fn previous(&self, stage: &Stage) -> Option<&StageSpec> {
        let at = self.stages.iter().position(|spec| &spec.name == stage)?;
        self.stages.get(at.checked_sub(1)?)
    }
}

/// What one stage asks of a bundle before it takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSpec {
    /// The stage's name.
    pub name: Stage,
    /// The Envoy versions of the stage's nodes: its cells of the matrix.
    /// Empty means that the stage asks for no smoke run.
    pub envoy_versions: Vec<String>,
    /// How many people other than the authors and the requester must approve.
    /// With `quorums` it is the largest of them.
    pub approvals: usize,
    /// Whether a promotion is requested by itself once the bundle is eligible.
    pub auto: bool,
    /// How long the previous stage must have held the bundle, in seconds.
    pub soak_seconds: u64,
    /// Who may approve. Empty: everyone who is mapped in the configuration.
    pub approvers: Vec<String>,
    /// Which nodes are of this stage; one must match. The parser fills in the
    /// default, `metadata.stage` equal to the stage's name.
    pub nodes: Vec<NodeRule>,
    /// Bounds and checks of the stage's smoke runs.
    pub smoke: SmokePolicy,
    /// Whose approvals are needed, where not just anybody's; all of them must
    /// be reached, and one vote may count in several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quorums: Vec<Quorum>,
    /// When the stage may be promoted to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How the nodes of the stage before must stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetRule>,
    /// What is measured while the stage takes something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricRule>,
    /// By which steps its nodes take something; `None`: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How long a request may wait, in seconds, besides the times that the
    /// stage's own rules make it wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
}

impl StageSpec {
    /// A stage that asks for nothing.
    pub fn new(name: Stage) -> Self {
        Self {
            name,
            envoy_versions: Vec::new(),
            approvals: 0,
            auto: false,
            soak_seconds: 0,
            approvers: Vec::new(),
            nodes: Vec::new(),
            smoke: SmokePolicy::default(),
            quorums: Vec::new(),
            windows: Vec::new(),
            fleet: None,
            metrics: Vec::new(),
            rollout: None,
            expires_seconds: None,
        }
    }
}

/// Bounds of a stage's smoke runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokePolicy {
    /// Globs over files in `checks/`; only matching checks run.
    pub checks: Vec<String>,
    /// How long an Envoy may take to become ready.
    pub ready_timeout: Duration,
    /// How long one check may take.
    pub check_timeout: Duration,
}

impl Default for SmokePolicy {
    fn default() -> Self {
        Self {
            checks: vec!["**".into()],
            ready_timeout: Duration::from_secs(15),
            check_timeout: Duration::from_secs(10),
        }
    }
}

/// A condition on a node. Every part that is given must hold; a rule with no
/// part matches every node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRule {
    /// Globs over the node's cluster; one must match if any is given.
    pub clusters: Vec<String>,
    /// Globs over the node's id; one must match if any is given.
    pub ids: Vec<String>,
    /// Metadata keys and the text each must have, as `(key, value)`.
    pub metadata: Vec<(String, String)>,
}

/// Which nodes form a group: those that any of its rules matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRule {
    /// The group's name.
    pub name: NodeGroup,
    /// One must match. Empty matches every node.
    pub nodes: Vec<NodeRule>,
}
