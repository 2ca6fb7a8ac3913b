//! From a pressed button to an answer. Knows no HTTP.
//!
//! The card itself is edited by the reconciler's announcement; the clicker
//! always gets a word of their own, most of all where nothing was done.

use super::fill;
use super::previews::Unfit;
use super::talk::Talk;
use crate::chat::{self, ButtonValue, CONFIRM, Click, DISMISS, Decide, Message, View};
use crate::model::Actor;
use crate::promote::{Promotion, Refusal, RefusalKind};
use crate::reconcile::{Act, Command};

/// What the clicker is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// What.
    pub(super) message: Message,
    /// Whether it takes the place of what was clicked on.
    pub(super) instead: bool,
}

impl From<Message> for Said {
    fn from(message: Message) -> Self {
        Self { message, instead: false }
    }
}

/// Carries out a click; `None` where there is nothing to say: it opened a
/// form, or is on something that is none of ours (a link, an older version's
/// control).
pub(super) async fn answer(talk: &Talk<'_>, click: &Click) -> Option<Said> {
    match click.action_id.as_str() {
        CONFIRM => return Some(confirm(talk, &click.value).await),
        DISMISS => return Some(dismiss(talk, &click.value)),
        _ => {}
    }
    let decide = Decide::from_action_id(&click.action_id)?;
    let spec = decide.verb().spec();
    let actor = match talk.actor(spec) {
        Ok(actor) => actor,
        Err(said) => return Some((*said).into()),
    };
    match run(talk, decide, click, actor).await {
        Ok(said) => said.map(Said::from),
        Err(refusal) => Some(talk.refused(spec, &refusal).into()),
    }
}

/// Does what was shown, once.
async fn confirm(talk: &Talk<'_>, token: &str) -> Said {
    let act = match talk.slack.previews.take(token, &talk.caller.key(), talk.clock().now) {
        Ok(act) => act,
        Err(unfit) => return no_preview(unfit),
    };
    let spec = act.verb.spec();
    let actor = match talk.actor(spec) {
        Ok(actor) => actor,
        Err(message) => return (*message).into(),
    };
    let message = match talk.desk.act(actor, act.command).await {
        Err(refusal) => talk.refused(spec, &refusal),
        Ok(receipt) => {
            if let Some(setter) = &act.tells {
                talk.tell_setter(setter, &receipt.message).await;
            }
            let promotion = receipt.promotion.as_ref();
            chat::receipt(&receipt.message, promotion, receipt.already, &talk.slack.links)
        }
    };
    Said { message, instead: true }
}

fn dismiss(talk: &Talk<'_>, token: &str) -> Said {
    match talk.slack.previews.take(token, &talk.caller.key(), talk.clock().now) {
        Err(Unfit::Another) => no_preview(Unfit::Another),
        _ => Said { message: Message::plain("Left; nothing was done."), instead: true },
    }
}

/// What is somebody else's preview is left as it is.
fn no_preview(unfit: Unfit) -> Said {
    Said { message: chat::no_preview(unfit.words()), instead: unfit != Unfit::Another }
}

async fn run(
    talk: &Talk<'_>,
    decide: Decide,
    click: &Click,
    actor: Actor,
) -> Result<Option<Message>, Refusal> {
    let value = ButtonValue::parse(&click.value).ok_or_else(|| unreadable(&click.action_id))?;
    let view = talk.desk.view();
    let shown = view.state.promotions.get(&value.id).ok_or_else(|| gone(&value))?;
    // Saying no is safe whatever the plan is; saying yes is for the plan that
    // was looked at. The reconciler compares once more.
    if decide.verb() == chat::Verb::Approve && is_outdated(shown, &value) {
        return Ok(Some(chat::outdated(shown, &talk.slack.links)));
    }
    let last = chat::is_last(shown, view.manifests.get(&shown.repo));
    let form = match decide {
        Decide::Approve if !last => None,
        Decide::Approve | Decide::Note => {
            let changes = talk.changes(shown).await;
            Some(chat::approve_form(shown, &view.state, changes, last, talk.channel))
        }
        Decide::Reject => Some(chat::reject_form(shown, talk.channel)),
        _ => None,
    };
    if let Some(form) = form {
        return open(talk, &form, shown, decide).await.map(|()| None);
    }
    let receipt = talk.desk.act(actor, command(decide, value)).await?;
    let promotion = receipt.promotion.as_ref();
    Ok(Some(chat::receipt(&receipt.message, promotion, receipt.already, &talk.slack.links)))
}

/// A form that can't be opened must not stop anybody: the command says the
/// same.
async fn open(
    talk: &Talk<'_>,
    form: &View,
    shown: &Promotion,
    decide: Decide,
) -> Result<(), Refusal> {
    let value = ButtonValue::of(shown);
    let instead = match decide {
        Decide::Reject => format!("use `reject {} REASON`", value.id),
        _ => format!("use `approve {} {} NOTE`", value.id, value.plan),
    };
    fill::open(talk, form, &instead).await
}

fn is_outdated(shown: &Promotion, value: &ButtonValue) -> bool {
    !shown.status.is_terminal() && !shown.plan.digest.to_string().starts_with(&value.plan)
}

fn command(decide: Decide, ButtonValue { id, plan }: ButtonValue) -> Command {
    let reason = "by the card's button".to_owned();
    match decide {
        Decide::Reject => Command::Reject { id, reason },
        Decide::Cancel => Command::Cancel { id, reason },
        Decide::Abort => Command::Act(Act::Abort { id, reason }),
        Decide::Pause => Command::Act(Act::Pause { id, reason }),
        Decide::Resume => Command::Act(Act::Resume { id }),
        Decide::Advance => Command::Act(Act::Advance { id, to: None }),
        Decide::Review => Command::Act(Act::Review { id, note: reason }),
        Decide::Approve | Decide::Note => {
            Command::Approve { id, plan: Some(plan), note: String::new() }
        }
    }
}

fn unreadable(action_id: &str) -> Refusal {
    Refusal {
        kind: RefusalKind::Invalid,
        message: format!("the button `{action_id}` carries nothing that Convoy wrote"),
        hint: "use the newest card, or the command".into(),
    }
}

fn gone(value: &ButtonValue) -> Refusal {
    Refusal {
        kind: RefusalKind::NotFound,
        message: format!("there is no promotion {} any more", value.id),
        hint: "`status` shows what waits".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Verb, samples};
    use crate::web::hooks::SlackHooks;
    use crate::web::hooks::previews;
    use crate::web::hooks::testing::{Counter, caller, click, slack_hooks, talk};

    async fn press_in(
        slack: &SlackHooks,
        desk: &Counter,
        user: &str,
        (action, value): (&str, &str),
    ) -> Option<Said> {
        let caller = caller(user);
        answer(&talk(desk, slack, &caller), &click(user, action, value)).await
    }

    async fn press(desk: &Counter, user: &str, action: &str, value: &str) -> Option<String> {
        let said = press_in(&slack_hooks(), desk, user, (action, value)).await;
        said.map(|said| said.message.text)
    }

    #[tokio::test]
    async fn a_click_approves_the_plan_that_was_shown() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let said = press(&desk, "U1", "approve", "v1.P-142.abababababab").await.unwrap();
        assert!(said.contains(":white_check_mark:"), "{said}");
        let wanted = Command::Approve {
            id: crate::model::PromotionId::numbered(142),
            plan: Some("abababababab".into()),
            note: String::new(),
        };
        assert_eq!(desk.acts(), [(samples::person("kim"), wanted)]);
    }

    #[tokio::test]
    async fn an_old_card_approves_nothing() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        for action in ["approve", "approve_note"] {
            let said = press(&desk, "U1", action, "v1.P-142.000000000000").await.unwrap();
            assert!(said.contains("out of date") && said.contains("abababababab"), "{said}");
        }
        assert!(desk.acts().is_empty());
        press(&desk, "U1", "cancel", "v1.P-142.000000000000").await.unwrap();
        assert_eq!(desk.acts().len(), 1);
    }

    #[tokio::test]
    async fn the_last_stage_and_every_no_ask_for_more_and_do_nothing_yet() {
        let desk = Counter::new(vec![samples::promotion(142, "release")]);
        // Nobody answers at the API: who pressed is told how to go on.
        for (action, instead) in [("approve", "approve P-142 abab"), ("reject", "reject P-142")] {
            let said = press(&desk, "U1", action, "v1.P-142.abababababab").await.unwrap();
            assert!(said.contains("form could not be opened"), "{said}");
            assert!(said.contains(instead), "{said}");
        }
        assert!(desk.acts().is_empty());
    }

    #[tokio::test]
    async fn every_refused_click_is_answered() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let table = [
            ("U-stranger", "v1.P-142.abababababab", "is not a person"),
            ("U3", "v1.P-142.abababababab", "does not allow"),
            ("U1", "v1.P-143.abababababab", "no promotion P-143"),
            ("U1", "forged", "nothing that Convoy wrote"),
        ];
        for (user, value, part) in table {
            let said = press(&desk, user, "approve", value).await.unwrap();
            assert!(said.contains(part), "{said}");
        }
        assert!(desk.acts().is_empty());
        desk.refuse("ann wrote this bundle and can't approve it");
        let said = press(&desk, "U2", "approve", "v1.P-142.abababababab").await.unwrap();
        assert!(said.contains("*Not approved*: ann wrote"), "{said}");
    }

    #[tokio::test]
    async fn a_click_on_something_else_is_ignored() {
        let desk = Counter::new(Vec::new());
        assert_eq!(press(&desk, "U1", "open_link", "x").await, None);
    }

    #[tokio::test]
    async fn a_preview_is_confirmed_once_and_by_who_typed_it() {
        let (desk, slack) = (Counter::new(Vec::new()), slack_hooks());
        let adopt = Command::Adopt { repo: samples::repo() };
        let act = previews::Act { verb: Verb::Adopt, command: adopt.clone(), tells: None };
        let token = slack.previews.keep("T1/U1".into(), act, crate::telemetry::clock::now());
        let token = token.unwrap();
        let other = press_in(&slack, &desk, "U2", (CONFIRM, &token)).await.unwrap();
        assert!(other.message.text.contains("only the person who typed") && !other.instead);
        let done = press_in(&slack, &desk, "U1", (CONFIRM, &token)).await.unwrap();
        assert!(done.instead && done.message.text.contains(":white_check_mark:"), "{done:?}");
        let again = press_in(&slack, &desk, "U1", (CONFIRM, &token)).await.unwrap();
        assert!(again.message.text.contains("confirmed or left before"), "{again:?}");
        assert_eq!(desk.acts(), [(samples::person("kim"), adopt)]);
        let left = press_in(&slack, &desk, "U1", (DISMISS, "c1.x")).await.unwrap();
        assert!(left.instead && left.message.text.contains("nothing was done"), "{left:?}");
    }
}
