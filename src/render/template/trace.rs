//! From text with marks to the way back.

use std::collections::HashMap;

use super::mark::{self, Mark};
use super::scan::advance;
use super::sources::Sources;
use crate::model::FilePath;
use crate::render::rendered::{Run, SourceMap};

/// The way back from `text`, which `file` rendered to. `marked` is the same
/// run with marks, where it worked.
///
/// A filter that measures or cuts text can make the marked run differ. Then
/// only lines that are certain are mapped: those before the first and behind
/// the last difference, and those whose text is in the source exactly once.
pub(super) fn map(
    file: &FilePath,
    source: &str,
    text: &str,
    marked: Option<&str>,
    sources: &Sources,
) -> SourceMap {
    let (stripped, mut runs) = marked.map(strip).unwrap_or_default();
    if stripped != text {
        runs = certain(source, text, &stripped, &runs);
    }
    number_files(file, sources, runs)
}

/// Takes the marks out: the text without them, and a run for each.
fn strip(marked: &str) -> (String, Vec<Run>) {
    let mut text = String::with_capacity(marked.len());
    let mut runs: Vec<Run> = Vec::new();
    let (mut rest, mut position) = (marked, (1, 1));
    while !rest.is_empty() {
        if let Some((found, after)) = Mark::take(rest) {
            let Mark { literal, file, line, column } = found;
            // Of several marks at one position the last is the innermost.
            runs.pop_if(|last| last.start == position);
            runs.push(Run { start: position, file, from: (line, column), literal });
            rest = after;
            continue;
        }
        // A character that begins a mark but is none is the user's own.
        let own = rest.chars().next().map_or(0, char::len_utf8);
        let next = rest[own..].find(mark::begins).map_or(rest.len(), |at| at + own);
        text.push_str(&rest[..next]);
        position = advance(position, &rest[..next]);
        rest = &rest[next..];
    }
    (text, runs)
}

fn certain(source: &str, text: &str, stripped: &str, runs: &[Run]) -> Vec<Run> {
    let lines: Vec<&str> = text.lines().collect();
    let others: Vec<&str> = stripped.lines().collect();
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = lines.iter().zip(&others).take_while(same).count();
    let most = lines.len().min(others.len()) - head;
    let tail = lines.iter().rev().zip(others.iter().rev()).take(most).take_while(same).count();
    let mut certain = of_lines(runs, 0..head, 0);
    let only = only_lines(source);
    for (at, line) in lines.iter().enumerate().take(lines.len() - tail).skip(head) {
        certain.push(by_text(&only, line, at));
    }
    let moved = lines.len() as i64 - others.len() as i64;
    certain.extend(of_lines(runs, others.len() - tail..others.len(), moved));
    certain
}

/// The runs of some lines (from 0), moved by a number of lines.
fn of_lines(runs: &[Run], lines: std::ops::Range<usize>, moved: i64) -> Vec<Run> {
    let on = |run: &&Run| lines.contains(&(run.start.0 as usize - 1));
    let shift = |run: &Run| {
        let line = u32::try_from(i64::from(run.start.0) + moved).unwrap_or(1);
        Run { start: (line, run.start.1), ..*run }
    };
    runs.iter().filter(on).map(shift).collect()
}

/// The lines of the source that are there once, by their text.
fn only_lines(source: &str) -> HashMap<&str, Option<(usize, &str)>> {
    let mut only = HashMap::new();
    for (at, line) in source.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        only.entry(line.trim()).and_modify(|known| *known = None).or_insert(Some((at, line)));
    }
    only
}

/// The source line with the same text, if there is exactly one.
fn by_text(only: &HashMap<&str, Option<(usize, &str)>>, line: &str, at: usize) -> Run {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let indent = |text: &str| count(text.chars().take_while(|c| c.is_whitespace()).count());
    match only.get(line.trim()).copied().flatten() {
        Some((number, own)) => Run {
            start: (count(at + 1), indent(line) + 1),
            file: mark::MAIN,
            from: (count(number + 1), indent(own) + 1),
            literal: true,
        },
        None => Run { start: (count(at + 1), 1), file: mark::MAIN, from: (0, 0), literal: false },
    }
}

/// Names the files that the runs mention, in the order in which they do.
fn number_files(file: &FilePath, sources: &Sources, mut runs: Vec<Run>) -> SourceMap {
    let mut numbers: Vec<u32> = vec![mark::MAIN];
    let mut files = vec![file.clone()];
    for run in &mut runs {
        let known = numbers.iter().position(|number| *number == run.file).unwrap_or_else(|| {
            numbers.push(run.file);
            files.push(sources.path(run.file).unwrap_or(file).clone());
            numbers.len() - 1
        });
        run.file = u32::try_from(known).unwrap_or(0);
    }
    SourceMap { files, runs }
}

/// The text without its marks.
#[cfg(test)]
pub(super) fn stripped(marked: &str) -> String {
    strip(marked).0
}
