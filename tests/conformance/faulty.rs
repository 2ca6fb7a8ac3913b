//! A wrong server: ours, behind a relay that breaks one thing.
//!
//! Each [`Fault`] is one that a server in use has or had. The relay reads every
//! message and passes it on, but for what the fault does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use prost::{Message, Name};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use convoy::tasks::Tasks;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;

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
}

/// A relay at work, stopped on drop.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    tasks: Tasks,
}

impl Relay {
    /// Stands before the server at `upstream`.
    pub(crate) async fn start(upstream: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let streams = tasks.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let tasks = streams.clone();
            async move { Ok::<_, Infallible>(answer(upstream, fault, tasks, request).await) }
        });
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served =
            Server::builder().serve_with_incoming_shutdown(service, incoming, tasks.stopping());
        tasks.spawn("relay", async move { served.await.expect("the relay ends well") });
        Self { address, tasks }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn answer(
    upstream: SocketAddr,
    fault: Fault,
    tasks: Tasks,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let wrong = Wrong { fault, ..Wrong::default() };
    if path.contains("/Delta") {
        relayed::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
            upstream, path, wrong, tasks, request,
        )
        .await
    } else if path.contains("/Stream") {
        relayed::<DiscoveryRequest, DiscoveryResponse>(upstream, path, wrong, tasks, request).await
    } else {
        Status::unimplemented(path).into_http()
    }
}

async fn relayed<Q, A>(
    upstream: SocketAddr,
    path: String,
    wrong: Wrong,
    tasks: Tasks,
    request: http::Request<Body>,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    Wrong: Tamper<Q, A>,
{
    let mut wrong = Some(wrong);
    let open = tower::service_fn(move |request: Request<Streaming<Q>>| {
        let (sender, receiver) = mpsc::channel(64);
        let wrong = wrong.take().expect("a stream is opened once");
        let path = path.clone();
        tasks.spawn("relayed stream", relay(upstream, path, request.into_inner(), sender, wrong));
        std::future::ready(Ok::<_, Status>(Response::new(ReceiverStream::new(receiver))))
    });
    tonic::server::Grpc::new(ProstCodec::<A, Q>::default()).streaming(open, request).await
}

async fn relay<Q, A>(
    upstream: SocketAddr,
    path: String,
    mut client: Streaming<Q>,
    to_client: mpsc::Sender<Result<A, Status>>,
    mut wrong: Wrong,
) where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    Wrong: Tamper<Q, A>,
{
    let endpoint = Endpoint::from_shared(format!("http://{upstream}")).unwrap();
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let (sender, receiver) = mpsc::channel::<Q>(64);
    let requests = Request::new(ReceiverStream::new(receiver));
    let codec = ProstCodec::<Q, A>::default();
    let mut server = match grpc.streaming(requests, path.parse().unwrap(), codec).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return drop(to_client.send(Err(status)).await),
    };
    let mut to_server = Some(sender);
    loop {
        let out = tokio::select! {
            message = client.message(), if to_server.is_some() => match message {
                Ok(Some(message)) => wrong.request(message),
                Ok(None) => { to_server = None; continue }
                Err(status) => return drop(to_client.send(Err(status)).await),
            },
            message = server.message() => match message {
                Ok(Some(message)) => wrong.answer(message),
                Ok(None) => return,
                Err(status) => return drop(to_client.send(Err(status)).await),
            },
        };
        for message in out.up {
            if let Some(to_server) = &to_server {
                let _ = to_server.send(message).await;
            }
        }
        for message in out.down {
            if to_client.send(Ok(message)).await.is_err() {
                return;
            }
        }
    }
}

/// What one message makes the relay send.
struct Out<Q, A> {
    up: Vec<Q>,
    down: Vec<A>,
}

trait Tamper<Q, A>: Send + 'static {
    fn request(&mut self, message: Q) -> Out<Q, A>;
    fn answer(&mut self, message: A) -> Out<Q, A>;
}

/// One stream through the relay.
#[derive(Default)]
struct Wrong {
    fault: Fault,
    seen: BTreeMap<String, Seen>,
    /// Nonces of ours, and those that they stand for.
    nonces: BTreeMap<String, String>,
}

/// One type on it.
#[derive(Default)]
struct Seen {
    begun: bool,
    names: Vec<String>,
    /// What the client has, and of which content.
    has: BTreeMap<String, Vec<u8>>,
    /// Asked for since it was sent last.
    asked: BTreeSet<String>,
    nonce: String,
    answered: bool,
    version: String,
    sotw: Option<DiscoveryResponse>,
    delta: Option<DeltaDiscoveryResponse>,
}

impl Wrong {
    fn real(&self, nonce: String) -> String {
        self.nonces.get(&nonce).cloned().unwrap_or(nonce)
    }

    fn disguise(&mut self, nonce: &mut String, disguise: String) {
        self.nonces.insert(disguise.clone(), std::mem::replace(nonce, disguise));
    }
}

fn url<M: Name>() -> String {
    format!("type.googleapis.com/{}", M::full_name())
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

fn name_of(body: &[u8]) -> String {
    Named::decode(body).unwrap_or_default().name
}

impl Tamper<DiscoveryRequest, DiscoveryResponse> for Wrong {
    fn request(&mut self, mut q: DiscoveryRequest) -> Out<DiscoveryRequest, DiscoveryResponse> {
        q.response_nonce = self.real(q.response_nonce);
        let again = format!("again-{}", self.nonces.len());
        let seen = self.seen.entry(q.type_url.clone()).or_default();
        let first = !std::mem::replace(&mut seen.begun, true);
        let ack = q.response_nonce == seen.nonce && !std::mem::replace(&mut seen.answered, true);
        let mut down = Vec::new();
        match self.fault {
            Fault::NackLoop if q.error_detail.is_some() => {
                if let Some(mut last) = seen.sotw.clone() {
                    self.disguise(&mut last.nonce, again);
                    down.push(last);
                }
            }
            Fault::NackListsLost if q.error_detail.is_some() => {
                q.resource_names.clone_from(&seen.names);
            }
            Fault::AckListsLost if ack && q.error_detail.is_none() && !first => {
                q.resource_names.clone_from(&seen.names);
            }
            Fault::StarIsName => {
                let star = q.resource_names.iter_mut().filter(|name| *name == "*");
                star.for_each(|name| "literally-star".clone_into(name));
            }
            Fault::UnsubscribedKept => {
                let old = seen.names.iter().filter(|name| !q.resource_names.contains(name));
                let old: Vec<_> = old.cloned().collect();
                q.resource_names.extend(old);
            }
            _ => {}
        }
        if let Some(seen) = self.seen.get_mut(&q.type_url) {
            let new = q.resource_names.iter().filter(|name| !seen.names.contains(name));
            seen.asked.extend(new.cloned());
            seen.names.clone_from(&q.resource_names);
        }
        Out { up: vec![q], down }
    }

    fn answer(&mut self, mut a: DiscoveryResponse) -> Out<DiscoveryRequest, DiscoveryResponse> {
        let seen = self.seen.entry(a.type_url.clone()).or_default();
        (seen.nonce, seen.answered) = (a.nonce.clone(), false);
        seen.version.clone_from(&a.version_info);
        let ack = DiscoveryRequest {
            type_url: a.type_url.clone(),
            response_nonce: a.nonce.clone(),
            version_info: a.version_info.clone(),
            resource_names: seen.names.clone(),
            ..Default::default()
        };
        let later = seen.sotw.replace(a.clone());
        let full = [url::<Cluster>(), url::<Listener>()].contains(&a.type_url);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        match self.fault {
            Fault::EmptyUnanswered if a.resources.is_empty() && later.is_none() => {
                return Out { up: vec![ack], down };
            }
            Fault::AckUnawaited => up.push(ack),
            Fault::FullStatePartial if full => {
                let old = later.map(|later| later.resources).unwrap_or_default();
                a.resources.retain(|one| !old.contains(one));
            }
            Fault::SentTwice => a.resources.extend(a.resources.first().cloned()),
            Fault::NonceConstant => {
                let same = a.type_url.clone();
                self.disguise(&mut a.nonce, same);
            }
            Fault::ServerAlwaysNamed => {
                a.control_plane = Some(ControlPlane { identifier: "wrong".into() });
            }
            Fault::EndpointsOnce if a.type_url == url::<ClusterLoadAssignment>() => {
                a.resources.retain(|one| {
                    let name = name_of(&one.value);
                    seen.asked.remove(&name) || seen.has.get(&name) != Some(&one.value)
                });
                for one in &a.resources {
                    seen.has.insert(name_of(&one.value), one.value.clone());
                }
                if a.resources.is_empty() {
                    return Out { up: vec![ack], down };
                }
            }
            Fault::OneVersion if a.type_url == url::<Cluster>() && later.is_some() => {
                let listeners = self.seen.get(&url::<Listener>());
                if let Some(mut last) = listeners.and_then(|seen| seen.sotw.clone()) {
                    let again = format!("again-{}", self.nonces.len());
                    self.disguise(&mut last.nonce, again);
                    down.push(last);
                }
            }
            _ => {}
        }
        down.insert(0, a);
        Out { up, down }
    }
}

impl Tamper<DeltaDiscoveryRequest, DeltaDiscoveryResponse> for Wrong {
    fn request(
        &mut self,
        mut q: DeltaDiscoveryRequest,
    ) -> Out<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
        q.response_nonce = self.real(q.response_nonce);
        let again = format!("again-{}", self.nonces.len());
        let seen = self.seen.entry(q.type_url.clone()).or_default();
        let first = !std::mem::replace(&mut seen.begun, true);
        let stale = !first && !q.response_nonce.is_empty() && q.response_nonce != seen.nonce;
        let answers = !first && q.response_nonce == seen.nonce && !q.response_nonce.is_empty();
        let told: Vec<_> = q.initial_resource_versions.keys().cloned().collect();
        let mut down = Vec::new();
        match self.fault {
            Fault::ResubscribedUnsent => {
                q.resource_names_subscribe.retain(|name| !seen.has.contains_key(name));
            }
            Fault::NackLoop if q.error_detail.is_some() => {
                if let Some(mut last) = seen.delta.clone() {
                    self.nonces.insert(again.clone(), std::mem::replace(&mut last.nonce, again));
                    down.push(last);
                }
            }
            Fault::StaleDropped if stale => return Out { up: Vec::new(), down },
            Fault::NackListsLost if q.error_detail.is_some() => lose_lists(&mut q),
            Fault::AckListsLost if answers && q.error_detail.is_none() => lose_lists(&mut q),
            Fault::StarIsName => {
                let lists = [&mut q.resource_names_subscribe, &mut q.resource_names_unsubscribe];
                for name in lists.into_iter().flatten().filter(|name| *name == "*") {
                    "literally-star".clone_into(name);
                }
            }
            Fault::InitialUnread => q.initial_resource_versions.clear(),
            Fault::InitialSubscribes if !q.resource_names_subscribe.is_empty() => {
                let more: Vec<_> = q.initial_resource_versions.keys().cloned().collect();
                q.resource_names_subscribe.extend(more);
            }
            Fault::UnsubscribedKept => q.resource_names_unsubscribe.clear(),
            _ => {}
        }
        let seen = self.seen.entry(q.type_url.clone()).or_default();
        seen.has.extend(told.into_iter().map(|name| (name, Vec::new())));
        seen.asked.extend(q.resource_names_subscribe.iter().cloned());
        q.resource_names_unsubscribe.iter().for_each(|name| drop(seen.has.remove(name)));
        Out { up: vec![q], down }
    }

    fn answer(
        &mut self,
        mut a: DeltaDiscoveryResponse,
    ) -> Out<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
        let seen = self.seen.entry(a.type_url.clone()).or_default();
        seen.nonce.clone_from(&a.nonce);
        let ack = DeltaDiscoveryRequest {
            type_url: a.type_url.clone(),
            response_nonce: a.nonce.clone(),
            ..Default::default()
        };
        let first = seen.delta.replace(a.clone()).is_none();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        match self.fault {
            Fault::MissingUntold => {
                let before = a.removed_resources.len();
                a.removed_resources.retain(|name| seen.has.contains_key(name));
                let nothing = a.removed_resources.is_empty() && a.resources.is_empty();
                if before > 0 && nothing {
                    return Out { up: vec![ack], down };
                }
            }
            Fault::EmptyUnanswered
                if first && a.resources.is_empty() && a.removed_resources.is_empty() =>
            {
                return Out { up: vec![ack], down };
            }
            Fault::AckUnawaited => up.push(ack),
            Fault::SentTwice => a.resources.extend(a.resources.first().cloned()),
            Fault::NonceConstant => {
                let same = a.type_url.clone();
                self.disguise(&mut a.nonce, same);
            }
            Fault::ServerAlwaysNamed => {
                a.control_plane = Some(ControlPlane { identifier: "wrong".into() });
            }
            Fault::EndpointsOnce if a.type_url == url::<ClusterLoadAssignment>() => {
                a.resources.retain(|one| {
                    let same = seen.has.get(&one.name) == Some(&one.version.clone().into_bytes());
                    seen.asked.remove(&one.name) || !same
                });
                if a.resources.is_empty() && a.removed_resources.is_empty() {
                    return Out { up: vec![ack], down };
                }
            }
            Fault::OneVersion if a.type_url == url::<Cluster>() && !first => {
                let listeners = self.seen.get(&url::<Listener>());
                if let Some(mut last) = listeners.and_then(|seen| seen.delta.clone()) {
                    let again = format!("again-{}", self.nonces.len());
                    self.disguise(&mut last.nonce, again);
                    down.push(last);
                }
            }
            _ => {}
        }
        let seen = self.seen.entry(a.type_url.clone()).or_default();
        for one in &a.resources {
            seen.has.insert(one.name.clone(), one.version.clone().into_bytes());
        }
        a.removed_resources.iter().for_each(|name| drop(seen.has.remove(name)));
        down.insert(0, a);
        Out { up, down }
    }
}

fn lose_lists(q: &mut DeltaDiscoveryRequest) {
    q.resource_names_subscribe.clear();
    q.resource_names_unsubscribe.clear();
}
