//! From a YAML file to checks, telling every mistake.

use std::time::Duration;

use super::fields::{Fields, Reader};
use super::node::{Item, Node};
use super::{Action, Check, Step};
use crate::model::{FilePath, Problem};
use crate::schema::{DEPTH_MAX, unreadable};

/// A file of checks is written by hand.
const MAX_BYTES: usize = 1 << 20;
/// Steps of one check.
const MAX_STEPS: usize = 100;
/// The longest that one check may ask for.
const MAX_TIMEOUT: Duration = Duration::from_secs(300);

const FILE_KEYS: &[&str] = &["listener", "checks"];
/// What says what a check does, besides `steps`.
pub(super) const ASKS: [&str; 3] = ["request", "grpc", "tcp"];
const CHECK_KEYS: &[&str] = &[
    "name", "listener", "stages", "groups", "timeout", "steps", "request", "grpc", "tcp", "repeat",
    "rate", "at_once", "expect",
];

/// Reads the checks of one file. A check with a mistake is left out.
pub(super) fn read(file: &FilePath, content: &[u8], problems: &mut Vec<Problem>) -> Vec<Check> {
    let mut reader = Reader { file, problems };
    match reader.parse(content) {
        Some(root) => reader.file(&root),
        None => Vec::new(),
    }
}

impl Reader<'_> {
    fn parse(&mut self, content: &[u8]) -> Option<Item> {
        if content.len() > MAX_BYTES {
            self.whole_file(format!("a file of checks is at most {MAX_BYTES} bytes long"));
            return None;
        }
        let Ok(text) = std::str::from_utf8(content) else {
            self.whole_file("the file is not UTF-8".into());
            return None;
        };
        if text.trim().is_empty() {
            self.whole_file("the file holds no checks".into());
            return None;
        }
        let options = serde_saphyr::options! {
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
        };
        match serde_saphyr::from_str_with_options(text, options) {
            Ok(root) => Some(root),
            Err(error) => {
                self.problems.push(unreadable(self.file, &error, "check-syntax"));
                None
            }
        }
    }

    fn file(&mut self, root: &Item) -> Vec<Check> {
        let Some(fields) = self.fields(root, FILE_KEYS) else { return Vec::new() };
        let listener = fields.get("listener").and_then(|item| self.text(item));
        let Some(list) = fields.get("checks") else {
            self.problem(root.defined, "check-syntax", "the file has no `checks`");
            return Vec::new();
        };
        let items = self.list(list);
        let checks = items.iter().filter_map(|item| self.check(item, listener.as_deref()));
        checks.collect()
    }

    fn check(&mut self, item: &Item, listener: Option<&str>) -> Option<Check> {
        let before = self.problems.len();
        let fields = self.fields(item, CHECK_KEYS)?;
        let name = self.required(item, &fields, "name").and_then(|item| self.text(item));
        let own = fields.get("listener").and_then(|item| self.text(item));
        let stages = self.names(fields.get("stages"), |text| text.parse());
        let groups = self.names(fields.get("groups"), |text| text.parse());
        let timeout = fields.get("timeout").and_then(|item| self.duration(item, MAX_TIMEOUT));
        let is_scenario = fields.get("steps").is_some();
        let steps = match fields.get("steps") {
            Some(list) => self.steps(list, &fields),
            None => self.only_step(item, &fields).into_iter().collect(),
        };
        if self.problems.len() > before {
            return None;
        }
        Some(Check {
            name: name?,
            place: self.place(item.defined),
            listener: own.or_else(|| listener.map(str::to_owned)),
            stages,
            groups,
            timeout,
            steps,
            is_scenario,
        })
    }

    /// A check without steps is one itself.
    fn only_step(&mut self, item: &Item, fields: &Fields<'_>) -> Option<Step> {
        if ASKS.iter().all(|key| fields.get(key).is_none()) {
            self.required(item, fields, "request");
        }
        self.required(item, fields, "expect");
        let action = self.asking(item.defined, fields)?;
        Some(Step { place: self.place(item.defined), action })
    }

    fn steps(&mut self, list: &Item, of: &Fields<'_>) -> Vec<Step> {
        for key in ASKS.iter().chain(&["repeat", "rate", "at_once", "expect"]) {
            if let Some(item) = of.get(key) {
                let message = format!("`{key}` belongs into one of the `steps`");
                self.problem(item.defined, "check-syntax", message);
            }
        }
        let items = self.list(list);
        if items.is_empty() && matches!(&list.value, Node::List(_)) {
            self.problem(list.defined, "check-syntax", "the check has no steps");
        }
        if items.len() > MAX_STEPS {
            let message = format!("a check has at most {MAX_STEPS} steps; divide it");
            self.problem(list.defined, "check-syntax", message);
            return Vec::new();
        }
        let steps: Vec<Step> = items.iter().filter_map(|item| self.step(item)).collect();
        let looks = |step: &Step| {
            matches!(step.action, Action::Traffic(_) | Action::Raw(_) | Action::Stats(_))
        };
        if steps.len() == items.len() && !steps.is_empty() && !steps.iter().any(looks) {
            let message = "the check expects nothing: no step sends traffic or looks at stats";
            self.problem(list.defined, "check-syntax", message);
        }
        steps
    }
}
