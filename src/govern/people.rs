//! People and teams.

use super::draft::write;
use super::names::{check_id, person_path, team_path, token_path};
use super::registry::{Inner, Registry};
use super::rights::strip;
use super::{GovernError, PersonDocument, Stamp, TeamDocument, TokenDocument};
use crate::access::{Principal, Subject};
use crate::model::{Origin, Person, Role};

/// People of one team.
const TEAM_MAX: usize = 10_000;

/// A person's principal: the role that the configuration gives, else their
/// document's, else none but what is granted.
pub(super) fn principal(inner: &Inner, registry: &Registry, person: &Person) -> Principal {
    Principal {
        name: person.to_string(),
        person: Some(person.clone()),
        token: None,
        teams: registry.teams_of(person),
        role: role(inner, registry, person).unwrap_or(Role::Guest),
    }
}

/// The role that the configuration or their document gives a person.
pub(super) fn role(inner: &Inner, registry: &Registry, person: &Person) -> Option<Role> {
    let configured = inner.settings.people.iter().find(|one| one.name == *person);
    let own = || registry.people.get(person).map(|document| document.role);
    configured.and_then(|one| one.role).or_else(own)
}

/// Whether the configuration or a document knows a person.
pub(super) fn is_known(inner: &Inner, registry: &Registry, person: &Person) -> bool {
    registry.people.contains_key(person)
        || inner.settings.people.iter().any(|one| one.name == *person)
}

/// The end of the addresses that commits made here give to people who have
/// none.
const OURS: &str = "@convoy.invalid";

/// The person behind a mail address.
pub(super) fn by_mail(inner: &Inner, registry: &Registry, mail: &str) -> Option<Person> {
    let mail = mail.to_lowercase();
    let configured = inner.settings.people.iter().find(|one| one.emails.contains(&mail));
    let documented = || registry.people.values().find(|one| one.emails.contains(&mail));
    configured.map(|one| one.name.clone()).or_else(|| documented().map(|one| one.name.clone()))
}

/// The person behind the address in a commit. Only there do the addresses
/// count that were made up here: nobody logs in with one.
pub(super) fn by_author(inner: &Inner, registry: &Registry, mail: &str) -> Option<Person> {
    match mail.to_lowercase().strip_suffix(OURS) {
        Some(name) => Person::new(name).ok(),
        None => by_mail(inner, registry, mail),
    }
}

/// Writes a person's document.
pub(super) async fn put(
    inner: &Inner,
    by: &Origin,
    mut person: PersonDocument,
) -> Result<(), GovernError> {
    person.emails = person.emails.iter().map(|mail| mail.trim().to_lowercase()).collect();
    check(inner, &person)?;
    let path = person_path(&person.name);
    write(inner, by, &format!("Write the person {}", person.name), |draft| {
        let old = draft.get::<PersonDocument>(&path)?;
        let created = old.map(|old| old.created);
        let created = created.unwrap_or_else(|| Stamp { by: by.name.clone(), at: draft.now });
        draft.put(&path, &PersonDocument { created, ..person.clone() })
    })
    .await
}

fn check(inner: &Inner, person: &PersonDocument) -> Result<(), GovernError> {
    let name = &person.name;
    if person.role == Role::Node {
        return Err(GovernError::Invalid(format!("`{name}`: a person is no node")));
    }
    let configured = inner.settings.people.iter().find(|one| one.name == *name);
    if configured.and_then(|one| one.role).is_some_and(|role| role != person.role) {
        return Err(GovernError::State(format!(
            "the configuration file gives `{name}` a role; change it there, under `people`"
        )));
    }
    let registry = inner.registry();
    for mail in &person.emails {
        if !mail.contains('@') || mail.len() > 254 || mail.chars().any(|c| c.is_whitespace()) {
            return Err(GovernError::Invalid(format!(
                "`{}` is no mail address; write name@host",
                mail.escape_debug()
            )));
        }
        if let Some(other) = by_mail(inner, &registry, mail).filter(|other| other != name) {
            return Err(GovernError::Invalid(format!("the mail address `{mail}` is `{other}`'s")));
        }
    }
    Ok(())
}

/// Removes a person, what was granted to them, and ends their tokens.
pub(super) async fn remove(inner: &Inner, by: &Origin, person: &Person) -> Result<(), GovernError> {
    if inner.settings.people.iter().any(|one| one.name == *person) {
        return Err(GovernError::State(format!(
            "`{person}` is a person of the configuration file; take them out of `people` there \
             and restart"
        )));
    }
    let (path, who) = (person_path(person), Subject::Person(person.clone()));
    write(inner, by, &format!("Remove the person {person}"), |draft| {
        if draft.get::<PersonDocument>(&path)?.is_none() {
            return Err(GovernError::NotFound { what: "person", name: person.to_string() });
        }
        draft.remove(&path)?;
        let registry = inner.registry();
        strip(draft, &registry, &who)?;
        for team in registry.teams.values().filter(|team| team.members.contains(person)) {
            let path = team_path(&team.name);
            let Some(mut team) = draft.get::<TeamDocument>(&path)? else { continue };
            team.members.remove(person);
            draft.put(&path, &team)?;
        }
        for token in registry.tokens.values().filter(|token| token.person.as_ref() == Some(person))
        {
            let path = token_path(&token.name);
            let Some(mut token) = draft.get::<TokenDocument>(&path)? else { continue };
            let stamp = Stamp { by: by.name.clone(), at: draft.now };
            token.revoked.get_or_insert(stamp);
            draft.put(&path, &token)?;
        }
        Ok(())
    })
    .await
}

/// Writes a team's document.
pub(super) async fn put_team(
    inner: &Inner,
    by: &Origin,
    team: TeamDocument,
) -> Result<(), GovernError> {
    check_id("team", &team.name)?;
    if team.members.len() > TEAM_MAX {
        return Err(GovernError::Invalid(format!("a team has at most {TEAM_MAX} people")));
    }
    let path = team_path(&team.name);
    write(inner, by, &format!("Write the team {}", team.name), |draft| {
        let old = draft.get::<TeamDocument>(&path)?;
        let created = old.map(|old| old.created);
        let created = created.unwrap_or_else(|| Stamp { by: by.name.clone(), at: draft.now });
        draft.put(&path, &TeamDocument { created, ..team.clone() })
    })
    .await
}

/// Removes a team, and what was granted to it.
pub(super) async fn remove_team(inner: &Inner, by: &Origin, team: &str) -> Result<(), GovernError> {
    let missing = || GovernError::NotFound { what: "team", name: team.into() };
    if !inner.registry().teams.contains_key(team) {
        return Err(missing());
    }
    let (path, who) = (team_path(team), Subject::Team(team.to_owned()));
    write(inner, by, &format!("Remove the team {team}"), |draft| {
        draft.get::<TeamDocument>(&path)?.ok_or_else(missing)?;
        strip(draft, &inner.registry(), &who)?;
        draft.remove(&path)
    })
    .await
}
