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
//!             ├────────► rules                      (validate.rules)
//!             ├────────► refusals                   (what else Envoy refuses)
//!             └────────► releases                   (what the stage's Envoys lack)
//! ```

mod any;
mod document;
mod message;
mod refusals;
mod releases;
mod rules;
mod scalar;
mod well_known;
mod wrapper;

use crate::model::{Problem, Resource};
use crate::render::RenderedFile;
use crate::render::yaml::{self, Span};
use crate::schema::{Schema, Targets};

/// The most problems that one file reports: then the reading ends. Nobody
/// reads more, and hints for every line of a broken 8 MiB file take long.
const MAX_PROBLEMS: usize = 1000;

/// For how many unknown types of one file the nearest known one is looked up;
/// each lookup compares with every type that Envoy has.
const MAX_TYPE_LOOKUPS: usize = 20;

/// What a file was read as.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Each resource that has no mistake.
    pub(crate) resources: Vec<Resource>,
    /// All mistakes of the others.
    pub(crate) problems: Vec<Problem>,
    /// What has no effect on an Envoy that the file is for.
    pub(crate) warnings: Vec<Problem>,
}

/// Reads every document of `file`: syntax, types, unknown fields, enums,
/// durations, validation rules, inside every `Any` too. Gives each resource
/// that has no mistake, and all mistakes of the others.
pub fn decode(schema: &Schema, file: &RenderedFile) -> (Vec<Resource>, Vec<Problem>) {
    let decoded = decode_for(schema, file, &Targets::default());
    (decoded.resources, decoded.problems)
}

/// As [`decode`], also held against what the Envoys of `targets` know.
pub(crate) fn decode_for(schema: &Schema, file: &RenderedFile, targets: &Targets) -> Decoded {
    let mut reader = Reader {
        schema,
        file,
        targets,
        problems: Vec::new(),
        warnings: Vec::new(),
        mistakes: 0,
        type_lookups: 0,
        hidden: false,
        to_service: false,
    };
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
    let warnings = std::mem::take(&mut reader.warnings);
    Decoded { resources, problems: reader.finish(), warnings }
}

/// Reads one file; collects its problems.
struct Reader<'a> {
    schema: &'a Schema,
    file: &'a RenderedFile,
    /// The Envoys that the file is for.
    targets: &'a Targets,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// How many mistakes were found; tells whether a part had any.
    mistakes: usize,
    type_lookups: usize,
    /// Inside a field that Envoy's schema marks as sensitive: problems say
    /// what is wrong there without the value, as they are shown to many.
    hidden: bool,
    /// Inside an `HttpService`, whose headers older Envoys send as they stand.
    to_service: bool,
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

    /// The same mistake without the part that may quote a value.
    fn without_value(self) -> Self {
        const QUOTES: [&str; 4] = [", not the ", ", is ", ": ", " has no value "];
        let cut = |text: String| {
            let end = QUOTES.iter().filter_map(|quote| text.find(quote)).min();
            text[..end.unwrap_or(text.len())].to_owned()
        };
        Self { message: cut(self.message), hint: self.hint.map(cut), ..self }
    }

    /// A value of the wrong type.
    fn wrong_type(message: impl Into<String>) -> Self {
        Self::new("wrong-type", message, None)
    }
}

impl Reader<'_> {
    fn mistake(&mut self, span: Span, mistake: Mistake) {
        self.mistakes += 1;
        if self.is_full() {
            return;
        }
        let mistake = if self.hidden { mistake.without_value() } else { mistake };
        let place = self.file.place(span.line, span.column);
        let problem = Problem::new(place, mistake.rule, mistake.message);
        self.problems.push(Problem { hint: mistake.hint, ..problem });
    }

    /// Whether to stop reading.
    fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    fn finish(mut self) -> Vec<Problem> {
        let last = self.problems.last().filter(|_| self.is_full()).map(|last| last.place.clone());
        self.problems.sort();
        self.problems.dedup();
        if let Some(place) = last {
            let message =
                format!("the file has {MAX_PROBLEMS} problems or more; it was read to here");
            let hint = "mend the first of them: many often have one cause";
            self.problems.push(Problem::new(place, "too-many-problems", message).with_hint(hint));
        }
        self.problems
    }
}

#[cfg(test)]
mod tests;
