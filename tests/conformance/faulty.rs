//! A wrong server: ours, behind a relay that breaks one thing.
//!
//! Each [`Fault`] is one that a server in use has or had. The relay reads every
//! message and passes it on, but for what the fault does to it.

mod message;
mod relay;

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use prost::Name;

use message::{Question, Reply};
pub(crate) use relay::Relay;

/// What is broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: the relay itself must be invisible.
    #[default]
    None,
    /// A name that the client has is not sent when it subscribes again.
    ResubscribedUnsent,
    /// `removed_resources` never names what the client does not have.
    MissingUntold,
    /// A NACK is answered with the same again.
    NackLoop,
    /// A request with a stale nonce loses its lists.
    StaleDropped,
    /// The first request about a type is stale too, where it has a nonce.
    FirstNonceRead,
    /// A NACK loses its lists.
    NackListsLost,
    /// An ACK loses its lists.
    AckListsLost,
    /// Every change of clusters sends the listeners too.
    OneVersion,
    /// An answer that would be empty is not given.
    EmptyUnanswered,
    /// Responses count as taken when they are sent.
    AckUnawaited,
    /// `*` is a name like any other.
    StarIsName,
    /// Versions of a returning client are not looked at.
    InitialUnread,
    /// Versions of a returning client are subscriptions.
    InitialSubscribes,
    /// Nobody is ever unsubscribed.
    UnsubscribedKept,
    /// Only changed clusters and listeners are in a response.
    FullStatePartial,
    /// A resource is in a response twice.
    SentTwice,
    /// Every response has the same nonce.
    NonceConstant,
    /// Endpoints that did not change are never sent again.
    EndpointsOnce,
    /// Every response says who the server is.
    ServerAlwaysNamed,
    /// There is but the aggregated state-of-the-world stream.
    OneTransport,
}

/// What one message makes the relay send.
struct Out<Q: Question> {
    up: Vec<Q>,
    down: Vec<Q::Reply>,
}

/// One stream through the relay.
struct Wrong<Q: Question> {
    fault: Fault,
    seen: BTreeMap<String, Seen<Q>>,
    /// Nonces of ours, and those that they stand for.
    nonces: BTreeMap<String, String>,
}

/// One type on it.
struct Seen<Q: Question> {
    begun: bool,
    names: Vec<String>,
    /// What the client has, and of which content.
    has: BTreeMap<String, Vec<u8>>,
    /// Asked for since it was sent last.
    asked: BTreeSet<String>,
    nonce: String,
    answered: bool,
    last: Option<Q::Reply>,
}

impl<Q: Question> Default for Seen<Q> {
    fn default() -> Self {
        Self {
            begun: false,
            names: Vec::new(),
            has: BTreeMap::new(),
            asked: BTreeSet::new(),
            nonce: String::new(),
            answered: false,
            last: None,
        }
    }
}

impl<Q: Question> Seen<Q> {
    /// Notes what `q` asks for, as it is passed on.
    fn note(&mut self, q: &mut Q) {
        let asked = q.asked().clone();
        let new = asked.iter().filter(|name| Q::DELTA || !self.names.contains(name));
        self.asked.extend(new.cloned());
        if let Some(dropped) = q.dropped() {
            dropped.iter().for_each(|name| drop(self.has.remove(name)));
        }
        if !Q::DELTA {
            self.names = asked;
        }
    }

    /// Notes what the client has once it is sent `a`.
    fn sent(&mut self, a: &mut Q::Reply) {
        self.has.extend(a.given());
        if let Some(removed) = a.removed() {
            removed.iter().for_each(|name| drop(self.has.remove(name)));
        }
    }
}

fn url<M: Name>() -> String {
    format!("type.googleapis.com/{}", M::full_name())
}

impl<Q: Question> Wrong<Q> {
    fn new(fault: Fault) -> Self {
        Self { fault, seen: BTreeMap::new(), nonces: BTreeMap::new() }
    }

    /// The last response about `type_url`, once more, under another nonce.
    fn again(&mut self, type_url: &str) -> Option<Q::Reply> {
        let mut last = self.seen.get(type_url)?.last.clone()?;
        let again = format!("again-{}", self.nonces.len());
        self.disguise(last.nonce(), again);
        Some(last)
    }

    fn disguise(&mut self, nonce: &mut String, disguise: String) {
        self.nonces.insert(disguise.clone(), std::mem::replace(nonce, disguise));
    }

    /// What becomes of a client's message.
    fn request(&mut self, mut q: Q) -> Out<Q> {
        if let Some(real) = self.nonces.get(q.nonce()) {
            q.nonce().clone_from(real);
        }
        let (nonce, refuses) = (q.nonce().clone(), q.refuses());
        let seen = self.seen.entry(q.type_url().to_owned()).or_default();
        let first = !std::mem::replace(&mut seen.begun, true);
        let answers = !first && !nonce.is_empty() && nonce == seen.nonce;
        let ack = answers && !refuses && !std::mem::replace(&mut seen.answered, true);
        let stale = !first && !nonce.is_empty() && nonce != seen.nonce;
        let told: Vec<_> = q.told().map(|told| told.keys().cloned().collect()).unwrap_or_default();
        match self.fault {
            Fault::ResubscribedUnsent if Q::DELTA => {
                q.asked().retain(|name| !seen.has.contains_key(name));
            }
            Fault::NackLoop if refuses => {
                let down = self.again(q.type_url()).into_iter().collect();
                return Out { up: vec![q], down };
            }
            Fault::StaleDropped if Q::DELTA && stale => {
                return Out { up: Vec::new(), down: Vec::new() };
            }
            Fault::FirstNonceRead if first && !nonce.is_empty() => {
                return Out { up: Vec::new(), down: Vec::new() };
            }
            Fault::NackListsLost if refuses => q.lose_changes(&seen.names),
            Fault::AckListsLost if ack => q.lose_changes(&seen.names),
            Fault::StarIsName => {
                let mut lists = vec![std::mem::take(q.asked())];
                lists.extend(q.dropped().map(std::mem::take));
                for name in lists.iter_mut().flatten().filter(|name| *name == "*") {
                    "literally-star".clone_into(name);
                }
                let mut lists = lists.into_iter();
                *q.asked() = lists.next().unwrap_or_default();
                if let Some(dropped) = q.dropped() {
                    *dropped = lists.next().unwrap_or_default();
                }
            }
            Fault::InitialUnread => q.told().into_iter().for_each(|told| told.clear()),
            Fault::InitialSubscribes if !q.asked().is_empty() => q.asked().extend(told.clone()),
            Fault::UnsubscribedKept => match q.dropped() {
                Some(dropped) => dropped.clear(),
                None => {
                    let old = seen.names.iter().filter(|name| !q.asked().contains(name));
                    let old: Vec<_> = old.cloned().collect();
                    q.asked().extend(old);
                }
            },
            _ => {}
        }
        seen.has.extend(told.into_iter().map(|name| (name, Vec::new())));
        seen.note(&mut q);
        Out { up: vec![q], down: Vec::new() }
    }

    /// What becomes of a server's message.
    fn answer(&mut self, mut a: Q::Reply) -> Out<Q> {
        let type_url = a.type_url().to_owned();
        let seen = self.seen.entry(type_url.clone()).or_default();
        (seen.nonce, seen.answered) = (a.nonce().clone(), false);
        let ack = Q::taking(&mut a, &seen.names);
        let before = seen.last.replace(a.clone());
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let was_empty = a.is_empty();
        match self.fault {
            Fault::MissingUntold => {
                if let Some(removed) = a.removed() {
                    removed.retain(|name| seen.has.contains_key(name));
                }
            }
            Fault::EmptyUnanswered if was_empty && before.is_none() => {
                return Out { up: vec![ack], down };
            }
            Fault::AckUnawaited => up.push(ack.clone()),
            Fault::FullStatePartial if !Q::DELTA && is_full_state(&type_url) => {
                let old = before.map(|before| before.given()).unwrap_or_default();
                a.retain(|name, body| !old.iter().any(|(n, b)| n == name && b == body));
            }
            Fault::SentTwice => a.repeat_first(),
            Fault::NonceConstant => self.disguise(a.nonce(), type_url.clone()),
            Fault::ServerAlwaysNamed => {
                *a.server() = Some(ControlPlane { identifier: "wrong".into() });
            }
            Fault::EndpointsOnce if type_url == url::<ClusterLoadAssignment>() => {
                a.retain(|name, content| {
                    let same = seen.has.get(name).is_some_and(|has| has == content);
                    seen.asked.remove(name) || !same
                });
            }
            Fault::OneVersion if type_url == url::<Cluster>() && before.is_some() => {
                down.extend(self.again(&url::<Listener>()));
            }
            _ => {}
        }
        // Where nothing is left, the server hears that it was taken.
        let swallowed = [Fault::MissingUntold, Fault::EndpointsOnce].contains(&self.fault);
        if swallowed && a.is_empty() && !was_empty {
            return Out { up: vec![ack], down };
        }
        self.seen.entry(type_url).or_default().sent(&mut a);
        down.insert(0, a);
        Out { up, down }
    }
}

fn is_full_state(type_url: &str) -> bool {
    [url::<Cluster>(), url::<Listener>()].iter().any(|full| full == type_url)
}
