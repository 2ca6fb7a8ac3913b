//! Watch: a feed as a stream of messages.

use std::pin::Pin;

use futures_util::future::BoxFuture;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::{Service, messages, proto, status, who};
use crate::access::Right;
use crate::feed::{Feed, Identify, Reader, SUBSCRIPTIONS_MAX, Told};
use crate::model::At;
use crate::store::Subscription;
use proto::watch_response::Event;

/// What a watch answers with.
pub(super) type Stream =
    Pin<Box<dyn futures_util::Stream<Item = Result<proto::WatchResponse, Status>> + Send>>;

/// A watch under way.
struct Watch {
    feed: Feed,
    ready: bool,
    draining: BoxFuture<'static, ()>,
    _permit: OwnedSemaphorePermit,
}

pub(super) fn watch(
    service: &Service,
    request: Request<proto::WatchRequest>,
) -> Result<Stream, Status> {
    let rpc = &service.rpc;
    let (metadata, _, asked) = request.into_parts();
    let subscriptions = subscriptions(service, &metadata, asked.subscriptions)?;
    let permit = service.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| status::too_many_streams())?;
    let identify: Identify = who::identify(rpc, &metadata);
    let reader = Reader::new(&rpc.govern, identify);
    let feed = Feed::open(rpc.store.clone(), reader, subscriptions).map_err(status::of_end)?;
    let draining = Box::pin(rpc.handle.draining());
    let watch = Watch { feed, ready: false, draining, _permit: permit };
    Ok(Box::pin(stream::unfold(Some(watch), next)))
}

fn subscriptions(
    service: &Service,
    metadata: &MetadataMap,
    asked: Vec<proto::Subscription>,
) -> Result<Vec<Subscription>, Status> {
    let caller = who::caller(&service.rpc, metadata)?;
    if asked.is_empty() || asked.len() > SUBSCRIPTIONS_MAX {
        let rule = format!("follow 1 to {SUBSCRIPTIONS_MAX} patterns, not {}", asked.len());
        return Err(status::invalid("subscriptions", &rule));
    }
    let one = |one: proto::Subscription| {
        let (repo, _) = who::reach(&service.rpc, &caller, Right::Read, &one.repository)?;
        let head = service.rpc.store.head(&repo).map_err(status::of_store)?.revision;
        let at = one.since.map_or(At::HEAD, At);
        let since = at.of(head).ok_or_else(|| status::before_the_first(&repo, at, head))?;
        Ok(Subscription { repo, patterns: messages::patterns(&one.pattern)?, since })
    };
    asked.into_iter().map(one).collect()
}

/// The next message; a failure is the last one.
async fn next(
    watch: Option<Watch>,
) -> Option<(Result<proto::WatchResponse, Status>, Option<Watch>)> {
    let mut watch = watch?;
    if !watch.ready {
        watch.ready = true;
        let event = Event::Ready(proto::Ready {});
        return Some((Ok(watch.answer(event)), Some(watch)));
    }
    let told = tokio::select! {
        told = watch.feed.next() => told.map_err(status::of_end),
        () = &mut watch.draining => Err(status::stopping()),
    };
    match told {
        Ok(Told::Revision(delivery)) => {
            let event = Event::Revision(messages::revision(*delivery));
            Some((Ok(watch.answer(event)), Some(watch)))
        }
        Ok(Told::Heartbeat) => {
            let event = Event::Heartbeat(proto::Heartbeat {});
            Some((Ok(watch.answer(event)), Some(watch)))
        }
        Err(status) => Some((Err(status), None)),
    }
}

impl Watch {
    fn answer(&self, event: Event) -> proto::WatchResponse {
        let positions = self.feed.positions().iter().copied().map(messages::number).collect();
        proto::WatchResponse { event: Some(event), positions }
    }
}
