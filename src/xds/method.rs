//! The gRPC methods of xDS, by path: which variant, and which type where the
//! service is for one.

use super::Refusal;
use super::session::Protocol;
use crate::model::{ResourceKind, TypeUrl};

/// One method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) protocol: Protocol,
    /// `None` for an aggregated stream.
    pub(super) type_url: Option<TypeUrl>,
    /// Whether it answers one request and ends, instead of streaming.
    pub(super) once: bool,
}

/// A service: its name, what its methods end in, and the type it is for.
type Service = (&'static str, &'static str, Option<ResourceKind>);

/// What every service's name begins with.
const PACKAGE: &str = "envoy.service.";

const SERVICES: [Service; 10] = [
    ("discovery.v3.AggregatedDiscoveryService", "AggregatedResources", None),
    ("cluster.v3.ClusterDiscoveryService", "Clusters", Some(ResourceKind::Clusters)),
    ("endpoint.v3.EndpointDiscoveryService", "Endpoints", Some(ResourceKind::Endpoints)),
    ("listener.v3.ListenerDiscoveryService", "Listeners", Some(ResourceKind::Listeners)),
    ("route.v3.RouteDiscoveryService", "Routes", Some(ResourceKind::Routes)),
    ("route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", Some(ResourceKind::ScopedRoutes)),
    ("route.v3.VirtualHostDiscoveryService", "VirtualHosts", Some(ResourceKind::VirtualHosts)),
    ("secret.v3.SecretDiscoveryService", "Secrets", Some(ResourceKind::Secrets)),
    ("runtime.v3.RuntimeDiscoveryService", "Runtime", Some(ResourceKind::Runtime)),
    (
        "extension.v3.ExtensionConfigDiscoveryService",
        "ExtensionConfigs",
        Some(ResourceKind::ExtensionConfigs),
    ),
];

/// The services that are no discovery.
const BESIDE: [&str; 2] =
    ["load_stats.v3.LoadReportingService", "status.v3.ClientStatusDiscoveryService"];

/// The full names of the gRPC services of xDS that are served.
pub fn services() -> Vec<String> {
    let discovery = SERVICES.iter().map(|(name, ..)| *name);
    discovery.chain(BESIDE).map(|name| format!("{PACKAGE}{name}")).collect()
}

impl Method {
    /// The method at `path`, `/package.Service/Method`.
    pub(super) fn at(path: &str) -> Result<Self, Refusal> {
        let unknown = || Refusal::UnknownMethod(path.to_owned());
        let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(PACKAGE));
        let rest = rest.ok_or_else(unknown)?;
        let (service, method) = rest.split_once('/').ok_or_else(unknown)?;
        let known = SERVICES.iter().find(|(name, ..)| *name == service);
        let (_, suffix, kind) = known.ok_or_else(unknown)?;
        // Virtual hosts have never had a state-of-the-world variant.
        let sotw = *kind != Some(ResourceKind::VirtualHosts);
        let (protocol, once) = match method.strip_suffix(suffix) {
            Some("Stream") if sotw => (Protocol::Sotw, false),
            Some("Fetch") if sotw && kind.is_some() => (Protocol::Sotw, true),
            Some("Delta") => (Protocol::Delta, false),
            _ => return Err(unknown()),
        };
        Ok(Self { protocol, type_url: kind.map(ResourceKind::type_url), once })
    }

    /// What `kind` is asked for by, where no stream is opened.
    pub(super) fn fetching(kind: ResourceKind) -> Self {
        Self { protocol: Protocol::Sotw, type_url: Some(kind.type_url()), once: true }
    }

    /// The type that a message which says `given` is about.
    pub(super) fn resolve(&self, given: String) -> Result<TypeUrl, Refusal> {
        match &self.type_url {
            None if given.is_empty() => Err(Refusal::NoType),
            None => Ok(TypeUrl(given.into())),
            Some(own) if given.is_empty() || *own.0 == *given => Ok(own.clone()),
            Some(own) => Err(Refusal::OtherType { expected: own.to_string(), given }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_all_variants_but_virtual_hosts_and_the_aggregated_one() {
        for (service, suffix, kind) in SERVICES {
            let at = |prefix| Method::at(&format!("/envoy.service.{service}/{prefix}{suffix}"));
            let type_url = kind.map(ResourceKind::type_url);
            let delta =
                Method { protocol: Protocol::Delta, type_url: type_url.clone(), once: false };
            assert_eq!(at("Delta"), Ok(delta));
            let sotw = at("Stream").ok();
            let expected = (kind != Some(ResourceKind::VirtualHosts)).then_some(Method {
                protocol: Protocol::Sotw,
                type_url,
                once: false,
            });
            assert_eq!(sotw, expected);
            let fetched = kind.filter(|kind| *kind != ResourceKind::VirtualHosts);
            assert_eq!(at("Fetch").ok(), fetched.map(Method::fetching));
        }
    }

    #[test]
    fn unknown_paths_are_refused() {
        for path in ["", "/", "/x/y", "/envoy.service.cluster.v3.ClusterDiscoveryService/Streamx"] {
            assert!(matches!(Method::at(path), Err(Refusal::UnknownMethod(_))), "{path}");
        }
    }

    #[test]
    fn a_stream_for_one_type_fills_it_in_and_refuses_another() {
        let clusters = ResourceKind::Clusters.type_url();
        let one =
            Method { protocol: Protocol::Sotw, type_url: Some(clusters.clone()), once: false };
        assert_eq!(one.resolve(String::new()), Ok(clusters.clone()));
        assert_eq!(one.resolve(clusters.to_string()), Ok(clusters));
        assert!(matches!(one.resolve("x/y".into()), Err(Refusal::OtherType { .. })));
        let all = Method { protocol: Protocol::Sotw, type_url: None, once: false };
        assert_eq!(all.resolve(String::new()), Err(Refusal::NoType));
        assert_eq!(all.resolve("x/y".into()), Ok(TypeUrl("x/y".into())));
    }
}
