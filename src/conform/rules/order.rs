//! The order of types on an aggregated stream: nothing is named before it is
//! there, nothing goes before it is named no more.

use super::super::answer::Answer;
use super::super::bench::Bench;
use super::super::item::{
    Item, cluster, eds_cluster, endpoints, listener, rds_listener, routes_to,
};
use super::super::line::Line;
use super::super::rule::{Rule, Stop, ensure};
use super::super::transport::ADS;
use super::super::wait::Wait;
use super::Done;
use crate::model::{ResourceKind as Kind, TypeUrl};

const CDS: Kind = Kind::Clusters;
const EDS: Kind = Kind::Endpoints;
const LDS: Kind = Kind::Listeners;
const RDS: Kind = Kind::Routes;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "order.suppliers-first",
        ADS,
        "one change arrives as clusters, then endpoints, then listeners, then routes",
        "xDS protocol, eventual consistency considerations; go-control-plane#800, kgateway#14372",
        |b| Box::pin(suppliers_first(b)),
    )
    .driven(),
    Rule::new(
        "order.removals-last",
        ADS,
        "a cluster goes only after the client took the routes that no longer name it",
        "xDS protocol, eventual consistency considerations: make before break; envoy#18958",
        |b| Box::pin(removals_last(b)),
    )
    .driven()
    .practice(),
    Rule::new(
        "order.endpoints-again",
        ADS,
        "endpoints follow a cluster that changed, even if they did not change",
        "envoy#13009, #33607: the cluster warms until they come; go-control-plane#245",
        |b| Box::pin(endpoints_again(b)),
    )
    .driven()
    .practice(),
    Rule::new(
        "order.endpoints-only-of-changed",
        ADS,
        "endpoints of clusters that did not change are not sent along",
        "go-control-plane#981: a thousand clusters can't all be pushed again",
        |b| Box::pin(endpoints_only_of_changed(b)),
    )
    .driven()
    .practice(),
];

/// A listener whose routes, `r`, lead to the cluster `name`.
fn mesh(name: &str) -> Vec<Item> {
    vec![eds_cluster(name, 1), endpoints(name, 1), rds_listener("entry", "r"), routes_to("r", name)]
}

/// A stream that asks for all that an Envoy would, and took it.
async fn envoy(bench: &Bench, assignments: &[&str], held: &[(Kind, &str)]) -> Result<Line, Stop> {
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.ask(EDS, assignments).await?;
    line.ask::<&str>(LDS, &[]).await?;
    line.ask(RDS, &["r"]).await?;
    line.settle(held).await?;
    Ok(line)
}

/// The next message and its kind.
async fn hear(line: &mut Line) -> Result<(Kind, Answer), Stop> {
    loop {
        let answer = line.hear().await?;
        if let Some(kind) = TypeUrl(answer.type_url.as_str().into()).kind() {
            return Ok((kind, answer));
        }
    }
}

async fn suppliers_first(bench: &Bench) -> Done {
    bench.hold(&[]).await?;
    let held = [(CDS, "background"), (LDS, "background")];
    let mut line = envoy(bench, &["new"], &held).await?;
    let mut all = mesh("new");
    all.extend([cluster("background", 1), listener("background", 1)]);
    bench.hold(&all).await?;
    let mut due = vec![(CDS, "new"), (EDS, "new"), (LDS, "entry"), (RDS, "r")];
    while !due.is_empty() {
        let (kind, answer) = hear(&mut line).await?;
        let early = due[1..].iter().find(|(of, name)| *of == kind && answer.get(name).is_some());
        ensure(early.is_none(), || format!("{} came before {}", kind.folder(), due[0].0.folder()))?;
        if due[0].0 == kind && answer.get(due[0].1).is_some() {
            due.remove(0);
        }
        line.ack(kind, &answer).await?;
    }
    Ok(())
}

async fn removals_last(bench: &Bench) -> Done {
    bench.hold(&mesh("old")).await?;
    let held = [(CDS, "old"), (EDS, "old"), (LDS, "entry"), (RDS, "r")];
    let mut line = envoy(bench, &["old", "new"], &held).await?;
    bench.hold(&mesh("new")).await?;
    let routes = loop {
        let (kind, answer) = hear(&mut line).await?;
        ensure(line.held(CDS).contains(&"old".to_owned()), || {
            "the old cluster went before the routes that name it".into()
        })?;
        match kind {
            RDS => break answer,
            _ => line.ack(kind, &answer).await?,
        }
    };
    let made = line.held(CDS).contains(&"new".to_owned());
    ensure(made, || "the routes came before the cluster that they name".into())?;
    let mut wait = Wait::of(line.quiet);
    while let Some(answer) = line.hear_within(&mut wait).await? {
        ensure(line.held(CDS).contains(&"old".to_owned()), || {
            format!("the old cluster went before the routes were taken: {}", answer.shown())
        })?;
    }
    line.ack(RDS, &routes).await?;
    while line.held(CDS).contains(&"old".to_owned()) {
        let (kind, answer) = hear(&mut line).await?;
        line.ack(kind, &answer).await?;
    }
    Ok(())
}

async fn endpoints_again(bench: &Bench) -> Done {
    bench.hold(&[eds_cluster("a", 1), endpoints("a", 1)]).await?;
    let mut line = envoy(bench, &["a"], &[(CDS, "a"), (EDS, "a")]).await?;
    bench.hold(&[eds_cluster("a", 2), endpoints("a", 1)]).await?;
    let mut clusters = false;
    loop {
        let (kind, answer) = hear(&mut line).await?;
        clusters |= kind == CDS && answer.get("a").is_some();
        line.ack(kind, &answer).await?;
        if clusters && kind == EDS && answer.get("a").is_some() {
            return Ok(());
        }
    }
}

async fn endpoints_only_of_changed(bench: &Bench) -> Done {
    let items =
        |a| [eds_cluster("a", a), eds_cluster("b", 1), endpoints("a", 1), endpoints("b", 1)];
    bench.hold(&items(1)).await?;
    let held = [(CDS, "a"), (CDS, "b"), (EDS, "a"), (EDS, "b")];
    let mut line = envoy(bench, &["a", "b"], &held).await?;
    bench.hold(&items(2)).await?;
    let clusters = hear(&mut line).await?;
    line.ack(clusters.0, &clusters.1).await?;
    let wrong = |answer: &Answer| answer.type_url == *EDS.type_url().0 && answer.get("b").is_some();
    ensure(!wrong(&clusters.1), || "endpoints of `b` came first".into())?;
    line.never(EDS, "endpoints of `b`", wrong).await
}
