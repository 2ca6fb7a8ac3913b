//! Results on stdout, messages on stderr.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) format: Format,
    quiet: bool,
}

impl Output {
    pub(super) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Prints a result: `text` for people, `value` as JSON. A closed pipe is
    /// no failure: whoever reads has seen enough.
    pub(super) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let body = match self.format {
            Format::Json => with_version(value),
            Format::Table => text(),
        };
        let mut stdout = std::io::stdout().lock();
        let end = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
        let _ = write!(stdout, "{body}{end}").and_then(|()| stdout.flush());
    }

    /// Prints what an act came to, in the server's words.
    pub(super) fn done(&self, answer: &serde_json::Value) {
        self.result(answer, || format!("{}\n", answer["message"].as_str().unwrap_or("done")));
    }

    /// Prints a message, unless the user wants none.
    pub(super) fn message(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Prints an error that the result explains no further; never silenced.
    pub(super) fn error(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Prints that something begins, only where somebody watches.
    pub(super) fn progress(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            self.message(text);
        }
    }

    /// Prints why a command failed.
    pub(super) fn failure(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            let _ = writeln!(std::io::stderr(), "error: {failure}");
        }
    }
}

/// Lines with their columns one under the other.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = width(column).saturating_sub(cell.chars().count());
            line.push_str(cell);
            line.push_str(&" ".repeat(pad + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn with_version(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let value = match value {
        serde_json::Value::Object(mut map) => {
            map.shift_insert(0, "apiVersion".into(), "convoy/v1".into());
            serde_json::Value::Object(map)
        }
        list => serde_json::json!({ "apiVersion": "convoy/v1", "items": list }),
    };
    serde_json::to_string_pretty(&value).unwrap_or_default()
}
