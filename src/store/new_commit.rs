//! A commit that is to be made, as whoever makes it says it.

use jiff::Timestamp;

use crate::model::{Change, Markup, Origin, Precondition, Revision};

/// A commit to make.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// Who makes it, and by which way, for the record.
    pub by: Origin,
    /// The revision that the head must have; `None`: whatever it is.
    pub expected: Option<Revision>,
    /// What must hold of single files.
    pub require: Vec<Precondition>,
    /// Where a file that is written is not as its precondition's revision
    /// had it: merge the two edits by line, and refuse only where both
    /// changed the same lines.
    pub merge: bool,
    /// In their order, atomic together.
    pub changes: Vec<Change>,
    /// Whether it may change nothing.
    pub allow_empty: bool,
    /// `(name, mail address)`.
    pub author: (String, String),
    /// The author's time.
    pub time: Timestamp,
    /// The message.
    pub message: String,
    /// How the message's body is marked up.
    pub markup: Markup,
}

impl NewCommit {
    /// A commit without preconditions.
    pub fn new(
        by: Origin,
        author: (String, String),
        time: Timestamp,
        message: impl Into<String>,
        changes: Vec<Change>,
    ) -> Self {
        Self {
            by,
            expected: None,
            require: Vec::new(),
            merge: false,
            changes,
            allow_empty: false,
            author,
            time,
            message: message.into(),
            markup: Markup::default(),
        }
    }
}
