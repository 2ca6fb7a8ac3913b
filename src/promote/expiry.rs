//! How long a request may wait. Its clock stands still while the stage's own
//! rules make it wait: before its time, while the bundle soaks, outside the
//! windows.

use jiff::{SignedDuration, Timestamp};

use super::conditions::seconds_between;
use super::policy::Policy;
use super::promotion::Promotion;
use super::state::State;
use super::window::Windows;

/// Where the stage says nothing, a person's request is good for a day.
const DEFAULT_SECONDS: u64 = 24 * 3600;

/// Why a waiting promotion is over at `now`, if it is.
pub(super) fn expired(state: &State, promotion: &Promotion, now: Timestamp) -> Option<String> {
    if let Some(glass) = &promotion.breakglass {
        let over = now >= glass.expires;
        return over.then(|| format!("what {} opened was good until {}", glass.by, glass.expires));
    }
    let bundle = state.bundles.get(&promotion.bundle)?;
    // Its own manifest says it first: most promotions are far from their end.
    let from = promotion.after.unwrap_or(promotion.requested_at).max(promotion.requested_at);
    let age = seconds_between(from, now);
    if age < shortest(state, promotion) {
        return None;
    }
    let policy = Policy::of(state, bundle, &promotion.stage);
    let by_person = promotion.requested_by.person.is_some();
    let limit = policy.expires_seconds.or(by_person.then_some(DEFAULT_SECONDS))?;
    let soak = i64::try_from(policy.soak_seconds).map(SignedDuration::from_secs).ok()?;
    let from = from.checked_add(soak).unwrap_or(from);
    let open = policy.windows.iter().map(|set| Windows::new(set).open_seconds(from, now));
    let counted = open.min().unwrap_or_else(|| seconds_between(from, now));
    (counted >= limit).then(|| format!("nobody decided it within {limit} s"))
}

/// No promotion of the stage ends before it is this old.
fn shortest(state: &State, promotion: &Promotion) -> u64 {
    let current = state.current(&promotion.repo, &promotion.stage);
    let wanted = state.bundles.get(&promotion.bundle);
    let specs = [current, wanted].into_iter().flatten();
    let own = specs.filter_map(|bundle| bundle.manifest.stage(&promotion.stage)?.expires_seconds);
    own.min().unwrap_or(DEFAULT_SECONDS)
}
