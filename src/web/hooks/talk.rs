//! One request of one person: who, where, and how they are told something.

use std::time::Duration;

use super::desk::Desk;
use super::{Hooks, SlackHooks, converse};
use crate::chat::{self, Able, Caller, Clock, Message, Post, VerbSpec};
use crate::model::{Actor, BundleId, Person, Role, Stage, Via};
use crate::promote::{Promotion, Refusal, RefusalKind};
use crate::telemetry::clock;

/// How long what changes may take to be told: a form must be open within three
/// seconds of the click.
const CHANGES_WITHIN: Duration = Duration::from_millis(1_200);
/// Changes that are told before a yes.
const CHANGES_MAX: usize = 10;

/// A request under way.
#[derive(Clone, Copy)]
pub(super) struct Talk<'a> {
    pub(super) desk: &'a dyn Desk,
    pub(super) slack: &'a SlackHooks,
    pub(super) caller: &'a Caller,
    /// The channel; empty where there is none.
    pub(super) channel: &'a str,
    /// Opens one form; empty where none can be opened.
    pub(super) trigger: &'a str,
    /// The slash command's name.
    pub(super) command: &'a str,
    /// Names the request in its answer and in the log.
    pub(super) trace: &'a str,
}

impl<'a> Talk<'a> {
    /// A request from nowhere in particular, that opens no form.
    pub(super) fn new(
        hooks: &'a Hooks,
        slack: &'a SlackHooks,
        caller: &'a Caller,
        trace: &'a str,
    ) -> Self {
        let (desk, command) = (hooks.desk.as_ref(), converse::COMMAND);
        Self { desk, slack, caller, channel: "", trigger: "", command, trace }
    }
}

impl Talk<'_> {
    /// The person behind the Slack user.
    pub(super) fn person(&self) -> Option<Person> {
        self.slack.directory.find(self.caller)
    }

    /// The role that the person was given.
    pub(super) fn role(&self) -> Option<Role> {
        self.person().and_then(|person| self.slack.directory.role(&person))
    }

    /// Whoever acts, if they may use the verb at all.
    pub(super) fn actor(&self, spec: &VerbSpec) -> Result<Actor, Box<Message>> {
        let Some(person) = self.person() else {
            return Err(Box::new(chat::known_by_no_one(self.caller)));
        };
        let role = self.slack.directory.role(&person);
        if !(Able { person: Some(&person), role, stages: &[] }).may(spec) {
            let message = format!("the role of {person} does not allow `{}`", spec.name);
            let hint = format!("ask an administrator for the role {}", spec.needs);
            let refusal = Refusal::new(RefusalKind::Forbidden, message, hint);
            return Err(Box::new(self.refused(spec, &refusal)));
        }
        Ok(Actor::person(person, Via::Slack))
    }

    /// Now, and the zone that times are meant in.
    pub(super) fn clock(&self) -> Clock {
        Clock { now: clock::now(), zone: self.slack.zone.clone() }
    }

    /// The stages of every pipeline, each once, in order.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let view = self.desk.view();
        let mut stages = Vec::new();
        for spec in view.manifests.values().flat_map(|manifest| &manifest.stages) {
            if !stages.contains(&spec.name) {
                stages.push(spec.name.clone());
            }
        }
        stages
    }

    /// What a promotion changes, as lines of a message: who is asked for a yes
    /// sees it first. Nobody waits long for it; the page has it anyway.
    pub(super) async fn changes(&self, promotion: &Promotion) -> Vec<String> {
        let told = tokio::time::timeout(CHANGES_WITHIN, self.desk.changes_of(promotion)).await;
        let Promotion { repo, stage, plan, .. } = promotion;
        let from = plan.from.as_ref().map(BundleId::as_str);
        let page = self.slack.links.diff(repo, Some(stage), from, plan.to.as_str());
        let summary = told.ok().flatten();
        summary.map(|told| chat::changes(&told, CHANGES_MAX, &page)).unwrap_or_default()
    }

    /// What is said where nothing was done.
    pub(super) fn refused(&self, spec: &VerbSpec, refusal: &Refusal) -> Message {
        tracing::info!(
            trace = self.trace,
            verb = spec.name,
            refusal = refusal.message,
            "slack: refused"
        );
        chat::refusal(refused_as(spec), refusal, self.trace)
    }

    /// Tells somebody else that what they had set was taken away.
    pub(super) async fn tell_setter(&self, setter: &Person, what: &str) {
        let by = self.person();
        if by.as_ref() == Some(setter) {
            return;
        }
        let Some(user) = self.slack.directory.slack_of(setter) else { return };
        let by = by.map_or_else(String::new, |by| by.to_string());
        let text = format!(":bell: {} did this: {}", chat::clean(&by, 64), chat::clean(what, 300));
        let message = Message::plain(&text);
        let post =
            Post { channel: &user, thread: None, broadcast: false, key: None, message: &message };
        if let Err(error) = self.slack.client.post(post).await {
            tracing::warn!(trace = self.trace, person = %setter, "slack: not told: {error}");
        }
    }

    /// Tells the person something by itself: in the channel where only they
    /// see it, or else between them and the app.
    pub(super) async fn tell(&self, message: &Message) {
        let (client, user) = (&self.slack.client, self.caller.user.as_str());
        if !self.channel.is_empty() {
            match client.whisper(self.channel, user, None, message).await {
                Ok(()) => return,
                Err(error) if error.is_transient() => {
                    return tracing::warn!(trace = self.trace, "slack: not told: {error}");
                }
                // The app, or the person, is not in the channel.
                Err(_) => {}
            }
        }
        let post = Post { channel: user, thread: None, broadcast: false, key: None, message };
        if let Err(error) = client.post(post).await {
            tracing::warn!(trace = self.trace, "slack: not told: {error}");
        }
    }
}

/// `Not approved`.
fn refused_as(spec: &VerbSpec) -> &'static str {
    use chat::Verb;
    match spec.verb {
        Verb::Promote => "Not promoted",
        Verb::Approve => "Not approved",
        Verb::Reject => "Not rejected",
        Verb::Retract => "Not taken back",
        Verb::Cancel => "Not cancelled",
        Verb::Rollback => "Not rolled back",
        Verb::Abort => "Not aborted",
        Verb::Pause => "Not paused",
        Verb::Resume => "Not resumed",
        Verb::Advance => "Not advanced",
        Verb::Retest => "Not tested again",
        Verb::Pin => "Not pinned",
        Verb::Unpin => "Not unpinned",
        Verb::Veto => "Not vetoed",
        Verb::Unveto => "The veto stands",
        Verb::Lock => "Not locked",
        Verb::Unlock => "Not unlocked",
        Verb::Freeze => "Not frozen",
        Verb::Thaw => "Not thawed",
        Verb::Breakglass => "The glass is whole",
        Verb::Review => "Not signed",
        Verb::Link => "Not linked",
        Verb::Subscribe | Verb::Unsubscribe => "Not changed",
        Verb::Adopt => "Not adopted",
        _ => "Not found",
    }
}
