//! From a pressed button to an answer. Knows no HTTP.
//!
//! The card itself is edited by the reconciler's announcement; the clicker
//! always gets a word of their own, most of all where nothing was done.

use super::SlackHooks;
use super::desk::Desk;
use crate::chat::{self, ButtonValue, Click, Decide, Message};
use crate::model::{Actor, Via};
use crate::promote::{Promotion, Refusal, RefusalKind};
use crate::reconcile::Command;

/// Carries out a click; `None` where it is on something that is none of ours
/// (a link, an older version's control).
pub(super) async fn answer(desk: &dyn Desk, slack: &SlackHooks, click: &Click) -> Option<Message> {
    let decide = Decide::from_action_id(&click.action_id)?;
    let Some(person) = slack.people.find(&click.caller) else {
        return Some(chat::known_by_no_one(&click.caller));
    };
    let actor = Actor::person(person.clone(), Via::Slack);
    Some(match run(desk, slack, decide, click, actor).await {
        Ok(message) => message,
        Err(refusal) => chat::refusal(refused_as(decide), &refusal),
    })
}

async fn run(
    desk: &dyn Desk,
    slack: &SlackHooks,
    decide: Decide,
    click: &Click,
    actor: Actor,
) -> Result<Message, Refusal> {
    let value = ButtonValue::parse(&click.value).ok_or_else(|| unreadable(&click.action_id))?;
    let view = desk.view();
    let shown = view.state.promotions.get(&value.id).ok_or_else(|| gone(&value))?;
    // Saying no is safe whatever the plan is; saying yes is for the plan that
    // was looked at. The reconciler compares once more.
    if decide == Decide::Approve && is_outdated(shown, &value) {
        return Ok(chat::outdated(shown, &slack.links));
    }
    let receipt = desk.act(actor, command(decide, value)).await?;
    let promotion = receipt.promotion.as_ref();
    Ok(chat::receipt(&receipt.message, promotion, receipt.already, &slack.links))
}

fn is_outdated(shown: &Promotion, value: &ButtonValue) -> bool {
    !shown.status.is_terminal() && !shown.plan.digest.to_string().starts_with(&value.plan)
}

fn command(decide: Decide, ButtonValue { id, plan }: ButtonValue) -> Command {
    match decide {
        Decide::Approve => Command::Approve { id, plan: Some(plan), note: String::new() },
        Decide::Reject => Command::Reject { id, reason: "by the card's button".into() },
        Decide::Cancel => Command::Cancel { id, reason: "by the card's button".into() },
    }
}

fn refused_as(decide: Decide) -> &'static str {
    match decide {
        Decide::Approve => "Not approved",
        Decide::Reject => "Not rejected",
        Decide::Cancel => "Not cancelled",
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
    use crate::chat::samples;
    use crate::web::hooks::testing::{Counter, click, slack_hooks};

    async fn press(desk: &Counter, user: &str, action: &str, value: &str) -> Option<String> {
        answer(desk, &slack_hooks(), &click(user, action, value)).await.map(|said| said.text)
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
        let said = press(&desk, "U1", "approve", "v1.P-142.000000000000").await.unwrap();
        assert!(said.contains("out of date") && said.contains("abababababab"), "{said}");
        assert!(desk.acts().is_empty());
        press(&desk, "U1", "reject", "v1.P-142.000000000000").await.unwrap();
        assert_eq!(desk.acts().len(), 1);
    }

    #[tokio::test]
    async fn every_refused_click_is_answered() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let table = [
            ("U-stranger", "v1.P-142.abababababab", "is not a person"),
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
}
