//! A rule: one sentence that a server keeps or breaks, and how to find out.

use std::future::Future;
use std::pin::Pin;

use super::bench::Bench;
use super::transport::Transport;

/// One sentence of the protocol.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `family.name`; never changes once published.
    pub id: &'static str,
    /// What holds, as a sentence.
    pub says: &'static str,
    /// Where it is written.
    pub source: &'static str,
    /// How it binds.
    pub basis: Basis,
    /// Where it applies.
    pub transports: &'static [Transport],
    /// Whether the server's resources have to change for it.
    pub driven: bool,
    pub(super) run: for<'a> fn(&'a Bench) -> Turn<'a>,
}

/// How a rule binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The protocol's text says so.
    Specification,
    /// The text is silent or leaves it open; fleets in production need it.
    Practice,
}

/// A rule at work.
pub(super) type Turn<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'a>>;

/// Why a rule came to no good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The server broke it.
    Fail(String),
    /// The server has nothing that it is about.
    Skip(String),
    /// It could not be tried to the end, and that is not the server's fault.
    Stuck(String),
}

impl Rule {
    /// A rule of the specification that needs no change.
    pub(super) const fn new(
        id: &'static str,
        transports: &'static [Transport],
        says: &'static str,
        source: &'static str,
        run: for<'a> fn(&'a Bench) -> Turn<'a>,
    ) -> Self {
        let basis = Basis::Specification;
        Self { id, says, source, basis, transports, driven: false, run }
    }

    /// The same, needing a driver.
    pub(super) const fn driven(self) -> Self {
        Self { driven: true, ..self }
    }

    /// The same, as practice.
    pub(super) const fn practice(self) -> Self {
        Self { basis: Basis::Practice, ..self }
    }

    /// The part of the id before the dot.
    pub fn family(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }
}

/// A failure.
pub(super) fn fail(text: impl Into<String>) -> Stop {
    Stop::Fail(text.into())
}

/// A failure unless `holds`.
pub(super) fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Fail(text())) }
}
