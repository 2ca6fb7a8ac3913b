//! Envoy resources after rendering: named, typed, encoded once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ContentHash, Finding, NodeGroup, Place};

/// A protobuf type URL, such as
/// `type.googleapis.com/envoy.config.cluster.v3.Cluster`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypeUrl(pub Arc<str>);

impl TypeUrl {
    /// The message name behind the last slash.
    pub fn message(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The kind this type is served as, where it is one of Envoy's.
    pub fn kind(&self) -> Option<ResourceKind> {
        let message = self.0.strip_prefix(TYPE_PREFIX)?;
        ResourceKind::ALL.into_iter().find(|kind| kind.message() == message)
    }
}

impl fmt::Display for TypeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the type URLs of Envoy's kinds begin with.
const TYPE_PREFIX: &str = "type.googleapis.com/";

/// A resource's name within its type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceName(pub Arc<str>);

impl std::borrow::Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of resource that Envoy asks a control plane for. The order of
/// the variants is the order in which additions are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// CDS.
    Clusters,
    /// EDS.
    Endpoints,
    /// SDS.
    Secrets,
    /// ECDS.
    ExtensionConfigs,
    /// LDS.
    Listeners,
    /// SRDS.
    ScopedRoutes,
    /// RDS.
    Routes,
    /// VHDS.
    VirtualHosts,
    /// RTDS.
    Runtime,
}

impl ResourceKind {
    /// Every kind, in sending order.
    pub const ALL: [Self; 9] = [
        Self::Clusters,
        Self::Endpoints,
        Self::Secrets,
        Self::ExtensionConfigs,
        Self::Listeners,
        Self::ScopedRoutes,
        Self::Routes,
        Self::VirtualHosts,
        Self::Runtime,
    ];

    /// The folder under `resources/` that holds the kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Endpoints => "endpoints",
            Self::Secrets => "secrets",
            Self::ExtensionConfigs => "extension_configs",
            Self::Listeners => "listeners",
            Self::ScopedRoutes => "scoped_routes",
            Self::Routes => "routes",
            Self::VirtualHosts => "virtual_hosts",
            Self::Runtime => "runtime",
        }
    }

    /// The full name of the kind's message.
    pub fn message(self) -> &'static str {
        match self {
            Self::Clusters => "envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secrets => "envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::ExtensionConfigs => "envoy.config.core.v3.TypedExtensionConfig",
            Self::Listeners => "envoy.config.listener.v3.Listener",
            Self::ScopedRoutes => "envoy.config.route.v3.ScopedRouteConfiguration",
            Self::Routes => "envoy.config.route.v3.RouteConfiguration",
            Self::VirtualHosts => "envoy.config.route.v3.VirtualHost",
            Self::Runtime => "envoy.service.runtime.v3.Runtime",
        }
    }

    /// The kind's type URL.
    pub fn type_url(self) -> TypeUrl {
        TypeUrl(format!("{TYPE_PREFIX}{}", self.message()).into())
    }

    /// The field that names a resource of this kind.
    pub fn name_field(self) -> &'static str {
        match self {
            Self::Endpoints => "cluster_name",
            _ => "name",
        }
    }
}

/// One Envoy message in canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its type.
    pub type_url: TypeUrl,
    /// Its name within the type.
    pub name: ResourceName,
    /// The message (not wrapped in an `Any`), canonically encoded: fields by
    /// number, maps sorted, nested `Any`s re-encoded.
    pub body: Bytes,
    /// What is said about the message beside its content.
    pub wrapping: Wrapping,
    /// The hash of `body`, and of `wrapping` where it says anything.
    pub hash: ContentHash,
    /// Where it was written.
    pub place: Place,
    /// What was worked out about it.
    pub derived: Derived,
}

/// What follows from a resource alone, worked out by whoever asks first: an
/// unchanged resource of the next revision is the same one, and is not looked
/// at again. No part of what the resource is: all are equal, and a copy, which
/// may be changed, begins with nothing.
#[derive(Debug, Default)]
pub struct Derived {
    mentions: OnceLock<Box<[Mention]>>,
    findings: OnceLock<Box<[Finding]>>,
}

impl Derived {
    /// What the resource names.
    pub fn mentions(&self, find: impl FnOnce() -> Vec<Mention>) -> &[Mention] {
        self.mentions.get_or_init(|| find().into())
    }

    /// What the linter says of it.
    pub fn findings(&self, find: impl FnOnce() -> Vec<Finding>) -> &[Finding] {
        self.findings.get_or_init(|| find().into())
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Derived {}

/// One reference from a resource to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// What kind of resource is meant.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
}

impl Resource {
    /// Takes encoded bytes, hashing them.
    pub fn new(type_url: TypeUrl, name: ResourceName, body: Bytes, place: Place) -> Self {
        Self::wrapped(type_url, name, body, Wrapping::default(), place)
    }

    /// Takes encoded bytes and what is said about them, hashing both.
    pub fn wrapped(
        type_url: TypeUrl,
        name: ResourceName,
        body: Bytes,
        wrapping: Wrapping,
        place: Place,
    ) -> Self {
        let hash = wrapping.hash(&body);
        Self { type_url, name, body, wrapping, hash, place, derived: Derived::default() }
    }
}

/// What Envoy's `Resource` says around a message: nothing, for nearly all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrapping {
    /// How long a client keeps the resource without hearing of it again.
    pub ttl: Option<Duration>,
    /// Other names that the resource is found under, sorted, each once.
    pub aliases: Vec<ResourceName>,
}

impl Wrapping {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.ttl.is_none() && self.aliases.is_empty()
    }

    /// The hash of `body` so wrapped. A wrapping that says nothing leaves the
    /// hash of the body alone.
    pub fn hash(&self, body: &[u8]) -> ContentHash {
        if self.is_empty() {
            return ContentHash::of(body);
        }
        let ttl = self.ttl.unwrap_or_default().as_nanos().to_be_bytes();
        let aliases = self.aliases.iter().map(|alias| alias.0.as_bytes());
        ContentHash::of_parts([body, &ttl].into_iter().chain(aliases))
    }
}

/// Every resource of one stage, by node group. A group's entry is complete:
/// what is written for all groups is in each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Sorted by group, then by `(type, name)`; no name twice within a type.
    pub groups: BTreeMap<NodeGroup, Vec<Arc<Resource>>>,
}
