//! Forms: opened within three seconds of a click, carried out when they come
//! back. Knows no HTTP.

use super::acts::{self, Urgent};
use super::replies::Reply;
use super::talk::Talk;
use crate::chat::{
    self, About, BUNDLE_INPUT, Form, Message, REASON_INPUT, SHORTCUT, STAGE_INPUT, Submission,
    TYPED_INPUT, Verb, VerbSpec, View,
};
use crate::model::{PromotionId, RepoName, Stage};
use crate::promote::{Refusal, RefusalKind};
use crate::reconcile::{Command, Receipt};

/// Opens a form; where that is not possible, `instead` says how to go on.
pub(super) async fn open(talk: &Talk<'_>, form: &View, instead: &str) -> Result<(), Refusal> {
    let unavailable = |message: String| Refusal::new(RefusalKind::Unavailable, message, instead);
    if talk.trigger.is_empty() {
        return Err(unavailable("a form can't be opened from here".into()));
    }
    talk.slack.client.open(talk.trigger, form).await.map_err(|error| {
        tracing::warn!(trace = talk.trace, "slack: a form was not opened: {error}");
        unavailable(format!("the form could not be opened: {error}"))
    })
}

/// The shortcut's form; `None` where it is open.
pub(super) async fn open_promote(talk: &Talk<'_>, callback_id: &str) -> Option<Message> {
    if callback_id != SHORTCUT {
        tracing::debug!(callback_id, "slack: a shortcut of no use was acknowledged");
        return None;
    }
    let spec = Verb::Promote.spec();
    if let Err(message) = talk.actor(spec) {
        return Some(*message);
    }
    let view = talk.desk.view();
    let of_repo = view.manifests.iter().flat_map(|(repo, manifest)| {
        manifest.stages.iter().map(|spec| (repo.clone(), spec.name.clone()))
    });
    let stages: Vec<_> = of_repo.collect();
    let opened = match chat::promote_form(&stages, &view.state, talk.channel) {
        Some(form) => open(talk, &form, "use `promote BUNDLE to STAGE`").await,
        None => Err(Refusal::new(
            RefusalKind::Conflict,
            "there is no bundle that may be promoted so far",
            "`list bundles` shows what was rendered",
        )),
    };
    opened.err().map(|refusal| talk.refused(spec, &refusal))
}

/// Carries out a form. What is wrong in it is said below the input that it is
/// about; the message is for whoever is past waiting, or says what was done.
pub(super) async fn answer(talk: &Talk<'_>, sent: &Submission) -> (Reply, Message) {
    let (Some(form), Some(about)) = (Form::named(&sent.callback_id), About::parse(&sent.metadata))
    else {
        let said = chat::no_preview("the form is none of Convoy's");
        return (Reply::Form(None), said);
    };
    let filled = Filled { talk, form, about: &about, sent };
    match filled.run().await {
        Ok(receipt) => {
            let promotion = receipt.promotion.as_ref();
            let links = &talk.slack.links;
            let said = chat::receipt(&receipt.message, promotion, receipt.already, links);
            (Reply::Form(None), said)
        }
        Err(Wrong { input, refusal }) => {
            let said = talk.refused(filled.spec(), &refusal);
            let text = match refusal.hint.is_empty() {
                true => format!("{} [{}]", refusal.message, talk.trace),
                false => format!("{}; {} [{}]", refusal.message, refusal.hint, talk.trace),
            };
            (Reply::Form(Some(chat::wrong(input, &text))), said)
        }
    }
}

/// What is wrong, and below which input it is said.
struct Wrong {
    input: &'static str,
    refusal: Refusal,
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self { input: REASON_INPUT, refusal }
    }
}

struct Filled<'a> {
    talk: &'a Talk<'a>,
    form: Form,
    about: &'a About,
    sent: &'a Submission,
}

impl Filled<'_> {
    fn spec(&self) -> &'static VerbSpec {
        match self.form {
            Form::Approve => Verb::Approve,
            Form::Reject => Verb::Reject,
            Form::Promote => Verb::Promote,
            Form::Breakglass => Verb::Breakglass,
        }
        .spec()
    }

    async fn run(&self) -> Result<Receipt, Wrong> {
        let command = self.command()?;
        let person = self.talk.person().ok_or_else(|| {
            let message = "your Slack user is linked to nobody";
            Refusal::new(RefusalKind::Forbidden, message, "use the command `link`")
        })?;
        let role = self.talk.slack.directory.role(&person);
        let able = chat::Able { person: Some(&person), role, stages: &[] };
        if !able.may(self.spec()) {
            let message = format!("the role of {person} does not allow it");
            let hint = "ask an administrator for another role";
            return Err(Refusal::new(RefusalKind::Forbidden, message, hint).into());
        }
        let actor = crate::model::Actor::person(person, crate::model::Via::Slack);
        Ok(self.talk.desk.act(actor, command).await?)
    }

    fn text(&self, input: &str) -> String {
        self.sent.values.get(input).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    fn needed(&self, input: &'static str, what: &str) -> Result<String, Wrong> {
        match self.text(input) {
            text if text.is_empty() => {
                let refusal = Refusal::new(RefusalKind::Invalid, format!("{what} is missing"), "");
                Err(Wrong { input, refusal })
            }
            text => Ok(text),
        }
    }

    /// The stage's name was typed, letter by letter.
    fn typed(&self, stage: &Stage) -> Result<(), Wrong> {
        if self.text(TYPED_INPUT) == stage.as_str() {
            return Ok(());
        }
        let message = format!("this is not the stage's name; type {stage}");
        let refusal = Refusal::new(RefusalKind::Invalid, message, "");
        Err(Wrong { input: TYPED_INPUT, refusal })
    }

    fn command(&self) -> Result<Command, Wrong> {
        match self.form {
            Form::Approve => self.approve(),
            Form::Reject => {
                let reason = self.needed(REASON_INPUT, "the reason")?;
                Ok(Command::Reject { id: self.id()?, reason })
            }
            Form::Promote => self.promote(),
            Form::Breakglass => self.breakglass(),
        }
    }

    fn id(&self) -> Result<PromotionId, Wrong> {
        let id = PromotionId::new(&self.about.id);
        Ok(id.map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string(), ""))?)
    }

    /// Whether the stage is the last is asked of the pipeline, not of what the
    /// form carries.
    fn approve(&self) -> Result<Command, Wrong> {
        let (id, view) = (self.id()?, self.talk.desk.view());
        let promotion = view.state.promotions.get(&id).ok_or_else(|| {
            let message = format!("there is no promotion {id} any more");
            Refusal::new(RefusalKind::NotFound, message, "`status` shows what waits")
        })?;
        if chat::is_last(promotion, view.manifests.get(&promotion.repo)) {
            self.typed(&promotion.stage)?;
            self.needed(REASON_INPUT, "the reason")?;
        }
        let (plan, note) = (Some(self.about.plan.clone()), self.text(REASON_INPUT));
        Ok(Command::Approve { id, plan, note })
    }

    fn promote(&self) -> Result<Command, Wrong> {
        let chosen = self.needed(STAGE_INPUT, "the stage")?;
        let bundle = self.needed(BUNDLE_INPUT, "the bundle")?;
        let unread = || Wrong {
            input: STAGE_INPUT,
            refusal: Refusal::new(RefusalKind::Invalid, "this is no stage", "choose another"),
        };
        let (repo, stage) = chosen.split_once(' ').ok_or_else(unread)?;
        let repo = RepoName::new(repo).map_err(|_| unread())?;
        let stage = Stage::new(stage).map_err(|_| unread())?;
        Ok(acts::promote(repo, stage, bundle, self.text(REASON_INPUT), None))
    }

    fn breakglass(&self) -> Result<Command, Wrong> {
        let unread = |text: &str| {
            let message = format!("`{text}` in this form can't be read");
            Refusal::new(RefusalKind::Invalid, message, "type the command again")
        };
        let About { repo, stage, bundle, incident, .. } = self.about;
        let repo = RepoName::new(repo).map_err(|_| unread(repo))?;
        let stage = Stage::new(stage).map_err(|_| unread(stage))?;
        self.typed(&stage)?;
        let reason = self.needed(REASON_INPUT, "the reason")?;
        let typed = self.text(TYPED_INPUT);
        let (bundle, incident) = (bundle.clone(), incident.clone());
        // Only what was listed is passed over, whatever is closed by now.
        let skip = self.about.skip.clone();
        Ok(Urgent { repo, stage, bundle, incident, reason, skip, typed }.command())
    }
}
