//! Who may open a stream, what it may be served, and for how long.
//!
//! A [`Caller`] is let in by a token or a certificate and keeps looking: what
//! is revoked ends the stream, what is granted or taken changes its view.
//! Default deny: without credentials nobody is served.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::Refusal;
use super::certificate::Certificate;
use super::credential::{Credential, Credentials};
use super::peer::Peer;
use super::tls::{Tls, Trust};
use super::views::{Sight, Views};
use crate::access::Bound;
use crate::model::{ContentHash, NodeIdentity, SnapshotKey};
use crate::snapshot::Snapshot;
use crate::telemetry::clock;

/// The longest that an end is slept for at once: wall clocks are set.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// Who may open streams, as it changes, and over what they come.
#[derive(Debug, Clone)]
pub struct Guard {
    credentials: watch::Receiver<Arc<Credentials>>,
    tls: Option<Tls>,
    views: Arc<Views>,
}

impl Guard {
    /// Lets in who is known by `credentials`, which may change at any time.
    pub fn new(credentials: watch::Receiver<Arc<Credentials>>) -> Self {
        Self { credentials, tls: None, views: Arc::default() }
    }

    /// The same over TLS.
    #[must_use]
    pub fn over(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Serves everything to everybody.
    pub fn open() -> Self {
        Self::new(watch::channel(Arc::new(Credentials::open())).1)
    }

    /// What connections are secured with.
    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// What every caller looks at, to be followed for all of them at once.
    pub(super) fn changes(&self) -> Changes {
        Changes { credentials: self.credentials.clone(), trust: self.tls.as_ref().map(Tls::trust) }
    }

    /// Lets a caller in by the headers of the request and what the connection
    /// tells. A token that is given counts before a certificate.
    pub(super) fn admit(&self, headers: &HeaderMap, peer: &Peer) -> Result<Caller, Refusal> {
        let proof = match bearer(headers)? {
            Some(hash) => Proof::Token(hash),
            None => match peer.certificate() {
                Some(certificate) => Proof::Certificate(certificate),
                None => Proof::Nothing,
            },
        };
        let mut guard = self.clone();
        guard.credentials.mark_unchanged();
        let mut caller = Caller {
            trust: guard.tls.as_ref().map(Tls::trust),
            guard,
            proof,
            secure: peer.is_secure(),
            grant: Grant::default(),
            ends: None,
        };
        caller.verify()?;
        caller.grant = caller.find(clock::now())?;
        caller.ends = caller.end(clock::now());
        Ok(caller)
    }
}

/// Who may do what, as it changes.
pub(super) struct Changes {
    credentials: watch::Receiver<Arc<Credentials>>,
    trust: Option<watch::Receiver<Trust>>,
}

impl Changes {
    /// Resolves at the next one.
    pub(super) async fn next(&mut self) {
        either(&mut self.credentials, self.trust.as_mut()).await;
    }
}

/// Without any token, everybody; else who brings one of them.
impl From<Vec<ContentHash>> for Guard {
    fn from(hashes: Vec<ContentHash>) -> Self {
        if hashes.is_empty() {
            return Self::open();
        }
        // What could not be compiled would let nobody in.
        let known = Credentials::whole(hashes).unwrap_or_default();
        Self::new(watch::channel(Arc::new(known)).1)
    }
}

/// The hash of the bearer token in a request. What is there but is none is
/// refused, so that a misspelt one doesn't pass for somebody without.
fn bearer(headers: &HeaderMap) -> Result<Option<ContentHash>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let header = header.to_str().ok().and_then(|header| header.split_once(' '));
    match header {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(ContentHash::of(token.trim().as_bytes())))
        }
        _ => Err(Refusal::Unauthenticated),
    }
}

/// By what somebody came.
#[derive(Debug, Clone)]
enum Proof {
    Nothing,
    Token(ContentHash),
    Certificate(Arc<Certificate>),
}

/// What that is good for.
#[derive(Debug, Clone, Default)]
struct Grant {
    /// `None`: everything, as the server is open.
    credential: Option<Arc<Credential>>,
    /// Which node the name in the certificate says that it is.
    bound: Bound,
    sight: Option<Arc<Sight>>,
}

/// Somebody who was let in, until they are not any more.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    guard: Guard,
    trust: Option<watch::Receiver<Trust>>,
    proof: Proof,
    /// Over TLS, or from this machine.
    secure: bool,
    grant: Grant,
    /// When to look again without being told.
    ends: Option<Instant>,
}

impl Caller {
    /// The name of the token or certificate; `None` where anybody is served.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        self.grant.credential.as_ref().map(|credential| &credential.name)
    }

    /// Whether they may say that they are `node`, and be served from `key`.
    pub(super) fn check(
        &self,
        node: &NodeIdentity,
        key: Option<&SnapshotKey>,
    ) -> Result<(), Refusal> {
        let Some(credential) = &self.grant.credential else { return Ok(()) };
        let served = |key| credential.scope.may_have(key);
        let allowed = credential.scope.may_be(node).and_then(|()| self.grant.bound.may_be(node));
        allowed.and_then(|()| key.map_or(Ok(()), served)).map_err(|outside| Refusal::Outside {
            who: credential.name.to_string(),
            rule: outside.to_string(),
        })
    }

    /// What they see of a snapshot; shared by all who see the same.
    pub(super) fn view(&self, snapshot: &Arc<Snapshot>) -> Arc<Snapshot> {
        match (&self.grant.credential, &self.grant.sight) {
            (Some(credential), Some(sight)) => {
                self.guard.views.view(snapshot, sight, &credential.scope)
            }
            _ => snapshot.clone(),
        }
    }

    /// Whether something happened that [`Caller::renew`] is to look at.
    pub(super) fn is_stale(&self) -> bool {
        let news = self.guard.credentials.has_changed().unwrap_or(false);
        let trust = self.trust.as_ref().is_some_and(|trust| trust.has_changed().unwrap_or(false));
        news || trust || self.ends.is_some_and(|end| end <= Instant::now())
    }

    /// When to look again without being told.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends
    }

    /// Resolves when [`Caller::renew`] is to be called.
    pub(super) async fn changed(&mut self) {
        either(&mut self.guard.credentials, self.trust.as_mut()).await;
    }

    /// Looks anew at what they came with. True where they may see something
    /// else now.
    pub(super) fn renew(&mut self) -> Result<bool, Refusal> {
        let now = clock::now();
        self.guard.credentials.mark_unchanged();
        self.verify()?;
        let found = self.find(now).map_err(|refusal| match self.name() {
            Some(name) => Refusal::Withdrawn(name.to_string()),
            None => refusal,
        })?;
        if self.grant.credential.is_some() && found.credential.is_none() {
            let name = self.name().map(ToString::to_string).unwrap_or_default();
            return Err(Refusal::Withdrawn(name));
        }
        let news = found.credential != self.grant.credential || found.bound != self.grant.bound;
        self.grant = found;
        self.ends = self.end(now);
        Ok(news)
    }

    /// Verifies the certificate again where what is trusted has changed since
    /// the connection was made.
    fn verify(&mut self) -> Result<(), Refusal> {
        let Some(trust) = &mut self.trust else { return Ok(()) };
        let trust = trust.borrow_and_update().clone();
        match &self.proof {
            Proof::Certificate(certificate) if !trust.covers(certificate) => {
                Err(Refusal::Distrusted)
            }
            _ => Ok(()),
        }
    }

    fn find(&self, now: Timestamp) -> Result<Grant, Refusal> {
        let known = self.guard.credentials.borrow();
        let found = match &self.proof {
            Proof::Nothing => None,
            Proof::Token(hash) => known.token(hash, now).map(|one| (one, Bound::default())),
            Proof::Certificate(one) if one.ends().is_some_and(|end| end <= now) => {
                return Err(Refusal::Distrusted);
            }
            Proof::Certificate(one) => known.certificate(one.names(), now),
        };
        match found {
            Some((credential, bound)) => {
                let sight = Sight::of(&credential.scope, self.secure);
                let (credential, sight) = (Some(credential.clone()), Some(Arc::new(sight)));
                Ok(Grant { credential, bound, sight })
            }
            None if known.open => Ok(Grant::default()),
            None => Err(match &self.proof {
                Proof::Certificate(one) => Refusal::UnknownCertificate(named(one)),
                Proof::Nothing | Proof::Token(_) => Refusal::Unauthenticated,
            }),
        }
    }

    fn end(&self, now: Timestamp) -> Option<Instant> {
        let certificate = match &self.proof {
            Proof::Certificate(certificate) => certificate.ends(),
            Proof::Nothing | Proof::Token(_) => None,
        };
        let credential = self.grant.credential.as_ref().and_then(|one| one.expires);
        let end = certificate.into_iter().chain(credential).min()?;
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        Some(Instant::now() + left.min(LOOK_AGAIN))
    }
}

/// What a certificate calls itself, for errors.
fn named(certificate: &Certificate) -> String {
    let names = certificate.names().iter().map(|name| name.as_str());
    let names = names.take(5).collect::<Vec<_>>().join("`, `");
    if names.is_empty() { "no name".into() } else { names }
}

/// Resolves when other credentials count, or others are trusted.
async fn either(
    credentials: &mut watch::Receiver<Arc<Credentials>>,
    trust: Option<&mut watch::Receiver<Trust>>,
) {
    let trusted = async {
        match trust {
            Some(trust) => followed(trust).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = followed(credentials) => {}
        () = trusted => {}
    }
}

/// Resolves at the next change; never where nobody can make one any more.
async fn followed<T>(changes: &mut watch::Receiver<T>) {
    if changes.changed().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
