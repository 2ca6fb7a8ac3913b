//! YAML documents to typed messages, checked field by field.
//!
//! Envoy's own loader stops at the first mistake and has no places; this one
//! goes on and says all of them, each with line and column. It reads no
//! templates (the text is already rendered) and looks at one file only:
//! references between resources are `snapshot`'s and `lint`'s.
//!
//! ```text
//! text ── yaml::parse ──► nodes ── document ──► resource nodes
//!                                     │
//!          message ◄──► any, well_known, scalar     (mistakes of form)
//!             └────────► rules                      (validate.rules)
//! ```

mod any;
mod document;
mod message;
mod names;
mod rules;
mod scalar;
mod well_known;

use crate::model::{Problem, Resource};
use crate::render::RenderedFile;
use crate::render::yaml::{self, Span};
use crate::schema::Schema;

/// The most problems that one file reports; nobody reads more, and a broken
/// 8 MiB file would fill the memory with them.
const MAX_PROBLEMS: usize = 1000;

/// Reads every document of `file`: syntax, types, unknown fields, enums,
/// durations, validation rules, inside every `Any` too. Gives each resource
/// that has no mistake, and all mistakes of the others.
pub fn decode(schema: &Schema, file: &RenderedFile) -> (Vec<Resource>, Vec<Problem>) {
    let mut reader = Reader { schema, file, problems: Vec::new(), mistakes: 0 };
    let mut resources = Vec::new();
    match yaml::parse(&file.text) {
        Ok(documents) => {
            for document in documents {
                reader.document(&document.root, &mut resources);
            }
        }
        Err(errors) => {
            for error in errors {
                reader.mistake(error.span, Mistake::new(error.rule, error.message, error.hint));
            }
        }
    }
    (resources, reader.finish())
}

/// Reads one file; collects its problems.
struct Reader<'a> {
    schema: &'a Schema,
    file: &'a RenderedFile,
    problems: Vec<Problem>,
    /// How many mistakes there are, also beyond [`MAX_PROBLEMS`].
    mistakes: usize,
}

/// Something wrong, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistake {
    rule: &'static str,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    fn new(rule: &'static str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { rule, message: message.into(), hint }
    }

    fn hinted(rule: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(rule, message, Some(hint.into()))
    }

    /// A value of the wrong type.
    fn wrong_type(message: impl Into<String>) -> Self {
        Self::new("wrong-type", message, None)
    }
}

impl Reader<'_> {
    fn mistake(&mut self, span: Span, mistake: Mistake) {
        self.mistakes += 1;
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let place = self.file.place(span.line, span.column);
        let problem = Problem::new(place, mistake.rule, mistake.message);
        self.problems.push(Problem { hint: mistake.hint, ..problem });
    }

    fn finish(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        if self.mistakes > MAX_PROBLEMS
            && let Some(last) = self.problems.last()
        {
            let message = format!("{} more problems are not shown", self.mistakes - MAX_PROBLEMS);
            self.problems.push(Problem::new(last.place.clone(), "too-many-problems", message));
        }
        self.problems
    }
}

#[cfg(test)]
mod tests;
