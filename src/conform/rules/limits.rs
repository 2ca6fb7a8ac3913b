//! Clients with very many names: what a large fleet sends when it returns.

use super::super::bench::Bench;
use super::super::rule::Rule;
use super::super::transport::{DELTA, STREAMS};
use super::Done;
use crate::model::ResourceKind as Kind;

/// More than fits into gRPC's default of 4 MiB.
const MANY: usize = 100_000;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "limits.many-versions",
        DELTA,
        "a client that returns with 100,000 versions is read and answered",
        "EnvoyGateway#9564: gRPC's default of 4 MiB ends the stream",
        |b| Box::pin(many_versions(b)),
    ),
    Rule::new(
        "limits.many-names",
        STREAMS,
        "a client that asks for 100,000 names is read and answered",
        "EnvoyGateway#9564: gRPC's default of 4 MiB ends the stream",
        |b| Box::pin(many_names(b)),
    ),
];

/// Names of some sixty letters, as service meshes have them.
fn name(number: usize) -> String {
    format!("outbound|8080||service-{number:06}.namespace.svc.cluster.local")
}

async fn many_versions(bench: &Bench) -> Done {
    let one = bench.some(Kind::Clusters, 1)?;
    let versions: Vec<_> =
        (0..MANY).map(|number| (name(number), "0123456789abcdef".to_owned())).collect();
    let mut line = bench.line(Kind::Clusters).await?;
    line.say(line.about(Kind::Clusters).initial(&versions)).await?;
    let due = "a removal of everything that is not there";
    let all = line.until(Kind::Clusters, due, |all| all.removed.len() >= MANY).await?;
    match all.get(&one[0]) {
        Some(_) => Ok(()),
        None => line.gather(Kind::Clusters, &one).await.map(drop),
    }
}

async fn many_names(bench: &Bench) -> Done {
    let one = bench.some(Kind::Endpoints, 1)?;
    let mut names: Vec<_> = (0..MANY).map(name).collect();
    names.push(one[0].clone());
    let mut line = bench.line(Kind::Endpoints).await?;
    line.say(line.about(Kind::Endpoints).names(&names)).await?;
    // The answers are not taken by name here: one ACK of all names is enough.
    loop {
        let answer = line.next(Kind::Endpoints).await?;
        if answer.get(&one[0]).is_some() {
            return Ok(());
        }
        let message = line.taking(Kind::Endpoints, &answer);
        let delta = bench.transport.is_delta();
        line.say(if delta { message } else { message.names(&names) }).await?;
    }
}
