//! By which steps a stage's nodes take something new, as the manifest says it.

use serde::{Deserialize, Serialize};

/// The steps, and what each must come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The share of a step's connected nodes that must have taken it, in
    /// percent.
    pub acked_percent: u32,
    /// How long a step's nodes may take for that, in seconds.
    pub deadline_seconds: u64,
    /// In order; after the last one everything.
    pub steps: Vec<RolloutStep>,
    /// How long the whole is watched after the last step, in seconds.
    #[serde(default)]
    pub bake_seconds: u64,
    /// What a failure leads to.
    pub on_failure: OnFailure,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            acked_percent: 100,
            deadline_seconds: 300,
            steps: Vec::new(),
            bake_seconds: 0,
            on_failure: OnFailure::RollBack,
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStep {
    /// The nodes that are added.
    #[serde(flatten)]
    pub subset: Subset,
    /// How long it is watched, in seconds, once its nodes have taken it.
    pub bake_seconds: u64,
    /// Whether it then waits for a person.
    pub pause: bool,
}

/// What follows when a step's nodes refuse it, are too slow, or a metric fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// What was served before comes back.
    #[default]
    RollBack,
    /// It stays as it is and waits for a person.
    Hold,
}

/// Some of a stage's nodes: those that any part takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subset {
    /// This share of all, by a stable hash of the node's id; a larger share
    /// holds the smaller one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Globs over `region/zone/sub_zone`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub localities: Vec<String>,
    /// Globs over node ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

impl Subset {
    /// The nodes of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.percent = self.percent.max(other.percent);
        for (mine, theirs) in
            [(&mut self.localities, &other.localities), (&mut self.nodes, &other.nodes)]
        {
            for glob in theirs {
                if !mine.contains(glob) {
                    mine.push(glob.clone());
                }
            }
        }
        self
    }

    /// For people: `10 %, localities ap-northeast-1/*`.
    pub fn sentence(&self) -> String {
        let mut parts: Vec<String> = self.percent.iter().map(|n| format!("{n} %")).collect();
        for (what, globs) in [("localities", &self.localities), ("nodes", &self.nodes)] {
            if !globs.is_empty() {
                parts.push(format!("{what} {}", globs.join(" ")));
            }
        }
        parts.join(", ")
    }
}
