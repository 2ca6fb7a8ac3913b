//! Who calls: tokens, which `govern` knows by their hashes, and the sessions
//! made from them or by an identity provider.
//!
//! A token comes as `Authorization: Bearer`, as the password of `Basic` (what
//! `git` sends), or, once, through the login form, which trades it for a
//! session. Nothing is remembered between two requests but the session: what
//! was revoked is over with the next one, and [`Auth::until`] tells streams.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Site;
use super::attempts::Attempts;
use super::error::Fault;
use super::oidc::Oidc;
use super::session::{Holder, Session, SessionCard, Sessions};
use crate::access::{Principal, Reach, Right};
use crate::config::Role;
use crate::govern::{Govern, Registry};
use crate::model::{Actor, Change, ContentHash, FilePath, Origin, Person, RepoName, Via};
use crate::telemetry::clock;

/// The person of open development mode, where the request names nobody else.
pub(crate) const DEV_PERSON: &str = "dev";
/// Names the person in open development mode.
const PERSON_HEADER: &str = "x-convoy-person";
/// Set to `cli` by our own command line, for the record.
const CLIENT_HEADER: &str = "x-convoy-client";
/// How often a stream looks whether its session has run out; what is revoked
/// is told at once.
const LOOK: Duration = Duration::from_secs(30);

/// Why logging in is not possible.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct AuthError;

/// Tokens and sessions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    govern: Govern,
    oidc: Option<Oidc>,
    sessions: Sessions,
    attempts: Attempts,
    /// Only in open development mode: what forms carry in place of a
    /// session's token.
    open: Option<String>,
}

/// Who calls, and how we know.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) person: Option<Person>,
    pub(crate) role: Role,
    pub(crate) proof: Proof,
    /// The token's name, where they came by one.
    pub(crate) token: Option<String>,
    pub(crate) teams: BTreeSet<String>,
    /// The hash of the token that came with the request.
    pub(crate) bearer: Option<ContentHash>,
    /// The request's id, as `edge` made it.
    pub(crate) request: Option<String>,
}

/// How we know.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// A token with the request.
    Bearer,
    /// A token as the password of `Basic`. Browsers keep it and send it with
    /// what other sites make them send.
    Basic,
    /// A session's cookie.
    Session { key: ContentHash, csrf: String },
    /// We don't: open development mode.
    Open { csrf: String },
}

impl Auth {
    /// Asks `govern` who comes with which token. With `insecure_dev`, and no
    /// token in the configuration but those of nodes, everybody is an
    /// administrator. `secure_cookie` says that people come over https.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(
        govern: Govern,
        oidc: Option<Oidc>,
        insecure_dev: bool,
        secure_cookie: bool,
    ) -> Result<Self, AuthError> {
        let guarded = govern.settings().tokens.iter().any(|token| token.role != Role::Node);
        let open = if insecure_dev && !guarded { Some(random_hex()?) } else { None };
        let sessions = Sessions::new(secure_cookie);
        let attempts = Attempts::default();
        Ok(Self { inner: Arc::new(Inner { govern, oidc, sessions, attempts, open }) })
    }

    /// The identity provider that people log in at.
    pub(crate) fn oidc(&self) -> Option<&Oidc> {
        self.inner.oidc.as_ref()
    }

    pub(crate) fn govern(&self) -> &Govern {
        &self.inner.govern
    }

    /// Whether everybody is an administrator.
    pub fn is_open(&self) -> bool {
        self.inner.open.is_some()
    }

    pub(crate) fn identify(&self, headers: &HeaderMap) -> Option<Caller> {
        let sent = headers.get(header::AUTHORIZATION);
        if let Some(csrf) = &self.inner.open {
            // Whatever is sent: compatible clients send `Bearer anonymous`.
            let csrf = csrf.clone();
            let proof = if sent.is_some() { Proof::Bearer } else { Proof::Open { csrf } };
            return Some(Caller::developer(dev_person(headers), proof));
        }
        if let Some(value) = sent {
            // A wrong token is not rescued by a good cookie beside it.
            let (secret, proof) = credentials(value.to_str().ok()?)?;
            let hash = ContentHash::of(secret.as_bytes());
            let principal = self.inner.govern.bearer(&hash)?;
            return Some(Caller { bearer: Some(hash), ..Caller::of(principal, proof) });
        }
        let (key, session) = self.inner.sessions.find(headers)?;
        let principal = self.holder(&session.holder)?;
        Some(Caller::of(principal, Proof::Session { key, csrf: session.csrf }))
    }

    /// What whoever a session belongs to may do now; `None`: it is over.
    fn holder(&self, holder: &Holder) -> Option<Principal> {
        match holder {
            Holder::Token(hash) => self.inner.govern.bearer(hash),
            Holder::Person(person, claimed) => {
                if !self.inner.govern.knows(person) {
                    return None;
                }
                let mut principal = self.inner.govern.person(person);
                principal.teams.extend(claimed.iter().cloned());
                Some(principal)
            }
        }
    }

    /// What a caller may do now; `None`: their token or session is over.
    pub(crate) fn still(&self, caller: &Caller) -> Option<Principal> {
        match (&caller.proof, &caller.bearer) {
            (_, Some(hash)) => self.inner.govern.bearer(hash),
            (Proof::Session { key, .. }, None) => {
                self.holder(&self.inner.sessions.peek(key)?.holder)
            }
            _ => self.is_open().then(|| caller.principal()),
        }
    }

    /// Resolves once the caller's token or session is over, or `allowed` says
    /// no: for streams, which no guard looks at again.
    pub(crate) async fn until(
        &self,
        caller: &Caller,
        allowed: impl Fn(&Registry, &Principal) -> bool + Send,
    ) {
        let (mut registry, mut sessions) = (self.inner.govern.watch(), self.inner.sessions.watch());
        loop {
            registry.mark_unchanged();
            sessions.mark_unchanged();
            let current = self.inner.govern.registry();
            let may = self.still(caller).is_some_and(|principal| allowed(&current, &principal));
            if !may {
                return;
            }
            tokio::select! {
                changed = registry.changed() => if changed.is_err() { return },
                changed = sessions.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(self.next_look(&current, caller)) => {}
            }
        }
    }

    /// Until the token ends by itself, or the next regular look.
    fn next_look(&self, registry: &Registry, caller: &Caller) -> Duration {
        let end = caller.bearer.and_then(|hash| registry.expires(&hash));
        let left = end.map(|end| end.duration_since(clock::now()).unsigned_abs());
        left.map_or(LOOK, |left| left.saturating_add(Duration::from_millis(1)).min(LOOK))
    }

    /// Trades a token, sent from `address`, for a session; gives the
    /// `Set-Cookie` value.
    pub(crate) fn log_in(&self, secret: &str, address: Option<IpAddr>) -> Result<String, Fault> {
        let attempts = &self.inner.attempts;
        if let Some(left) = attempts.wait(address) {
            return Err(Fault::too_many_logins(left));
        }
        let hash = ContentHash::of(secret.trim().as_bytes());
        let principal = self.inner.govern.bearer(&hash).filter(|known| known.role != Role::Node);
        let Some(principal) = principal else {
            attempts.failed(address);
            return Err(Fault::bad_token());
        };
        attempts.succeeded(address);
        tracing::info!(token = principal.name, "logged in");
        self.begin(Holder::Token(hash))
    }

    /// Begins the session of a person whom an identity provider vouched for,
    /// as one of these teams; gives the `Set-Cookie` value.
    pub(crate) fn log_in_person(
        &self,
        person: Person,
        teams: BTreeSet<String>,
    ) -> Result<String, Fault> {
        tracing::info!(%person, "logged in");
        self.begin(Holder::Person(person, teams))
    }

    /// Each login is a session of its own, under an id that was never seen.
    fn begin(&self, holder: Holder) -> Result<String, Fault> {
        let (id, csrf) = random_hex().and_then(|id| Ok((id, random_hex()?)))?;
        self.inner.sessions.insert(&id, Session { holder, csrf });
        Ok(self.inner.sessions.cookie(&id))
    }

    /// Ends the session that `headers` carry, if any: whoever logs in again
    /// does not leave the old one behind.
    pub(crate) fn end_old(&self, headers: &HeaderMap) {
        if let Some((key, _)) = self.inner.sessions.find(headers) {
            self.inner.sessions.remove(&key);
        }
    }

    /// Ends the caller's session; gives the `Set-Cookie` value.
    pub(crate) fn log_out(&self, caller: &Caller) -> String {
        if let Proof::Session { key, .. } = &caller.proof {
            self.inner.sessions.remove(key);
        }
        self.inner.sessions.expired_cookie()
    }

    /// The sessions of whoever calls.
    pub(crate) fn sessions(&self, caller: &Caller) -> Vec<SessionCard> {
        let mine = |holder: &Holder| self.holder(holder).is_some_and(|one| caller.is(&one));
        self.inner.sessions.cards(mine)
    }

    /// Ends one of the caller's sessions; whether it was there.
    pub(crate) fn end_session(&self, caller: &Caller, id: &str) -> bool {
        let card = self.sessions(caller).into_iter().find(|card| card.id == id);
        card.is_some_and(|card| {
            self.inner.sessions.remove(&card.key);
            true
        })
    }
}

impl Caller {
    fn of(principal: Principal, proof: Proof) -> Self {
        let Principal { name, person, token, teams, role } = principal;
        Self { name, person, role, proof, token, teams, bearer: None, request: None }
    }

    fn developer(person: Option<Person>, proof: Proof) -> Self {
        Self {
            name: DEV_PERSON.into(),
            person,
            role: Role::Admin,
            proof,
            token: None,
            teams: BTreeSet::new(),
            bearer: None,
            request: None,
        }
    }

    /// Whether both are the same person, or the same service's token.
    fn is(&self, other: &Principal) -> bool {
        match (&self.person, &other.person) {
            (Some(me), Some(other)) => me == other,
            (None, None) => self.token.is_some() && self.token == other.token,
            _ => false,
        }
    }

    /// The caller, as far as rights go.
    pub(crate) fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            person: self.person.clone(),
            token: self.token.clone(),
            teams: self.teams.clone(),
            role: self.role,
        }
    }

    /// Whether the caller has a right on a path, or with `None` on the whole
    /// repository, that is there.
    pub(crate) fn may(
        &self,
        site: &Site,
        right: Right,
        repo: &RepoName,
        path: Option<&FilePath>,
    ) -> Result<(), Fault> {
        let registry = site.web.govern.registry();
        if registry.repository(repo).is_none() {
            return Err(Fault::no_repository(repo));
        }
        let checked = registry.policy.check(&self.principal(), right, repo, path);
        checked.map_err(|missing| Fault::missing(&registry, repo.project(), &missing))
    }

    /// Whether the caller may read something of a repository that is there.
    pub(crate) fn may_see(&self, site: &Site, repo: &RepoName) -> Result<(), Fault> {
        match self.reach(site, Right::Read, repo) {
            Reach::Nothing => Err(Fault::no_repository(repo)),
            _ => Ok(()),
        }
    }

    /// How far a right of the caller's reaches in a repository.
    pub(crate) fn reach(&self, site: &Site, right: Right, repo: &RepoName) -> Reach {
        let registry = site.web.govern.registry();
        match registry.repository(repo) {
            Some(_) => registry.policy.reach(&self.principal(), right, repo),
            None => Reach::Nothing,
        }
    }

    /// Whether the caller may make these changes: every path that they name
    /// and every file that they would touch is within reach.
    pub(crate) fn may_change(
        &self,
        site: &Site,
        repo: &RepoName,
        changes: &[Change],
    ) -> Result<(), Fault> {
        let reach = self.reach(site, Right::Write, repo);
        if reach == Reach::All {
            return Ok(());
        }
        let refuse = |path: &FilePath| self.may(site, Right::Write, repo, Some(path));
        // Named paths first, so that a refusal tells nothing of what is there.
        changes.iter().flat_map(named).try_for_each(refuse)?;
        let head = site.web.store.head(repo)?.revision;
        let effects = site.web.store.preview(repo, head, changes)?;
        effects.iter().try_for_each(|effect| refuse(&effect.path))
    }

    /// Whether the caller may read all of a repository that is there: what is
    /// made of all its files is for such only.
    pub(crate) fn reads_all(&self, site: &Site, repo: &RepoName) -> bool {
        self.reach(site, Right::Read, repo) == Reach::All
    }

    /// The caller as the record names them.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Origin {
        let sent = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let request = self.request.clone().or_else(|| sent.map(str::to_owned));
        let actor = Actor { person: self.person.clone(), via: self.via(headers) };
        Origin { actor, name: self.record_name(self.person.as_ref()), request }
    }

    /// The caller as the record names them, for the console's forms.
    pub(crate) fn origin_of_form(&self, chosen: Option<&str>) -> Result<Origin, Fault> {
        let person = self.person_of_form(chosen)?;
        let name = self.record_name(person.as_ref());
        let actor = Actor { person, via: Via::Web };
        Ok(Origin { actor, name, request: self.request.clone() })
    }

    /// In open development mode the person counts, who may be anybody.
    fn record_name(&self, person: Option<&Person>) -> String {
        match (&self.token, person) {
            (None, Some(person)) => person.to_string(),
            _ => self.name.clone(),
        }
    }

    fn via(&self, headers: &HeaderMap) -> Via {
        match (&self.proof, headers.get(CLIENT_HEADER).map(|value| value.as_bytes())) {
            (Proof::Session { .. }, _) => Via::Web,
            (_, Some(b"cli")) => Via::Cli,
            _ => Via::Api,
        }
    }

    /// What forms must carry; empty for callers that send none.
    pub(crate) fn csrf(&self) -> &str {
        match &self.proof {
            Proof::Bearer | Proof::Basic => "",
            Proof::Session { csrf, .. } | Proof::Open { csrf } => csrf,
        }
    }

    /// Whom the record names, for requests of the API.
    pub(crate) fn actor(&self, headers: &HeaderMap) -> Result<Actor, Fault> {
        let person = self.person.clone().ok_or_else(|| Fault::no_person(&self.name))?;
        Ok(Actor::person(person, self.via(headers)))
    }

    /// Whom the record names, for the console's forms. `chosen` counts in
    /// open development mode only.
    pub(crate) fn actor_of_form(&self, chosen: Option<&str>) -> Result<Actor, Fault> {
        let person = self.person_of_form(chosen)?;
        let person = person.ok_or_else(|| Fault::no_person(&self.name))?;
        Ok(Actor::person(person, Via::Web))
    }

    fn person_of_form(&self, chosen: Option<&str>) -> Result<Option<Person>, Fault> {
        let chosen = chosen.map(str::trim).filter(|name| !name.is_empty());
        match (&self.proof, chosen) {
            (Proof::Open { .. }, Some(name)) => Ok(Some(Person::new(name)?)),
            _ => Ok(self.person.clone()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Fault::unauthenticated)
    }
}

/// The paths that a change names.
pub(crate) fn named(change: &Change) -> Vec<&FilePath> {
    match change {
        Change::Upsert(path, _)
        | Change::Remove(path)
        | Change::PatchJson(path, _)
        | Change::PatchText(path, _) => vec![path],
        Change::Rename { from, to } => vec![from, to],
        Change::Restore(_) => Vec::new(),
    }
}

/// 256 random bits as 64 hex digits.
pub(crate) fn random_hex() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| AuthError)?;
    Ok(ContentHash(bytes).to_string())
}

/// The secret within an `Authorization` header.
fn credentials(value: &str) -> Option<(String, Proof)> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((rest.trim().to_owned(), Proof::Bearer));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
    Some((password.to_owned(), Proof::Basic))
}

fn dev_person(headers: &HeaderMap) -> Option<Person> {
    let named = headers.get(PERSON_HEADER).and_then(|value| value.to_str().ok());
    Person::new(named.unwrap_or(DEV_PERSON)).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::govern::{ConfiguredToken, GovernSettings, NewToken};
    use crate::store::{Store, StoreOptions};

    struct Home {
        auth: Auth,
        govern: Govern,
        _dir: tempfile::TempDir,
    }

    async fn home(names: &[(&str, Role)], insecure_dev: bool) -> Home {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), StoreOptions::default()).expect("a store");
        store.create(&RepoName::state()).await.expect("the repository of documents");
        let token = |(name, role): &(&str, Role)| ConfiguredToken {
            name: (*name).into(),
            person: Person::new(name).ok(),
            hash: ContentHash::of(format!("secret-{name}").as_bytes()),
            role: *role,
        };
        let settings = GovernSettings {
            tokens: names.iter().map(token).collect(),
            ..GovernSettings::default()
        };
        let govern = Govern::start(store, settings).await.expect("documents");
        let auth = Auth::new(govern.clone(), None, insecure_dev, true).expect("random numbers");
        Home { auth, govern, _dir: dir }
    }

    const TOKENS: [(&str, Role); 2] = [("ann", Role::Operator), ("envoy", Role::Node)];

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a header value"),
        )])
    }

    fn sent_back(cookie: &str) -> HeaderMap {
        headers("cookie", cookie.split(';').next().expect("a pair"))
    }

    #[tokio::test]
    async fn a_bearer_token_names_its_caller() {
        let home = home(&TOKENS, false).await;
        let caller = home.auth.identify(&headers("authorization", "bearer secret-ann"));
        assert_eq!(caller.map(|c| (c.name, c.role)), Some(("ann".into(), Role::Operator)));
        for wrong in ["Bearer secret-bob", "Basic secret-ann", "secret-ann", "Bearer "] {
            assert!(home.auth.identify(&headers("authorization", wrong)).is_none(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn git_sends_the_token_as_a_password() {
        let home = home(&TOKENS, false).await;
        let pair = STANDARD.encode("anybody:secret-ann");
        let caller = home.auth.identify(&headers("authorization", &format!("Basic {pair}")));
        let caller = caller.expect("the caller");
        assert!(caller.name == "ann" && matches!(caller.proof, Proof::Basic));
    }

    #[tokio::test]
    async fn a_session_lasts_until_logout() {
        let home = home(&TOKENS, false).await;
        let cookie = home.auth.log_in("secret-ann", None).expect("a session");
        assert!(cookie.starts_with("__Host-convoy="), "{cookie}");
        for part in ["; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let sent = sent_back(&cookie);
        let caller = home.auth.identify(&sent).expect("the caller");
        assert_eq!(caller.csrf().len(), 64);
        home.auth.log_out(&caller);
        assert!(home.auth.identify(&sent).is_none());
    }

    #[tokio::test]
    async fn each_login_is_a_new_session() {
        let auth = home(&TOKENS, false).await.auth;
        let again = auth.log_in("secret-ann", None).expect("a session");
        assert_ne!(auth.log_in("secret-ann", None).ok(), Some(again.clone()));
        let ann = auth.identify(&sent_back(&again)).expect("ann");
        let cards = auth.sessions(&ann);
        assert_eq!(cards.len(), 2);
        for card in cards {
            assert!(auth.end_session(&ann, &card.id) && !auth.end_session(&ann, &card.id));
        }
        assert!(auth.identify(&sent_back(&again)).is_none());
    }

    #[tokio::test]
    async fn a_node_cannot_log_in() {
        let auth = home(&TOKENS, false).await.auth;
        assert!(auth.log_in("secret-envoy", None).is_err());
        assert!(auth.log_in("", None).is_err());
    }

    #[tokio::test]
    async fn a_wrong_token_is_not_rescued_by_a_cookie() {
        let auth = home(&TOKENS, false).await.auth;
        let mut sent = sent_back(&auth.log_in("secret-ann", None).expect("a session"));
        sent.extend(headers("authorization", "Bearer nonsense"));
        assert!(auth.identify(&sent).is_none());
    }

    #[tokio::test]
    async fn a_revoked_token_ends_its_sessions_and_streams() {
        let Home { auth, govern, _dir } = home(&TOKENS, false).await;
        let new = NewToken {
            name: "ci".into(),
            person: None,
            role: Role::Reader,
            node: None,
            expires: None,
            secret: None,
        };
        let by = Origin::system();
        let (_, secret) = govern.issue_token(&by, new).await.expect("a token");
        let sent = sent_back(&auth.log_in(secret.expose(), None).expect("a session"));
        let caller = auth.identify(&sent).expect("the caller");
        let follower = auth.clone();
        let ended = async { follower.until(&caller, |_, _| true).await };
        let revoked = async { govern.set_token_active(&by, "ci", false).await };
        let (_, revoked) = tokio::join!(ended, revoked);
        assert!(revoked.is_ok() && auth.identify(&sent).is_none());
    }

    #[tokio::test]
    async fn a_person_who_is_no_more_is_logged_out() {
        let Home { auth, govern, _dir } = home(&TOKENS, false).await;
        let (by, bea) = (Origin::system(), Person::new("bea").expect("a name"));
        let document = crate::govern::PersonDocument {
            name: bea.clone(),
            emails: BTreeSet::new(),
            role: Role::Reader,
            created: crate::govern::Stamp { by: "x".into(), at: clock::now() },
        };
        govern.put_person(&by, document).await.expect("a person");
        let teams = BTreeSet::from(["sre".to_owned()]);
        let sent = sent_back(&auth.log_in_person(bea.clone(), teams).expect("a session"));
        let caller = auth.identify(&sent).expect("bea");
        assert!(caller.role == Role::Reader && caller.teams.contains("sre"));
        govern.remove_person(&by, &bea).await.expect("a removal");
        assert!(auth.identify(&sent).is_none());
    }

    #[tokio::test]
    async fn tokens_close_development_mode() {
        let open = home(&[], true).await.auth;
        for sent in [headers("x-convoy-person", "bea"), {
            let mut sent = headers("authorization", "Bearer anonymous");
            sent.extend(headers("x-convoy-person", "bea"));
            sent
        }] {
            let caller = open.identify(&sent).expect("anybody");
            assert_eq!((caller.person, caller.role), (Person::new("bea").ok(), Role::Admin));
        }
        let closed = home(&TOKENS, true).await.auth;
        assert!(!closed.is_open() && closed.identify(&HeaderMap::new()).is_none());
    }

    #[tokio::test]
    async fn only_development_mode_lets_a_form_choose_the_person() {
        let open = home(&[], true).await.auth;
        let caller = open.identify(&HeaderMap::new()).expect("anybody");
        let actor = caller.actor_of_form(Some("bea")).expect("a person");
        assert_eq!(actor.person, Person::new("bea").ok());
        let closed = home(&TOKENS, false).await.auth;
        let ann = closed.identify(&headers("authorization", "Bearer secret-ann")).expect("ann");
        let actor = ann.actor_of_form(Some("bea")).expect("a person");
        assert_eq!(actor.person, Person::new("ann").ok());
    }
}
