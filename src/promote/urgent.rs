//! Promotions that skip gates in an emergency, and their review.

use jiff::SignedDuration;

use super::ask::{new_promotion, supersede};
use super::breakglass::{BreakGlass, Review};
use super::course::keep;
use super::event::Event;
use super::gate::{GateKind, evaluate};
use super::promotion::Kind;
use super::step::{Document, Effect, Work};
use crate::model::{Actor, BundleId, PromotionId, Stage};

/// How long it is good for if it does not begin.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn answer(work: &mut Work, event: Event) {
    match event {
        Event::BreakGlass { stage, bundle, incident, reason, mut skip, by, .. } => {
            skip.sort();
            skip.dedup();
            break_glass(work, (&stage, &bundle), (by, reason), (incident, skip));
        }
        Event::Review { id, by, note } => review(work, &id, &by, note),
        _ => {}
    }
}

fn break_glass(
    work: &mut Work,
    (stage, id): (&Stage, &BundleId),
    (by, reason): (Actor, String),
    (incident, skip): (String, Vec<GateKind>),
) {
    let Some(bundle) = work.state.bundles.get(id).cloned() else { return };
    let made = (by.clone(), reason.clone());
    let mut promotion = new_promotion(work, &bundle, stage, Kind::Promote, made);
    let expires = work.now.checked_add(GOOD_FOR).unwrap_or(work.now);
    let words: Vec<&str> = skip.iter().map(|kind| kind.word()).collect();
    let line = format!(
        "{by} breaks the glass of {stage} for {incident}: {id} skips {}: {reason}",
        words.join(", ")
    );
    promotion.breakglass =
        Some(BreakGlass { incident, skip, by, at: work.now, expires, review: None });
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    supersede(work, &promotion, |other| other.status.is_waiting());
    work.about = Some(promotion.id.clone());
    work.say(format!("{}: {line}", promotion.id));
    work.fire(Effect::Alarm { promotion: promotion.id.clone(), line });
    keep(work, promotion);
}

fn review(work: &mut Work, id: &PromotionId, by: &Actor, note: String) {
    work.about = Some(id.clone());
    let Some(mut promotion) = work.state.promotions.get(id).cloned() else { return };
    let (Some(glass), Some(who)) = (&mut promotion.breakglass, by.person.clone()) else { return };
    work.say(format!("{id}: {who} reviewed what was skipped: {note}"));
    glass.review = Some(Review { by: who, at: work.now, note });
    work.fire(Effect::Announce(id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
}
