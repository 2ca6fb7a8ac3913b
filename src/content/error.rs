//! Why content could not be read, patched, merged or queried.

/// Why content could not be read, patched, merged or queried. The texts name
/// the line or the JSON pointer where there is one, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The text is not JSON, JSON5 or YAML.
    #[error("{0}")]
    Syntax(String),
    /// A path pattern, JSONPath or regular expression is not one.
    #[error("{0}")]
    Query(String),
    /// A JSONPath that finds nothing where it must find one value.
    #[error("{0}")]
    NotFound(String),
    /// The patch itself is malformed.
    #[error("{0}")]
    BadPatch(String),
    /// The patch is well formed and doesn't fit the content.
    #[error("{0}")]
    Mismatch(String),
    /// Documents of different types can't be merged.
    #[error("{0}")]
    Types(String),
}
