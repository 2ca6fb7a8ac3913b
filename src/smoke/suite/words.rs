//! The words that requests and expectations are made of.

use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

use super::fields::{Reader, status, whole};
use super::node::{Item, Node};
use super::{Expect, Pattern};

/// Fewer requests than this say nothing about a share.
const MIN_REPEAT_FOR_WEIGHTS: u32 = 50;
/// Percent points.
const DEFAULT_TOLERANCE: f64 = 5.0;
/// How long an answer may be asked to take at most.
const MAX_WITHIN: Duration = Duration::from_secs(60);

const EXPECT_KEYS: &[&str] = &[
    "status",
    "grpc_status",
    "cluster",
    "endpoint",
    "headers",
    "body_contains",
    "within",
    "refused",
    "weights",
    "endpoints",
    "statuses",
    "tolerance",
];

impl Reader<'_> {
    /// What must come; shares need enough requests to be told from chance.
    pub(super) fn expect(&mut self, item: &Item, repeat: u32) -> Option<Expect> {
        let fields = self.fields(item, EXPECT_KEYS)?;
        let number = |reader: &mut Self, key: &str, from: f64, to: f64| {
            fields.get(key).and_then(|item| reader.number(item, from, to)).map(status)
        };
        let weights = self.weights(fields.get("weights"), repeat);
        let expect = Expect {
            status: number(self, "status", 100.0, 599.0),
            grpc_status: number(self, "grpc_status", 0.0, 16.0),
            cluster: fields.get("cluster").and_then(|item| self.text(item)),
            endpoint: number(self, "endpoint", 0.0, 9999.0).map(usize::from),
            headers: self.headers(fields.get("headers"), Self::pattern),
            body_contains: fields.get("body_contains").and_then(|item| self.text(item)),
            within: fields.get("within").and_then(|item| self.duration(item, MAX_WITHIN)),
            refused: fields.get("refused").and_then(|i| self.truth(i)).unwrap_or(false),
            weights,
            endpoints: self.weights(fields.get("endpoints"), repeat),
            statuses: self.weights(fields.get("statuses"), repeat),
            tolerance: fields
                .get("tolerance")
                .and_then(|item| self.number(item, 0.0, 100.0))
                .unwrap_or(DEFAULT_TOLERANCE),
        };
        if fields.entries.iter().all(|(name, _)| *name == "tolerance") {
            self.problem(item.defined, "check-syntax", "the check expects nothing");
        }
        if expect.refused && fields.entries.len() > 1 {
            let message = "what is `refused` has no answer to expect anything of";
            self.problem(item.defined, "check-syntax", message);
        }
        self.endpoint_names(&fields, &expect);
        Some(expect)
    }

    /// `cluster/number`.
    fn endpoint_names(&mut self, fields: &super::fields::Fields<'_>, expect: &Expect) {
        let Some(item) = fields.get("endpoints") else { return };
        for (name, _) in &expect.endpoints {
            let number = name.rsplit_once('/').map(|(_, number)| number.parse::<usize>());
            if !matches!(number, Some(Ok(_))) {
                let message = format!("`{name}` is not an endpoint, which is written `cluster/0`");
                self.problem(item.defined, "check-syntax", message);
            }
        }
    }

    /// The headers of a request.
    pub(super) fn header_values(&mut self, item: Option<&Item>) -> Vec<(HeaderName, HeaderValue)> {
        self.headers(item, |reader, item| {
            let text = reader.scalar(item)?;
            let value = HeaderValue::from_str(&text).ok();
            reader.or_problem(item, value, "is not a header value")
        })
    }

    fn weights(&mut self, item: Option<&Item>, repeat: u32) -> Vec<(String, f64)> {
        let Some(item) = item else { return Vec::new() };
        let Node::Map(entries) = &item.value else {
            return self.wrong_kind(item, "a map of names and percents").unwrap_or_default();
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

    pub(super) fn method(&mut self, item: &Item) -> Option<Method> {
        let text = self.text(item)?;
        let method = Method::from_bytes(text.as_bytes()).ok();
        self.or_problem(item, method, "is not a method")
    }

    pub(super) fn host(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        let fits = !text.is_empty() && HeaderValue::from_str(&text).is_ok();
        self.or_problem(item, fits.then_some(text), "is not a host")
    }

    pub(super) fn path(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        let fits = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
        self.or_problem(item, fits.then_some(text), "is not a path, which begins with `/`")
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, item: &Item, most: f64) -> Option<u32> {
        self.number(item, 1.0, most).map(whole)
    }

    /// `300ms`, `5s`, `1m`.
    pub(super) fn duration(&mut self, item: &Item, most: Duration) -> Option<Duration> {
        let text = self.text(item)?;
        let read =
            self.or_problem(item, duration(&text), "is not a duration, such as `300ms` or `5s`")?;
        if read > most {
            let message = format!("`{text}` is longer than {} s", most.as_secs());
            self.problem(item.defined, "check-syntax", message);
            return None;
        }
        Some(read)
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}
