//! The buttons of a waiting promotion, and what a press says.

use slack_morphism::prelude::{SlackBlock, SlackBlockButtonStyle};

use super::counted;
use crate::chat::message;
use crate::model::{Manifest, PromotionId};
use crate::promote::{GateKind, Promotion, Status};

/// What a button asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decide {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// Never mind.
    Cancel,
}

impl Decide {
    /// The button's action id.
    pub fn action_id(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
        }
    }

    /// The button that `action_id` names; `None` for every other control.
    pub fn from_action_id(action_id: &str) -> Option<Self> {
        let all = [Self::Approve, Self::Reject, Self::Cancel];
        all.into_iter().find(|decide| decide.action_id() == action_id)
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
pub(super) fn prefix(promotion: &Promotion) -> String {
    promotion.plan.digest.to_string().chars().take(PREFIX).collect()
}

/// The buttons, while there is something to decide.
pub(super) fn row(promotion: &Promotion, manifest: Option<&Manifest>) -> Option<SlackBlock> {
    if promotion.status != Status::Gated {
        return None;
    }
    let value = ButtonValue::of(promotion).to_string();
    let missing = promotion.gates.iter().any(|gate| gate.kind == GateKind::Approvals && !gate.open);
    let mut buttons = Vec::new();
    if missing {
        let id = Decide::Approve.action_id();
        let primary = Some(SlackBlockButtonStyle::Primary);
        let question = is_last(promotion, manifest).then(|| question(promotion));
        buttons.push(message::button(id, "Approve", &value, primary, question));
    }
    let Promotion { id, stage, bundle, .. } = promotion;
    let text =
        format!("{id} will not bring {bundle} to {stage}. To say why, use: reject {id} REASON");
    let confirm = message::confirm(&format!("Reject {id}?"), &text, "Reject", "danger");
    let danger = Some(SlackBlockButtonStyle::Danger);
    let (reject, cancel) = (Decide::Reject.action_id(), Decide::Cancel.action_id());
    buttons.push(message::button(reject, "Reject", &value, danger, Some(confirm)));
    buttons.push(message::button(cancel, "Cancel", &value, None, None));
    Some(message::actions(buttons))
}

fn is_last(promotion: &Promotion, manifest: Option<&Manifest>) -> bool {
    let last = manifest.and_then(|manifest| manifest.stages.last());
    last.is_some_and(|spec| spec.name == promotion.stage)
}

fn question(promotion: &Promotion) -> slack_morphism::prelude::SlackBlockConfirmItem {
    let Promotion { stage, bundle, plan, .. } = promotion;
    let text = format!(
        "{stage} will serve {bundle}: {}. The plan is {}.",
        counted(plan.diff),
        prefix(promotion)
    );
    message::confirm(&format!("Approve for {stage}?"), &text, "Approve", "primary")
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
    fn approving_is_offered_only_while_approvals_are_missing() {
        let mut promotion = samples::promotion(1, "canary");
        for gate in &mut promotion.gates {
            gate.open = gate.open || gate.kind == GateKind::Approvals;
        }
        let row = serde_json::to_string(&row(&promotion, None)).unwrap();
        assert!(!row.contains("\"approve\"") && row.contains("\"reject\""), "{row}");
    }
}
