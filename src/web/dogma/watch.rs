//! Watching: the same address as reading, with `If-None-Match` for what is
//! known and `Prefer: wait=` for how long. 304 says that nothing came.
//!
//! A file's watch ends when what its query finds differs from what it found at
//! the known revision; a pattern's when something that matches differs. What
//! changed and changed back wakes nobody.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::answer::{self, Reply};
use super::entry::{self, Entry, Place, Query};
use super::fault;
use super::names::Target;
use super::revision::{self, Asked};
use crate::access::{Reach, Right};
use crate::content::Patterns;
use crate::model::{FilePath, RepoName, Revision};
use crate::store::StoreError;
use crate::web::Site;
use crate::web::auth::{Caller, random_hex};
use crate::web::error::Fault;

/// How long is waited where nobody says.
const WAIT_DEFAULT_S: u64 = 120;
/// The longest wait.
const WAIT_MAX_S: u64 = 24 * 3600;
/// A mirrored repository may begin with files in revision 1. Its first watch
/// is answered after so long, and not at once, or a client that repeats it
/// with what it was told would spin.
const FIRST: Duration = Duration::from_secs(1);
/// Watches that may wait at once; each holds a connection.
pub(super) const WATCHES_MAX: usize = 65_536;

/// What a watch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    known: Asked,
    wait_s: u64,
    /// Whether a missing file ends the watch.
    must_exist: bool,
}

impl Wanted {
    /// Reads a watch's headers; `None`: it is no watch.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        let Some(known) = headers.get(header::IF_NONE_MATCH) else { return Ok(None) };
        let text = known.to_str().unwrap_or("?").trim();
        if text.is_empty() {
            return Ok(None);
        }
        let tag = text.strip_prefix("W/").unwrap_or(text);
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
        let mut wanted =
            Self { known: Asked::parse(tag)?, wait_s: WAIT_DEFAULT_S, must_exist: false };
        let prefer: Vec<_> = headers.get_all("prefer").iter().collect();
        let prefer = prefer.iter().map(|value| value.to_str().unwrap_or("?"));
        let prefer = prefer.collect::<Vec<_>>().join(",");
        if !prefer.trim().is_empty() {
            wanted.prefer(&prefer)?;
        }
        Ok(Some(wanted))
    }

    fn prefer(&mut self, text: &str) -> Result<(), Fault> {
        let refuse = |why: &str| {
            fault::illegal(format!("prefer: `{}`: {why}; write wait=SECONDS", text.escape_debug()))
        };
        let mut wait = None;
        for part in text.split([',', ';']) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "wait" => wait = Some(value.to_owned()),
                "notify-entry-not-found" => self.must_exist = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let wait = wait.ok_or_else(|| refuse("it has no `wait`"))?;
        let seconds = wait.parse::<u64>().ok().filter(|seconds| *seconds > 0);
        self.wait_s = seconds.ok_or_else(|| refuse("`wait` is no number above 0"))?.min(WAIT_MAX_S);
        Ok(())
    }

    /// How long it waits: up to a fifth less than asked for, so that watches
    /// that began together don't come back together.
    fn wait(&self) -> Duration {
        let random = random_hex().ok().and_then(|hex| u32::from_str_radix(&hex[..4], 16).ok());
        let share = f64::from(random.unwrap_or(0)) / f64::from(u16::MAX);
        Duration::from_secs(self.wait_s).mul_f64(1.0 - 0.2 * share)
    }
}

/// One watch.
struct Watch {
    site: Site,
    repo: RepoName,
    query: Query,
    known: Revision,
    must_exist: bool,
}

/// Waits for a change of what is asked for.
pub(super) async fn watch(
    site: Site,
    caller: Caller,
    headers: HeaderMap,
    repo: RepoName,
    target: Target,
    query: Query,
    wanted: Wanted,
) -> Reply {
    if let Target::File(path) = &target {
        caller.may(&site, Right::Read, &repo, Some(path))?;
    }
    let known = wanted.known.normalise(&repo, revision::head(&site, &repo)?)?;
    let reach = caller.reach(&site, Right::Read, &repo);
    let _place = site.dogma.watches.clone().try_acquire_owned();
    let _place = _place.map_err(|_| fault::busy("too many watches wait already"))?;
    let lost = lost(site.clone(), headers, repo.clone(), target.clone());
    let draining = site.web.handle.draining();
    tracing::debug!(repo = %repo, revision = %known, "a watch begins");
    let watch = Watch { site, repo, query, known, must_exist: wanted.must_exist };
    let work = async {
        match &target {
            Target::File(path) => watch.file(path).await,
            Target::Pattern(patterns) => watch.pattern(patterns, &reach).await,
        }
    };
    tokio::select! {
        done = work => done,
        refused = lost => Err(refused),
        () = tokio::time::sleep(wanted.wait()) => Ok(answer::unchanged()),
        () = draining => Ok(answer::unchanged()),
    }
}

/// Resolves when the caller may not watch any more: the token was revoked, the
/// right was taken, or the repository is gone.
async fn lost(site: Site, headers: HeaderMap, repo: RepoName, target: Target) -> Fault {
    let mut registry = site.web.govern.watch();
    // Looks first of all: the right may have gone between the guard and here.
    registry.mark_changed();
    while registry.changed().await.is_ok() {
        let Some(caller) = site.web.auth.identify(&headers) else {
            return Fault::unauthenticated();
        };
        if site.web.govern.registry().repository(&repo).is_none() {
            return fault::no_repository(repo.as_str());
        }
        let allowed = match &target {
            Target::File(path) => caller.may(&site, Right::Read, &repo, Some(path)),
            Target::Pattern(_) => match caller.reach(&site, Right::Read, &repo) {
                Reach::Nothing => caller.may(&site, Right::Read, &repo, None),
                Reach::All | Reach::Some(_) => Ok(()),
            },
        };
        if let Err(fault) = allowed {
            return fault;
        }
    }
    std::future::pending().await
}

impl Watch {
    async fn file(&self, path: &FilePath) -> Reply {
        let patterns = Patterns::file(path);
        // By Central Dogma's rule nothing is there at revision 1.
        let before = match self.known {
            Revision(1) => None,
            known => self.entry(known, path)?,
        };
        let mut known = self.known;
        if known == Revision(1) || self.must_exist {
            let head = revision::head(&self.site, &self.repo)?;
            match self.entry(head, path)? {
                None if self.must_exist => return Err(self.missing(path)),
                Some(found) if known == Revision(1) => {
                    return self.first(head, || self.told(head, path, &found)).await;
                }
                _ => {}
            }
        }
        loop {
            known = self.changed(&patterns, known).await?;
            match self.entry(known, path)? {
                None if self.must_exist => return Err(self.missing(path)),
                Some(found) if before.as_ref() != Some(&found) => {
                    return Ok(self.told(known, path, &found));
                }
                // Gone, or the query finds what it found before.
                _ => {}
            }
        }
    }

    async fn pattern(&self, patterns: &Patterns, reach: &Reach) -> Reply {
        let mut known = self.known;
        if known == Revision(1) || self.must_exist {
            let head = revision::head(&self.site, &self.repo)?;
            let there = self.any(head, patterns, reach)?;
            if self.must_exist && !there {
                let text = format!("nothing matches `{}` in `{}`", patterns.as_str(), self.repo);
                return Err(fault::no_entry(text));
            }
            if there && known == Revision(1) {
                return self.first(head, || Self::moved(head)).await;
            }
        }
        loop {
            known = self.changed(patterns, known).await?;
            if self.is_seen(patterns, known, reach)? {
                return Ok(Self::moved(known));
            }
        }
    }

    async fn changed(&self, patterns: &Patterns, since: Revision) -> Result<Revision, Fault> {
        let store = &self.site.web.store;
        store.changed_since(&self.repo, patterns, since).await.map_err(fault::store)
    }

    /// Answers a watch from revision 1 on.
    async fn first(&self, head: Revision, answer: impl FnOnce() -> Response) -> Reply {
        if head == Revision(1) {
            tokio::time::sleep(FIRST).await;
        }
        Ok(answer())
    }

    fn any(&self, at: Revision, patterns: &Patterns, reach: &Reach) -> Result<bool, Fault> {
        let found = self.site.web.store.find(&self.repo, at, patterns, true);
        Ok(found.map_err(fault::store)?.iter().any(|one| reach.covers(&one.path)))
    }

    /// Whether what changed since the known revision is within reach.
    fn is_seen(&self, patterns: &Patterns, at: Revision, reach: &Reach) -> Result<bool, Fault> {
        if *reach == Reach::All {
            return Ok(true);
        }
        let changed = self.site.web.store.changed(&self.repo, self.known, at, patterns);
        Ok(changed.map_err(fault::store)?.iter().any(|one| reach.covers(&one.path)))
    }

    fn entry(&self, at: Revision, path: &FilePath) -> Result<Option<Entry>, Fault> {
        match self.site.web.store.file(&self.repo, at, path) {
            Ok(file) => {
                entry::evaluate(&self.site.dogma.strict, path, &file, &self.query).map(Some)
            }
            Err(StoreError::NoFile { .. }) => Ok(None),
            Err(error) => Err(fault::store(error)),
        }
    }

    fn missing(&self, path: &FilePath) -> Fault {
        fault::no_entry(format!("`/{path}` is not in `{}`", self.repo))
    }

    fn told(&self, revision: Revision, path: &FilePath, found: &Entry) -> Response {
        let mut out = format!(r#"{{"revision":{revision},"entry":"#).into_bytes();
        let place = Place { repo: &self.repo, revision, path: path.as_str() };
        entry::write(&mut out, place, "", Some(found));
        out.push(b'}');
        answer::written(out)
    }

    fn moved(revision: Revision) -> Response {
        answer::written(format!(r#"{{"revision":{revision}}}"#).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn parse(known: &str, prefer: Option<&str>) -> Result<Option<Wanted>, Fault> {
        let mut headers = HeaderMap::new();
        let value = |text: &str| HeaderValue::from_str(text).expect("a header value");
        headers.insert(header::IF_NONE_MATCH, value(known));
        if let Some(prefer) = prefer {
            headers.insert("prefer", value(prefer));
        }
        Wanted::parse(&headers)
    }

    #[test]
    fn every_form_of_what_is_known_is_read() {
        for (text, known) in [("3", 3), ("\"3\"", 3), ("W/\"3\"", 3), ("-1", -1), ("head", -1)] {
            let wanted = parse(text, None).expect(text).expect("a watch");
            assert_eq!(wanted, Wanted { known: Asked(known), wait_s: 120, must_exist: false });
        }
        assert_eq!(Wanted::parse(&HeaderMap::new()).map(|one| one.is_none()), Ok(true));
        for bad in ["x", "0", "W/3x", "*"] {
            assert_eq!(parse(bad, None).expect_err(bad).status.as_u16(), 400);
        }
    }

    #[test]
    fn every_form_of_preference_is_read() {
        let wanted = |prefer| parse("1", Some(prefer)).map(|one| one.expect("a watch"));
        let of = |prefer| wanted(prefer).map(|one| (one.wait_s, one.must_exist));
        assert_eq!(of("wait=5"), Ok((5, false)));
        assert_eq!(of("wait=5, notify-entry-not-found=true"), Ok((5, true)));
        assert_eq!(of("Notify-Entry-Not-Found=TRUE; Wait=5"), Ok((5, true)));
        assert_eq!(of("wait=5,respond-async"), Ok((5, false)));
        assert_eq!(of("wait=999999999"), Ok((WAIT_MAX_S, false)));
        for bad in ["respond-async", "wait", "wait=", "wait=x", "wait=0", "wait=-1", "wait=1.5"] {
            assert_eq!(wanted(bad).expect_err(bad).status.as_u16(), 400);
        }
    }

    #[test]
    fn waits_are_a_little_shorter_than_asked_for() {
        let wanted = parse("1", Some("wait=10")).expect("headers").expect("a watch");
        for _ in 0..100 {
            let wait = wanted.wait().as_secs_f64();
            assert!((8.0..=10.0).contains(&wait), "{wait}");
        }
    }
}
