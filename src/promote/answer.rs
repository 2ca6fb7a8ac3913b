//! What each event changes by itself, before anything moves on. What may not
//! be was refused by the guard; nothing here refuses.

use super::event::Event;
use super::step::Work;
use super::{ask, facts, keep, rollback, steer, urgent, vote};

pub(super) fn answer(work: &mut Work, event: Event) {
    match event {
        Event::Tick => {}
        Event::Request { repo, stage, bundle, by, reason, after } => {
            ask::request(work, (&repo, &stage), &bundle, (by, reason), after);
        }
        Event::Rollback { repo, stage, to, by, reason } => {
            rollback::rollback(work, &repo, &stage, to.as_ref(), (by, reason));
        }
        Event::Approve { .. }
        | Event::Retract { .. }
        | Event::Reject { .. }
        | Event::Cancel { .. } => vote::answer(work, event),
        Event::Abort { .. }
        | Event::Pause { .. }
        | Event::Resume { .. }
        | Event::Advance { .. } => steer::answer(work, event),
        Event::Pin { .. }
        | Event::Unpin { .. }
        | Event::Veto { .. }
        | Event::Unveto { .. }
        | Event::Lock { .. }
        | Event::Unlock { .. }
        | Event::Freeze { .. }
        | Event::Thaw { .. } => keep::answer(work, event),
        Event::BreakGlass { .. } | Event::Review { .. } => urgent::answer(work, event),
        Event::Bundle(_)
        | Event::Cell(..)
        | Event::Settled { .. }
        | Event::Refused { .. }
        | Event::StepFacts { .. }
        | Event::Metric { .. }
        | Event::Drift { .. }
        | Event::Retest { .. } => facts::answer(work, event),
    }
}
