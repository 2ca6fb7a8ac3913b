//! People and teams.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::Done;
use crate::config::Role;
use crate::govern::{PersonDocument, Stamp, TeamDocument};
use crate::model::Person;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Answer, By, JsonBody, Path};

#[derive(Debug, Serialize)]
pub(super) struct PersonCard {
    name: Person,
    role: Role,
    emails: BTreeSet<String>,
    teams: BTreeSet<String>,
    /// They stand in the configuration file.
    configured: bool,
}

#[derive(Serialize)]
pub(super) struct People {
    people: Vec<PersonCard>,
}

pub(super) async fn list(State(site): State<Site>) -> Answer<People> {
    let govern = &site.web.govern;
    let mut emails: BTreeMap<Person, (BTreeSet<String>, bool)> = BTreeMap::new();
    for (name, document) in &govern.registry().people {
        emails.insert(name.clone(), (document.emails.clone(), false));
    }
    for person in &govern.settings().people {
        let (mails, configured) = emails.entry(person.name.clone()).or_default();
        mails.extend(person.emails.iter().cloned());
        *configured = true;
    }
    let card = |(name, (emails, configured)): (Person, (BTreeSet<String>, bool))| {
        let principal = govern.person(&name);
        PersonCard { role: principal.role, teams: principal.teams, name, emails, configured }
    };
    Answer(People { people: emails.into_iter().map(card).collect() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonIn {
    role: Option<Role>,
    emails: Option<BTreeSet<String>>,
}

pub(super) async fn put(
    State(site): State<Site>,
    Path(name): Path<Person>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PersonIn>,
) -> Result<Answer<Done>, Fault> {
    let registry = site.web.govern.registry();
    let old = registry.people.get(&name);
    let document = PersonDocument {
        role: body.role.unwrap_or_else(|| site.web.govern.person(&name).role),
        emails: body.emails.or_else(|| Some(old?.emails.clone())).unwrap_or_default(),
        created: Stamp { by: caller.name.clone(), at: clock::now() },
        name,
    };
    let said = format!("`{}` is {}", document.name, document.role);
    site.web.govern.put_person(&caller.origin(&headers), document).await?;
    Ok(Done::says(said))
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path(name): Path<Person>,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.remove_person(&by, &name).await?;
    Ok(Done::says(format!("`{name}` is removed; their tokens and sessions are over")))
}

#[derive(Serialize)]
pub(super) struct Teams {
    teams: Vec<TeamDocument>,
}

pub(super) async fn teams(State(site): State<Site>) -> Answer<Teams> {
    Answer(Teams { teams: site.web.govern.registry().teams.values().cloned().collect() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeamIn {
    members: BTreeSet<Person>,
}

pub(super) async fn put_team(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(TeamIn { members }): JsonBody<TeamIn>,
) -> Result<Answer<Done>, Fault> {
    let said = format!("the team `{name}` has {} people", members.len());
    let created = Stamp { by: caller.name.clone(), at: clock::now() };
    let team = TeamDocument { name, members, created };
    site.web.govern.put_team(&caller.origin(&headers), team).await?;
    Ok(Done::says(said))
}

pub(super) async fn remove_team(
    State(site): State<Site>,
    Path(name): Path<String>,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.remove_team(&by, &name).await?;
    Ok(Done::says(format!("the team `{name}` is gone, and what was granted to it")))
}
