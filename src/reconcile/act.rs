//! What people ask for besides voting and promoting: steering what is under
//! way, keeping promotions away, emergencies. Bundles are named as people name
//! them; [`Act::event`] finds out which are meant.

use jiff::Timestamp;

use super::resolve::find_bundle;
use crate::model::{Actor, PromotionId, RepoName, Stage};
use crate::promote::{Event, GateKind, Refusal, State};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the events of `promote` have the same names and fields")]
pub enum Act {
    /// As `Command::Promote`, not before a time.
    Schedule {
        repo: RepoName,
        stage: Stage,
        bundle: String,
        reason: String,
        after: Timestamp,
    },
    Retract {
        id: PromotionId,
    },
    Abort {
        id: PromotionId,
        reason: String,
    },
    Pause {
        id: PromotionId,
        reason: String,
    },
    Resume {
        id: PromotionId,
    },
    Advance {
        id: PromotionId,
        to: Option<u32>,
    },
    Pin {
        repo: RepoName,
        stage: Stage,
        bundle: Option<String>,
        until: Option<Timestamp>,
        reason: String,
    },
    Unpin {
        repo: RepoName,
        stage: Stage,
    },
    Veto {
        repo: RepoName,
        bundle: String,
        stage: Option<Stage>,
        reason: String,
    },
    Unveto {
        repo: RepoName,
        bundle: String,
        stage: Option<Stage>,
    },
    Lock {
        repo: RepoName,
        stage: Stage,
        until: Option<Timestamp>,
        reason: String,
    },
    Unlock {
        repo: RepoName,
        stage: Stage,
        steal: Option<String>,
    },
    Freeze {
        repo: RepoName,
        stage: Option<Stage>,
        until: Option<Timestamp>,
        reason: String,
    },
    Thaw {
        repo: RepoName,
        stage: Option<Stage>,
    },
    BreakGlass {
        repo: RepoName,
        stage: Stage,
        bundle: String,
        incident: String,
        reason: String,
        skip: Vec<GateKind>,
        /// The stage's name, as the person typed it to confirm.
        typed: String,
    },
    Review {
        id: PromotionId,
        note: String,
    },
    Retest {
        repo: RepoName,
        bundle: String,
        stage: Option<Stage>,
        version: Option<String>,
    },
}

impl Act {
    /// The event that it means in `state`.
    ///
    /// # Errors
    /// It names a bundle that is not known, or could be several.
    pub fn event(self, state: &State, by: Actor) -> Result<Event, Refusal> {
        Ok(match self {
            Self::Schedule { repo, stage, bundle, reason, after } => {
                let bundle = find_bundle(state, &repo, &bundle)?;
                Event::Request { repo, stage, bundle, by, reason, after: Some(after) }
            }
            Self::Retract { id } => Event::Retract { id, by },
            Self::Abort { id, reason } => Event::Abort { id, by, reason },
            Self::Pause { id, reason } => Event::Pause { id, by, reason },
            Self::Resume { id } => Event::Resume { id, by },
            Self::Advance { id, to } => Event::Advance { id, by, to },
            Self::Pin { repo, stage, bundle, until, reason } => {
                let find = |text: String| find_bundle(state, &repo, &text);
                let bundle = bundle.map(find).transpose()?;
                Event::Pin { repo, stage, bundle, until, by, reason }
            }
            Self::Unpin { repo, stage } => Event::Unpin { repo, stage, by },
            Self::Veto { repo, bundle, stage, reason } => {
                Event::Veto { bundle: find_bundle(state, &repo, &bundle)?, stage, by, reason }
            }
            Self::Unveto { repo, bundle, stage } => {
                Event::Unveto { bundle: find_bundle(state, &repo, &bundle)?, stage, by }
            }
            Self::Lock { repo, stage, until, reason } => {
                Event::Lock { repo, stage, until, by, reason }
            }
            Self::Unlock { repo, stage, steal } => Event::Unlock { repo, stage, steal, by },
            Self::Freeze { repo, stage, until, reason } => {
                Event::Freeze { repo, stage, until, by, reason }
            }
            Self::Thaw { repo, stage } => Event::Thaw { repo, stage, by },
            Self::BreakGlass { repo, stage, bundle, incident, reason, skip, typed } => {
                let bundle = find_bundle(state, &repo, &bundle)?;
                Event::BreakGlass { repo, stage, bundle, incident, reason, skip, typed, by }
            }
            Self::Review { id, note } => Event::Review { id, by, note },
            Self::Retest { repo, bundle, stage, version } => {
                let bundle = find_bundle(state, &repo, &bundle)?;
                Event::Retest { bundle, stage, version, by }
            }
        })
    }
}
