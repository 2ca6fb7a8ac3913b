//! Who is behind a Slack user, and what they may do, as a trait so that tests
//! can stand in for it.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use crate::chat::{Caller, People};
use crate::govern::{Govern, GovernError};
use crate::model::{Actor, Origin, Person, RepoName, Role, Stage};
use crate::promote::{Refusal, RefusalKind};

/// Where Slack users are looked up.
pub trait Directory: Send + Sync + std::fmt::Debug {
    /// The person, if the user is linked to one who is still known.
    fn find(&self, caller: &Caller) -> Option<Person>;

    /// The role that the person was given, if any.
    fn role(&self, person: &Person) -> Option<Role>;

    /// A Slack user of the person, to whom something can be told.
    fn slack_of(&self, person: &Person) -> Option<String>;

    /// Links a Slack user (`E0001/U012AB3CD`) to a person.
    fn link<'a>(&'a self, user: &'a str, person: &'a Person) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Lets a channel hear of a stage, or with `None` no more; whether
    /// anything changed.
    fn subscribe<'a>(
        &'a self,
        by: &'a Actor,
        channel: &'a str,
        what: (&'a RepoName, &'a Stage),
        events: Option<&'a BTreeSet<String>>,
    ) -> BoxFuture<'a, Result<bool, Refusal>>;
}

/// The configuration's people, and those who linked themselves.
#[derive(Debug)]
pub struct Known {
    /// As the configuration maps them; it comes first.
    pub people: People,
    /// Everybody else.
    pub govern: Govern,
}

impl Directory for Known {
    fn find(&self, caller: &Caller) -> Option<Person> {
        if let Some(person) = self.people.find(caller) {
            return Some(person.clone());
        }
        let registry = self.govern.registry();
        let scopes = [caller.enterprise.as_deref(), caller.team.as_deref(), Some("any")];
        let mut links = scopes
            .into_iter()
            .flatten()
            .filter_map(|scope| registry.slack.get(&(scope.to_owned(), caller.user.clone())));
        let person = links.next()?.person.clone();
        // Whoever was removed is nobody any more.
        self.govern.knows(&person).then_some(person)
    }

    fn role(&self, person: &Person) -> Option<Role> {
        self.govern.role(person)
    }

    fn slack_of(&self, person: &Person) -> Option<String> {
        if let Some(user) = self.people.slack_of(person) {
            return Some(user);
        }
        let registry = self.govern.registry();
        let mut linked = registry.slack.iter().filter(|(_, link)| &link.person == person);
        linked.next().map(|((_, user), _)| user.clone())
    }

    fn link<'a>(&'a self, user: &'a str, person: &'a Person) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let by = Origin::of(&Actor::person(person.clone(), crate::model::Via::Web));
            self.govern.link_slack(&by, user, person).await.map_err(|error| refusal(&error))
        })
    }

    fn subscribe<'a>(
        &'a self,
        by: &'a Actor,
        channel: &'a str,
        (repo, stage): (&'a RepoName, &'a Stage),
        events: Option<&'a BTreeSet<String>>,
    ) -> BoxFuture<'a, Result<bool, Refusal>> {
        Box::pin(async move {
            let by = Origin::of(by);
            let done = self.govern.subscribe(&by, channel, repo, stage, events).await;
            done.map_err(|error| refusal(&error))
        })
    }
}

fn refusal(error: &GovernError) -> Refusal {
    let kind = match error {
        GovernError::Invalid(_) | GovernError::Id(_) | GovernError::Path(_) => RefusalKind::Invalid,
        GovernError::NotFound { .. } => RefusalKind::NotFound,
        GovernError::State(_) | GovernError::Exists { .. } => RefusalKind::Conflict,
        _ => {
            tracing::error!("slack: it could not be written down: {error}");
            RefusalKind::Unavailable
        }
    };
    Refusal::new(kind, error.to_string(), "")
}
