//! A JUnit file: the form in which most CI systems take test results.

use super::Told;
use crate::model::{CellResult, Outcome, Severity};

/// The report: a suite of what is wrong with the files, and one of the cells.
pub(super) fn report(told: &[Told], cells: &[CellResult]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    xml.push_str(&assessed(told));
    xml.push_str(&smoke(cells));
    xml.push_str("</testsuites>\n");
    xml
}

/// Mistakes of files; those of cells are in the other suite.
fn assessed(told: &[Told]) -> String {
    let is_of_file = |one: &&Told| one.severity == Severity::Error && !one.message.contains(" × ");
    let errors: Vec<_> = told.iter().filter(is_of_file).collect();
    let mut xml = head("convoy validate", errors.len().max(1), errors.len(), 0, 0);
    if errors.is_empty() {
        xml.push_str("    <testcase classname=\"convoy.validate\" name=\"every file\"/>\n");
    }
    for Told { file, line, column, message, .. } in errors {
        let name = escape(&format!("{file}:{line}:{column}"));
        let message = escape(message);
        xml.push_str(&format!(
            "    <testcase classname=\"convoy.validate\" name=\"{name}\">\
             <failure message=\"{message}\"/></testcase>\n"
        ));
    }
    xml.push_str("  </testsuite>\n");
    xml
}

fn smoke(cells: &[CellResult]) -> String {
    let count = |outcome| cells.iter().filter(|cell| cell.outcome == outcome).count();
    let took: u64 = cells.iter().map(|cell| cell.took_ms).sum();
    let (failed, errored) = (count(Outcome::Failed), count(Outcome::Errored));
    let mut xml = head("convoy smoke", cells.len(), failed, errored, took);
    for cell in cells {
        xml.push_str(&one(cell));
    }
    xml.push_str("  </testsuite>\n");
    xml
}

fn one(cell: &CellResult) -> String {
    let (stage, version) = (escape(cell.cell.stage.as_str()), escape(&cell.cell.version));
    let opening = format!(
        "    <testcase classname=\"convoy.smoke.{stage}\" name=\"Envoy {version}\" time=\"{}\"",
        seconds(cell.took_ms)
    );
    let tag = match cell.outcome {
        Outcome::Passed => return format!("{opening}/>\n"),
        Outcome::Failed => "failure",
        Outcome::Errored => "error",
    };
    let first = escape(cell.reasons.first().map_or("", String::as_str));
    let all = escape(&cell.reasons.join("\n"));
    format!("{opening}><{tag} message=\"{first}\">{all}</{tag}></testcase>\n")
}

fn head(name: &str, tests: usize, failures: usize, errors: usize, took_ms: u64) -> String {
    format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{}\">\n",
        seconds(took_ms)
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// For text and attributes alike; what XML can't hold at all is left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Proof};

    #[test]
    fn what_envoy_said_is_text_and_not_markup() {
        let cell = CellResult {
            cell: Cell { stage: "beta".parse().unwrap(), version: "1.40.0".into() },
            outcome: Outcome::Failed,
            reasons: vec!["</failure><x a=\"1\">& \u{1b}[31m".into()],
            took_ms: 1042,
            checks: 1,
            cached: false,
            proof: Proof::default(),
        };
        let xml = report(&[], &[cell]);
        assert!(
            xml.contains("&lt;/failure&gt;&lt;x a=&quot;1&quot;&gt;&amp; \u{fffd}[31m"),
            "{xml}"
        );
        assert!(xml.contains("failures=\"1\" errors=\"0\" time=\"1.042\""), "{xml}");
    }
}
