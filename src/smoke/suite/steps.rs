//! The steps of a check: what each may say.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method};
use serde_saphyr::Location;

use super::fields::{Fields, Reader, status, whole};
use super::node::{Item, Node};
use super::reader::ASKS;
use super::{Action, Ask, Condition, Failure, Hosts, Identity, Raw, SIGNS, Shown, Sign};
use super::{Stats, Step, Traffic, Transport};

/// Repetitions beyond it show nothing more and take seconds.
const MAX_REPEAT: f64 = 5000.0;
/// Connections of one step.
const MAX_AT_ONCE: f64 = 64.0;
/// Requests a second that a client of ours can keep up.
const MAX_RATE: f64 = 2000.0;
/// How long a stat may be waited for, and a host may take.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long a stat is waited for where nothing is said.
const DEFAULT_WAIT: Duration = Duration::from_secs(2);

const STEP_KEYS: &[&str] = &[
    "request", "grpc", "tcp", "repeat", "rate", "at_once", "expect", "fail", "delay", "drop",
    "restore", "runtime", "stats", "within", "wait",
];
const VERBS: [&str; 10] =
    ["request", "grpc", "tcp", "fail", "delay", "drop", "restore", "runtime", "stats", "wait"];
const REQUEST_KEYS: &[&str] =
    &["method", "path", "host", "headers", "body", "tls", "identity", "http2"];
const GRPC_KEYS: &[&str] = &["method", "host", "headers", "message", "tls", "identity"];
const TCP_KEYS: &[&str] = &["send", "host", "tls", "identity"];
const IDENTITY_KEYS: &[&str] = &["name", "alternatives"];
const TCP_EXPECT_KEYS: &[&str] = &["cluster", "contains", "refused"];
const FAIL_KEYS: &[&str] = &["cluster", "endpoint", "status", "grpc_status", "reset", "share"];
const DELAY_KEYS: &[&str] = &["cluster", "endpoint", "by", "share"];
const HOST_KEYS: &[&str] = &["cluster", "endpoint"];

impl Reader<'_> {
    /// One step: exactly one verb, and what belongs to it.
    pub(super) fn step(&mut self, item: &Item) -> Option<Step> {
        let fields = self.fields(item, STEP_KEYS)?;
        let verbs: Vec<_> = VERBS.iter().filter(|verb| fields.get(verb).is_some()).collect();
        let [verb] = verbs.as_slice() else {
            let told = match verbs.is_empty() {
                true => "a step says what to do".to_owned(),
                false => format!("a step does one thing, and this has {}", verbs.len()),
            };
            self.problem(item.defined, "check-syntax", format!("{told}: {}", VERBS.join(", ")));
            return None;
        };
        self.belonging(&fields, verb);
        let place = self.place(item.defined);
        let value = fields.get(verb)?;
        let action = match **verb {
            "fail" => self.fail(value)?,
            "delay" => self.delay(value)?,
            "drop" => Action::Drop(self.hosts(value, HOST_KEYS)?.0),
            "restore" => self.restore(value)?,
            "runtime" => self.runtime(value)?,
            "stats" => self.stats(value, fields.get("within"))?,
            "wait" => Action::Wait(self.duration(value, MAX_WAIT)?),
            _ => self.asking(item.defined, &fields)?,
        };
        Some(Step { place, action })
    }

    /// Keys beside a verb that mean nothing to it would be silently ignored.
    fn belonging(&mut self, fields: &Fields<'_>, verb: &str) {
        let allowed: &[&str] = match verb {
            "request" | "grpc" => &["repeat", "rate", "at_once", "expect"],
            "tcp" => &["expect"],
            "stats" => &["within"],
            _ => &[],
        };
        for (key, item) in &fields.entries {
            if *key != verb && !allowed.contains(key) {
                let message = format!("`{key}` means nothing beside `{verb}`");
                self.problem(item.defined, "check-syntax", message);
            }
        }
    }

    /// What sends something: `request`, `grpc` or `tcp`.
    pub(super) fn asking(&mut self, at: Location, fields: &Fields<'_>) -> Option<Action> {
        let asks: Vec<_> = ASKS.iter().filter(|key| fields.get(key).is_some()).collect();
        if asks.len() > 1 {
            let message = "one of `request`, `grpc` and `tcp` is asked, not several";
            self.problem(at, "check-syntax", message);
            return None;
        }
        if let Some(item) = fields.get("tcp") {
            return self.raw(item, fields.get("expect"));
        }
        let repeat = fields.get("repeat").and_then(|item| self.count(item, MAX_REPEAT));
        let repeat = repeat.unwrap_or(1);
        let rate = fields.get("rate").and_then(|item| self.number(item, 0.1, MAX_RATE));
        let at_once = fields.get("at_once").and_then(|item| self.count(item, MAX_AT_ONCE));
        let request = match (fields.get("request"), fields.get("grpc")) {
            (Some(item), _) => self.request(item),
            (None, Some(item)) => self.grpc(item),
            (None, None) => None,
        };
        let Some(expect) = fields.get("expect") else {
            self.problem(at, "check-syntax", "`expect` is missing");
            return None;
        };
        let expect = self.expect(expect, repeat)?;
        let (request, at_once) = (request?, at_once.unwrap_or(1));
        Some(Action::Traffic(Box::new(Traffic { request, repeat, rate, at_once, expect })))
    }

    fn request(&mut self, item: &Item) -> Option<Ask> {
        let fields = self.fields(item, REQUEST_KEYS)?;
        let path = self.required(item, &fields, "path")?;
        let method = fields.get("method").map(|item| self.method(item));
        let host = fields.get("host").map(|item| self.host(item));
        let body = fields.get("body").and_then(|item| self.text(item)).unwrap_or_default();
        Some(Ask {
            method: method.unwrap_or(Some(Method::GET))?,
            path: self.path(path)?,
            host: host.unwrap_or(Some("localhost".into()))?,
            headers: self.header_values(fields.get("headers")),
            body: Bytes::from(body),
            http2: fields.get("http2").and_then(|item| self.truth(item)).unwrap_or(false),
            transport: self.transport(&fields),
        })
    }

    fn grpc(&mut self, item: &Item) -> Option<Ask> {
        let fields = self.fields(item, GRPC_KEYS)?;
        let method = self.required(item, &fields, "method")?;
        let name = self.text(method)?;
        let is_name = name.split('/').filter(|part| !part.is_empty()).count() == 2
            && !name.starts_with('/')
            && format!("/{name}").parse::<http::uri::PathAndQuery>().is_ok();
        let name = self.or_problem(
            method,
            is_name.then_some(name),
            "is not a method, which is written `package.Service/Method`",
        )?;
        let host = fields.get("host").map(|item| self.host(item));
        let message = fields.get("message").map(|item| self.message(item));
        let mut headers = self.header_values(fields.get("headers"));
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
            headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
        }
        Some(Ask {
            method: Method::POST,
            path: format!("/{name}"),
            host: host.unwrap_or(Some("localhost".into()))?,
            headers,
            body: framed(&message.unwrap_or(Some(Vec::new()))?),
            http2: true,
            transport: self.transport(&fields),
        })
    }

    fn message(&mut self, item: &Item) -> Option<Vec<u8>> {
        let text = self.text(item)?;
        self.or_problem(item, STANDARD.decode(text).ok(), "is not a message in base64")
    }

    fn raw(&mut self, item: &Item, expect: Option<&Item>) -> Option<Action> {
        let fields = self.fields(item, TCP_KEYS)?;
        let send = self.required(item, &fields, "send").and_then(|item| self.text(item));
        let host = fields.get("host").map(|item| self.host(item));
        let transport = self.transport(&fields);
        let Some(expect) = expect else {
            self.problem(item.defined, "check-syntax", "`expect` is missing");
            return None;
        };
        let expected = self.fields(expect, TCP_EXPECT_KEYS)?;
        if expected.entries.is_empty() {
            self.problem(expect.defined, "check-syntax", "the check expects nothing");
        }
        Some(Action::Raw(Raw {
            send: send?,
            host: host.unwrap_or(Some("localhost".into()))?,
            transport,
            cluster: expected.get("cluster").and_then(|item| self.text(item)),
            contains: expected.get("contains").and_then(|item| self.text(item)),
            refused: expected.get("refused").and_then(|i| self.truth(i)).unwrap_or(false),
        }))
    }

    fn transport(&mut self, fields: &Fields<'_>) -> Transport {
        Transport {
            tls: fields.get("tls").and_then(|item| self.truth(item)),
            identity: fields.get("identity").map_or(Shown::Somebody, |item| self.identity(item)),
        }
    }

    fn identity(&mut self, item: &Item) -> Shown {
        match &item.value {
            Node::Text(text) if text == "none" => return Shown::Nothing,
            Node::Map(_) => {}
            _ => {
                self.wrong_kind::<()>(item, "`none`, or a map of `name` and `alternatives`");
                return Shown::Nothing;
            }
        }
        let Some(fields) = self.fields(item, IDENTITY_KEYS) else { return Shown::Nothing };
        let name = fields.get("name").and_then(|item| self.text(item));
        let list = fields.get("alternatives").map_or(&[][..], |item| self.list(item));
        let mut alternatives = Vec::new();
        for item in list {
            let text = self.text(item).filter(|text| !text.is_empty() && text.is_ascii());
            alternatives.extend(self.or_problem(item, text, "is neither a URI nor a host name"));
        }
        Shown::Named(Identity { name, alternatives })
    }

    fn fail(&mut self, item: &Item) -> Option<Action> {
        let (hosts, fields) = self.hosts(item, FAIL_KEYS)?;
        let http = fields.get("status").and_then(|i| self.number(i, 100.0, 599.0)).map(status);
        let grpc = fields.get("grpc_status").and_then(|i| self.number(i, 0.0, 16.0)).map(status);
        let reset = fields.get("reset").and_then(|item| self.truth(item));
        let failure = match (http, grpc, reset) {
            (Some(status), None, None) => Failure::Status(status),
            (None, Some(status), None) => Failure::Grpc(status),
            (None, None, Some(true)) => Failure::Reset,
            _ => {
                let message = "a host fails in one way: `status`, `grpc_status` or `reset: true`";
                self.problem(item.defined, "check-syntax", message);
                return None;
            }
        };
        Some(Action::Fail(hosts, failure, self.share(&fields)))
    }

    fn delay(&mut self, item: &Item) -> Option<Action> {
        let (hosts, fields) = self.hosts(item, DELAY_KEYS)?;
        let by = self.required(item, &fields, "by")?;
        let by = self.duration(by, MAX_WAIT)?;
        Some(Action::Delay(hosts, by, self.share(&fields)))
    }

    fn restore(&mut self, item: &Item) -> Option<Action> {
        match &item.value {
            Node::Text(text) if text == "all" => Some(Action::Restore(None)),
            Node::Text(_) => self.or_problem(item, None, "is not `all`, nor a map of a cluster"),
            _ => Some(Action::Restore(Some(self.hosts(item, HOST_KEYS)?.0))),
        }
    }

    fn hosts<'i>(&mut self, item: &'i Item, known: &[&str]) -> Option<(Hosts, Fields<'i>)> {
        let fields = self.fields(item, known)?;
        let cluster = self.required(item, &fields, "cluster").and_then(|item| self.text(item));
        let endpoint = match fields.get("endpoint") {
            Some(item) => Some(usize::from(status(self.number(item, 0.0, 9999.0)?))),
            None => None,
        };
        Some((Hosts { cluster: cluster?, endpoint }, fields))
    }

    fn share(&mut self, fields: &Fields<'_>) -> f64 {
        fields.get("share").and_then(|item| self.number(item, 0.0, 100.0)).unwrap_or(100.0)
    }

    fn runtime(&mut self, item: &Item) -> Option<Action> {
        let Node::Map(entries) = &item.value else {
            return self.wrong_kind(item, "a map of runtime keys and values");
        };
        let mut values = Vec::new();
        for (key, value) in entries {
            values.extend(self.scalar(value).map(|value| (key.value.clone(), value)));
        }
        (values.len() == entries.len()).then_some(Action::Runtime(values))
    }

    fn stats(&mut self, item: &Item, within: Option<&Item>) -> Option<Action> {
        let Node::Map(entries) = &item.value else {
            return self.wrong_kind(item, "a map of stats and conditions");
        };
        if entries.is_empty() {
            self.problem(item.defined, "check-syntax", "no stat is named");
        }
        let mut conditions = Vec::new();
        for (name, value) in entries {
            conditions.extend(self.condition(value).map(|one| (name.value.clone(), one)));
        }
        let within = match within {
            Some(item) => self.duration(item, MAX_WAIT)?,
            None => DEFAULT_WAIT,
        };
        (conditions.len() == entries.len()).then_some(Action::Stats(Stats { conditions, within }))
    }

    fn condition(&mut self, item: &Item) -> Option<Condition> {
        if let Node::Number(_) = item.value {
            let number = self.number(item, 0.0, f64::from(u32::MAX))?;
            return Some(Condition { sign: Sign::Equal, number: u64::from(whole(number)) });
        }
        let text = self.text(item)?;
        let known = SIGNS.iter().find_map(|(sign, meaning)| {
            let number = text.strip_prefix(sign)?.trim().parse().ok()?;
            Some(Condition { sign: *meaning, number })
        });
        self.or_problem(item, known, "is no condition, such as `>= 3`, `== 0` or a number")
    }
}

/// gRPC's framing: not compressed, the length, the message.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}
