//! From a YAML file to checks, telling every mistake.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;
use serde_saphyr::{Location, Spanned};

use super::node::{Item, Node};
use super::{Ask, Check, Expect, Pattern};
use crate::model::{FilePath, Place, Problem, suggestion};
use crate::schema::{DEPTH_MAX, position, unreadable};

/// A file of checks is written by hand.
const MAX_BYTES: usize = 1 << 20;
/// Repetitions beyond it show nothing more and take seconds.
const MAX_REPEAT: f64 = 5000.0;
/// Fewer requests than this say nothing about a share.
const MIN_REPEAT_FOR_WEIGHTS: u32 = 50;
/// Percent points.
const DEFAULT_TOLERANCE: f64 = 5.0;

const FILE_KEYS: &[&str] = &["listener", "checks"];
const CHECK_KEYS: &[&str] =
    &["name", "listener", "stages", "groups", "request", "repeat", "expect"];
const REQUEST_KEYS: &[&str] = &["method", "path", "host", "headers", "body", "tls"];
const EXPECT_KEYS: &[&str] =
    &["status", "cluster", "headers", "body_contains", "weights", "tolerance"];

/// Reads the checks of one file. A check with a mistake is left out.
pub(super) fn read(file: &FilePath, content: &[u8], problems: &mut Vec<Problem>) -> Vec<Check> {
    let mut reader = Reader { file, problems };
    match reader.parse(content) {
        Some(root) => reader.file(&root),
        None => Vec::new(),
    }
}

struct Reader<'a> {
    file: &'a FilePath,
    problems: &'a mut Vec<Problem>,
}

/// The values of a map by key, all of them known.
struct Fields<'a> {
    entries: Vec<(&'a str, &'a Item)>,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Item> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, item)| *item)
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
        let repeat = fields.get("repeat").and_then(|item| self.number(item, 1.0, MAX_REPEAT));
        let repeat = repeat.map_or(1, whole);
        let request = self.required(item, &fields, "request").and_then(|item| self.request(item));
        let expect = self.required(item, &fields, "expect");
        let expect = expect.and_then(|item| self.expect(item, repeat));
        if self.problems.len() > before {
            return None;
        }
        Some(Check {
            name: name?,
            place: self.place(item.defined),
            listener: own.or_else(|| listener.map(str::to_owned)),
            stages,
            groups,
            request: request?,
            repeat,
            expect: expect?,
        })
    }

    fn request(&mut self, item: &Item) -> Option<Ask> {
        let fields = self.fields(item, REQUEST_KEYS)?;
        let path = self.required(item, &fields, "path")?;
        let method = fields.get("method").map(|item| self.method(item));
        let host = fields.get("host").map(|item| self.host(item));
        let headers = self.headers(fields.get("headers"), |reader, item| {
            let text = reader.scalar(item)?;
            let value = HeaderValue::from_str(&text).ok();
            reader.or_problem(item, value, "is not a header value")
        });
        Some(Ask {
            method: method.unwrap_or(Some(Method::GET))?,
            path: self.path(path)?,
            host: host.unwrap_or(Some("localhost".into()))?,
            headers,
            body: fields.get("body").and_then(|item| self.text(item)).unwrap_or_default(),
            tls: fields.get("tls").and_then(|item| self.truth(item)),
        })
    }

    fn expect(&mut self, item: &Item, repeat: u32) -> Option<Expect> {
        let fields = self.fields(item, EXPECT_KEYS)?;
        let weights = self.weights(fields.get("weights"), repeat);
        let expect = Expect {
            status: fields.get("status").and_then(|i| self.number(i, 100.0, 599.0)).map(status),
            cluster: fields.get("cluster").and_then(|item| self.text(item)),
            headers: self.headers(fields.get("headers"), Self::pattern),
            body_contains: fields.get("body_contains").and_then(|item| self.text(item)),
            weights,
            tolerance: fields
                .get("tolerance")
                .and_then(|item| self.number(item, 0.0, 100.0))
                .unwrap_or(DEFAULT_TOLERANCE),
        };
        if fields.entries.iter().all(|(name, _)| *name == "tolerance") {
            self.problem(item.defined, "check-syntax", "the check expects nothing");
        }
        Some(expect)
    }

    fn weights(&mut self, item: Option<&Item>, repeat: u32) -> Vec<(String, f64)> {
        let Some(item) = item else { return Vec::new() };
        let Node::Map(entries) = &item.value else {
            return self
                .wrong_kind(item, "a map of cluster names and percents")
                .unwrap_or_default();
        };
        let mut weights = Vec::new();
        for (name, share) in entries {
            let share = self.number(share, 0.0, 100.0);
            weights.extend(share.map(|share| (name.value.clone(), share)));
        }
        let sum: f64 = weights.iter().map(|(_, share)| share).sum();
        if sum > 100.01 {
            let message = format!("the weights are percents and come to {sum}");
            self.problem(item.defined, "check-syntax", message);
        }
        if repeat < MIN_REPEAT_FOR_WEIGHTS {
            let message = format!("weights need `repeat` of at least {MIN_REPEAT_FOR_WEIGHTS}");
            self.problem(item.defined, "check-syntax", message);
        }
        weights
    }

    fn headers<T>(
        &mut self,
        item: Option<&Item>,
        value: impl Fn(&mut Self, &Item) -> Option<T>,
    ) -> Vec<(HeaderName, T)> {
        let Some(item) = item else { return Vec::new() };
        let Node::Map(entries) = &item.value else {
            return self.wrong_kind(item, "a map of header names and values").unwrap_or_default();
        };
        let mut headers = Vec::new();
        for (key, item) in entries {
            let name = key.value.parse::<HeaderName>();
            if name.is_err() {
                let message = format!("`{}` is not a header name", key.value);
                self.problem(key.defined, "check-syntax", message);
            }
            let value = value(self, item);
            headers.extend(name.ok().zip(value));
        }
        headers
    }

    fn pattern(&mut self, item: &Item) -> Option<Pattern> {
        let text = self.scalar(item)?;
        let Some(expression) = text.strip_prefix('~') else { return Some(Pattern::Exact(text)) };
        match Regex::new(expression) {
            Ok(regex) => Some(Pattern::Matches(regex)),
            Err(_) => self.or_problem(item, None, "is not a regular expression"),
        }
    }

    fn method(&mut self, item: &Item) -> Option<Method> {
        let text = self.text(item)?;
        let method = Method::from_bytes(text.as_bytes()).ok();
        self.or_problem(item, method, "is not a method")
    }

    fn host(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        let fits = !text.is_empty() && HeaderValue::from_str(&text).is_ok();
        self.or_problem(item, fits.then_some(text), "is not a host")
    }

    fn path(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        let fits = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
        self.or_problem(item, fits.then_some(text), "is not a path, which begins with `/`")
    }

    fn names<T>(
        &mut self,
        item: Option<&Item>,
        parse: impl Fn(&str) -> Result<T, crate::model::IdError>,
    ) -> Vec<T> {
        let Some(item) = item else { return Vec::new() };
        let mut names = Vec::new();
        for item in self.list(item) {
            match self.text(item).map(|text| parse(&text)) {
                Some(Ok(name)) => names.push(name),
                Some(Err(error)) => self.problem(item.defined, "check-syntax", error.to_string()),
                None => {}
            }
        }
        names
    }

    fn fields<'a>(&mut self, item: &'a Item, known: &[&str]) -> Option<Fields<'a>> {
        let Node::Map(entries) = &item.value else {
            return self.wrong_kind(item, "a map");
        };
        let mut fields = Fields { entries: Vec::new() };
        for (key, value) in entries {
            if known.contains(&key.value.as_str()) {
                fields.entries.push((&key.value, value));
            } else {
                self.unknown(key, known);
            }
        }
        Some(fields)
    }

    fn required<'a>(&mut self, of: &Item, fields: &Fields<'a>, key: &str) -> Option<&'a Item> {
        let item = fields.get(key);
        if item.is_none() {
            self.problem(of.defined, "check-syntax", format!("`{key}` is missing"));
        }
        item
    }

    fn list<'a>(&mut self, item: &'a Item) -> &'a [Item] {
        match &item.value {
            Node::List(items) => items,
            _ => self.wrong_kind(item, "a list").unwrap_or_default(),
        }
    }

    fn text(&mut self, item: &Item) -> Option<String> {
        match &item.value {
            Node::Text(text) => Some(text.clone()),
            _ => self.wrong_kind(item, "a text"),
        }
    }

    /// A text, or a value that has only one way to be written as one.
    fn scalar(&mut self, item: &Item) -> Option<String> {
        match &item.value {
            Node::Text(text) => Some(text.clone()),
            Node::Number(number) => Some(number.to_string()),
            Node::Bool(truth) => Some(truth.to_string()),
            _ => self.wrong_kind(item, "a text"),
        }
    }

    fn truth(&mut self, item: &Item) -> Option<bool> {
        match &item.value {
            Node::Bool(truth) => Some(*truth),
            _ => self.wrong_kind(item, "true or false"),
        }
    }

    fn number(&mut self, item: &Item, from: f64, to: f64) -> Option<f64> {
        match &item.value {
            Node::Number(number) if (from..=to).contains(number) => Some(*number),
            Node::Number(number) => {
                let message = format!("{number} is not between {from} and {to}");
                self.problem(item.defined, "check-syntax", message);
                None
            }
            _ => self.wrong_kind(item, "a number"),
        }
    }

    fn or_problem<T>(&mut self, item: &Item, value: Option<T>, complaint: &str) -> Option<T> {
        if value.is_none() {
            let text = match &item.value {
                Node::Text(text) => format!("`{text}` {complaint}"),
                other => format!("{} {complaint}", other.kind()),
            };
            self.problem(item.defined, "check-syntax", text);
        }
        value
    }

    fn wrong_kind<T>(&mut self, item: &Item, wanted: &str) -> Option<T> {
        let message = format!("expected {wanted}, found {}", item.value.kind());
        self.problem(item.defined, "check-syntax", message);
        None
    }

    fn unknown(&mut self, key: &Spanned<String>, known: &[&str]) {
        let place = self.place(key.defined);
        let message = format!("there is no key `{}` here", key.value);
        let hint = suggestion(&key.value, known);
        self.problems.push(Problem::new(place, "unknown-field", message).with_hint(hint));
    }

    fn problem(&mut self, at: Location, rule: &str, message: impl Into<String>) {
        let place = self.place(at);
        self.problems.push(Problem::new(place, rule, message));
    }

    fn whole_file(&mut self, message: String) {
        let place = Place::file(self.file.clone());
        self.problems.push(Problem::new(place, "check-syntax", message));
    }

    fn place(&self, at: Location) -> Place {
        let (line, column) = position(&at);
        Place { file: self.file.clone(), line, column }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked, and a fraction of a repetition is none"
)]
fn whole(number: f64) -> u32 {
    number as u32
}

fn status(number: f64) -> u16 {
    u16::try_from(whole(number)).unwrap_or_default()
}
