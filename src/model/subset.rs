//! Which of a stage's nodes a step of a rollout is for, as it is written and
//! recorded. Plain data: `snapshot::Cohort` says of a node whether it belongs.

use serde::{Deserialize, Serialize};

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
