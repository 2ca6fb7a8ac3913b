//! A file after its template ran, and the way back from its text to the source.
use crate::model::{FilePath, NodeGroup, Place, ResourceKind};

/// The text of one resource file for one stage and group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// The file it was rendered from.
    pub source: FilePath,
    /// The only group it is for; `None`: it is for all.
    pub group: Option<NodeGroup>,
    /// What its folder says it holds, for documents without `@type`.
    pub kind: Option<ResourceKind>,
    /// The YAML text.
    pub text: String,
    /// The way back.
    pub origin: Origin,
}

/// Maps a position in rendered text to the place in a source file that
/// caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The text is the source.
    Same,
    /// The text came through a template (representation: the template side's).
    Mapped(Vec<Place>),
}

impl RenderedFile {
    /// The source place of `line` and `column` (both from 1) of the text.
    pub fn place(&self, line: u32, column: u32) -> Place {
        match &self.origin {
            Origin::Same => Place { file: self.source.clone(), line, column },
            Origin::Mapped(lines) => lines
                .get(line.saturating_sub(1) as usize)
                .cloned()
                .unwrap_or_else(|| Place::file(self.source.clone())),
        }
    }
}
