//! A caller: who it is, how we know, what it may do, and how the record names
//! it. Whether it is still so, [`super::Auth`] says.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::DEV_PERSON;
use crate::access::{Principal, Reach, Right};
use crate::config::Role;
use crate::model::{Actor, Change, ContentHash, FilePath, Origin, Person, RepoName, Via};
use crate::web::Site;
use crate::web::error::Fault;

/// Set to `cli` by our own command line, for the record.
const CLIENT_HEADER: &str = "x-convoy-client";

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

impl Caller {
    pub(super) fn of(principal: Principal, proof: Proof) -> Self {
        let Principal { name, person, token, teams, role } = principal;
        Self { name, person, role, proof, token, teams, bearer: None, request: None }
    }

    pub(super) fn developer(person: Option<Person>, proof: Proof) -> Self {
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
    pub(super) fn is(&self, other: &Principal) -> bool {
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
        changes.iter().flat_map(Change::paths).try_for_each(refuse)?;
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
