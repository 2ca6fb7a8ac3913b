//! Versions: of one type, of one resource, and only when content changes.

use super::super::bench::Bench;
use super::super::item::{cluster, item, listener};
use super::super::rule::{Rule, ensure};
use super::super::say::exactly;
use super::super::transport::{DELTA, SOTW, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const LDS: Kind = Kind::Listeners;
const SOURCE: &str = "xDS protocol, resource type instance version";

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "version.of-one-type",
        STREAMS,
        "a change of clusters sends no listeners",
        "xDS protocol, resource type instance version: each type has its own; go-control-plane#882",
        |b| Box::pin(of_one_type(b)),
    )
    .driven(),
    Rule::new(
        "version.type-unmoved",
        SOTW,
        "a change of clusters leaves the version of listeners as it was",
        "xDS protocol, resource type instance version: each type has its own; go-control-plane#882",
        |b| Box::pin(type_unmoved(b)),
    )
    .driven(),
    Rule::new(
        "version.no-op-silent",
        STREAMS,
        "a change that changes nothing sends nothing",
        "envoy#32266, go-control-plane#882: needless pushes cost proxies memory",
        |b| Box::pin(no_op_silent(b)),
    )
    .driven()
    .practice(),
    Rule::new("version.moves", STREAMS, "another content has another version", SOURCE, |b| {
        Box::pin(moves(b))
    })
    .driven(),
    Rule::new(
        "version.of-content",
        STREAMS,
        "the same content has the same version again",
        "replicas and restarts must agree, or every client that returns is sent everything",
        |b| Box::pin(of_content(b)),
    )
    .driven()
    .practice(),
    Rule::new("version.same-for-all", STREAMS, "two streams see the same versions", SOURCE, |b| {
        Box::pin(same_for_all(b))
    }),
    Rule::new(
        "version.only-changed",
        DELTA,
        "only what changed is sent",
        "xDS protocol, incremental xDS",
        |b| Box::pin(only_changed(b)),
    )
    .driven(),
    Rule::new(
        "version.each-resource",
        DELTA,
        "every resource has a name and a version",
        "discovery.proto, Resource",
        |b| Box::pin(each_resource(b)),
    ),
    Rule::new(
        "version.full-state",
        SOTW,
        "every response about clusters or listeners has all of them",
        "xDS protocol, grouping resources into responses",
        |b| Box::pin(full_state(b)),
    )
    .driven(),
    Rule::new(
        "version.nothing-twice",
        STREAMS,
        "no response has a resource twice",
        "xDS protocol: duplicate names are an error",
        |b| Box::pin(nothing_twice(b)),
    ),
];

async fn of_one_type(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1), listener("l", 1)]).await?;
    let mut clusters = bench.line(CDS).await?;
    clusters.ask::<&str>(CDS, &[]).await?;
    clusters.gather(CDS, &["a"]).await?;
    let mut other = match bench.transport.is_aggregated() {
        true => None,
        false => Some(bench.line(LDS).await?),
    };
    let listeners = other.as_mut().unwrap_or(&mut clusters);
    listeners.ask::<&str>(LDS, &[]).await?;
    listeners.gather(LDS, &["l"]).await?;
    bench.hold(&[cluster("a", 2), listener("l", 1)]).await?;
    clusters.changed(CDS, "a").await?;
    let listeners = other.as_mut().unwrap_or(&mut clusters);
    let wanted = LDS.type_url();
    listeners.never(CDS, "listeners", |answer| answer.type_url == *wanted.0).await
}

async fn type_unmoved(bench: &Bench) -> Done {
    let mut versions = Vec::new();
    for revision in [1, 2] {
        bench.hold(&[cluster("a", revision), listener("l", 1)]).await?;
        let mut line = bench.line(LDS).await?;
        line.ask::<&str>(LDS, &[]).await?;
        versions.push(line.gather(LDS, &["l"]).await?.version);
    }
    ensure(versions[0] == versions[1], || format!("listeners went through {versions:?}"))
}

async fn no_op_silent(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.gather(CDS, &["a"]).await?;
    bench.hold(&[cluster("a", 1)]).await?;
    line.silent().await
}

/// The version of cluster `a` in each of `revisions`, one after the other: of
/// the resource, or of its type.
async fn versions(bench: &Bench, revisions: &[u32]) -> Result<Vec<String>, super::Stop> {
    bench.hold(&[cluster("a", revisions[0])]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let mut seen = Vec::new();
    for (turn, revision) in revisions.iter().enumerate() {
        if turn > 0 {
            bench.hold(&[cluster("a", *revision)]).await?;
        }
        let answer = line.changed(CDS, "a").await?;
        let own = answer.get("a").map(|one| one.version.clone());
        let own = own.filter(|_| bench.transport.is_delta());
        seen.push(own.unwrap_or(answer.version));
    }
    Ok(seen)
}

async fn moves(bench: &Bench) -> Done {
    let seen = versions(bench, &[1, 2]).await?;
    ensure(seen[0] != seen[1], || format!("both are of version {:?}", seen[0]))
}

async fn of_content(bench: &Bench) -> Done {
    let seen = versions(bench, &[1, 2, 1]).await?;
    ensure(seen[0] == seen[2], || format!("{:?} came back as {:?}", seen[0], seen[2]))
}

async fn same_for_all(bench: &Bench) -> Done {
    let all = bench.all(CDS);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut line = bench.line(CDS).await?;
        line.ask::<&str>(CDS, &[]).await?;
        let answer = line.gather(CDS, &all).await?;
        let mut own: Vec<_> =
            answer.resources.into_iter().map(|one| (one.name, one.version)).collect();
        own.sort();
        seen.push((answer.version, own));
    }
    ensure(seen[0] == seen[1], || format!("{:?} and {:?}", seen[0], seen[1]))
}

async fn only_changed(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1), cluster("b", 1)]).await?;
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    line.gather(CDS, &["a", "b"]).await?;
    bench.hold(&[cluster("a", 2), cluster("b", 1)]).await?;
    exactly(&line.changed(CDS, "a").await?, &["a"])
}

async fn each_resource(bench: &Bench) -> Done {
    let all = bench.all(CDS);
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let answer = line.gather(CDS, &all).await?;
    let bare = answer.resources.iter().find(|one| one.name.is_empty() || one.version.is_empty());
    ensure(bare.is_none(), || format!("{bare:?} has no name or no version"))
}

async fn full_state(bench: &Bench) -> Done {
    for kind in [CDS, LDS] {
        bench.hold(&[item(kind, "a", 1), item(kind, "b", 1)]).await?;
        let mut line = bench.line(kind).await?;
        line.ask::<&str>(kind, &[]).await?;
        exactly(&line.take(kind).await?, &["a", "b"])?;
        bench.hold(&[item(kind, "a", 2), item(kind, "b", 1)]).await?;
        exactly(&line.changed(kind, "a").await?, &["a", "b"])?;
    }
    Ok(())
}

async fn nothing_twice(bench: &Bench) -> Done {
    let all = bench.all(CDS);
    let one = bench.some(CDS, 1)?;
    let mut line = bench.line(CDS).await?;
    line.ask(CDS, &["*", &one[0]]).await?;
    let answer = line.next(CDS).await?;
    let mut names = answer.names();
    names.sort_unstable();
    names.dedup();
    ensure(names.len() == answer.resources.len(), || {
        format!("{} resources have {} names", answer.resources.len(), names.len())
    })?;
    ensure(names.len() <= all.len(), || "more than everything came".into())
}
