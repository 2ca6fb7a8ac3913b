//! Whom a client means by a login or an application's id, and the other way
//! round. A login may be a name, or a mail address that is known here; teams,
//! which Central Dogma lacks, are written `team:NAME`.

use super::fault;
use crate::access::Subject;
use crate::model::Person;
use crate::web::Site;
use crate::web::error::Fault;

/// The person or team behind a login.
pub(super) fn person(site: &Site, login: &str) -> Result<Subject, Fault> {
    if login.starts_with("team:") || login.starts_with("person:") {
        return Subject::try_from(login.to_owned())
            .map_err(|error| fault::illegal(error.to_string()));
    }
    if login.contains('@') {
        return by_mail(site, login).map(Subject::Person).ok_or_else(|| {
            fault::illegal(format!(
                "login `{}`: no person has this mail address; name the person, or give them the \
                 address first",
                login.escape_debug()
            ))
        });
    }
    let person = Person::new(login).map_err(|error| fault::illegal(error.to_string()))?;
    Ok(Subject::Person(person))
}

fn by_mail(site: &Site, mail: &str) -> Option<Person> {
    let mail = mail.to_lowercase();
    if let Some(name) = mail.strip_suffix("@localhost.localdomain") {
        return Person::new(name).ok();
    }
    let registry = site.web.govern.registry();
    let known = registry.people.values().find(|person| person.emails.contains(&mail));
    let configured = || {
        let mut authors = site.web.authors.iter();
        authors.find(|(_, (_, address))| *address == mail).map(|(person, _)| person.clone())
    };
    known.map(|person| person.name.clone()).or_else(configured)
}

/// The token behind an application's id.
pub(super) fn app(id: &str) -> Result<Subject, Fault> {
    Person::new(id)
        .map_err(|_| fault::illegal(format!("`{}` is no application's id", id.escape_debug())))?;
    Ok(Subject::Token(id.to_owned()))
}

/// What clients call somebody.
pub(super) fn name(who: &Subject) -> String {
    match who {
        Subject::Person(person) => person.to_string(),
        Subject::Token(token) => token.clone(),
        Subject::Team(_) => who.to_string(),
    }
}
