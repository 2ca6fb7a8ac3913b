//! What people set to keep promotions away, and take off again.

use super::event::Event;
use super::hold::{Freeze, Lock, Pin, Veto};
use super::slot::StageSlot;
use super::step::{Document, Work};
use crate::model::{Actor, BundleId, RepoName, Stage};

pub(super) fn answer(work: &mut Work, event: Event) {
    let at = work.now;
    match event {
        Event::Pin { repo, stage, bundle, until, by, reason } => {
            let line = format!("{by} pins {stage} of {repo}: {reason}");
            let pin = Some(Pin { bundle, by, reason, at, until });
            slot(work, (&repo, &stage), line, |slot| slot.pin = pin);
        }
        Event::Unpin { repo, stage, by } => {
            let line = format!("{by} takes the pin and the hold off {stage} of {repo}");
            slot(work, (&repo, &stage), line, |slot| (slot.pin, slot.hold) = (None, None));
        }
        Event::Lock { repo, stage, until, by, reason } => {
            let line = format!("{by} locks {stage} of {repo}: {reason}");
            let lock = Some(Lock { by, reason, at, until });
            slot(work, (&repo, &stage), line, |slot| slot.lock = lock);
        }
        Event::Unlock { repo, stage, steal, by } => {
            let line = match steal {
                Some(reason) => format!("{by} takes the lock off {stage} of {repo}: {reason}"),
                None => format!("{by} unlocks {stage} of {repo}"),
            };
            slot(work, (&repo, &stage), line, |slot| slot.lock = None);
        }
        Event::Veto { bundle, stage, by, reason } => veto(work, &bundle, stage, (by, reason)),
        Event::Unveto { bundle, stage, by } => unveto(work, &bundle, stage.as_ref(), &by),
        Event::Freeze { repo, stage, until, by, reason } => {
            let what = stage.as_ref().map_or("every stage", Stage::as_str);
            work.say(format!("{by} freezes {what} of {repo}: {reason}"));
            let freeze = Freeze { repo, stage, by, reason, at, until, thawed: None };
            work.put(Document::Freeze(freeze));
        }
        Event::Thaw { repo, stage, by } => {
            let name = (repo, stage);
            let Some(mut freeze) = work.state.freezes.get(&name).cloned() else { return };
            let what = name.1.as_ref().map_or("every stage", Stage::as_str);
            work.say(format!("{by} thaws {what} of {}, frozen by {}", name.0, freeze.by));
            freeze.thawed = Some((by, at));
            work.put(Document::Freeze(freeze));
        }
        _ => {}
    }
}

fn slot(
    work: &mut Work,
    (repo, stage): (&RepoName, &Stage),
    line: String,
    change: impl FnOnce(&mut StageSlot),
) {
    let mut slot = work.state.slot(repo, stage);
    change(&mut slot);
    work.say(line);
    work.put(Document::Slot(slot));
}

fn veto(work: &mut Work, id: &BundleId, stage: Option<Stage>, (by, reason): (Actor, String)) {
    let Some(mut bundle) = work.state.bundles.get(id).cloned() else { return };
    let place = stage.as_ref().map_or("every stage", Stage::as_str);
    work.say(format!("{by} vetoes {id} in {place}: {reason}"));
    bundle.vetoes.retain(|veto| veto.stage != stage);
    bundle.vetoes.push(Veto { stage, by, reason, at: work.now, promotion: None });
    work.put(Document::Bundle(Box::new(bundle)));
}

fn unveto(work: &mut Work, id: &BundleId, stage: Option<&Stage>, by: &Actor) {
    let Some(mut bundle) = work.state.bundles.get(id).cloned() else { return };
    let place = stage.map_or("every stage", Stage::as_str);
    work.say(format!("{by} ends the veto of {id} in {place}"));
    bundle.vetoes.retain(|veto| stage.is_some() && veto.stage.as_ref() != stage);
    work.put(Document::Bundle(Box::new(bundle)));
}
