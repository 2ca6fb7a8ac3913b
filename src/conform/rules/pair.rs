//! What families have in common that change a subscription in passing: two load
//! assignments, `a` and `b`, and a stream on which one of them comes or goes.

use super::super::answer::Answer;
use super::super::bench::Bench;
use super::super::item::{Item, endpoints};
use super::super::line::Line;
use super::super::message::Message;
use super::super::rule::Stop;
use super::super::say::exactly;
use super::Done;
use crate::model::ResourceKind as Kind;

const EDS: Kind = Kind::Endpoints;

/// How a client answers a response.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// It takes it.
    Ack,
    /// It refuses it.
    Nack,
}

impl Reply {
    fn to(self, line: &mut Line, answer: &Answer) -> Message {
        match self {
            Self::Ack => line.taking(EDS, answer),
            Self::Nack => line.refusing(EDS, answer),
        }
    }
}

/// Load assignments `a`, `b` of these revisions.
pub(super) fn ab(a: u32, b: u32) -> [Item; 2] {
    [endpoints("a", a), endpoints("b", b)]
}

/// A stream that asked for `names` of what is there, and holds them.
pub(super) async fn begin(bench: &Bench, names: &[&str]) -> Result<(Line, Answer), Stop> {
    bench.hold(&ab(1, 1)).await?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, names).await?;
    let answer = line.gather(EDS, names).await?;
    Ok((line, answer))
}

/// A change of both reaches who asks for `a` alone as one of `a`.
pub(super) async fn only_a_is_pushed(bench: &Bench, line: &mut Line, changed: [Item; 2]) -> Done {
    line.drain(EDS).await?;
    bench.hold(&changed).await?;
    exactly(&line.changed(EDS, "a").await?, &["a"])?;
    line.never(EDS, "`b`", |answer| answer.get("b").is_some()).await
}

/// The answer to a response asks for another name.
pub(super) async fn subscribing(bench: &Bench, reply: Reply) -> Done {
    let names = bench.some(EDS, 2)?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &names[..1]).await?;
    let answer = line.next(EDS).await?;
    let wanted = if bench.transport.is_delta() { &names[1..2] } else { &names[..2] };
    let message = reply.to(&mut line, &answer).names(wanted);
    line.talk(EDS).names.insert(names[1].clone());
    line.say(message).await?;
    line.gather(EDS, &names[1..2]).await.map(drop)
}

/// The answer to a response asks for a name no more.
pub(super) async fn unsubscribing(bench: &Bench, reply: Reply) -> Done {
    bench.hold(&ab(1, 1)).await?;
    let mut line = bench.line(EDS).await?;
    line.ask(EDS, &["a", "b"]).await?;
    let answer = line.next(EDS).await?;
    let message = reply.to(&mut line, &answer).without(&["b"]);
    line.say(message).await?;
    only_a_is_pushed(bench, &mut line, ab(2, 2)).await
}
