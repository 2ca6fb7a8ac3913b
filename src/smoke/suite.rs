//! The checks of a source tree: what `checks/` says, with every mistake found.
//!
//! Reading only; running them is `scenario`'s and `script`'s. What may be
//! written is in `templates/envoy/sample/checks/README.md`.

mod fields;
mod fit;
mod node;
mod reader;
mod steps;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use globset::{Glob, GlobSet, GlobSetBuilder};
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

use super::echo::{Failure, Hosts};
use super::pki::Identity;
use crate::model::{ContentHash, FilePath, NodeGroup, Place, Problem, SourceTree, Stage};

/// The folder of checks.
const FOLDER: &str = "checks";

/// The checks of a source tree, read from `checks/`.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Hash over every check and every file under `checks/`.
    pub hash: Option<ContentHash>,
    /// The declarative checks, in the order of files and lines.
    pub(super) checks: Vec<Check>,
    /// The executables, in the order of paths.
    pub(super) scripts: Vec<FilePath>,
    /// Every file under `checks/`, for the executables.
    pub(super) files: BTreeMap<FilePath, Bytes>,
}

impl Suite {
    /// Reads `checks/`: `*.yaml` files are declarative, executable files are
    /// run. Gives every mistake with its place.
    pub fn read(tree: &SourceTree) -> (Self, Vec<Problem>) {
        let mut suite = Self::default();
        let mut problems = Vec::new();
        for (path, content) in tree.under(FOLDER) {
            suite.files.insert(path.clone(), content.clone());
            if is_yaml(path) {
                suite.checks.extend(reader::read(path, content, &mut problems));
            } else if tree.executables.contains(path) {
                suite.scripts.push(path.clone());
            }
        }
        suite.hash = (!suite.files.is_empty()).then(|| suite.content_hash());
        (suite, problems)
    }

    fn content_hash(&self) -> ContentHash {
        let parts = self.files.iter().flat_map(|(path, content)| {
            let runs: &[u8] = if self.scripts.contains(path) { b"x" } else { b"" };
            [path.as_str().as_bytes(), runs, content.as_ref()]
        });
        ContentHash::of_parts(parts)
    }
}

fn is_yaml(path: &FilePath) -> bool {
    path.as_str().ends_with(".yaml") || path.as_str().ends_with(".yml")
}

/// The files of `checks/` that a policy lets run.
#[derive(Debug)]
pub(super) struct Selection(GlobSet);

impl Selection {
    /// Compiles a policy's globs, which may or may not begin with `checks/`.
    /// One that can't be compiled selects nothing; the manifest's reader
    /// refuses it before it comes here.
    pub(super) fn new(globs: &[String]) -> Self {
        let mut set = GlobSetBuilder::new();
        for glob in globs.iter().filter_map(|glob| Glob::new(glob).ok()) {
            set.add(glob);
        }
        Self(set.build().unwrap_or_default())
    }

    /// Whether the file may run.
    pub(super) fn takes(&self, file: &FilePath) -> bool {
        let inner = file.as_str().trim_start_matches(FOLDER).trim_start_matches('/');
        self.0.is_match(inner) || self.0.is_match(file.as_str())
    }
}

/// One declarative check.
#[derive(Debug, Clone)]
pub(super) struct Check {
    /// Its name.
    pub(super) name: String,
    /// Where it is written.
    pub(super) place: Place,
    /// Which listener is asked; `None` where the group has only one.
    pub(super) listener: Option<String>,
    /// Where it applies; empty means every stage.
    pub(super) stages: Vec<Stage>,
    /// Where it applies; empty means every group that has the listener.
    pub(super) groups: Vec<NodeGroup>,
    /// How long it may take, where it says so itself.
    pub(super) timeout: Option<Duration>,
    /// What is done, one after the other; a plain check has one step.
    pub(super) steps: Vec<Step>,
    /// Whether it is written as steps.
    pub(super) is_scenario: bool,
}

impl Check {
    /// Whether a listener is asked.
    pub(super) fn asks(&self) -> bool {
        let asks = |step: &Step| matches!(step.action, Action::Traffic(_) | Action::Raw(_));
        self.steps.iter().any(asks)
    }

    /// Whether it changes what other checks find.
    pub(super) fn disturbs(&self) -> bool {
        let quiet = |step: &Step| {
            matches!(
                step.action,
                Action::Traffic(_) | Action::Raw(_) | Action::Stats(_) | Action::Wait(_)
            )
        };
        !self.steps.iter().all(quiet)
    }

    /// Every cluster that it names.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &String> {
        self.steps.iter().flat_map(|step| step.action.clusters())
    }
}

/// One step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Where it is written.
    pub(super) place: Place,
    /// What is done.
    pub(super) action: Action,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Sends requests and looks at the answers.
    Traffic(Box<Traffic>),
    /// Sends plain bytes and looks at what comes back.
    Raw(Raw),
    /// Makes hosts fail requests: how, and how many of a hundred.
    Fail(Hosts, Failure, f64),
    /// Makes hosts take their time: how long, over how many of a hundred.
    Delay(Hosts, Duration, f64),
    /// Makes hosts go away.
    Drop(Hosts),
    /// Makes hosts behave again; all of them where none is named.
    Restore(Option<Hosts>),
    /// Sets values of the runtime.
    Runtime(Vec<(String, String)>),
    /// Looks at Envoy's stats, until all hold or time is up.
    Stats(Stats),
    /// Waits.
    Wait(Duration),
}

impl Action {
    fn clusters(&self) -> Vec<&String> {
        match self {
            Self::Traffic(traffic) => {
                let expect = &traffic.expect;
                let weighed = expect.weights.iter().map(|(name, _)| name);
                expect.cluster.iter().chain(weighed).collect()
            }
            Self::Raw(raw) => raw.cluster.iter().collect(),
            Self::Fail(hosts, ..) | Self::Delay(hosts, ..) | Self::Drop(hosts) => {
                vec![&hosts.cluster]
            }
            Self::Restore(hosts) => hosts.iter().map(|hosts| &hosts.cluster).collect(),
            Self::Runtime(_) | Self::Stats(_) | Self::Wait(_) => Vec::new(),
        }
    }
}

/// Requests, and what must come.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// What is asked.
    pub(super) request: Ask,
    /// How many times.
    pub(super) repeat: u32,
    /// How many a second; `None` as fast as answers come.
    pub(super) rate: Option<f64>,
    /// Over how many connections at once.
    pub(super) at_once: u32,
    /// What must come.
    pub(super) expect: Expect,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// Its method.
    pub(super) method: Method,
    /// Its path and query, exactly as sent.
    pub(super) path: String,
    /// Its `Host`, which is also the TLS server name.
    pub(super) host: String,
    /// Its other headers.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub(super) body: Bytes,
    /// Whether it goes in HTTP/2.
    pub(super) http2: bool,
    /// How the listener is reached.
    pub(super) transport: Transport,
}

/// How a listener is reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Transport {
    /// Whether over TLS; `None` as the listener does.
    pub(super) tls: Option<bool>,
    /// Whom a certificate is shown of, where one is asked for.
    pub(super) identity: Shown,
}

/// What a client shows to a listener that asks for a certificate.
#[derive(Debug, Clone, Default)]
pub(super) enum Shown {
    /// A certificate of the run's own authority.
    #[default]
    Somebody,
    /// One with these names.
    Named(Identity),
    /// None.
    Nothing,
}

/// Plain bytes, and what must come back.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    /// What is sent.
    pub(super) send: String,
    /// The TLS server name.
    pub(super) host: String,
    /// How the listener is reached.
    pub(super) transport: Transport,
    /// The cluster that was hit.
    pub(super) cluster: Option<String>,
    /// A part of what comes back.
    pub(super) contains: Option<String>,
    /// Whether nothing may come back, and the connection end.
    pub(super) refused: bool,
}

/// Conditions on Envoy's stats. Counters count from the check's beginning.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    /// Which stat must be how.
    pub(super) conditions: Vec<(String, Condition)>,
    /// How long it may take until all hold.
    pub(super) within: Duration,
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// How.
    pub(super) sign: Sign,
    /// With what.
    pub(super) number: u64,
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// The signs as they are written; longer ones first.
pub(super) const SIGNS: [(&str, Sign); 6] = [
    ("==", Sign::Equal),
    ("!=", Sign::Unequal),
    ("<=", Sign::AtMost),
    (">=", Sign::AtLeast),
    ("<", Sign::Less),
    (">", Sign::More),
];

impl Condition {
    /// Whether `found` is so.
    pub(super) fn holds(self, found: u64) -> bool {
        match self.sign {
            Sign::Equal => found == self.number,
            Sign::Unequal => found != self.number,
            Sign::Less => found < self.number,
            Sign::AtMost => found <= self.number,
            Sign::More => found > self.number,
            Sign::AtLeast => found >= self.number,
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = SIGNS.iter().find(|(_, sign)| *sign == self.sign).map_or("==", |(text, _)| text);
        write!(f, "{sign} {}", self.number)
    }
}

/// What an answer must be like.
#[derive(Debug, Clone, Default)]
pub(super) struct Expect {
    /// The status.
    pub(super) status: Option<u16>,
    /// The status of gRPC.
    pub(super) grpc_status: Option<u16>,
    /// The cluster that was hit.
    pub(super) cluster: Option<String>,
    /// The endpoint that was hit, counted from 0 within its cluster.
    pub(super) endpoint: Option<usize>,
    /// The headers; gRPC's trailers too.
    pub(super) headers: Vec<(HeaderName, Pattern)>,
    /// A part of the body.
    pub(super) body_contains: Option<String>,
    /// How long each answer may take.
    pub(super) within: Option<Duration>,
    /// Whether there may be no answer at all.
    pub(super) refused: bool,
    /// The share of each cluster, in percent.
    pub(super) weights: Vec<(String, f64)>,
    /// The share of each endpoint, in percent.
    pub(super) endpoints: Vec<(String, f64)>,
    /// The share of each status, in percent.
    pub(super) statuses: Vec<(String, f64)>,
    /// How many percent points a share may be off; chance may widen it.
    pub(super) tolerance: f64,
}

/// What a header must be like.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// This text.
    Exact(String),
    /// Matching this expression somewhere.
    Matches(Regex),
}

impl Pattern {
    /// Whether the text is like that.
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Matches(regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(exact) => write!(f, "`{exact}`"),
            Self::Matches(regex) => write!(f, "a match of `{regex}`"),
        }
    }
}

#[cfg(test)]
mod tests;
