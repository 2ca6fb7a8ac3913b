//! The buttons of a promotion, and what a press says.
//!
//! Which of them are shown is asked of the guard that decides, and of nothing
//! else; a press is asked again.

use std::collections::BTreeSet;

use slack_morphism::prelude::{
    SlackBlock, SlackBlockButtonElement, SlackBlockButtonStyle, SlackBlockConfirmItem,
};

use super::counted;
use crate::chat::grammar::Verb;
use crate::chat::message;
use crate::model::{Manifest, PromotionId};
use crate::promote::Promotion;

/// What a button asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decide {
    /// Yes.
    Approve,
    /// Yes, with a note.
    Note,
    /// No.
    Reject,
    /// Never mind.
    Cancel,
    /// Go on to the next step.
    Advance,
    /// Hold it where it is.
    Pause,
    /// Let it go on.
    Resume,
    /// Stop it and go back.
    Abort,
    /// Sign what was done past the gates.
    Review,
}

impl Decide {
    /// All of them, in the order of a card.
    pub const ALL: [Self; 9] = [
        Self::Approve,
        Self::Note,
        Self::Reject,
        Self::Advance,
        Self::Resume,
        Self::Pause,
        Self::Abort,
        Self::Review,
        Self::Cancel,
    ];

    /// The button's action id.
    pub fn action_id(self) -> &'static str {
        match self {
            Self::Note => "approve_note",
            other => other.verb().spec().name,
        }
    }

    /// The verb that says the same.
    pub fn verb(self) -> Verb {
        match self {
            Self::Approve | Self::Note => Verb::Approve,
            Self::Reject => Verb::Reject,
            Self::Cancel => Verb::Cancel,
            Self::Advance => Verb::Advance,
            Self::Pause => Verb::Pause,
            Self::Resume => Verb::Resume,
            Self::Abort => Verb::Abort,
            Self::Review => Verb::Review,
        }
    }

    /// The button that `action_id` names; `None` for every other control.
    pub fn from_action_id(action_id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decide| decide.action_id() == action_id)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::Note => "Approve with a note",
            Self::Reject => "Reject",
            Self::Cancel => "Cancel",
            Self::Advance => "Next step",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Abort => "Abort",
            Self::Review => "Sign the review",
        }
    }

    fn style(self) -> Option<SlackBlockButtonStyle> {
        match self {
            Self::Approve => Some(SlackBlockButtonStyle::Primary),
            Self::Reject | Self::Abort => Some(SlackBlockButtonStyle::Danger),
            _ => None,
        }
    }
}

/// The buttons that would be carried out now, for somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer(pub BTreeSet<Decide>);

impl Offer {
    /// What `allowed` lets pass.
    pub fn of(allowed: impl Fn(Decide) -> bool) -> Self {
        Self(Decide::ALL.into_iter().filter(|decide| allowed(*decide)).collect())
    }
}

/// What a button carries: `v1.<promotion>.<beginning of the plan's digest>`.
/// It says what the clicker saw and grants nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ButtonValue {
    /// The promotion.
    pub id: PromotionId,
    /// The plan that the card showed.
    pub plan: String,
}

const PREFIX: usize = 12;

impl ButtonValue {
    /// The value for `promotion` as it stands.
    pub fn of(promotion: &Promotion) -> Self {
        Self { id: promotion.id.clone(), plan: prefix(promotion) }
    }

    /// Reads a value back; `None` where it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, plan) = text.strip_prefix("v1.")?.rsplit_once('.')?;
        let hex = plan.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = PromotionId::new(id).ok()?;
        (hex && plan.len() == PREFIX).then(|| Self { id, plan: plan.to_owned() })
    }
}

impl std::fmt::Display for ButtonValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v1.{}.{}", self.id, self.plan)
    }
}

/// The beginning of the plan's digest that people and buttons carry.
pub(in crate::chat) fn prefix(promotion: &Promotion) -> String {
    promotion.plan.digest.to_string().chars().take(PREFIX).collect()
}

/// The buttons that are offered.
pub(in crate::chat) fn row(promotion: &Promotion, offer: &Offer) -> Option<SlackBlock> {
    let value = ButtonValue::of(promotion).to_string();
    let shown = Decide::ALL.into_iter().filter(|decide| offer.0.contains(decide));
    let buttons: Vec<_> = shown.map(|decide| button(promotion, decide, &value)).collect();
    (!buttons.is_empty()).then(|| message::actions(buttons))
}

fn button(promotion: &Promotion, decide: Decide, value: &str) -> SlackBlockButtonElement {
    let (id, label, style) = (decide.action_id(), decide.label(), decide.style());
    message::button(id, label, value, style, question(promotion, decide))
}

/// What asks before it is done. A yes to the last stage and every no open a
/// form instead, which asks for more.
fn question(promotion: &Promotion, decide: Decide) -> Option<SlackBlockConfirmItem> {
    let Promotion { id, stage, bundle, plan, .. } = promotion;
    let (title, text, yes) = match decide {
        Decide::Cancel => (
            format!("Cancel {id}?"),
            format!("{id} will not bring {bundle} to {stage}."),
            "Cancel it",
        ),
        Decide::Abort => (
            format!("Abort {id}?"),
            format!("{stage} goes back to what it served before {bundle}: {}.", counted(plan.diff)),
            "Abort it",
        ),
        Decide::Advance => (
            format!("Go on with {id}?"),
            format!("The next nodes of {stage} will serve {bundle}, without waiting longer."),
            "Go on",
        ),
        _ => return None,
    };
    let style = if decide == Decide::Abort { "danger" } else { "primary" };
    Some(message::confirm(&title, &text, yes, style))
}

/// Whether the promotion leads to the last stage of its pipeline, where a yes
/// asks for the stage's name.
pub fn is_last(promotion: &Promotion, manifest: Option<&Manifest>) -> bool {
    let last = manifest.and_then(|manifest| manifest.stages.last());
    last.is_some_and(|spec| spec.name == promotion.stage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;

    #[test]
    fn a_value_comes_back_as_it_went() {
        let value = ButtonValue::of(&samples::promotion(142, "canary"));
        assert_eq!(value.to_string(), "v1.P-142.abababababab");
        assert_eq!(ButtonValue::parse(&value.to_string()), Some(value));
    }

    #[test]
    fn foreign_values_are_none_of_ours() {
        for foreign in [
            "",
            "v1.",
            "v2.P-1.abababababab",
            "v1.P-1.ab",
            "v1.P-1.ABABABABABAB",
            "v1..abababababab",
            "v1.a b.abababababab",
            "P-1",
        ] {
            assert_eq!(ButtonValue::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn each_button_is_found_by_its_action_id() {
        for decide in Decide::ALL {
            assert_eq!(Decide::from_action_id(decide.action_id()), Some(decide));
        }
        assert_eq!(Decide::from_action_id("confirm"), None);
    }

    #[test]
    fn only_what_is_offered_is_shown() {
        let promotion = samples::promotion(1, "canary");
        let shown = |offer: &Offer| serde_json::to_string(&row(&promotion, offer)).unwrap();
        let two = shown(&Offer([Decide::Approve, Decide::Abort].into()));
        assert_eq!(two.matches("action_id").count(), 2, "{two}");
        assert!(two.contains("goes back to what it served"), "{two}");
        assert_eq!(row(&promotion, &Offer::default()), None);
    }
}
