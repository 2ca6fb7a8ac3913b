//! Whose Slack user is whose, and which channel hears of which stage.
//!
//! A link is made by the person, logged in here, with a link that Slack showed
//! to the user: see `web::hooks`. What the configuration says comes first.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::draft::write;
use super::registry::Inner;
use super::{GovernError, Stamp};
use crate::model::{Origin, Person, RepoName, Stage};

/// Stages that one channel may hear of.
const HEARD_MAX: usize = 100;

/// A Slack user who is linked to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlackLinkDocument {
    /// The user, within its enterprise or workspace: `E0001/U012AB3CD`.
    pub user: String,
    /// The person.
    pub person: Person,
    /// Who made it.
    pub created: Stamp,
}

/// What a Slack channel hears of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelDocument {
    /// The channel's id.
    pub channel: String,
    /// By repository and stage: which events.
    #[serde(default)]
    pub hears: BTreeMap<RepoName, BTreeMap<Stage, BTreeSet<String>>>,
}

/// Links a Slack user to a person, in place of whom it was linked to.
pub(super) async fn link(
    inner: &Inner,
    by: &Origin,
    user: &str,
    person: &Person,
) -> Result<(), GovernError> {
    let (path, (scope, id)) = (link_path(user)?, split(user));
    let message = format!("Link the Slack user {id} of {scope} to {person}");
    write(inner, by, &message, |draft| {
        let created = Stamp { by: by.name.clone(), at: draft.now };
        let (user, person) = (user.to_owned(), person.clone());
        draft.put(&path, &SlackLinkDocument { user, person, created })
    })
    .await
}

/// Lets a channel hear of a stage, or with `None` no more; whether anything
/// changed.
pub(super) async fn subscribe(
    inner: &Inner,
    by: &Origin,
    channel: &str,
    (repo, stage): (&RepoName, &Stage),
    events: Option<&BTreeSet<String>>,
) -> Result<bool, GovernError> {
    check("channel", channel)?;
    let path = format!("channels/{channel}.json");
    let word = if events.is_some() { "hears of" } else { "hears no more of" };
    let message = format!("The Slack channel {channel} {word} {stage} of {repo}");
    write(inner, by, &message, |draft| {
        let before = draft.get::<ChannelDocument>(&path)?.unwrap_or_default();
        let mut after = ChannelDocument { channel: channel.to_owned(), ..before.clone() };
        let stages = after.hears.entry(repo.clone()).or_default();
        match events {
            Some(events) => stages.insert(stage.clone(), events.clone()),
            None => stages.remove(stage),
        };
        after.hears.retain(|_, stages| !stages.is_empty());
        if after.hears.values().map(BTreeMap::len).sum::<usize>() > HEARD_MAX {
            let said = format!("a channel hears of at most {HEARD_MAX} stages; unsubscribe one");
            return Err(GovernError::Invalid(said));
        }
        if after.hears == before.hears {
            return Ok(false);
        }
        match after.hears.is_empty() {
            true => draft.remove(&path)?,
            false => draft.put(&path, &after)?,
        }
        Ok(true)
    })
    .await
}

fn link_path(user: &str) -> Result<String, GovernError> {
    let (scope, id) = split(user);
    check("Slack workspace", scope)?;
    check("Slack user", id)?;
    Ok(format!("links/{scope}/{id}.json"))
}

/// A user outside of any workspace lies in a folder of its own.
fn split(user: &str) -> (&str, &str) {
    user.split_once('/').unwrap_or(("any", user))
}

fn check(what: &str, id: &str) -> Result<(), GovernError> {
    let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain {
        return Ok(());
    }
    Err(GovernError::Invalid(format!("`{}` is no {what}'s id", id.escape_debug())))
}
