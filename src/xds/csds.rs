//! The client status discovery service: what this server believes of each
//! client that is connected, resource by resource, in Envoy's own message.
//!
//! It shows resources, so it answers only callers that `app` says may look.
//! Secrets are named and never shown.

mod matching;

use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::admin::v3::{ClientResourceStatus, UpdateFailureState};
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_server::{
    ClientStatusDiscoveryService, ClientStatusDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::status::v3::{
    ClientConfig, ClientStatusRequest, ClientStatusResponse, ConfigStatus,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Any, Struct, Timestamp as Moment, Value};
use futures_util::Stream;
use futures_util::stream::unfold;
use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use self::matching::matches;
use super::{Hub, NodeStatus, Refusal, ResourceState, ResourceStatus, TypeStatus};
use crate::model::{NodeIdentity, ResourceKind};

/// What every method of the service begins with.
pub(super) const PATHS: &str = "/envoy.service.status.v3.";
/// Answers that are put together at once.
const AT_ONCE_MAX: usize = 2;
/// The largest answer.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Whether whoever sent this metadata may look.
pub type MayLook = Arc<dyn Fn(&MetadataMap) -> Result<(), Status> + Send + Sync>;

/// The service, to be served beside xDS.
pub fn client_status(hub: Hub, may_look: MayLook) -> ClientStatusDiscoveryServiceServer<Csds> {
    let turns = Arc::new(Semaphore::new(AT_ONCE_MAX));
    ClientStatusDiscoveryServiceServer::new(Csds { hub, may_look, turns })
        .max_encoding_message_size(MAX_ANSWER_BYTES + (1 << 20))
}

/// The service at work.
#[derive(Clone)]
pub struct Csds {
    hub: Hub,
    may_look: MayLook,
    /// An answer about a whole fleet is work.
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Csds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csds").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl ClientStatusDiscoveryService for Csds {
    type StreamClientStatusStream =
        Pin<Box<dyn Stream<Item = Result<ClientStatusResponse, Status>> + Send>>;

    async fn stream_client_status(
        &self,
        request: Request<Streaming<ClientStatusRequest>>,
    ) -> Result<Response<Self::StreamClientStatusStream>, Status> {
        (self.may_look)(request.metadata())?;
        let metadata = request.metadata().clone();
        let state = Some((self.clone(), metadata, request.into_inner()));
        let answers = unfold(state, |state| async move {
            let (service, metadata, mut incoming) = state?;
            let asked = incoming.message().await.transpose()?;
            // Who may not look any more is told so at the next question.
            let answer = match (service.may_look)(&metadata).and(asked) {
                Ok(asked) => service.answer(asked).await,
                Err(status) => Err(status),
            };
            let rest = answer.is_ok().then_some((service, metadata, incoming));
            Some((answer, rest))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_client_status(
        &self,
        request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        (self.may_look)(request.metadata())?;
        self.answer(request.into_inner()).await.map(Response::new)
    }
}

impl Csds {
    /// Answers where it may take a while.
    async fn answer(&self, asked: ClientStatusRequest) -> Result<ClientStatusResponse, Status> {
        let turn = self.turns.clone().acquire_owned().await;
        let _turn = turn.map_err(|_| Status::from(Refusal::Stopping))?;
        let service = self.clone();
        let shown = tokio::task::spawn_blocking(move || service.show(&asked)).await;
        shown.map_err(|_| Status::internal("the answer could not be put together"))?
    }

    fn show(&self, asked: &ClientStatusRequest) -> Result<ClientStatusResponse, Status> {
        matching::check(&asked.node_matchers).map_err(Status::invalid_argument)?;
        let (mut config, mut size) = (Vec::new(), 0);
        for node in self.hub.nodes() {
            if !matches(&asked.node_matchers, &node.identity) {
                continue;
            }
            let one = self.client(&node, !asked.exclude_resource_contents);
            size += one.encoded_len();
            if size > MAX_ANSWER_BYTES {
                return Err(Status::resource_exhausted(format!(
                    "the answer is larger than {} MiB: ask for fewer nodes with node_matchers, \
                     or set exclude_resource_contents",
                    MAX_ANSWER_BYTES >> 20
                )));
            }
            config.push(one);
        }
        Ok(ClientStatusResponse { config })
    }

    fn client(&self, node: &NodeStatus, with_contents: bool) -> ClientConfig {
        let snapshots = self.hub.serves(&node.identity.id);
        let content = |one: &ResourceStatus| {
            let shown = with_contents && one.type_url.kind() != Some(ResourceKind::Secrets);
            let of_type = |s: &Arc<crate::snapshot::Snapshot>| s.types.get(&one.type_url).cloned();
            let held = snapshots.iter().rev().filter(|_| shown).filter_map(of_type);
            let mut served = held.filter_map(|of_type| of_type.resources.get(&one.name).cloned());
            served.next().and_then(|served| Any::decode(served.any.clone()).ok())
        };
        let resources = self.hub.resources(&node.identity.id);
        let generic_xds_configs = resources
            .iter()
            .map(|one| {
                let of_type = node.types.iter().find(|known| known.type_url == one.type_url);
                generic(one, of_type, content(one))
            })
            .collect();
        ClientConfig {
            node: Some(introduction(&node.identity)),
            generic_xds_configs,
            ..ClientConfig::default()
        }
    }
}

fn generic(
    one: &ResourceStatus,
    of_type: Option<&TypeStatus>,
    xds_config: Option<Any>,
) -> GenericXdsConfig {
    let (config_status, client_status) = words(one.state, one.acked.is_some());
    let nack = of_type.and_then(|of_type| of_type.nacked.as_ref());
    let nack = nack.filter(|_| one.state == ResourceState::Nacked);
    let held = one.acked.as_ref().or(one.sent.as_ref());
    // A state-of-the-world client knows the version of the whole type only.
    let of_whole = of_type.filter(|of_type| !of_type.delta).and_then(|one| one.acked.as_ref());
    let version = of_whole.filter(|_| held.is_some()).or(held);
    GenericXdsConfig {
        type_url: one.type_url.to_string(),
        name: one.name.to_string(),
        version_info: version.map(ToString::to_string).unwrap_or_default(),
        xds_config,
        last_updated: of_type.and_then(|of_type| of_type.answered_at).map(moment),
        config_status: config_status.into(),
        client_status: client_status.into(),
        error_state: nack.map(|nack| UpdateFailureState {
            details: nack.message.clone(),
            version_info: one.nacked.as_ref().unwrap_or(&nack.version).to_string(),
            last_update_attempt: Some(moment(nack.at)),
            ..UpdateFailureState::default()
        }),
        is_static_resource: false,
    }
}

/// The words of the field: ours, and the client's as far as we know it.
fn words(state: ResourceState, took_one: bool) -> (ConfigStatus, ClientResourceStatus) {
    match state {
        ResourceState::Synced => (ConfigStatus::Synced, ClientResourceStatus::Acked),
        ResourceState::Missing => (ConfigStatus::NotSent, ClientResourceStatus::DoesNotExist),
        ResourceState::NotSent => (ConfigStatus::NotSent, ClientResourceStatus::Requested),
        ResourceState::Sent => (ConfigStatus::Stale, ClientResourceStatus::Requested),
        ResourceState::Stale if took_one => (ConfigStatus::Stale, ClientResourceStatus::Acked),
        ResourceState::Stale => (ConfigStatus::Stale, ClientResourceStatus::Requested),
        ResourceState::Nacked => (ConfigStatus::Error, ClientResourceStatus::Nacked),
    }
}

fn introduction(identity: &NodeIdentity) -> Node {
    let text = |(key, value): (&String, &String)| {
        (key.clone(), Value { kind: Some(Kind::StringValue(value.clone())) })
    };
    let mut parts = identity.locality.splitn(3, '/').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let version = identity.envoy_version.clone().map(UserAgentVersionType::UserAgentVersion);
    Node {
        id: identity.id.to_string(),
        cluster: identity.cluster.clone(),
        metadata: Some(Struct { fields: identity.metadata.iter().map(text).collect() }),
        locality: (!identity.locality.is_empty()).then(|| Locality {
            region: part(),
            zone: part(),
            sub_zone: part(),
        }),
        user_agent_version_type: version,
        ..Node::default()
    }
}

fn moment(at: Timestamp) -> Moment {
    Moment { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_the_words_of_the_field() {
        use ClientResourceStatus as Client;
        use ConfigStatus as Ours;
        for (state, took_one, ours, client) in [
            (ResourceState::Synced, true, Ours::Synced, Client::Acked),
            (ResourceState::Missing, false, Ours::NotSent, Client::DoesNotExist),
            (ResourceState::NotSent, false, Ours::NotSent, Client::Requested),
            (ResourceState::Sent, false, Ours::Stale, Client::Requested),
            (ResourceState::Stale, true, Ours::Stale, Client::Acked),
            (ResourceState::Stale, false, Ours::Stale, Client::Requested),
            (ResourceState::Nacked, true, Ours::Error, Client::Nacked),
        ] {
            assert_eq!(words(state, took_one), (ours, client), "{state:?}");
        }
    }
}
