//! Server-sent events. An event says only that there is something new, so a
//! client that missed ten of them needs one: nothing is queued, and a slow
//! reader costs two watch receivers.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::reconcile::View;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;

const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes that follow each other faster are told as one.
const QUIET: Duration = Duration::from_millis(250);
/// A stream ends after so long: the client returns with its login checked anew.
const AGE_MAX: Duration = Duration::from_secs(3600);

struct Follower {
    view: watch::Receiver<std::sync::Arc<View>>,
    nodes: watch::Receiver<u64>,
    count: u64,
    /// Tell at once: the client was away and may have missed something.
    missed: bool,
    ends: Instant,
    draining: BoxFuture<'static, ()>,
    /// The caller's token or session is over.
    over: BoxFuture<'static, ()>,
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(site): State<Site>,
    headers: HeaderMap,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let permit = site.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::busy("too many event streams are open"))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let follower = Follower {
        view: site.web.handle.watch(),
        nodes: site.web.hub.changes(),
        count: last.unwrap_or(0),
        missed: last.is_some(),
        ends: Instant::now() + AGE_MAX,
        draining: Box::pin(site.web.handle.draining()),
        over: Box::pin(async move { site.web.auth.until(&caller, |_, _| true).await }),
        _permit: permit,
    };
    let events = stream::unfold(follower, next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// The next event; `None` ends the stream.
async fn next(mut follower: Follower) -> Option<(Result<Event, Infallible>, Follower)> {
    if !std::mem::take(&mut follower.missed) {
        tokio::select! {
            changed = follower.view.changed() => changed.ok()?,
            changed = follower.nodes.changed() => changed.ok()?,
            () = tokio::time::sleep_until(follower.ends) => return None,
            () = &mut follower.draining => return None,
            () = &mut follower.over => return None,
        }
        tokio::time::sleep(QUIET).await;
    }
    follower.view.mark_unchanged();
    follower.nodes.mark_unchanged();
    follower.count = follower.count.saturating_add(1);
    let event = Event::default().id(follower.count.to_string()).event("board").data("changed");
    Some((Ok(event), follower))
}
