//! One open stream: carries messages between the connection, the hub and a
//! pure `Session`, which decides everything.
//!
//! It is a `Stream` that the connection polls, not a task: a client that does
//! not read is simply not polled, and holds one snapshot pointer, no queue.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use hyper::body::Frame;
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use super::codec::Requests;
use super::features::features;
use super::guard::Caller;
use super::identity::identity;
use super::line::Latest;
use super::method::Method;
use super::pace::Pace;
use super::session::{Ask, Outgoing, Protocol, Request, Session};
use super::standing::{SharedSession, Standing, lock};
use super::words::words;
use super::{Hub, Refusal};
use crate::model::{NodeIdentity, SnapshotKey, TypeUrl};
use crate::snapshot::{Routing, Snapshot};
use crate::telemetry::clock;

/// How long a stream may be open without a first message.
const SILENCE: Duration = Duration::from_secs(30);

/// A request of either variant.
pub(super) trait Incoming: Message + Default + Send + 'static {
    /// Takes the node out, which only the first message needs.
    fn take_node(&mut self) -> Option<Node>;
    /// The type it says it is about.
    fn take_type(&mut self) -> String;
    /// The message without its envelope.
    fn into_request(self, type_url: TypeUrl) -> Request;
}

impl Incoming for DiscoveryRequest {
    fn take_node(&mut self) -> Option<Node> {
        self.node.take()
    }

    fn take_type(&mut self) -> String {
        std::mem::take(&mut self.type_url)
    }

    fn into_request(self, type_url: TypeUrl) -> Request {
        // A locator without parameters is a name.
        let located = self.resource_locators.into_iter().map(|one| one.name);
        let names = self.resource_names.into_iter().chain(located).collect();
        Request {
            type_url,
            nonce: self.response_nonce,
            error: self.error_detail.map(|status| words(&status.message)),
            ask: Ask::Sotw { names, version: self.version_info },
            at: clock::now(),
        }
    }
}

impl Incoming for DeltaDiscoveryRequest {
    fn take_node(&mut self) -> Option<Node> {
        self.node.take()
    }

    fn take_type(&mut self) -> String {
        std::mem::take(&mut self.type_url)
    }

    fn into_request(self, type_url: TypeUrl) -> Request {
        let more = self.resource_locators_subscribe.into_iter().map(|one| one.name);
        let less = self.resource_locators_unsubscribe.into_iter().map(|one| one.name);
        let ask = Ask::Delta {
            subscribe: self.resource_names_subscribe.into_iter().chain(more).collect(),
            unsubscribe: self.resource_names_unsubscribe.into_iter().chain(less).collect(),
            initial: self.initial_resource_versions.into_iter().collect(),
        };
        Request {
            type_url,
            nonce: self.response_nonce,
            error: self.error_detail.map(|status| words(&status.message)),
            ask,
            at: clock::now(),
        }
    }
}

/// Answers `incoming` until it ends, errs, or `stopping` turns true, of which
/// `bell` tells: the pieces of a response's body, the last of which says how it
/// ended. Streams with one `origin` keep step in a burst of publications.
pub(super) fn answer<R: Incoming>(
    hub: Hub,
    method: Method,
    caller: Caller,
    incoming: Requests<R>,
    (stopping, bell): (watch::Receiver<bool>, watch::Receiver<()>),
    origin: Instant,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static {
    let open = Open {
        session: Arc::new(Mutex::new(Session::new(method.protocol))),
        routing: hub.routing(),
        hub,
        method,
        caller,
        incoming,
        stopping,
        // It may have rung since they were let in, so it begins with a look.
        bell: WatchStream::new(bell),
        since: Instant::now(),
        alarm: Alarm::default(),
        pace: Pace::new(origin),
        client: None,
        ready: VecDeque::new(),
        shared: Bytes::new(),
    };
    unfold(Some(open), |open| async move {
        let mut open = open?;
        let ended = match open.next().await {
            Ok(Some(bytes)) => return Some((Ok(Frame::data(bytes)), Some(open))),
            Ok(None) => Status::ok(""),
            Err(refusal) => {
                if refusal != Refusal::Stopping {
                    open.hub.refused();
                }
                refusal.into()
            }
        };
        Some((Ok(Frame::trailers(trailers(&ended))), None))
    })
}

/// The end of a response. A text that can't be a header is left out.
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(Status::GRPC_STATUS, (status.code() as i32).into());
    }
    trailers
}

/// A stream at work.
struct Open<R> {
    hub: Hub,
    method: Method,
    caller: Caller,
    incoming: Requests<R>,
    stopping: watch::Receiver<bool>,
    bell: WatchStream<()>,
    routing: watch::Receiver<Arc<Routing>>,
    session: SharedSession,
    since: Instant,
    alarm: Alarm,
    pace: Pace,
    client: Option<Client>,
    /// What one turn of the session gave: at most a message per type.
    ready: VecDeque<Outgoing>,
    /// The second half of the message under way.
    shared: Bytes,
}

/// The other end, once it introduced itself. Dropping it signs it off.
struct Client {
    hub: Hub,
    standing: Arc<Standing>,
    key: Option<SnapshotKey>,
    latest: Option<Latest>,
}

impl Client {
    /// What it is to be served now.
    fn take(&mut self) -> Option<Arc<Snapshot>> {
        let latest = self.latest.as_mut()?;
        let snapshot = latest.take(self.standing.identity());
        self.standing.seat().spared = latest.is_spared();
        snapshot
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hub.left(&self.standing);
    }
}

/// What can happen to a stream.
enum Event<R> {
    Request(R),
    Closed,
    Published,
    Rung,
    Timeout,
}

impl<R: Incoming> Open<R> {
    /// The next bytes to write; `None` where the client closed the stream.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if !self.shared.is_empty() {
                return Ok(Some(std::mem::take(&mut self.shared)));
            }
            // Before another message begins: it may not be for them any more.
            if self.caller.is_stale() {
                self.on_access()?;
            }
            if let Some(outgoing) = self.ready.pop_front() {
                let frame = outgoing.frame();
                self.hub.pushed(&outgoing, frame.message_len());
                self.shared = frame.shared;
                return Ok(Some(frame.head));
            }
            match self.event().await? {
                Event::Request(request) => self.on_request(request)?,
                Event::Closed => return Ok(None),
                Event::Published if !self.pace.admits(Instant::now()) => continue,
                Event::Published => self.take(),
                Event::Rung => self.on_rung()?,
                Event::Timeout if self.caller.is_stale() => continue,
                Event::Timeout => self.on_timeout()?,
            }
            self.tell();
        }
    }

    async fn event(&mut self) -> Result<Event<R>, Refusal> {
        let timeout = match &self.client {
            None => Some(SILENCE),
            Some(_) => self.session().next_timeout(),
        };
        let timeout = timeout.map(|after| self.since + after);
        let deadline = timeout.into_iter().chain(self.pace.due()).chain(self.caller.deadline());
        let deadline = deadline.min();
        let event = tokio::select! {
            // An error is news too: the server is gone.
            _ = self.bell.next() => Event::Rung,
            request = self.incoming.next() => match request? {
                Some(request) => Event::Request(request),
                None => Event::Closed,
            },
            () = published(self.client.as_mut()), if self.pace.due().is_none() => Event::Published,
            () = self.alarm.rings(deadline) => Event::Timeout,
        };
        Ok(event)
    }

    fn on_request(&mut self, mut request: R) -> Result<(), Refusal> {
        let node = request.take_node();
        if self.client.is_none() {
            self.session().introduce(node.as_ref().map(features).unwrap_or_default());
            let identity = node.and_then(identity).ok_or(Refusal::NoNode)?;
            self.introduce(identity)?;
        } else if let Some(node) = node {
            self.compare(node);
        }
        let type_url = self.method.resolve(request.take_type())?;
        let request = request.into_request(type_url.clone());
        let (answer, outgoing) = self.session().on_request(request, self.since.elapsed())?;
        if let Some(client) = &mut self.client {
            let latest = client.latest.as_mut();
            self.hub.answered(&client.standing, latest, &type_url, answer);
        }
        self.ready.extend(outgoing);
        Ok(())
    }

    /// A node that is named again is the same, says the protocol; another one
    /// is counted and changes nothing.
    fn compare(&self, node: Node) {
        let own = self.client.as_ref().map(|client| client.standing.identity());
        if identity(node).as_ref() != own {
            self.hub.other_node();
        }
    }

    fn introduce(&mut self, identity: NodeIdentity) -> Result<(), Refusal> {
        self.routing.mark_unchanged();
        let key = self.hub.assign(&identity);
        self.caller.check(&identity, key.as_ref())?;
        let latest = key.as_ref().map(|key| self.hub.follow(key));
        tracing::debug!(node.id = %identity.id, assigned = key.is_some(), "a stream opened");
        let seat = (key.clone(), latest.as_ref());
        let standing =
            self.hub.joined(identity, self.caller.name().cloned(), seat, self.session.clone());
        let hub = self.hub.clone();
        self.client = Some(Client { hub, standing, key, latest });
        self.take();
        self.recall();
        Ok(())
    }

    /// Has the session know what the client may come back with, where its
    /// protocol has no words for that.
    fn recall(&self) {
        let latest = self.client.as_ref().and_then(|client| client.latest.as_ref());
        let latest = latest.filter(|_| self.method.protocol == Protocol::Sotw);
        let earlier = latest.and_then(Latest::earlier);
        let earlier = earlier.map(|earlier| self.caller.view(&earlier));
        self.session().recall(earlier);
    }

    /// Serves what is newest from now on.
    fn take(&mut self) {
        self.pace.take(Instant::now());
        let snapshot = self.client.as_mut().and_then(Client::take);
        let snapshot = snapshot.map(|snapshot| self.caller.view(&snapshot));
        let outgoing = self.session().on_snapshot(snapshot, self.since.elapsed());
        self.ready.extend(outgoing);
    }

    /// Something happened that may concern every stream.
    fn on_rung(&mut self) -> Result<(), Refusal> {
        if *self.stopping.borrow() || self.stopping.has_changed().is_err() {
            return Err(Refusal::Stopping);
        }
        if self.caller.is_stale() {
            self.on_access()?;
        }
        match self.routing.has_changed() {
            Ok(true) => self.on_routed(),
            _ => Ok(()),
        }
    }

    fn on_routed(&mut self) -> Result<(), Refusal> {
        self.routing.mark_unchanged();
        let Some(client) = &mut self.client else { return Ok(()) };
        let key = self.hub.assign(client.standing.identity());
        if key == client.key {
            return Ok(());
        }
        self.caller.check(client.standing.identity(), key.as_ref())?;
        client.latest = key.as_ref().map(|key| self.hub.follow(key));
        client.key = key;
        let seat = (client.key.as_ref(), client.latest.as_ref());
        self.hub.assigned(&client.standing, seat);
        self.take();
        Ok(())
    }

    /// What they came with was revoked, or grants something else now.
    fn on_access(&mut self) -> Result<(), Refusal> {
        let news = self.caller.renew()?;
        let Some(client) = self.client.as_ref().filter(|_| news) else { return Ok(()) };
        let node = client.standing.identity();
        self.caller.check(node, client.key.as_ref())?;
        tracing::info!(node.id = %node.id, "what a node may see has changed");
        if !self.ready.is_empty() {
            return Err(Refusal::Narrowed);
        }
        self.take();
        self.tell();
        Ok(())
    }

    fn on_timeout(&mut self) -> Result<(), Refusal> {
        if self.client.is_none() {
            return Err(Refusal::Silent(SILENCE.as_secs()));
        }
        if self.pace.due().is_some_and(|due| Instant::now() >= due) {
            self.take();
        }
        let outgoing = self.session().on_timeout(self.since.elapsed());
        self.ready.extend(outgoing);
        Ok(())
    }

    /// Tells the hub that the stream may stand otherwise now.
    fn tell(&mut self) {
        if let Some(client) = &mut self.client {
            self.hub.look(&client.standing, client.latest.as_mut());
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }
}

/// Resolves when what the client is served from was published anew.
async fn published(client: Option<&mut Client>) {
    let Some(Client { standing, latest: Some(latest), .. }) = client else {
        return std::future::pending().await;
    };
    latest.changed(standing.identity()).await;
}

/// A stream's one timer. Deadlines mostly move later, an answer's with every
/// message; it is left as it is until it rings, because setting it anew on
/// each event costs more than ringing early now and then.
#[derive(Debug, Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Resolves at `deadline`, or never without one.
    async fn rings(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            sleep.as_mut().await;
            if Instant::now() >= deadline {
                return;
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
