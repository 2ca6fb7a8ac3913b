//! Names of the new kind, `xdstp://…`, and locators.

use super::super::bench::Bench;
use super::super::item::cluster;
use super::super::rule::{Rule, ensure};
use super::super::transport::{DELTA, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const SOURCE: &str = "cncf/xds TP1, xdstp:// structured resource naming";
const PREFIX: &str = "xdstp://conform/envoy.config.cluster.v3.Cluster";

pub(super) static RULES: &[Rule] = &[
    Rule::new("xdstp.opaque", STREAMS, "an xdstp:// name is a name", SOURCE, |b| {
        Box::pin(opaque(b))
    })
    .driven(),
    Rule::new(
        "xdstp.parameters-unordered",
        DELTA,
        "the order of context parameters makes no other name",
        SOURCE,
        |b| Box::pin(parameters_unordered(b)),
    )
    .driven()
    .practice(),
    Rule::new(
        "xdstp.collection",
        DELTA,
        "a collection `…/*` gives its members, and those that come later",
        SOURCE,
        |b| Box::pin(collection(b)),
    )
    .driven()
    .practice(),
    Rule::new(
        "xdstp.locators",
        STREAMS,
        "a locator without parameters is a name",
        "discovery.proto, ResourceLocator",
        |b| Box::pin(locators(b)),
    )
    .practice(),
];

async fn opaque(bench: &Bench) -> Done {
    let name = format!("{PREFIX}/a?x=1");
    bench.hold(&[cluster(&name, 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask(CDS, &[&name]).await?;
    line.gather(CDS, &[&name]).await.map(drop)
}

async fn parameters_unordered(bench: &Bench) -> Done {
    bench.able("xdstp names", |can| can.collections)?;
    let held = cluster(&format!("{PREFIX}/a?x=1&y=2"), 1);
    bench.hold(std::slice::from_ref(&held)).await?;
    let mut line = bench.line(CDS).await?;
    line.ask(CDS, &[format!("{PREFIX}/a?y=2&x=1")]).await?;
    let answer = line.take(CDS).await?;
    let came = answer.resources.iter().any(|one| one.body.as_ref() == Some(&held.body));
    ensure(came, || "the resource did not come".into())
}

async fn collection(bench: &Bench) -> Done {
    bench.able("xdstp names", |can| can.collections)?;
    let name = |member: &str| format!("{PREFIX}/set/{member}");
    let outside = cluster("outside", 1);
    bench.hold(&[cluster(&name("a"), 1), outside.clone()]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask(CDS, &[name("*")]).await?;
    line.gather(CDS, &[name("a")]).await?;
    bench.hold(&[cluster(&name("a"), 1), cluster(&name("b"), 1), outside]).await?;
    line.gather(CDS, &[name("b")]).await?;
    let strange = line.held(CDS).contains(&"outside".to_owned());
    ensure(!strange, || "what is no member came too".into())
}

async fn locators(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 1)?;
    let mut line = bench.line(Kind::Endpoints).await?;
    line.say(line.about(Kind::Endpoints).locators(&[&names[0]])).await?;
    let answer = line.next(Kind::Endpoints).await?;
    ensure(answer.get(&names[0]).is_some(), || "the resource did not come".into())
}
