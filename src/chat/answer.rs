//! Short answers to one person: done, refused, not yet.
//!
//! A refusal always says what was refused, why, and how to go on.

use std::fmt::Write as _;

use super::card::{WORDS_MAX, standing};
use super::form::Caller;
use super::links::{Links, link};
use super::message::Message;
use super::text::clean;
use crate::promote::{Promotion, Refusal, RefusalKind};

/// `what` was not done (`Not approved`), because of `refusal`; `trace` leads to
/// the log.
pub fn refusal(what: &str, refusal: &Refusal, trace: &str) -> Message {
    let mut text = format!(":no_entry: *{}*: {}", clean(what, 100), marked(&refusal.message));
    if !refusal.hint.is_empty() {
        let _ = write!(text, "\n*How to go on*: {}", marked(&refusal.hint));
    }
    if refusal.kind == RefusalKind::Unavailable {
        text.push_str("\nNothing was changed; the same may be tried again.");
    }
    if !trace.is_empty() {
        let _ = write!(text, "\n[{}]", clean(trace, 32));
    }
    Message::plain(&text)
}

/// What was done, or had been done before.
pub fn receipt(
    message: &str,
    promotion: Option<&Promotion>,
    already: bool,
    links: &Links,
) -> Message {
    let mark = if already { ":information_source:" } else { ":white_check_mark:" };
    let mut text = format!("{mark} {}", marked(message));
    if let Some(promotion) = promotion {
        let page = link(&links.promotion(&promotion.id), promotion.id.as_str());
        let _ = write!(text, "\n{page} · {}", standing(promotion));
    }
    Message::plain(&text)
}

/// The Slack user is no person of the configuration.
pub fn known_by_no_one(caller: &Caller) -> Message {
    let id = clean(&caller.user, 64);
    let place = caller.enterprise.as_ref().or(caller.team.as_ref());
    let place = place.map_or(String::new(), |place| format!(" (of {})", clean(place, 64)));
    Message::plain(&format!(
        ":no_entry: *Not done*: the Slack user `{id}`{place} is not a person that Convoy knows; \
         you can look, and nothing else\n\
         *How to go on*: use `link` to say who you are, or ask an operator to map `{id}` to your \
         name among the people in Convoy's configuration",
    ))
}

/// A button of a card that shows an earlier plan.
pub fn outdated(promotion: &Promotion, links: &Links) -> Message {
    let id = &promotion.id;
    let page = link(&links.promotion(id), id.as_str());
    let plan: String = promotion.plan.digest.to_string().chars().take(12).collect();
    Message::plain(&format!(
        ":no_entry: *Not approved*: this card is out of date, the plan of {page} changed after it \
         was shown\n*How to go on*: look at the newest card, or read the diff and use \
         `approve {id} {plan}`",
    ))
}

/// The answer comes later.
pub fn working() -> Message {
    Message::plain(":hourglass_flowing_sand: Working on it, the answer follows here.")
}

/// Our own sentences about foreign names: escaped, with backticks kept as the
/// sentence has them.
fn marked(text: &str) -> String {
    let parts: Vec<_> = text.split('`').map(spaced).collect();
    parts.join("`")
}

/// `clean` without losing the spaces around a quoted name.
fn spaced(part: &str) -> String {
    let before = if part.starts_with(' ') { " " } else { "" };
    let after = if part.len() > 1 && part.ends_with(' ') { " " } else { "" };
    let inner = clean(part, WORDS_MAX * 3);
    if inner.is_empty() { before.to_owned() } else { format!("{before}{inner}{after}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::message::assert_within_limits;
    use crate::chat::samples;

    fn links() -> Links {
        Links::new("https://convoy.example.com")
    }

    #[test]
    fn a_refusal_says_what_why_and_how_to_go_on() {
        let why = Refusal {
            kind: RefusalKind::Forbidden,
            message: "`ann` wrote b-1 <!channel> and can't approve `it` too".into(),
            hint: "ask somebody else & wait".into(),
        };
        let message = refusal("Not approved", &why, "t-9c2f");
        assert_within_limits(&message);
        assert_eq!(
            message.text,
            ":no_entry: *Not approved*: `ann` wrote b-1 &lt;!channel&gt; and can't approve `it` too\n\
             *How to go on*: ask somebody else &amp; wait\n[t-9c2f]"
        );
    }

    #[test]
    fn an_unknown_user_is_told_which_id_to_add() {
        let caller = Caller { user: "U99".into(), team: Some("T1".into()), enterprise: None };
        let text = known_by_no_one(&caller).text;
        assert!(text.contains("`U99` (of T1)") && text.contains("configuration"), "{text}");
    }

    #[test]
    fn receipts_and_old_cards_lead_to_the_promotion() {
        let promotion = samples::promotion(142, "canary");
        let done = receipt("kim approved P-142", Some(&promotion), false, &links());
        let old = outdated(&promotion, &links());
        for message in [done, old] {
            assert_within_limits(&message);
            assert!(
                message.text.contains("example.com/promotions/P-142|P-142>"),
                "{}",
                message.text
            );
        }
    }
}
