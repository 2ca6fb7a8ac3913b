//! The few fields of listeners and routes that the indexes look at; all others
//! are skipped.

use bytes::Bytes;
use prost::Message;

/// The type of a connection manager, as a type URL ends.
pub(super) const MANAGER: &str =
    "/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

#[derive(Clone, PartialEq, Message)]
struct Listener {
    #[prost(message, repeated, tag = "3")]
    filter_chains: Vec<FilterChain>,
    #[prost(message, optional, tag = "19")]
    api_listener: Option<ApiListener>,
    #[prost(message, optional, tag = "25")]
    default_filter_chain: Option<FilterChain>,
}

#[derive(Clone, PartialEq, Message)]
struct FilterChain {
    #[prost(message, repeated, tag = "3")]
    filters: Vec<Filter>,
}

/// A network filter, or an HTTP filter: both have it in the same place.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Filter {
    #[prost(message, optional, tag = "4")]
    pub(super) typed_config: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct ApiListener {
    #[prost(message, optional, tag = "1")]
    api_listener: Option<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

/// An HTTP connection manager.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Manager {
    #[prost(message, optional, tag = "3")]
    pub(super) rds: Option<Named>,
    /// A route configuration of its own.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) route_config: Option<Bytes>,
    #[prost(message, repeated, tag = "5")]
    pub(super) http_filters: Vec<Filter>,
    #[prost(message, optional, tag = "31")]
    pub(super) scoped_routes: Option<ScopedRoutes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopedRoutes {
    #[prost(message, optional, tag = "4")]
    pub(super) list: Option<ScopedList>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopedList {
    #[prost(message, repeated, tag = "1")]
    pub(super) all: Vec<Named>,
}

/// `Rds` or `ScopedRouteConfiguration`: both name a route in the same place.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "2")]
    pub(super) route: String,
}

/// The connection managers of a listener; what is no listener has none.
pub(super) fn managers(listener: Bytes) -> impl Iterator<Item = Manager> {
    let read = Listener::decode(listener).unwrap_or_default();
    let chains = read.filter_chains.into_iter().chain(read.default_filter_chain);
    let filters = chains.flat_map(|chain| chain.filters);
    let api = read.api_listener.and_then(|api| api.api_listener);
    filters
        .filter_map(|filter| filter.typed_config)
        .chain(api)
        .filter(|config| config.type_url.ends_with(MANAGER))
        .filter_map(|config| Manager::decode(config.value).ok())
}
