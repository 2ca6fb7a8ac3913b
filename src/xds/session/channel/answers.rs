//! What the client said of the responses of one type, and how it stands by
//! that.
//!
//! Versions here are those of the type as the client has it: with what it
//! holds on to until nothing names it any more. To people, and to whoever
//! waits for a node, such a client is as far as the snapshot is: it took all
//! there is to take, and removals follow by themselves.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Channel, Flight, Protocol};
use crate::snapshot::TypeSnapshot;
use crate::xds::blame::blamed;
use crate::xds::session::flight::Part;
use crate::xds::session::{Answer, Request};
use crate::xds::{Nack, TypeStatus};

/// How many responses are remembered whose answer was given up.
const MISSED: usize = 4;

/// What was sent and said.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) sent: Option<Arc<str>>,
    acked: Option<Arc<str>>,
    answered_at: Option<Timestamp>,
    nacked: Option<Nack>,
    /// Responses that newer ones followed before they were answered, the
    /// oldest first.
    missed: VecDeque<Flight>,
}

impl Answers {
    /// Whether what was answered last is `current`, and taken.
    pub(super) fn rest(&self, current: &TypeSnapshot) -> bool {
        self.nacked.is_none() && self.acked.as_ref() == Some(&current.version)
    }

    /// Remembers a response that is not waited for any more: its answer may
    /// come all the same.
    pub(super) fn missed(&mut self, flight: Option<Flight>) {
        let Some(flight) = flight.filter(|flight| !flight.is_heartbeat) else { return };
        if self.missed.len() == MISSED {
            self.missed.pop_front();
        }
        self.missed.push_back(flight);
    }
}

impl Channel {
    /// Takes the answer to a part of a response. The answer is complete with
    /// that to its last part; a refusal counts at once.
    pub(super) fn answered(&mut self, request: &Request) -> Option<Answer> {
        if !self.flight.as_ref().is_some_and(|flight| flight.awaits(&request.nonce)) {
            return self.answered_late(request);
        }
        let part = self.flight.as_mut()?.answered(&request.nonce)?;
        let flight = self.flight.take_if(|flight| flight.is_answered());
        // Clients answer in order: what came before is not answered any more.
        self.answers.missed.clear();
        self.answers.answered_at = Some(request.at);
        let Some(message) = request.error.clone() else {
            let version = flight.filter(|flight| !flight.is_heartbeat)?.version;
            return Some(self.took(version));
        };
        self.holding.refused(&part.resources, &self.subscription);
        self.holding.lingers(&part.removed, &self.subscription);
        Some(self.refused(part, message, false, request.at))
    }

    /// Takes the answer to a response that newer ones followed. A refusal is
    /// about what the response held, as far as that was not sent anew.
    fn answered_late(&mut self, request: &Request) -> Option<Answer> {
        let missed = &mut self.answers.missed;
        let at = missed.iter().position(|flight| flight.awaits(&request.nonce))?;
        missed.drain(..at);
        let part = missed.front_mut()?.answered(&request.nonce)?;
        let complete = missed.pop_front_if(|flight| flight.is_answered()).is_some();
        self.answers.answered_at = Some(request.at);
        let Some(message) = request.error.clone() else {
            return complete.then(|| self.took(part.version));
        };
        let flight = self.flight.as_ref();
        let under_way = |name: &_| flight.is_some_and(|flight| flight.carries(name));
        let stand = self.holding.refused_late(&part.resources, &self.subscription, under_way);
        Some(self.refused(part, message, stand == 0, request.at))
    }

    fn took(&mut self, version: Arc<str>) -> Answer {
        self.answers.acked = Some(version.clone());
        if !self.holding.has_refusals() {
            self.answers.nacked = None;
        }
        Answer::Acked { version }
    }

    fn refused(&mut self, part: Part, message: String, superseded: bool, at: Timestamp) -> Answer {
        let (version, resources) = (part.version, blamed(&message, &part.resources));
        self.answers.nacked = Some(Nack {
            version: version.clone(),
            message: message.clone(),
            at,
            resources: resources.clone(),
            release: None,
        });
        Answer::Nacked { version, message, resources, superseded }
    }

    /// Notes that the client is in step with a version of the type that gave
    /// it no reason for a message.
    pub(super) fn settle(&mut self, current: &Arc<TypeSnapshot>) {
        let idle = self.flight.is_none();
        if idle && self.subscription.asks() && !self.holding.has_refusals() {
            let version = self.version(current);
            // What was refused is there no more.
            self.answers.nacked.take_if(|nacked| nacked.version != version);
            self.answers.sent = Some(version.clone());
            self.answers.acked = Some(version);
        }
    }

    /// Whether the client took everything it asks for of `current`. Removals
    /// that are held back don't count.
    pub(in crate::xds::session) fn is_in_step(&self, current: &Arc<TypeSnapshot>) -> bool {
        if !self.subscription.asks() {
            return true;
        }
        // A heartbeat under way changes nothing.
        let rests = self.flight.as_ref().is_none_or(|flight| flight.is_heartbeat);
        rests
            && self.answers.nacked.is_none()
            && self.answers.acked.as_ref() == Some(&self.version(current))
    }

    /// Whether the client refuses something.
    pub(in crate::xds::session) fn is_refusing(&self) -> bool {
        self.answers.nacked.is_some()
    }

    /// The channel as people see it, where `current` is what is served.
    pub(in crate::xds::session) fn status(&self, current: &Arc<TypeSnapshot>) -> TypeStatus {
        let own = self.version(current);
        let shown = |version: &Option<Arc<str>>| match version {
            Some(version) if *version == own => Some(current.version.clone()),
            other => other.clone(),
        };
        TypeStatus {
            type_url: self.type_url.clone(),
            delta: self.protocol == Protocol::Delta,
            wildcard: self.asked().wildcard,
            names: self.asked().names.len(),
            sent: shown(&self.answers.sent),
            acked: shown(&self.answers.acked),
            release: None,
            behind_since: None,
            answered_at: self.answers.answered_at,
            nacked: self.answers.nacked.clone(),
        }
    }
}
