//! A file after its template ran, and the way back from its text to the source.
//!
//! Plain data: running the template, and finding the way, is `template`'s.

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
    /// The text came through a template.
    Mapped(SourceMap),
}

/// The way back from text that came through a template.
///
/// The text is cut into runs, each of which came from one place. A run of
/// literal text maps column by column; what an expression printed maps to
/// the expression's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceMap {
    /// The files that the text came from.
    pub(crate) files: Vec<FilePath>,
    /// In the order of the text.
    pub(crate) runs: Vec<Run>,
}

/// A piece of rendered text that came from one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where it begins in the text: line and column, from 1.
    pub(crate) start: (u32, u32),
    /// Which of the map's files it came from.
    pub(crate) file: u32,
    /// Where it began there; line 0 where only the file is certain.
    pub(crate) from: (u32, u32),
    /// Whether the text is the source's own, so that columns run along.
    pub(crate) literal: bool,
}

impl RenderedFile {
    /// The source place of `line` and `column` (both from 1) of the text.
    pub fn place(&self, line: u32, column: u32) -> Place {
        match &self.origin {
            Origin::Same => Place { file: self.source.clone(), line, column },
            Origin::Mapped(map) => {
                map.place(line, column).unwrap_or_else(|| Place::file(self.source.clone()))
            }
        }
    }
}

impl SourceMap {
    fn place(&self, line: u32, column: u32) -> Option<Place> {
        let run = self.run(line, column)?;
        let file = self.files.get(run.file as usize)?.clone();
        if run.from.0 == 0 {
            return Some(Place::file(file));
        }
        let along = run.literal && run.start.0 == line;
        // Blanks before the first run of a line are the source's too.
        let column = match (along, column >= run.start.1) {
            (true, true) => run.from.1 + (column - run.start.1),
            (true, false) => run.from.1.saturating_sub(run.start.1 - column).max(1),
            (false, _) => run.from.1,
        };
        Some(Place { file, line: run.from.0, column })
    }

    /// The run that covers the position: the last on its line that begins at
    /// or before it, else the line's first, else the last of a line above
    /// (an expression that printed several lines).
    fn run(&self, line: u32, column: u32) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.start <= (line, column));
        let before = after.checked_sub(1).and_then(|at| self.runs.get(at));
        if before.is_some_and(|run| run.start.0 == line) {
            return before;
        }
        let next = self.runs.get(after).filter(|run| run.start.0 == line);
        next.or(before).or(self.runs.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped() -> RenderedFile {
        let path = |text| FilePath::new(text).unwrap();
        let run = |start, file, from, literal| Run { start, file, from, literal };
        RenderedFile {
            source: path("resources/a.yaml"),
            group: None,
            kind: None,
            text: String::new(),
            origin: Origin::Mapped(SourceMap {
                files: vec![path("resources/a.yaml"), path("templates/m.yaml")],
                runs: vec![
                    run((1, 1), 0, (2, 1), true),
                    run((1, 7), 0, (2, 7), false),
                    run((2, 3), 1, (4, 5), true),
                    run((5, 1), 0, (0, 0), false),
                ],
            }),
        }
    }

    #[test]
    fn positions_lead_back_to_their_source() {
        let file = mapped();
        let at = |line, column| file.place(line, column).to_string();
        assert_eq!(at(1, 4), "resources/a.yaml:2:4", "literal text keeps its column");
        assert_eq!(at(1, 12), "resources/a.yaml:2:7", "printed text is the expression's");
        assert_eq!(at(2, 5), "templates/m.yaml:4:7");
        assert_eq!(at(2, 1), "templates/m.yaml:4:3", "blanks before a run are the source's");
        assert_eq!(at(3, 9), "templates/m.yaml:4:5", "a line without a run is the run's above");
        assert_eq!(at(5, 2), "resources/a.yaml", "only the file is certain");
    }

    #[test]
    fn a_file_without_template_maps_to_itself() {
        let file = RenderedFile { origin: Origin::Same, ..mapped() };
        assert_eq!(file.place(3, 4).to_string(), "resources/a.yaml:3:4");
    }
}
