//! The ways to ask a server for resources, and the paths that lead there.

use crate::model::ResourceKind;

/// One way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// State of the world, all types on one stream.
    SotwAds,
    /// Incremental, all types on one stream.
    DeltaAds,
    /// State of the world, a stream for one type.
    SotwType,
    /// Incremental, a stream for one type.
    DeltaType,
    /// JSON over HTTP, and the gRPC methods that answer once.
    Fetch,
    /// What stands beside xDS on the same port.
    Beside,
}

use Transport::{Beside, DeltaAds, DeltaType, Fetch, SotwAds, SotwType};

/// Every stream.
pub(super) const STREAMS: &[Transport] = &[SotwAds, DeltaAds, SotwType, DeltaType];
/// State of the world.
pub(super) const SOTW: &[Transport] = &[SotwAds, SotwType];
/// Incremental.
pub(super) const DELTA: &[Transport] = &[DeltaAds, DeltaType];
/// All types on one stream.
pub(super) const ADS: &[Transport] = &[SotwAds, DeltaAds];
/// A stream for one type.
pub(super) const TYPED: &[Transport] = &[SotwType, DeltaType];
/// One answer for one question.
pub(super) const FETCH: &[Transport] = &[Fetch];
/// Services beside xDS.
pub(super) const BESIDE: &[Transport] = &[Beside];

impl Transport {
    /// Its name in the ids of cases.
    pub fn name(self) -> &'static str {
        match self {
            SotwAds => "sotw-ads",
            DeltaAds => "delta-ads",
            SotwType => "sotw-type",
            DeltaType => "delta-type",
            Fetch => "fetch",
            Beside => "beside",
        }
    }

    /// Whether it is incremental.
    pub(super) fn is_delta(self) -> bool {
        matches!(self, DeltaAds | DeltaType)
    }

    /// Whether all types share a stream.
    pub(super) fn is_aggregated(self) -> bool {
        matches!(self, SotwAds | DeltaAds)
    }

    /// The method that opens a stream for `kind`.
    pub(super) fn path(self, kind: ResourceKind) -> String {
        let prefix = if self.is_delta() { "Delta" } else { "Stream" };
        if self.is_aggregated() {
            let service = "envoy.service.discovery.v3.AggregatedDiscoveryService";
            return format!("/{service}/{prefix}AggregatedResources");
        }
        method(kind, prefix)
    }
}

/// The method of `kind`'s own service that begins with `prefix`.
pub(super) fn method(kind: ResourceKind, prefix: &str) -> String {
    use ResourceKind as Kind;
    let (service, suffix) = match kind {
        Kind::Clusters => ("cluster.v3.ClusterDiscoveryService", "Clusters"),
        Kind::Endpoints => ("endpoint.v3.EndpointDiscoveryService", "Endpoints"),
        Kind::Secrets => ("secret.v3.SecretDiscoveryService", "Secrets"),
        Kind::ExtensionConfigs => {
            ("extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs")
        }
        Kind::Listeners => ("listener.v3.ListenerDiscoveryService", "Listeners"),
        Kind::ScopedRoutes => ("route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes"),
        Kind::Routes => ("route.v3.RouteDiscoveryService", "Routes"),
        Kind::VirtualHosts => ("route.v3.VirtualHostDiscoveryService", "VirtualHosts"),
        Kind::Runtime => ("runtime.v3.RuntimeDiscoveryService", "Runtime"),
    };
    format!("/envoy.service.{service}/{prefix}{suffix}")
}

/// Where `kind` is fetched as JSON; virtual hosts are not.
pub(super) fn rest_path(kind: ResourceKind) -> Option<&'static str> {
    use ResourceKind as Kind;
    match kind {
        Kind::Clusters => Some("/v3/discovery:clusters"),
        Kind::Endpoints => Some("/v3/discovery:endpoints"),
        Kind::Secrets => Some("/v3/discovery:secrets"),
        Kind::ExtensionConfigs => Some("/v3/discovery:extension_configs"),
        Kind::Listeners => Some("/v3/discovery:listeners"),
        Kind::ScopedRoutes => Some("/v3/discovery:scoped-routes"),
        Kind::Routes => Some("/v3/discovery:routes"),
        Kind::Runtime => Some("/v3/discovery:runtime"),
        Kind::VirtualHosts => None,
    }
}
