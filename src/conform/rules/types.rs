//! That every type is served, over every transport it has.

use super::super::bench::Bench;
use super::super::item::{item, routes};
use super::super::rule::{Rule, ensure};
use super::super::transport::{STREAMS, Transport};
use super::Done;
use crate::model::ResourceKind as Kind;

/// Virtual hosts have never had a state-of-the-world variant.
const DELTA_ONLY: &[Transport] = &[Transport::DeltaAds, Transport::DeltaType];

const SOURCE: &str = "xDS protocol, the xDS transport protocol: resource types and services";

pub(super) static RULES: &[Rule] = &[
    Rule::new("types.clusters", STREAMS, "CDS serves clusters", SOURCE, |b| {
        Box::pin(serves(b, Kind::Clusters, "a"))
    })
    .driven(),
    Rule::new("types.endpoints", STREAMS, "EDS serves load assignments", SOURCE, |b| {
        Box::pin(serves(b, Kind::Endpoints, "a"))
    })
    .driven(),
    Rule::new("types.listeners", STREAMS, "LDS serves listeners", SOURCE, |b| {
        Box::pin(serves(b, Kind::Listeners, "a"))
    })
    .driven(),
    Rule::new("types.routes", STREAMS, "RDS serves route configurations", SOURCE, |b| {
        Box::pin(serves(b, Kind::Routes, "a"))
    })
    .driven(),
    Rule::new("types.scoped-routes", STREAMS, "SRDS serves scoped routes", SOURCE, |b| {
        Box::pin(serves(b, Kind::ScopedRoutes, "a"))
    })
    .driven(),
    Rule::new("types.virtual-hosts", DELTA_ONLY, "VHDS serves virtual hosts", SOURCE, |b| {
        Box::pin(serves(b, Kind::VirtualHosts, "r/a"))
    })
    .driven(),
    Rule::new("types.secrets", STREAMS, "SDS serves secrets", SOURCE, |b| {
        Box::pin(serves(b, Kind::Secrets, "a"))
    })
    .driven(),
    Rule::new("types.runtime", STREAMS, "RTDS serves runtime layers", SOURCE, |b| {
        Box::pin(serves(b, Kind::Runtime, "a"))
    })
    .driven(),
    Rule::new("types.extension-configs", STREAMS, "ECDS serves extensions", SOURCE, |b| {
        Box::pin(serves(b, Kind::ExtensionConfigs, "a"))
    })
    .driven(),
];

async fn serves(bench: &Bench, kind: Kind, name: &str) -> Done {
    let wanted = item(kind, name, 1);
    let mut items = vec![wanted.clone()];
    if kind == Kind::ScopedRoutes {
        items.push(routes(name, 1));
    }
    bench.hold(&items).await?;
    let mut line = bench.line(kind).await?;
    line.ask(kind, &[name]).await?;
    let answer = line.gather(kind, &[name]).await?;
    let body = answer.get(name).and_then(|one| one.body.as_ref());
    // Another encoder may order fields otherwise; the length is the same.
    ensure(body.map(Vec::len) == Some(wanted.body.len()), || {
        format!("`{name}` came with another content than was set")
    })
}
