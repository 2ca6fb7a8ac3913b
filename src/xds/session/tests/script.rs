//! A client that a test drives message by message. What the session sends is
//! written as `CDS a=1 b=2 -c !d`: the type, resources with their versions,
//! what is removed, and what is said to be missing.

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::EdsClusterConfig;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, VirtualHost, route, route_action,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use envoy_types::pb::envoy::service::discovery::v3::Resource as Wrapper;
use envoy_types::pb::google::protobuf::{Any, Duration as ProtoDuration};
use prost::Message;

use super::super::*;
use crate::model::{FilePath, Place, Resource, Wrapping};
use crate::snapshot::testing::key;
use crate::snapshot::{Served, build};
use crate::xds::TypeStatus;
use crate::xds::features::Features;

pub(in super::super) use crate::model::ResourceKind as Kind;

/// A resource of any kind whose content is only a number. (A field that no
/// message has, so that it decodes as each of them.)
pub(in super::super) fn thing(kind: Kind, name: &str, version: i64) -> Arc<Resource> {
    thing_of(&kind.type_url(), name, version)
}

pub(super) fn thing_of(type_url: &TypeUrl, name: &str, version: i64) -> Arc<Resource> {
    let mut body = Vec::new();
    prost::encoding::int64::encode(1000, &version, &mut body);
    of(type_url.clone(), name, body)
}

pub(super) fn static_cluster(name: &str, version: i64) -> Arc<Resource> {
    thing(Kind::Clusters, name, version)
}

/// A cluster whose endpoints come by EDS.
pub(super) fn eds_cluster(name: &str, version: i64) -> Arc<Resource> {
    let message = Cluster {
        name: name.into(),
        eds_cluster_config: Some(EdsClusterConfig::default()),
        connect_timeout: Some(ProtoDuration { seconds: 1, nanos: 0 }),
        ..Cluster::default()
    };
    let mut body = message.encode_to_vec();
    prost::encoding::int64::encode(1000, &version, &mut body);
    of(Kind::Clusters.type_url(), name, body)
}

pub(super) fn cla(name: &str, version: i64) -> Arc<Resource> {
    thing(Kind::Endpoints, name, version)
}

/// A resource of `bytes` and some more.
pub(super) fn large(kind: Kind, name: &str, bytes: usize) -> Arc<Resource> {
    let mut body = Vec::new();
    prost::encoding::bytes::encode(1001, &vec![0; bytes], &mut body);
    of(kind.type_url(), name, body)
}

/// `resource` with a time to live and other names.
pub(super) fn wrapped(
    resource: &Arc<Resource>,
    ttl: Option<u64>,
    aliases: &[&str],
) -> Arc<Resource> {
    let Resource { type_url, name, body, place, .. } = Resource::clone(resource);
    let aliases = aliases.iter().map(|alias| ResourceName((*alias).into())).collect();
    let wrapping = Wrapping { ttl: ttl.map(Duration::from_secs), aliases };
    Arc::new(Resource::wrapped(type_url, name, body, wrapping, place))
}

/// A virtual host for `domains`.
pub(super) fn host(name: &str, domains: &[&str], version: i64) -> Arc<Resource> {
    let message = VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|one| (*one).to_owned()).collect(),
        ..VirtualHost::default()
    };
    let mut body = message.encode_to_vec();
    prost::encoding::int64::encode(1000, &version, &mut body);
    of(Kind::VirtualHosts.type_url(), name, body)
}

/// A listener whose routes are those of the route configuration `route`.
pub(super) fn rds_listener(name: &str, route: &str, version: i64) -> Arc<Resource> {
    let rds = http::Rds { route_config_name: route.into(), config_source: None };
    http_listener(name, http::http_connection_manager::RouteSpecifier::Rds(rds), version)
}

/// A listener that leads everything to `cluster` by itself.
pub(super) fn inline_listener(name: &str, cluster: &str) -> Arc<Resource> {
    let routes = routes(route_action::ClusterSpecifier::Cluster(cluster.into()));
    http_listener(name, http::http_connection_manager::RouteSpecifier::RouteConfig(routes), 0)
}

fn http_listener(
    name: &str,
    routes: http::http_connection_manager::RouteSpecifier,
    version: i64,
) -> Arc<Resource> {
    let manager =
        http::HttpConnectionManager { route_specifier: Some(routes), ..Default::default() };
    let end = "network.http_connection_manager.v3.HttpConnectionManager";
    let type_url = format!("type.googleapis.com/envoy.extensions.filters.{end}");
    let config = Any { type_url, value: manager.encode_to_vec() };
    let filter = listener::Filter {
        config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    };
    let chain = listener::FilterChain { filters: vec![filter], ..Default::default() };
    let message = Listener { filter_chains: vec![chain], ..Default::default() };
    let mut body = message.encode_to_vec();
    prost::encoding::int64::encode(1000, &version, &mut body);
    of(Kind::Listeners.type_url(), name, body)
}

/// A route configuration that leads everything to `cluster`.
pub(super) fn route_to(name: &str, cluster: &str, version: i64) -> Arc<Resource> {
    let message = routes(route_action::ClusterSpecifier::Cluster(cluster.into()));
    let mut body = message.encode_to_vec();
    prost::encoding::int64::encode(1000, &version, &mut body);
    of(Kind::Routes.type_url(), name, body)
}

/// A route configuration that leads to the cluster that a header names.
pub(super) fn route_by_header(name: &str) -> Arc<Resource> {
    let message = routes(route_action::ClusterSpecifier::ClusterHeader("x-to".into()));
    of(Kind::Routes.type_url(), name, message.encode_to_vec())
}

fn routes(specifier: route_action::ClusterSpecifier) -> RouteConfiguration {
    let action = RouteAction { cluster_specifier: Some(specifier), ..Default::default() };
    let route = Route { action: Some(route::Action::Route(action)), ..Default::default() };
    let host = VirtualHost { routes: vec![route], ..Default::default() };
    RouteConfiguration { virtual_hosts: vec![host], ..Default::default() }
}

pub(super) fn listener(name: &str, message: &Listener) -> Arc<Resource> {
    of(Kind::Listeners.type_url(), name, message.encode_to_vec())
}

fn of(type_url: TypeUrl, name: &str, body: Vec<u8>) -> Arc<Resource> {
    let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
    Arc::new(Resource::new(type_url, ResourceName(name.into()), body.into(), place))
}

pub(in super::super) fn snapshot(
    resources: impl IntoIterator<Item = Arc<Resource>>,
) -> Arc<Snapshot> {
    Arc::new(build(key("beta"), &resources.into_iter().collect::<Vec<_>>()))
}

/// The number within a resource made by this file.
pub(super) fn number(served: &Served) -> i64 {
    #[derive(Clone, PartialEq, Message)]
    struct Numbered {
        #[prost(int64, tag = "1000")]
        version: i64,
    }
    Numbered::decode(body(served).unwrap()).unwrap().version
}

/// The message of `served`, out of its wrapper too; `None` where it has none.
pub(super) fn body(served: &Served) -> Option<Bytes> {
    let any = Any::decode(served.any.clone()).unwrap();
    if any.type_url.ends_with(".discovery.v3.Resource") {
        let inner = Wrapper::decode(any.value.as_slice()).unwrap().resource?;
        return Some(inner.value.into());
    }
    (!any.value.is_empty()).then(|| any.value.into())
}

/// What a message holds, in one line. `a~` is a resource without content.
fn shown(outgoing: &Outgoing) -> String {
    let kind = match outgoing.type_url.kind() {
        Some(Kind::Clusters) => "CDS",
        Some(Kind::Endpoints) => "EDS",
        Some(Kind::Secrets) => "SDS",
        Some(Kind::ExtensionConfigs) => "ECDS",
        Some(Kind::Listeners) => "LDS",
        Some(Kind::ScopedRoutes) => "SRDS",
        Some(Kind::Routes) => "RDS",
        Some(Kind::VirtualHosts) => "VHDS",
        Some(Kind::Runtime) => "RTDS",
        None => "other",
    };
    let resources = outgoing.resources.iter().map(|one| match body(one) {
        None => format!("{}~", one.name),
        Some(_) => format!("{}={}", one.name, number(one)),
    });
    let removed = outgoing.removed.iter().map(|name| format!("-{name}"));
    let missing = outgoing.missing.iter().map(|name| format!("!{name}"));
    let parts = [kind.to_owned()].into_iter().chain(resources).chain(removed).chain(missing);
    parts.collect::<Vec<_>>().join(" ")
}

fn is(outgoing: &Outgoing, kind: Kind) -> bool {
    outgoing.type_url.kind() == Some(kind)
}

/// The client.
pub(super) struct Client {
    pub(super) session: Session,
    now: Duration,
    /// The last message of each type, and the names last asked for.
    last: BTreeMap<Kind, Outgoing>,
    names: BTreeMap<Kind, Vec<String>>,
    versions: BTreeMap<Kind, BTreeMap<String, String>>,
    /// Types whose last message was not answered.
    open: BTreeSet<Kind>,
}

impl Client {
    pub(super) fn sotw(snapshot: &Arc<Snapshot>) -> Self {
        Self::new(Protocol::Sotw, snapshot)
    }

    pub(super) fn delta(snapshot: &Arc<Snapshot>) -> Self {
        Self::new(Protocol::Delta, snapshot)
    }

    pub(super) fn both(snapshot: &Arc<Snapshot>) -> [Self; 2] {
        [Self::sotw(snapshot), Self::delta(snapshot)]
    }

    fn new(protocol: Protocol, snapshot: &Arc<Snapshot>) -> Self {
        let mut session = Session::new(protocol);
        assert_eq!(session.on_snapshot(Some(snapshot.clone()), Duration::ZERO), []);
        Self {
            session,
            now: Duration::ZERO,
            last: BTreeMap::new(),
            names: BTreeMap::new(),
            versions: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    /// The same client, able to read more.
    pub(super) fn with(mut self, features: Features) -> Self {
        self.session.introduce(features);
        self
    }

    pub(super) fn is_delta(&self) -> bool {
        self.session.protocol == Protocol::Delta
    }

    /// A new stream; the client keeps what it has.
    pub(super) fn reconnect(&mut self, snapshot: &Arc<Snapshot>) {
        let fresh = Self::new(self.session.protocol, snapshot);
        self.session = fresh.session;
        self.open.clear();
        self.names.clear();
    }

    /// Asks for all of `names` with the nonce that is current.
    pub(super) fn ask(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        if self.is_delta() {
            return self.subscribe(kind, names);
        }
        let nonce = self.nonce(kind);
        self.ask_with_nonce(kind, names, &nonce)
    }

    pub(super) fn ask_with_nonce(
        &mut self,
        kind: Kind,
        names: &[&str],
        nonce: &str,
    ) -> Vec<String> {
        self.names.insert(kind, own(names));
        self.say(kind, nonce, None, own(names), vec![], vec![])
    }

    pub(super) fn subscribe(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        self.subscribe_with_nonce(kind, names, "")
    }

    pub(super) fn subscribe_with_nonce(
        &mut self,
        kind: Kind,
        names: &[&str],
        nonce: &str,
    ) -> Vec<String> {
        self.say(kind, nonce, None, own(names), vec![], vec![])
    }

    pub(super) fn subscribe_or_ask(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        self.ask(kind, names)
    }

    pub(super) fn amend(&mut self, kind: Kind, more: &[&str], less: &[&str]) -> Vec<String> {
        self.say(kind, "", None, own(more), own(less), vec![])
    }

    pub(super) fn ack_with_nonce(&mut self, kind: Kind, nonce: &str) -> Vec<String> {
        self.open.remove(&kind);
        self.say(kind, nonce, None, vec![], vec![], vec![])
    }

    pub(super) fn nack_with_nonce(&mut self, kind: Kind, nonce: &str) -> Vec<String> {
        let names = self.names.get(&kind).cloned().unwrap_or_default();
        let subscribe = if self.is_delta() { vec![] } else { names };
        self.say(kind, nonce, Some("no"), subscribe, vec![], vec![])
    }

    /// The last message of a type as it goes over the stream.
    pub(super) fn last_frame(&self, kind: Kind) -> crate::xds::codec::Frame {
        self.last[&kind].frame()
    }

    /// The other names of what the last message of the type holds.
    pub(super) fn aliases(&self, kind: Kind) -> Vec<String> {
        let resources = self.last[&kind].resources.iter();
        resources
            .map(|one| {
                let aliases = one.wrapping.aliases.iter().map(|alias| alias.to_string());
                format!("{}: {}", one.name, aliases.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    pub(super) fn unsubscribe(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        self.say(kind, "", None, vec![], own(names), vec![])
    }

    /// Subscribes as a client that comes back with what it has.
    pub(super) fn resume(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        let initial = self.versions.get(&kind).cloned().unwrap_or_default();
        self.say(kind, "", None, own(names), vec![], initial.into_iter().collect())
    }

    pub(super) fn ack(&mut self, kind: Kind) -> Vec<String> {
        let names = self.names.get(&kind).cloned().unwrap_or_default();
        self.answer(kind, None, names)
    }

    pub(super) fn ack_names(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        self.names.insert(kind, own(names));
        self.answer(kind, None, own(names))
    }

    pub(super) fn nack(&mut self, kind: Kind) -> Vec<String> {
        let names = self.names.get(&kind).cloned().unwrap_or_default();
        self.answer(kind, Some("no"), names)
    }

    pub(super) fn nack_names(&mut self, kind: Kind, names: &[&str]) -> Vec<String> {
        self.answer(kind, Some("no"), own(names))
    }

    /// Answers until nothing is unanswered; gives what came meanwhile.
    pub(super) fn ack_all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(kind) = self.open.first().copied() {
            all.extend(self.ack(kind));
        }
        all
    }

    fn answer(&mut self, kind: Kind, error: Option<&str>, names: Vec<String>) -> Vec<String> {
        self.open.remove(&kind);
        let nonce = self.nonce(kind);
        let subscribe = match (self.is_delta(), error) {
            // An incremental answer repeats no names, unless a test wants so.
            (true, None) => vec![],
            _ => names,
        };
        self.say(kind, &nonce, error, subscribe, vec![], vec![])
    }

    pub(super) fn publish(&mut self, snapshot: &Arc<Snapshot>) -> Vec<String> {
        let sent = self.session.on_snapshot(Some(snapshot.clone()), self.now);
        self.took(sent)
    }

    pub(super) fn withdraw(&mut self) -> Vec<String> {
        let sent = self.session.on_snapshot(None, self.now);
        self.took(sent)
    }

    pub(super) fn wait(&mut self, seconds: u64) -> Vec<String> {
        self.now += Duration::from_secs(seconds);
        let due = self.session.next_timeout().is_some_and(|at| at <= self.now);
        if !due {
            return vec![];
        }
        let sent = self.session.on_timeout(self.now);
        let overdue = |kind: &Kind| self.session.channels[&Turn::Of(*kind)].is_busy();
        self.open.retain(|kind| overdue(kind) && sent.iter().all(|one| !is(one, *kind)));
        self.took(sent)
    }

    pub(super) fn last(&self, kind: Kind) -> &Outgoing {
        &self.last[&kind]
    }

    pub(super) fn version(&self, kind: Kind) -> String {
        self.last[&kind].version.to_string()
    }

    pub(super) fn status(&self, kind: Kind) -> TypeStatus {
        let all = self.session.statuses();
        all.into_iter().find(|one| one.type_url == kind.type_url()).unwrap()
    }

    /// How a removal reads in this client's protocol.
    pub(super) fn removal_of(&self, kind: &str, left: &[&str], gone: &[&str]) -> String {
        match self.is_delta() {
            true => format!("{kind} -{}", gone.join(" -")),
            false => format!("{kind} {}", left.join(" ")),
        }
    }

    fn nonce(&self, kind: Kind) -> String {
        let known = self.session.channels.contains_key(&Turn::Of(kind));
        let last = self.last.get(&kind).filter(|_| known);
        last.map(|last| last.nonce.clone()).unwrap_or_default()
    }

    fn say(
        &mut self,
        kind: Kind,
        nonce: &str,
        error: Option<&str>,
        subscribe: Vec<String>,
        unsubscribe: Vec<String>,
        initial: Vec<(String, String)>,
    ) -> Vec<String> {
        let version = self.last.get(&kind).map(|last| last.version.to_string());
        let ask = match self.session.protocol {
            Protocol::Sotw => Ask::Sotw { names: subscribe, version: version.unwrap_or_default() },
            Protocol::Delta => Ask::Delta { subscribe, unsubscribe, initial },
        };
        let request = Request {
            type_url: kind.type_url(),
            nonce: nonce.into(),
            error: error.map(str::to_owned),
            ask,
            at: Timestamp::UNIX_EPOCH,
        };
        let (_, sent) = self.session.on_request(request, self.now).unwrap();
        self.took(sent)
    }

    fn took(&mut self, sent: Vec<Outgoing>) -> Vec<String> {
        let shown = sent.iter().map(shown).collect();
        for outgoing in sent {
            let kind = outgoing.type_url.kind().unwrap();
            let beats = outgoing.resources.iter().any(|one| one.wrapping.ttl.is_some());
            assert!(self.open.insert(kind) || beats, "two responses of {kind:?} under way");
            let versions = self.versions.entry(kind).or_default();
            for one in &outgoing.resources {
                versions.insert(one.name.to_string(), one.version.to_string());
            }
            outgoing.removed.iter().for_each(|name| drop(versions.remove(&*name.0)));
            self.last.insert(kind, outgoing);
        }
        shown
    }
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
