//! The watch stream: any number of patterns over any number of repositories
//! on one connection, as server-sent events, or as lines of JSON where
//! `Accept` says `application/x-ndjson`.
//!
//! ```text
//! GET /api/v1/watch?watch=mesh/config@41:/values/**&watch=mesh/edge
//!
//! id: 41,7                                    how far each watch is
//! event: ready
//! data: {"event":"ready","position":"41,7"}
//!
//! id: 42,7
//! event: revision
//! data: {"event":"revision","position":"42,7","watch":0,"repo":"mesh/config",…}
//! ```
//!
//! Every event carries the positions of all watches, so that a client that
//! comes back with `Last-Event-ID` (or `position=`) goes on without gap and
//! without hearing anything twice. What is not read is not queued.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::params::Params;
use super::patterns;
use super::words::EntryLine;
use crate::feed::{Delivery, Ended, Feed, Reader, SUBSCRIPTIONS_MAX, Told};
use crate::model::{At, CommitInfo, RepoName, Revision};
use crate::store::Subscription;
use crate::web::Site;
use crate::web::api::repos::counted;
use crate::web::auth::Caller;
use crate::web::error::Fault;

/// How the stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Events,
    Lines,
}

/// A stream under way.
struct Stream {
    site: Site,
    form: Form,
    feed: Feed,
    ready: bool,
    draining: BoxFuture<'static, ()>,
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(site): State<Site>,
    caller: Caller,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Fault> {
    let params = params.only(&["watch", "position"])?;
    let form = Form::of(&headers);
    let mut subscriptions = params
        .all("watch")
        .iter()
        .map(|text| subscription(&site, &caller, text))
        .collect::<Result<Vec<_>, _>>()?;
    if subscriptions.is_empty() || subscriptions.len() > SUBSCRIPTIONS_MAX {
        let message = format!("{} watches are asked for", subscriptions.len());
        let hint = "write 1 to 256 times watch=project/repository@revision:pattern";
        return Err(Fault::invalid(message, hint));
    }
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    if let Some(position) = last.filter(|last| !last.is_empty()).or(params.text("position")?) {
        go_on(&mut subscriptions, position)?;
    }
    let permit = site.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::busy("too many event streams are open"))?;
    let first = subscriptions.first().map(|one| one.repo.clone());
    let feed = Feed::open(site.web.store.clone(), reader(&site, &caller), subscriptions);
    let feed = feed.map_err(|ended| match &first {
        Some(repo) => fault_of(&site, repo, ended),
        None => Fault::unauthenticated(),
    })?;
    let draining = Box::pin(site.web.handle.draining());
    let kind = HeaderValue::from_static(form.media_type());
    let stream = Stream { site, form, feed, ready: false, draining, _permit: permit };
    let body = Body::from_stream(stream::unfold(Some(stream), next));
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// Who reads, asked anew while they do.
pub(super) fn reader(site: &Site, caller: &Caller) -> Reader {
    let (auth, caller) = (site.web.auth.clone(), caller.clone());
    Reader::new(&site.web.govern, std::sync::Arc::new(move || auth.still(&caller)))
}

/// Why a watch is over, as callers are told.
pub(super) fn fault_of(site: &Site, repo: &RepoName, ended: Ended) -> Fault {
    match ended {
        Ended::Revoked => Fault::unauthenticated(),
        Ended::Denied(missing) => {
            let project = missing.place.split('/').next().unwrap_or(repo.project()).to_owned();
            Fault::missing(&site.web.govern.registry(), &project, &missing)
        }
        Ended::Store(error) => error.into(),
    }
}

/// Reads `project/repository@revision:pattern`; the last two may be left out.
fn subscription(site: &Site, caller: &Caller, text: &str) -> Result<Subscription, Fault> {
    let (repo, at, pattern) = parts(text)?;
    // A repository that may not be read at all is not there.
    caller.may_see(site, &repo)?;
    let since = counted(site, &repo, at)?;
    Ok(Subscription { repo, patterns: patterns(pattern)?, since })
}

fn parts(text: &str) -> Result<(RepoName, At, Option<&str>), Fault> {
    // Names hold neither `@` nor `:`; patterns may hold both.
    let end = text.find(['@', ':']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (at, pattern) = match rest.strip_prefix('@') {
        Some(rest) => match rest.split_once(':') {
            Some((at, pattern)) => (at.parse()?, Some(pattern)),
            None => (rest.parse()?, None),
        },
        None => (At::HEAD, rest.strip_prefix(':')),
    };
    Ok((RepoName::new(name)?, at, pattern))
}

/// Takes the watches up where a client left off.
fn go_on(subscriptions: &mut [Subscription], position: &str) -> Result<(), Fault> {
    let known: Result<Vec<u64>, _> = position.split(',').map(str::parse).collect();
    match known {
        Ok(known) if known.len() == subscriptions.len() => {
            for (subscription, known) in subscriptions.iter_mut().zip(known) {
                subscription.since = Revision(known);
            }
            Ok(())
        }
        _ => {
            let message = format!("`{position}` is no position of {} watches", subscriptions.len());
            let hint = "ask for the same watches in the same order as before, or leave it out";
            Err(Fault::invalid(message, hint))
        }
    }
}

#[derive(Serialize)]
struct RevisionLine {
    event: &'static str,
    /// How far every watch is.
    position: String,
    /// Which of the watches, from 0.
    watch: usize,
    repo: RepoName,
    #[serde(flatten)]
    info: CommitInfo,
    entries: Vec<EntryLine>,
}

/// The next piece; a failure is the last one.
async fn next(stream: Option<Stream>) -> Option<(Result<Bytes, Infallible>, Option<Stream>)> {
    let mut stream = stream?;
    let position = position(stream.feed.positions());
    if !stream.ready {
        stream.ready = true;
        let line = json!({ "event": "ready", "position": position });
        return Some((Ok(stream.form.write("ready", &position, &line)), Some(stream)));
    }
    let told = tokio::select! {
        told = stream.feed.next() => told,
        () = &mut stream.draining => {
            let line = json!({ "event": "end", "position": position, "error": null });
            return Some((Ok(stream.form.write("end", &position, &line)), None));
        }
    };
    match told {
        Ok(Told::Revision(delivery)) => {
            let bytes = revision(&stream, *delivery);
            Some((Ok(bytes), Some(stream)))
        }
        Ok(Told::Heartbeat) => Some((Ok(stream.form.heartbeat(&position)), Some(stream))),
        Err(ended) => {
            let repo = RepoName::state();
            let fault = fault_of(&stream.site, &repo, ended);
            let error = json!({ "code": fault.code, "message": fault.message, "hint": fault.hint });
            let line = json!({ "event": "end", "position": position, "error": error });
            Some((Ok(stream.form.write("end", &position, &line)), None))
        }
    }
}

fn revision(stream: &Stream, delivery: Delivery) -> Bytes {
    let Delivery { subscription: watch, repo, info, entries } = delivery;
    let position = position(stream.feed.positions());
    let entries = entries.into_iter().map(EntryLine::from).collect();
    let line = RevisionLine { event: "revision", position, watch, repo, info, entries };
    let value = serde_json::to_value(&line).unwrap_or(Value::Null);
    stream.form.write("revision", &line.position, &value)
}

fn position(positions: &[Revision]) -> String {
    let texts: Vec<_> = positions.iter().map(ToString::to_string).collect();
    texts.join(",")
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let accepts = headers.get_all(header::ACCEPT).iter();
        let mut accepts = accepts.filter_map(|value| value.to_str().ok());
        match accepts.any(|text| text.contains("application/x-ndjson")) {
            true => Self::Lines,
            false => Self::Events,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }

    fn write(self, event: &str, position: &str, line: &Value) -> Bytes {
        match self {
            Self::Events => format!("id: {position}\nevent: {event}\ndata: {line}\n\n").into(),
            Self::Lines => format!("{line}\n").into(),
        }
    }

    fn heartbeat(self, position: &str) -> Bytes {
        match self {
            Self::Events => Bytes::from_static(b": heartbeat\n\n"),
            Self::Lines => {
                let line = json!({ "event": "heartbeat", "position": position });
                self.write("heartbeat", position, &line)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Patterns;

    #[test]
    fn a_watch_names_repository_revision_and_pattern() {
        let check = |text: &str, expected: (&str, i64, Option<&str>)| {
            let (repo, at, pattern) = parts(text).expect("a watch");
            assert_eq!((repo.as_str(), at.0, pattern), expected, "{text}");
        };
        check("mesh/config", ("mesh/config", -1, None));
        check("mesh/config@7", ("mesh/config", 7, None));
        check("mesh/config@head:", ("mesh/config", -1, Some("")));
        check("mesh/config:/a:b@c/**", ("mesh/config", -1, Some("/a:b@c/**")));
        check("mesh/config@-2:/a,/b", ("mesh/config", -2, Some("/a,/b")));
        for bad in ["", "mesh", "mesh/config@", "mesh/config@x:/a", "@convoy/state"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_position_fits_the_watches_or_is_refused() {
        let one = Subscription {
            repo: RepoName::new("mesh/config").expect("a name"),
            patterns: Patterns::all(),
            since: Revision(1),
        };
        let mut two = [one.clone(), one];
        assert!(go_on(&mut two, "4,9").is_ok());
        assert_eq!((two[0].since, two[1].since), (Revision(4), Revision(9)));
        for bad in ["4", "4,9,1", "a,b", "-1,2", ""] {
            assert!(go_on(&mut two, bad).is_err(), "{bad}");
        }
    }
}
