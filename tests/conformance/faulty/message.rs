//! What a fault can do to a message, in words that are the same in both
//! variants of the protocol.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use prost::Message;

/// A client's message.
pub(super) trait Question: Message + Default + Clone + 'static {
    type Reply: Reply;
    const DELTA: bool;

    fn type_url(&self) -> &str;
    fn nonce(&mut self) -> &mut String;
    fn refuses(&self) -> bool;
    /// The names that it asks for: all there are, or incrementally new ones.
    fn asked(&mut self) -> &mut Vec<String>;
    /// The names that it asks for no more, where the variant says so.
    fn dropped(&mut self) -> Option<&mut Vec<String>>;
    /// The versions that it says it has, where the variant says so.
    fn told(&mut self) -> Option<&mut HashMap<String, String>>;
    /// Takes back what it changes of a subscription to `names`.
    fn lose_changes(&mut self, names: &[String]);
    /// The message that takes `reply`.
    fn taking(reply: &mut Self::Reply, names: &[String]) -> Self;
}

/// A server's message.
pub(super) trait Reply: Message + Default + Clone + 'static {
    fn type_url(&self) -> &str;
    fn nonce(&mut self) -> &mut String;
    fn server(&mut self) -> &mut Option<ControlPlane>;
    /// The names that are gone, where the variant says so.
    fn removed(&mut self) -> Option<&mut Vec<String>>;
    /// Each resource's name, and what tells its content from another.
    fn given(&self) -> Vec<(String, Vec<u8>)>;
    /// Leaves only the resources that `keep` is for.
    fn retain(&mut self, keep: impl FnMut(&str, &[u8]) -> bool);
    /// Has the first resource twice.
    fn repeat_first(&mut self);
    /// Whether nothing is in it.
    fn is_empty(&mut self) -> bool {
        self.given().is_empty() && self.removed().is_none_or(|removed| removed.is_empty())
    }
}

impl Question for DiscoveryRequest {
    type Reply = DiscoveryResponse;
    const DELTA: bool = false;

    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn nonce(&mut self) -> &mut String {
        &mut self.response_nonce
    }

    fn refuses(&self) -> bool {
        self.error_detail.is_some()
    }

    fn asked(&mut self) -> &mut Vec<String> {
        &mut self.resource_names
    }

    fn dropped(&mut self) -> Option<&mut Vec<String>> {
        None
    }

    fn told(&mut self) -> Option<&mut HashMap<String, String>> {
        None
    }

    fn lose_changes(&mut self, names: &[String]) {
        self.resource_names = names.to_vec();
    }

    fn taking(reply: &mut DiscoveryResponse, names: &[String]) -> Self {
        Self {
            type_url: reply.type_url.clone(),
            response_nonce: reply.nonce.clone(),
            version_info: reply.version_info.clone(),
            resource_names: names.to_vec(),
            ..Self::default()
        }
    }
}

impl Question for DeltaDiscoveryRequest {
    type Reply = DeltaDiscoveryResponse;
    const DELTA: bool = true;

    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn nonce(&mut self) -> &mut String {
        &mut self.response_nonce
    }

    fn refuses(&self) -> bool {
        self.error_detail.is_some()
    }

    fn asked(&mut self) -> &mut Vec<String> {
        &mut self.resource_names_subscribe
    }

    fn dropped(&mut self) -> Option<&mut Vec<String>> {
        Some(&mut self.resource_names_unsubscribe)
    }

    fn told(&mut self) -> Option<&mut HashMap<String, String>> {
        Some(&mut self.initial_resource_versions)
    }

    fn lose_changes(&mut self, _: &[String]) {
        self.resource_names_subscribe.clear();
        self.resource_names_unsubscribe.clear();
    }

    fn taking(reply: &mut DeltaDiscoveryResponse, _: &[String]) -> Self {
        Self {
            type_url: reply.type_url.clone(),
            response_nonce: reply.nonce.clone(),
            ..Self::default()
        }
    }
}

/// All of Envoy's resources have their name in the first field.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

fn name_of(body: &[u8]) -> String {
    Named::decode(body).unwrap_or_default().name
}

impl Reply for DiscoveryResponse {
    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn nonce(&mut self) -> &mut String {
        &mut self.nonce
    }

    fn server(&mut self) -> &mut Option<ControlPlane> {
        &mut self.control_plane
    }

    fn removed(&mut self) -> Option<&mut Vec<String>> {
        None
    }

    fn given(&self) -> Vec<(String, Vec<u8>)> {
        self.resources.iter().map(|one| (name_of(&one.value), one.value.clone())).collect()
    }

    fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        self.resources.retain(|one| keep(&name_of(&one.value), &one.value));
    }

    fn repeat_first(&mut self) {
        self.resources.extend(self.resources.first().cloned());
    }
}

impl Reply for DeltaDiscoveryResponse {
    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn nonce(&mut self) -> &mut String {
        &mut self.nonce
    }

    fn server(&mut self) -> &mut Option<ControlPlane> {
        &mut self.control_plane
    }

    fn removed(&mut self) -> Option<&mut Vec<String>> {
        Some(&mut self.removed_resources)
    }

    fn given(&self) -> Vec<(String, Vec<u8>)> {
        let version = |version: &String| version.clone().into_bytes();
        self.resources.iter().map(|one| (one.name.clone(), version(&one.version))).collect()
    }

    fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        self.resources.retain(|one| keep(&one.name, one.version.as_bytes()));
    }

    fn repeat_first(&mut self) {
        self.resources.extend(self.resources.first().cloned());
    }
}
