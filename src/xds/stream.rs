//! One open stream: carries messages between the connection, the hub and a
//! pure `Session`, which decides everything.
//!
//! It is a `Stream` that the connection polls, not a task: a client that does
//! not read is simply not polled, and holds one snapshot pointer, no queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

use super::identity::identity;
use super::line::Latest;
use super::method::Method;
use super::session::{Ask, Outgoing, Request, Session};
use super::standing::{SharedSession, Standing, lock};
use super::words::words;
use super::{Hub, Refusal};
use crate::model::{NodeIdentity, SnapshotKey, TypeUrl};
use crate::snapshot::{Routing, Snapshot};
use crate::telemetry::clock;

/// How long a stream may be open without a first message.
const SILENCE: Duration = Duration::from_secs(30);

/// A request of either variant.
pub(super) trait Incoming: Send + 'static {
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

/// Answers `incoming` until it ends, errs, or `stopping` turns true.
pub(super) fn answer<R: Incoming>(
    hub: Hub,
    method: Method,
    incoming: Streaming<R>,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Outgoing, Status>> + Send + 'static {
    let open = Open {
        session: Arc::new(Mutex::new(Session::new(method.protocol))),
        routing: hub.routing(),
        hub,
        method,
        incoming,
        stopping,
        since: Instant::now(),
        client: None,
        ready: VecDeque::new(),
    };
    unfold(Some(open), |open| async move {
        let mut open = open?;
        match open.next().await {
            Ok(Some(outgoing)) => Some((Ok(outgoing), Some(open))),
            Ok(None) => None,
            Err(refusal) => {
                if refusal != Refusal::Stopping {
                    open.hub.refused();
                }
                Some((Err(refusal.into()), None))
            }
        }
    })
}

/// A stream at work.
struct Open<R> {
    hub: Hub,
    method: Method,
    incoming: Streaming<R>,
    stopping: watch::Receiver<bool>,
    routing: watch::Receiver<Arc<Routing>>,
    session: SharedSession,
    since: Instant,
    client: Option<Client>,
    /// What one turn of the session gave: at most a message per type.
    ready: VecDeque<Outgoing>,
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
        let snapshot = latest.take();
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
    Routed,
    Timeout,
    Stopping,
}

impl<R: Incoming> Open<R> {
    /// The next message to write; `None` where the client closed the stream.
    async fn next(&mut self) -> Result<Option<Outgoing>, Refusal> {
        loop {
            if let Some(outgoing) = self.ready.pop_front() {
                self.hub.pushed(&outgoing);
                return Ok(Some(outgoing));
            }
            match self.event().await {
                Event::Request(request) => self.on_request(request)?,
                Event::Closed => return Ok(None),
                Event::Published => self.on_published(),
                Event::Routed => self.on_routed(),
                Event::Timeout => self.on_timeout()?,
                Event::Stopping => return Err(Refusal::Stopping),
            }
            self.tell();
        }
    }

    async fn event(&mut self) -> Event<R> {
        let deadline = match &self.client {
            None => Some(SILENCE),
            Some(_) => self.session().next_timeout(),
        };
        let deadline = deadline.map(|after| self.since + after);
        tokio::select! {
            _ = self.stopping.wait_for(|stopping| *stopping) => Event::Stopping,
            message = self.incoming.message() => match message {
                Ok(Some(request)) => Event::Request(request),
                Ok(None) => Event::Closed,
                Err(status) => {
                    tracing::debug!(error = %status.message(), "a stream broke");
                    Event::Closed
                }
            },
            () = published(self.client.as_mut()) => Event::Published,
            Ok(()) = self.routing.changed() => Event::Routed,
            () = elapsed(deadline) => Event::Timeout,
        }
    }

    fn on_request(&mut self, mut request: R) -> Result<(), Refusal> {
        let node = request.take_node();
        if self.client.is_none() {
            let identity = node.and_then(identity).ok_or(Refusal::NoNode)?;
            self.introduce(identity);
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

    fn introduce(&mut self, identity: NodeIdentity) {
        self.routing.mark_unchanged();
        let key = self.hub.assign(&identity);
        let latest = key.as_ref().map(|key| self.hub.follow(key));
        tracing::debug!(node.id = %identity.id, assigned = key.is_some(), "a stream opened");
        let seat = (key.clone(), latest.as_ref());
        let standing = self.hub.joined(identity, None, seat, self.session.clone());
        let hub = self.hub.clone();
        self.client = Some(Client { hub, standing, key, latest });
        self.on_published();
    }

    fn on_published(&mut self) {
        let snapshot = self.client.as_mut().and_then(Client::take);
        let outgoing = self.session().on_snapshot(snapshot, self.since.elapsed());
        self.ready.extend(outgoing);
    }

    fn on_routed(&mut self) {
        let Some(client) = &mut self.client else { return };
        let key = self.hub.assign(client.standing.identity());
        if key == client.key {
            return;
        }
        client.latest = key.as_ref().map(|key| self.hub.follow(key));
        client.key = key;
        let seat = (client.key.as_ref(), client.latest.as_ref());
        self.hub.assigned(&client.standing, seat);
        self.on_published();
    }

    fn on_timeout(&mut self) -> Result<(), Refusal> {
        if self.client.is_none() {
            return Err(Refusal::Silent(SILENCE.as_secs()));
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
    let latest = client.and_then(|client| client.latest.as_mut());
    let Some(latest) = latest else { return std::future::pending().await };
    latest.changed().await;
}

async fn elapsed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
