//! A server's message, in one shape for both protocols.

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryResponse, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::message::names;

/// A response of either protocol.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) type_url: String,
    /// `version_info`, or `system_version_info`.
    pub(super) version: String,
    pub(super) nonce: String,
    pub(super) resources: Vec<Given>,
    /// Delta only.
    pub(super) removed: Vec<String>,
    /// `control_plane.identifier`; `None` where there is no `control_plane`.
    pub(super) server: Option<String>,
}

/// A resource as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    pub(super) name: String,
    /// Delta only, or in a state-of-the-world wrapper.
    pub(super) version: String,
    /// The message without its `Any`; `None` where the resource has none.
    pub(super) body: Option<Vec<u8>>,
    pub(super) ttl: Option<Duration>,
    pub(super) aliases: Vec<String>,
    /// Whether it came in a `Resource`.
    pub(super) wrapped: bool,
}

/// All of Envoy's resources have their name in the first field.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

const WRAPPER: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

impl From<DiscoveryResponse> for Answer {
    fn from(message: DiscoveryResponse) -> Self {
        Self {
            type_url: message.type_url,
            version: message.version_info,
            nonce: message.nonce,
            resources: message.resources.into_iter().map(plain).collect(),
            removed: Vec::new(),
            server: message.control_plane.map(|one| one.identifier),
        }
    }
}

impl From<DeltaDiscoveryResponse> for Answer {
    fn from(message: DeltaDiscoveryResponse) -> Self {
        Self {
            type_url: message.type_url,
            version: message.system_version_info,
            nonce: message.nonce,
            resources: message.resources.into_iter().map(wrapped).collect(),
            removed: message.removed_resources,
            server: message.control_plane.map(|one| one.identifier),
        }
    }
}

fn plain(any: Any) -> Given {
    if any.type_url == WRAPPER {
        return Resource::decode(any.value.as_slice()).map(wrapped).unwrap_or_default();
    }
    let name = Named::decode(any.value.as_slice()).unwrap_or_default().name;
    Given { name, body: Some(any.value), ..Given::default() }
}

fn wrapped(resource: Resource) -> Given {
    let ttl = resource.ttl.map(|ttl| {
        let seconds = u64::try_from(ttl.seconds).unwrap_or_default();
        Duration::new(seconds, u32::try_from(ttl.nanos).unwrap_or_default())
    });
    Given {
        name: resource.name,
        version: resource.version,
        body: resource.resource.map(|any| any.value),
        ttl,
        aliases: resource.aliases,
        wrapped: true,
    }
}

impl Answer {
    /// The names of its resources, in their order.
    pub(super) fn names(&self) -> Vec<&str> {
        self.resources.iter().map(|one| one.name.as_str()).collect()
    }

    /// The resource of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.resources.iter().find(|one| one.name == name)
    }

    /// Whether it says that `name` is not there.
    pub(super) fn removes(&self, name: &str) -> bool {
        self.removed.iter().any(|one| one == name)
    }

    /// The message in a line of text.
    pub(super) fn shown(&self) -> String {
        let short = self.type_url.rsplit('.').next().unwrap_or_default();
        let mut text = format!("{short} nonce={:?} version={:?}", self.nonce, self.version);
        text += &format!(" resources={}", names(&self.names()));
        let marks = |one: &Given| match (&one.body, one.ttl) {
            (None, _) => Some(format!(" ({} without a body)", one.name)),
            (_, Some(ttl)) => Some(format!(" ({} for {ttl:?})", one.name)),
            _ => None,
        };
        self.resources.iter().filter_map(marks).take(4).for_each(|mark| text += &mark);
        if !self.removed.is_empty() {
            let removed: Vec<_> = self.removed.iter().map(String::as_str).collect();
            text += &format!(" removed={}", names(&removed));
        }
        text
    }
}
