//! What is told in the thread of a card: each thing once, in order.
//!
//! Pure. Notes follow from the record alone, so that whoever posts them can
//! tell at any time which are still missing; each has a key for that.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{WORDS_MAX, counted, ended, when};
use crate::chat::message::Message;
use crate::chat::text::clean;
use crate::model::Person;
use crate::promote::{BreakGlass, GateKind, Pause, Promotion, StepState};

/// One message of a thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Names it within the thread.
    pub key: String,
    /// What it says.
    pub message: Message,
}

/// When people are reminded of an approval that is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reminders {
    /// After this time once, and after twice this time more loudly; `None`:
    /// never.
    pub after: Option<Duration>,
    /// The Slack user ids by person, of those who may approve.
    pub approvers: BTreeMap<Person, String>,
    /// Who is told after twice the time: a user group's or a person's id.
    pub escalate_to: Option<String>,
}

/// Approvers that a reminder names.
const NAMED_MAX: usize = 10;

/// Everything that the thread should say by now, oldest first.
pub fn notes(promotion: &Promotion, reminders: &Reminders, now: Timestamp) -> Vec<Note> {
    let mut notes = votes(promotion);
    notes.extend(plan(promotion));
    if let Some(at) = promotion.applied_at {
        let plan = &promotion.plan;
        let text = format!("Applied {}: {}", when(at), counted(plan.diff));
        notes.push(note(format!("applied {}", at.as_second()), &text));
    }
    notes.extend(course(promotion));
    notes.extend(remind(promotion, reminders, now));
    if let Some(ending) = &promotion.ending {
        notes.push(note("ended".into(), &ended(promotion.status, ending)));
    }
    notes
}

fn note(key: String, text: &str) -> Note {
    Note { key, message: Message::plain(text) }
}

fn votes(promotion: &Promotion) -> Vec<Note> {
    let vote = |approval: &crate::promote::Approval| {
        let plan: String = approval.plan.to_string().chars().take(12).collect();
        let said = match approval.note.is_empty() {
            true => String::new(),
            false => format!(": {}", clean(&approval.note, WORDS_MAX)),
        };
        let by = clean(&approval.by.to_string(), 64);
        let text =
            format!(":white_check_mark: *{by}* approved plan `{plan}` {}{said}", when(approval.at));
        note(format!("vote {} {plan} {}", approval.by, approval.at.as_second()), &text)
    };
    promotion.approvals.iter().map(vote).collect()
}

/// That the plan is another than the one that was voted for.
fn plan(promotion: &Promotion) -> Option<Note> {
    let lost = promotion.approvals.len() - promotion.valid_approvals().count();
    let plan = super::prefix(promotion);
    let text = format!(
        ":arrows_counterclockwise: The plan changed to `{plan}`; {lost} earlier approvals were for \
         another one and count no more"
    );
    (lost > 0).then(|| note(format!("plan {plan}"), &text))
}

/// What happens while it is applied.
fn course(promotion: &Promotion) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(glass) = &promotion.breakglass {
        notes.push(note("glass".into(), &broken(glass)));
        if let Some(review) = &glass.review {
            let (by, said) = (clean(&review.by.to_string(), 64), clean(&review.note, WORDS_MAX));
            let text = format!(
                ":ballot_box_with_check: *{by}* signed the review {}: {said}",
                when(review.at)
            );
            notes.push(note("review".into(), &text));
        }
    }
    if let Some(step) = &promotion.step {
        if step.of > 1 {
            notes.push(note(format!("step {}", step.version()), &began(step)));
        }
        if let Some(pause) = &step.paused {
            notes.push(note(format!("paused {}", pause.at.as_second()), &paused(pause)));
        }
    }
    if let Some(cause) = &promotion.cause {
        let text = format!(":leftwards_arrow_with_hook: Going back: {}", clean(cause, WORDS_MAX));
        notes.push(note("cause".into(), &text));
    }
    notes
}

fn began(step: &StepState) -> String {
    format!("Step {} of {} began {}", step.index + 1, step.of, when(step.since))
}

/// How far a step is.
pub(super) fn stepped(step: &StepState) -> String {
    let StepState { index, of, nodes, acked, .. } = step;
    format!(
        "Step {} of {of} since {}: {acked} of {nodes} nodes took it",
        index + 1,
        when(step.since)
    )
}

/// Why it stands still.
pub(super) fn paused(pause: &Pause) -> String {
    let (by, reason) = (clean(&pause.by.to_string(), 64), clean(&pause.reason, WORDS_MAX));
    format!(":double_vertical_bar: Paused by *{by}* {}: {reason}", when(pause.at))
}

/// That gates were passed over.
pub(super) fn broken(glass: &BreakGlass) -> String {
    let skipped: Vec<_> = glass.skip.iter().map(|kind| kind.word()).collect();
    let signed = match &glass.review {
        Some(review) => format!("reviewed by {}", clean(&review.by.to_string(), 64)),
        None => "*somebody else must review it*".into(),
    };
    format!(
        ":rotating_light: *{}* broke the glass for {} {}: past {}; {signed}",
        clean(&glass.by.to_string(), 64),
        clean(&glass.incident, 100),
        when(glass.at),
        skipped.join(", ")
    )
}

fn remind(promotion: &Promotion, reminders: &Reminders, now: Timestamp) -> Vec<Note> {
    let missing = |gate: &crate::promote::Gate| gate.kind == GateKind::Approvals && !gate.open;
    let waits = !promotion.status.is_terminal() && promotion.gates.iter().any(missing);
    let (Some(after), true) = (reminders.after, waits) else { return Vec::new() };
    let since = promotion.requested_at;
    let age = now.duration_since(since).unsigned_abs();
    let detail = promotion.gates.iter().find(|gate| missing(gate));
    let detail = detail.map_or(String::new(), |gate| clean(&gate.detail, WORDS_MAX));
    let mut notes = Vec::new();
    if now > since && age >= after {
        let approvers: Vec<_> =
            reminders.approvers.values().take(NAMED_MAX).map(|id| ping(id)).collect();
        let text =
            format!(":bell: Waiting since {}: {detail} {}", when(since), approvers.join(" "));
        notes.push(note("reminder 1".into(), text.trim()));
    }
    if now > since && age >= after * 2 {
        let whom = reminders.escalate_to.as_deref().map(ping).unwrap_or_default();
        let text = format!(":rotating_light: Still waiting since {}: {detail} {whom}", when(since));
        notes.push(note("reminder 2".into(), text.trim()));
    }
    notes
}

/// A mention of a user (`U…`, `W…`) or a user group (`S…`); the ids are the
/// operator's.
fn ping(id: &str) -> String {
    let id = clean(id.rsplit('/').next().unwrap_or(id), 32);
    if id.starts_with('S') { format!("<!subteam^{id}>") } else { format!("<@{id}>") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::model::{ContentHash, Via};
    use crate::promote::{Approval, Ending, Status};

    fn keys(promotion: &Promotion, reminders: &Reminders, second: i64) -> Vec<String> {
        notes(promotion, reminders, samples::at(second)).into_iter().map(|note| note.key).collect()
    }

    #[test]
    fn each_thing_is_told_once_and_in_order() {
        let mut promotion = samples::promotion(142, "canary");
        let none = Reminders::default();
        assert_eq!(keys(&promotion, &none, 1_000_000), Vec::<String>::new());
        let vote = |plan| Approval {
            by: Person::new("kim").unwrap(),
            via: Via::Slack,
            plan,
            at: samples::at(30),
            note: "<!channel> ok".into(),
        };
        promotion.approvals = vec![vote(ContentHash([1; 32])), vote(promotion.plan.digest)];
        promotion.status = Status::Rejected;
        promotion.ending =
            Some(Ending { by: samples::person("lee"), at: samples::at(60), reason: "no".into() });
        let told = notes(&promotion, &none, samples::at(100));
        let order: Vec<_> = told.iter().map(|note| note.key.as_str()).collect();
        assert_eq!(
            order,
            [
                "vote kim 010101010101 1760000030",
                "vote kim abababababab 1760000030",
                "plan abababababab",
                "ended"
            ]
        );
        assert!(told.iter().all(|note| !note.message.text.contains("<!channel>")));
    }

    #[test]
    fn one_reminder_then_one_escalation() {
        let promotion = samples::promotion(142, "canary");
        let asked = promotion.requested_at.as_second() - samples::at(0).as_second();
        let reminders = Reminders {
            after: Some(Duration::from_secs(3600)),
            approvers: BTreeMap::from([(Person::new("kim").unwrap(), "T1/U1".to_owned())]),
            escalate_to: Some("S0ONCALL".into()),
        };
        assert!(keys(&promotion, &reminders, asked + 3_599).is_empty());
        assert_eq!(keys(&promotion, &reminders, asked + 3_600), ["reminder 1"]);
        let both = notes(&promotion, &reminders, samples::at(asked + 7_200));
        assert_eq!(both.len(), 2);
        assert!(both[0].message.text.contains("<@U1>"), "{}", both[0].message.text);
        assert!(both[1].message.text.contains("<!subteam^S0ONCALL>"), "{}", both[1].message.text);
        let mut enough = promotion;
        for gate in &mut enough.gates {
            gate.open = true;
        }
        assert!(keys(&enough, &reminders, asked + 9_999).is_empty());
    }
}
