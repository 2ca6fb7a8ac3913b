//! Runs templates: source text and values in, YAML text and the way back out.
//!
//! One [`Engine`] is one set of values (a stage, and where it matters a
//! group) with the tree's `templates/`. It reads no file, no clock and no
//! environment; time, depth and size of every run are bounded. Whether the
//! text is YAML is not asked here.
//!
//! ```text
//! source ─ scan ─┬─ plain  ─ run ─ text
//!                └─ marked ─ run ─ text with marks ─ trace ─ SourceMap
//! ```

mod mark;
mod mistake;
mod scalar;
mod scan;
mod sources;
mod trace;

use std::borrow::Cow;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::rendered::Origin;
use crate::model::{FilePath, Place, Problem};

pub(crate) use scan::Source;
pub(crate) use sources::Sources;

/// Instructions that one file may run. A loop round costs about ten, so this
/// is some hundred thousand lines of output, and ends within a second.
const FUEL: u64 = 5_000_000;
/// The longest text that one file may become. Envoy's own limit for a message
/// is lower.
const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// How deep macros, includes and expressions may nest.
const RECURSION_MAX: usize = 200;
/// The longest line of a template, in bytes: the engine counts columns
/// in 16 bits.
const LINE_MAX: usize = 60_000;

/// Runs templates with one set of values.
#[derive(Debug)]
pub(crate) struct Engine {
    plain: Environment<'static>,
    marked: Environment<'static>,
    sources: Sources,
    values: Value,
}

impl Engine {
    /// An engine over `templates/` and `values`, which must be a map.
    pub(crate) fn new(sources: &Sources, values: Value) -> Self {
        let (plain, marked) = (sources.clone(), sources.clone());
        Self {
            plain: environment(move |name| plain.plain(name), FUEL),
            // Marks cost instructions of their own.
            marked: environment(move |name| marked.marked(name), 2 * FUEL),
            sources: sources.clone(),
            values,
        }
    }

    /// Runs one file.
    ///
    /// # Errors
    /// The mistake that stopped the template, with its place.
    pub(crate) fn run(&self, file: &FilePath, source: &str) -> Result<(String, Origin), Problem> {
        let scanned = Source::scan(source);
        if !scanned.is_template() {
            return Ok((source.to_owned(), Origin::Same));
        }
        if let Some((line, message)) = refused(source, &scanned) {
            let place = Place { file: file.clone(), line, column: 0 };
            return Err(Problem::new(place, "template-budget", message));
        }
        let plain = scanned.plain();
        let text = print(&self.plain, file, &plain, &self.values, OUTPUT_BYTES_MAX)
            .map_err(|error| mistake::problem(file, &plain, &self.sources, &self.values, &error))?;
        let marked = print(
            &self.marked,
            file,
            &scanned.marked(mark::MAIN),
            &self.values,
            // At most one mark for each character.
            OUTPUT_BYTES_MAX * (1 + mark::BYTES),
        )
        .ok();
        let map = trace::map(file, source, &text, marked.as_deref(), &self.sources);
        Ok((text, Origin::Mapped(map)))
    }
}

fn environment(
    load: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    fuel: u64,
) -> Environment<'static> {
    let mut environment = Environment::new();
    if let Ok(syntax) = syntax() {
        environment.set_syntax(syntax);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(RECURSION_MAX);
    // So that a mistake knows the expression it is in.
    environment.set_debug(true);
    environment.set_formatter(scalar::print);
    environment.add_filter("yaml", scalar::quoted);
    environment.add_filter("tojson", scalar::quoted);
    environment.set_path_join_callback(|name, _| Cow::Owned(Sources::full_name(name)));
    environment.set_loader(move |name| Ok(load(name)));
    environment
}

/// Why the engine can't be given a source at all: the line, from 1, and the
/// reason.
fn refused(source: &str, scanned: &Source<'_>) -> Option<(u32, &'static str)> {
    if let Some(line) = scanned.too_deep() {
        return Some((line, "the tag is too long: move the data into the values"));
    }
    let at = source.lines().position(|line| line.len() > LINE_MAX)?;
    let line = u32::try_from(at + 1).ok()?;
    Some((line, "a line of a template has at most 60,000 bytes"))
}

fn syntax() -> Result<SyntaxConfig, Error> {
    SyntaxConfig::builder()
        .variable_delimiters("${{", "}}")
        .block_delimiters("<%", "%>")
        .comment_delimiters("<#", "#>")
        // Line comments (`##`) are blanked by `scan`: the engine's own would
        // also cut a line in two at any `##` within it.
        .line_statement_prefix("#%")
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
}

fn print(
    environment: &Environment<'static>,
    file: &FilePath,
    source: &str,
    values: &Value,
    bytes_max: usize,
) -> Result<String, Error> {
    let mut out = Bounded { bytes: Vec::with_capacity(source.len() * 2), bytes_max };
    run(environment, file.as_str(), source, values, &mut out)?;
    String::from_utf8(out.bytes)
        .map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is not UTF-8"))
}

// The lifetimes of name and source end with the run, the environment's don't.
fn run<'a>(
    environment: &'a Environment<'a>,
    name: &'a str,
    source: &'a str,
    values: &Value,
    out: &mut Bounded,
) -> Result<(), Error> {
    let template = environment.template_from_named_str(name, source)?;
    template.render_captured_to(values.clone(), out).map(drop)
}

/// Collects output up to a bound.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.bytes_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, mistake::TOO_LONG));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
