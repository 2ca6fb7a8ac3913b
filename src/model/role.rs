//! What a caller may do everywhere.

/// What a caller may do everywhere, before anything was granted to them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Only what is granted, project by project.
    Guest,
    /// Subscribe over xDS, nothing else.
    Node,
    /// Read everything.
    Reader,
    /// Read, edit, promote, approve, roll back.
    Operator,
    /// All of it, and adopt a rewritten upstream.
    Admin,
}

impl Role {
    /// Whether this role may do what `needed` may.
    pub fn covers(self, needed: Self) -> bool {
        self >= needed
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Guest => "a guest",
            Self::Node => "a node",
            Self::Reader => "a reader",
            Self::Operator => "an operator",
            Self::Admin => "an administrator",
        })
    }
}
