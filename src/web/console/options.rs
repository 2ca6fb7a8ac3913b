//! What whoever looks at a page could do about a promotion: by the guard that
//! decides, and by nothing that a template knows.

use std::collections::BTreeSet;

use crate::promote::Promotion;
use crate::reconcile::{self, View};
use crate::telemetry::clock;
use crate::web::auth::{Caller, Proof};

/// Verbs by the names of the command line.
pub(super) type Options = BTreeSet<&'static str>;

/// What the caller could do now.
pub(super) fn options(view: &View, promotion: &Promotion, caller: &Caller) -> Options {
    let now = clock::now();
    match (&caller.proof, &caller.person) {
        // Who it is, each form asks.
        (Proof::Open { .. }, _) => reconcile::options(&view.state, promotion, now),
        (_, Some(person)) => reconcile::options_of(&view.state, promotion, person, now),
        (_, None) => Options::new(),
    }
}
