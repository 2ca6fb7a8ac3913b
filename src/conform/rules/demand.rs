//! What Envoy asks for while a request waits: virtual hosts by the host that
//! was asked for.

use super::super::answer::Answer;
use super::super::bench::Bench;
use super::super::item::virtual_host;
use super::super::rule::{Rule, Stop};
use super::super::transport::DELTA;
use super::Done;
use crate::model::ResourceKind as Kind;

const VHDS: Kind = Kind::VirtualHosts;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "demand.host-aliased",
        DELTA,
        "a virtual host asked for by one of its hosts says so in its aliases",
        "Envoy, VHDS: resource_names are route/host; discovery.proto, Resource.aliases",
        |b| Box::pin(host_aliased(b)),
    )
    .driven(),
    Rule::new(
        "demand.unknown-host",
        DELTA,
        "a host that no virtual host serves is answered without a body, so that nobody waits",
        "Envoy, VHDS: a resource without a body un-pauses the on-demand filter",
        |b| Box::pin(unknown_host(b)),
    )
    .driven(),
];

async fn ask(bench: &Bench, name: &str, due: fn(&Answer, &str) -> bool) -> Result<(), Stop> {
    bench.able("virtual hosts on demand", |can| can.on_demand)?;
    bench.hold(&[virtual_host("r/web", 1)]).await?;
    let mut line = bench.line(VHDS).await?;
    line.ask(VHDS, &[name]).await?;
    line.until(VHDS, name, |all| due(all, name)).await.map(drop)
}

async fn host_aliased(bench: &Bench) -> Done {
    ask(bench, "r/web.example", |all, name| {
        let aliased = |alias: &String| alias == name;
        all.resources.iter().any(|one| one.body.is_some() && one.aliases.iter().any(aliased))
    })
    .await
}

async fn unknown_host(bench: &Bench) -> Done {
    ask(bench, "r/nowhere.example", |all, name| {
        let about = |alias: &String| alias == name;
        let told = all.resources.iter();
        told.filter(|one| one.body.is_none())
            .any(|one| one.name == name || one.aliases.iter().any(about))
    })
    .await
}
