//! Who calls, by the metadata of a call, and what they may reach.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::MetadataMap;

use super::{Rpc, status};
use crate::access::{Missing, Principal, Reach, Right};
use crate::feed::Identify;
use crate::govern::RepositoryStatus;
use crate::model::{Actor, At, ContentHash, Origin, Person, RepoName, Revision, Role, Via};

/// The person of open development mode, where the call names nobody else.
const DEV_PERSON: &str = "dev";
/// Names the person in open development mode.
const PERSON_KEY: &str = "x-convoy-person";

/// A way to find out, again and again, who is behind a call.
pub(super) fn identify(rpc: &Rpc, metadata: &MetadataMap) -> Identify {
    if rpc.open {
        let named = metadata.get(PERSON_KEY).and_then(|value| value.to_str().ok());
        let person = Person::new(named.unwrap_or(DEV_PERSON)).ok();
        return Arc::new(move || Some(developer(person.clone())));
    }
    let (govern, hash) = (rpc.govern.clone(), bearer(metadata));
    Arc::new(move || govern.bearer(&hash?).filter(|who| who.role != Role::Node))
}

/// Who calls.
pub(super) fn caller(rpc: &Rpc, metadata: &MetadataMap) -> Result<Principal, Status> {
    identify(rpc, metadata)().ok_or_else(status::unauthenticated)
}

/// Whether whoever sent this metadata may see the state of every node: an
/// operator, as for the pages that show it.
pub(super) fn may_look(rpc: &Rpc, metadata: &MetadataMap) -> Result<(), Status> {
    let who = caller(rpc, metadata)?;
    match who.role.covers(Role::Operator) {
        true => Ok(()),
        false => Err(status::not_operator(&who.name)),
    }
}

fn developer(person: Option<Person>) -> Principal {
    let name = person.as_ref().map_or_else(|| DEV_PERSON.to_owned(), ToString::to_string);
    Principal { name, person, token: None, teams: Default::default(), role: Role::Admin }
}

/// The hash of the token that was sent; the token itself is not kept.
fn bearer(metadata: &MetadataMap) -> Option<ContentHash> {
    let (scheme, secret) = metadata.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| ContentHash::of(secret.trim().as_bytes()))
}

/// The caller as the record names them.
pub(super) fn origin(who: &Principal) -> Origin {
    let actor = Actor { person: who.person.clone(), via: Via::Api };
    Origin { actor, name: who.name.clone(), request: None }
}

/// The repository that is named, and how far the caller's right reaches in
/// it. Whoever sees nothing of its project is told that it is not there.
pub(super) fn reach(
    rpc: &Rpc,
    who: &Principal,
    right: Right,
    name: &str,
) -> Result<(RepoName, Reach), Status> {
    let repo = RepoName::new(name).map_err(|error| status::invalid("repository", &error))?;
    let registry = rpc.govern.registry();
    let Some(document) = registry.repository(&repo) else {
        return Err(status::no_repository(&repo));
    };
    if !registry.policy.sees(who, repo.project()) {
        return Err(status::no_repository(&repo));
    }
    if right == Right::Write && document.status == RepositoryStatus::ReadOnly {
        return Err(status::read_only(&repo));
    }
    match registry.policy.reach(who, right, &repo) {
        Reach::Nothing => {
            let (who, place) = (who.name.clone(), repo.to_string());
            Err(status::denied(&Missing { who, right, place }))
        }
        reach => Ok((repo, reach)),
    }
}

/// The revision that a call names; 0 is the head.
pub(super) fn revision(rpc: &Rpc, repo: &RepoName, given: i64) -> Result<Revision, Status> {
    let head = rpc.store.head(repo).map_err(status::of_store)?.revision;
    let at = if given == 0 { At::HEAD } else { At(given) };
    at.of(head).ok_or_else(|| status::before_the_first(repo, at, head))
}
