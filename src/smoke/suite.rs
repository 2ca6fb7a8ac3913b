//! The checks of a source tree: what `checks/` says, with every mistake found.
//!
//! Reading only; running them is `check`'s and `script`'s.

mod fit;
mod node;
mod reader;

use std::collections::BTreeMap;

use bytes::Bytes;
use globset::{Glob, GlobSet, GlobSetBuilder};
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

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
    /// What is asked.
    pub(super) request: Ask,
    /// How many times.
    pub(super) repeat: u32,
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
    pub(super) body: String,
    /// Whether it goes over TLS; `None` as the listener does.
    pub(super) tls: Option<bool>,
}

/// What an answer must be like.
#[derive(Debug, Clone, Default)]
pub(super) struct Expect {
    /// The status.
    pub(super) status: Option<u16>,
    /// The cluster that was hit.
    pub(super) cluster: Option<String>,
    /// The headers.
    pub(super) headers: Vec<(HeaderName, Pattern)>,
    /// A part of the body.
    pub(super) body_contains: Option<String>,
    /// The share of each cluster, in percent.
    pub(super) weights: Vec<(String, f64)>,
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
