//! One type on one stream: what is asked for, what is held, what is under way.
//!
//! At most one response is unanswered at a time; everything that changes
//! meanwhile is seen as one difference when the answer comes. It decides when
//! a message of its type is needed, never when other types have their turn:
//! that is `session`'s. What a message holds is `channel/response`, what its
//! answer means `channel/answers`.

mod answers;
mod response;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::answers::Answers;
use super::dress;
use super::flight::{Flight, split};
use super::heartbeat::Rhythm;
use super::holding::{Holding, Lack};
use super::reach::Reach;
use super::subscription::{Change, Subscription};
use super::{Answer, Ask, Outgoing, Protocol, Request, xdstp};
use crate::model::{ResourceKind, ResourceName, TypeUrl};
use crate::snapshot::{Batch, Served, TypeSnapshot};
use crate::xds::features::Features;

/// How long a response may go unanswered before the client is sent newer
/// content all the same. Long enough for a loaded main thread and a cluster
/// that warms (15 s by default), short enough for nobody to call it stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// One type on one stream.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) type_url: TypeUrl,
    kind: Option<ResourceKind>,
    protocol: Protocol,
    features: Features,
    /// In names of resources.
    pub(super) subscription: Subscription,
    /// Where the client's own names are others.
    reach: Option<Box<Reach>>,
    pub(super) holding: Holding,
    rhythm: Rhythm,
    /// An answer is due even if there is nothing to say.
    due: bool,
    begun: bool,
    introduced: bool,
    last_nonce: String,
    flight: Option<Flight>,
    answers: Answers,
}

/// What is to become of removals in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removals {
    /// They are told.
    Told,
    /// They go along with something else, or wait.
    Along,
    /// They wait.
    Held,
}

/// A response, in parts where it is large, and which of its resources are news
/// to the client.
pub(super) struct Sending {
    pub(super) parts: Vec<Outgoing>,
    pub(super) news: Batch,
}

impl Channel {
    pub(super) fn new(type_url: TypeUrl, protocol: Protocol, features: Features) -> Self {
        let kind = type_url.kind();
        let hosts = kind == Some(ResourceKind::VirtualHosts);
        Self {
            kind,
            type_url,
            protocol,
            features,
            subscription: Subscription::default(),
            reach: hosts.then(|| Box::new(Reach::new(Subscription::default(), hosts))),
            holding: Holding::default(),
            rhythm: Rhythm::default(),
            due: false,
            begun: false,
            introduced: false,
            last_nonce: String::new(),
            flight: None,
            answers: Answers::default(),
        }
    }

    /// Takes a client's message. `current` is what it could be in step with,
    /// `earlier` what it may come back with, `legacy` what the legacy wildcard
    /// of virtual hosts means.
    pub(super) fn on_request(
        &mut self,
        request: Request,
        (current, earlier): (Option<&Arc<TypeSnapshot>>, Option<&Arc<TypeSnapshot>>),
        legacy: &BTreeSet<ResourceName>,
    ) -> Option<Answer> {
        // The first message may carry a nonce of an earlier stream, which
        // means nothing here.
        let first = !std::mem::replace(&mut self.begun, true);
        let known = first || request.nonce == self.last_nonce;
        let answer = if first { None } else { self.answered(&request) };
        match request.ask {
            // A stale list of names is superseded by the one that will come
            // with the answer to our newest response.
            Ask::Sotw { .. } if !known => {}
            Ask::Sotw { names, version } => {
                self.ask(|asked| asked.replace(names), current, legacy);
                self.due |= first && self.is_full();
                if let Some(current) = current.filter(|_| first && !version.is_empty()) {
                    self.resume_sotw(&version, current, earlier);
                }
            }
            // "A stale nonce does not invalidate the subscription changes":
            // incremental lists are changes, which nobody will say again.
            Ask::Delta { subscribe, unsubscribe, initial } => {
                self.ask(|asked| asked.amend(subscribe, unsubscribe), current, legacy);
                if first && !initial.is_empty() {
                    self.holding.resume(initial, &self.subscription, current);
                }
            }
        }
        answer
    }

    /// Takes in what a message says of names.
    fn ask(
        &mut self,
        amend: impl FnOnce(&mut Subscription) -> Change,
        current: Option<&Arc<TypeSnapshot>>,
        legacy: &BTreeSet<ResourceName>,
    ) {
        let nothing = TypeSnapshot::default();
        let current = current.map_or(&nothing, |current| current);
        let change = match &mut self.reach {
            Some(reach) => {
                let change = amend(&mut reach.asked);
                reach.subscribed(
                    &change,
                    current,
                    legacy,
                    &mut self.subscription,
                    &mut self.holding,
                );
                change
            }
            None => {
                let change = amend(&mut self.subscription);
                self.holding.subscribed(&change, &self.subscription);
                change
            }
        };
        // A wildcard is answered even if there is nothing: the client waits.
        self.due |= change.everything;
        let begins = change.everything && self.is_legacy_hosts();
        if change.added.iter().any(|name| xdstp::is_xdstp(&name.0)) {
            self.reach_further();
        }
        if self.reach.is_some() {
            self.look_up(current, legacy);
            // Who asks by another name is told of the resource.
            if let Some(reach) = &mut self.reach {
                reach.owe(&change.added, current, &mut self.holding);
            }
        }
        if change.everything || !change.added.is_empty() {
            // What comes to a client that asks for it by now, it keeps, even if
            // it was left meanwhile.
            for name in self.flight.iter().flat_map(Flight::names) {
                if change.everything || self.holding.is_owed(name) {
                    self.holding.owe_again(name);
                }
            }
        }
        if begins {
            // Envoy takes the first word about a route's hosts for the begin of
            // them and until then holds the listener up, for 15 s by default;
            // an empty response is no word about any route. So a name that can
            // be no host's is said to be missing.
            let routes = legacy.iter().filter(|name| name.0.ends_with('/'));
            routes.for_each(|route| self.holding.owe(route));
        }
    }

    /// A first message's version says that the client has all of it. That
    /// counts for the wildcard alone: names may be new to the client. But a
    /// route that it asks for and that was served before, it may use still.
    fn resume_sotw(
        &mut self,
        version: &str,
        current: &Arc<TypeSnapshot>,
        earlier: Option<&Arc<TypeSnapshot>>,
    ) {
        let routes = self.kind == Some(ResourceKind::Routes);
        if self.subscription.wildcard {
            self.due &= !self.holding.resume_all(version, current, earlier);
        } else if let Some(earlier) = earlier.filter(|_| routes && self.reach.is_none()) {
            self.holding.resume_gone(&self.subscription, current, earlier);
        }
    }

    /// Finds anew what the client's names stand for in `current`.
    pub(super) fn look_up(&mut self, current: &TypeSnapshot, legacy: &BTreeSet<ResourceName>) {
        if self.reach.is_none() && !current.aliases().is_empty() {
            self.reach_further();
        }
        if let Some(reach) = self.reach.as_mut().filter(|one| !one.is_settled(current, legacy)) {
            reach.resolve(current, legacy, &mut self.subscription, &mut self.holding);
        }
    }

    fn reach_further(&mut self) {
        let asked = &self.subscription;
        self.reach.get_or_insert_with(|| Box::new(Reach::new(asked.clone(), false)));
    }

    /// Whether virtual hosts are asked for in the way that names none.
    pub(super) fn is_legacy_hosts(&self) -> bool {
        self.reach.as_ref().is_some_and(|reach| reach.is_legacy_hosts())
    }

    /// Whether the client is in step with `current` and nothing is to be said
    /// or waited for. A quick look: false where it takes more than that.
    pub(super) fn rests(&self, current: &Arc<TypeSnapshot>) -> bool {
        !self.due
            && self.flight.is_none()
            && self.holding.rests(current)
            && self.answers.rest(current)
            && self.rhythm.due().is_none()
            && self.reach.is_none()
            && current.aliases().is_empty()
            && current.expiring().is_empty()
    }

    /// Whether a response waits for its answer.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| !flight.overdue)
    }

    /// Whether the client waits for something it asked for.
    pub(super) fn is_urgent(&self) -> bool {
        self.due || self.holding.owes()
    }

    /// Whether the client waits for something it asked for, and nothing that
    /// it has changes with that.
    pub(super) fn may_overtake(&self, current: &Arc<TypeSnapshot>) -> bool {
        let changes = |one: &Arc<Served>| self.holding.holds(&one.name);
        self.is_urgent() && !self.lack(current).send.iter().any(changes)
    }

    /// Whether users wait for the answer under way. A change of endpoints or
    /// secrets that the client has already holds nobody up: endpoints change
    /// so often that routes would never have a turn.
    pub(super) fn holds_users(&self) -> bool {
        self.is_busy()
            && (!self.is_often() || self.flight.as_ref().is_some_and(|flight| flight.has_new))
    }

    /// Whether there are names that the client has not, and that can't be sent
    /// before it answers.
    pub(super) fn lacks_names(&self, current: &Arc<TypeSnapshot>) -> bool {
        let is_new = |one: &Arc<Served>| !self.holding.holds(&one.name);
        self.is_busy() && self.lack(current).send.iter().any(is_new)
    }

    fn is_often(&self) -> bool {
        matches!(self.kind, Some(ResourceKind::Endpoints | ResourceKind::Secrets))
    }

    /// When the answer is overdue, or a heartbeat due.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let flight = self.flight.as_ref().filter(|flight| !flight.overdue);
        let overdue = flight.map(|flight| flight.sent_at + PATIENCE);
        overdue.into_iter().chain(self.rhythm.due()).min()
    }

    /// Gives up on an answer that is overdue at `now`.
    pub(super) fn on_timeout(&mut self, now: Duration) {
        if let Some(flight) = &mut self.flight {
            flight.overdue |= now >= flight.sent_at + PATIENCE;
        }
    }

    /// Whether its protocol can tell the client that something is not there.
    fn tells(&self) -> bool {
        self.protocol == Protocol::Delta || self.is_full() || self.features.errors
    }

    /// What the client lacks of `current`, as far as its protocol can tell it.
    pub(super) fn lack(&self, current: &Arc<TypeSnapshot>) -> Lack {
        self.tellable(&self.lack_now(current, true)).into_owned()
    }

    /// What the client lacks, where removals may have to wait.
    fn lack_now(&self, current: &Arc<TypeSnapshot>, removals: bool) -> Lack {
        self.holding.lack(&self.subscription, current, self.tells() && removals)
    }

    /// What of it the protocol can tell.
    fn tellable<'a>(&self, lack: &'a Lack) -> Cow<'a, Lack> {
        match self.tells() {
            true => Cow::Borrowed(lack),
            false => Cow::Owned(Lack { gone: Vec::new(), unknown: Vec::new(), ..lack.clone() }),
        }
    }

    /// The next response, if one is needed; removals that wait are kept in
    /// mind.
    pub(super) fn next(
        &mut self,
        current: &Arc<TypeSnapshot>,
        removals: Removals,
        nonce: impl FnMut() -> String,
        now: Duration,
    ) -> Option<Sending> {
        let mut told = removals != Removals::Held;
        let mut full = self.lack_now(current, told);
        if removals == Removals::Along && self.tellable(&full).is_only_gone() {
            (told, full) = (false, self.lack_now(current, false));
        }
        let told_gone = told || full.gone.is_empty() || !self.tells();
        let lack = self.tellable(&full);
        let removals = !lack.gone.is_empty() && told;
        let needed = self.due || removals || !lack.send.is_empty() || !lack.unknown.is_empty();
        let is_new = |one: &Arc<Served>| !self.holding.holds(&one.name);
        let has_new = self.is_often() && lack.send.iter().any(is_new);
        // A host that went is removed first and then said to be missing, as one
        // message can't do both: requests wait for that word.
        let hosts = self.kind == Some(ResourceKind::VirtualHosts) && told_gone;
        let asked = full.gone.iter().filter(|name| hosts && self.holding.is_owed(name));
        let moved = |name: &_| self.reach.as_ref().is_some_and(|one| one.has_moved(name, current));
        let asked: Vec<_> = asked.filter(|name| !moved(name)).cloned().collect();
        self.holding.sent(&full, current.clone(), told_gone);
        asked.iter().for_each(|name| self.holding.owe(name));
        if !needed {
            self.settle(current);
            return None;
        }
        let version = self.version(current);
        let lack = self.tellable(&full);
        let outgoing = self.compose(&lack, removals, &version, current);
        let news = lack.send.clone();
        let parts = split(outgoing, nonce);
        self.due = false;
        self.answers.sent = Some(version.clone());
        self.took_off(Flight::new(&parts, version, has_new, now));
        Some(Sending { parts, news })
    }

    /// Tells the client that what has a time to live stands, where that is
    /// due. Resources are named without their content. A heartbeat is not held
    /// up by a response under way: what it tells of would expire meanwhile.
    pub(super) fn heartbeat(
        &mut self,
        current: &Arc<TypeSnapshot>,
        nonce: impl FnMut() -> String,
        now: Duration,
    ) -> Vec<Outgoing> {
        let held = |one: &&Arc<Served>| self.holding.is_in_step(&self.subscription, one);
        let lasting: Vec<_> = match dress::knows_ttl(self.protocol, self.features) {
            true => current.expiring().iter().filter(held).cloned().collect(),
            false => Vec::new(),
        };
        let lives = lasting.iter().filter_map(|one| one.wrapping.ttl).collect();
        self.rhythm.follow(&lives, now);
        let due = self.rhythm.beat(now);
        if due.is_empty() {
            return Vec::new();
        }
        if self.is_full() {
            // Absence means removal, and for Envoy what has no content is
            // absent: everything is said again, which changes nothing there.
            self.due = true;
            return Vec::new();
        }
        let told = lasting.iter().filter(|one| one.wrapping.ttl.is_some_and(|t| due.contains(&t)));
        let send = told.map(|one| dress::bodiless(one)).collect();
        let version = self.version(current);
        let lack = Lack { send, ..Lack::default() };
        let parts = split(self.compose(&lack, false, &version, current), nonce);
        let flight = Flight::new(&parts, version, false, now).heartbeat();
        self.took_off(flight);
        parts
    }

    /// Tells the client nothing more of times to live: what has one expires
    /// there, and is sent again if it is ever served again.
    pub(super) fn rest(&mut self) {
        if self.rhythm.due().is_some() {
            self.rhythm = Rhythm::default();
            self.holding.expire(&self.subscription);
        }
    }

    /// Notes what is under way. A heartbeat beside a response is answered, but
    /// nobody waits for that.
    fn took_off(&mut self, flight: Flight) {
        self.introduced = true;
        if let Some(nonce) = flight.last_nonce() {
            nonce.clone_into(&mut self.last_nonce);
        }
        if !(flight.is_heartbeat && self.is_busy()) {
            let missed = self.flight.replace(flight);
            self.answers.missed(missed);
        }
    }

    /// Whether `name` is in a response that was not answered yet.
    pub(super) fn is_under_way(&self, name: &ResourceName) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.carries(name))
    }

    /// The subscription in the client's own names.
    pub(super) fn asked(&self) -> &Subscription {
        self.reach.as_ref().map_or(&self.subscription, |reach| &reach.asked)
    }
}
