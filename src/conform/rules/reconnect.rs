//! State-of-the-world clients that return with the version they have.

use super::super::bench::Bench;
use super::super::rule::Rule;
use super::super::say::exactly;
use super::super::transport::SOTW;
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const EDS: Kind = Kind::Endpoints;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "reconnect.names-answered",
        SOTW,
        "a client that returns with names is answered, whatever version it has",
        "xDS protocol: the version says nothing of names that the client did not have before",
        |b| Box::pin(names_answered(b)),
    ),
    Rule::new(
        "reconnect.old-version-answered",
        SOTW,
        "a client that returns with another version is sent everything",
        "xDS protocol, resource type instance version",
        |b| Box::pin(old_version_answered(b)),
    ),
    Rule::new(
        "reconnect.same-version-silent",
        SOTW,
        "a client that returns with a wildcard and the present version is sent nothing",
        "after a restart, a fleet that lacks nothing must not be sent everything",
        |b| Box::pin(same_version_silent(b)),
    )
    .practice(),
];

async fn names_answered(bench: &Bench) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    let version = line.gather(EDS, &names[..1]).await?.version;
    for asked in [&names[..1], &names[..2]] {
        let mut line = bench.line(EDS).await?;
        line.say(line.about(EDS).names(asked).version(&version)).await?;
        line.talk(EDS).names.extend(asked.iter().cloned());
        line.gather(EDS, asked).await?;
    }
    Ok(())
}

async fn old_version_answered(bench: &Bench) -> Done {
    let all = bench.all(CDS);
    let mut line = bench.line(CDS).await?;
    line.say(line.about(CDS).version("another")).await?;
    exactly(&line.next(CDS).await?, &all)
}

async fn same_version_silent(bench: &Bench) -> Done {
    let mut line = bench.line(CDS).await?;
    line.ask::<&str>(CDS, &[]).await?;
    let version = line.take(CDS).await?.version;
    let mut line = bench.line(CDS).await?;
    line.say(line.about(CDS).version(&version)).await?;
    line.talk(CDS);
    line.silent().await
}
