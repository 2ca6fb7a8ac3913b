//! What is about the caller and the channel: the link to a person, and which
//! stages the channel hears of.

use crate::chat::{self, Events, Line, Message};
use crate::model::{Actor, Stage};
use crate::promote::{Refusal, RefusalKind};
use crate::web::hooks::choose;
use crate::web::hooks::talk::Talk;

/// A link that says, once it is opened by somebody who is logged in, whose the
/// Slack user is.
pub(super) fn link(talk: &Talk<'_>) -> Result<Option<Message>, Refusal> {
    let token = talk.slack.linking.token(&talk.caller.key(), talk.clock().now);
    let token = token.ok_or_else(|| {
        let message = "the system gives no random numbers";
        Refusal::new(RefusalKind::Unavailable, message, "try again")
    })?;
    let known = talk.person().map_or(String::new(), |person| {
        format!("You are linked to *{}* now. ", chat::clean(person.as_str(), 64))
    });
    Ok(Some(Message::plain(&format!(
        ":link: {known}<{}|Say who you are>: log in and confirm there. The link is yours alone, \
         good once, for 10 minutes: whoever else opens it links your Slack user to themselves.",
        talk.slack.links.linking(&token)
    ))))
}

/// Lets the channel hear of a stage, or with `None` no more.
pub(super) async fn subscribe(
    talk: &Talk<'_>,
    line: &Line,
    actor: &Actor,
    stage: &Stage,
    events: Option<&Events>,
) -> Result<Option<Message>, Refusal> {
    if !talk.channel.starts_with(['C', 'G']) {
        let message = "this is no channel";
        let hint = "type it in the channel that shall hear of the stage";
        return Err(Refusal::new(RefusalKind::Invalid, message, hint));
    }
    let view = talk.desk.view();
    let default = talk.slack.default_repo.as_ref();
    let repo = choose::repo(&view, line.repo.as_ref(), default, Some(stage))?;
    choose::stage(&view, &repo, stage)?;
    let words = events.map(|events| &events.0);
    let directory = &talk.slack.directory;
    let changed = directory.subscribe(actor, talk.channel, (&repo, stage), words).await?;
    let what = match events {
        Some(Events(words)) => {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            format!("This channel hears of {stage} of {repo}: {}", words.join(", "))
        }
        None => format!("This channel hears no more of {stage} of {repo}"),
    };
    Ok(Some(chat::receipt(&what, None, !changed, &talk.slack.links)))
}
