//! The pull requests that wait, and what is shown in each: rendered once per
//! head, however often it is looked at.

use std::collections::BTreeMap;

use crate::githost::{Check, Pull, Reports, Review, Status, StatusState};
use crate::model::{CommitId, ContentHash};

use super::ReviewError;

/// What is shown of one pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) number: u64,
    pub(super) head: CommitId,
    pub(super) status: Option<Status>,
    pub(super) check: Option<Check>,
    pub(super) comment: Option<String>,
}

/// Those of one repository.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    open: BTreeMap<u64, Pull>,
    shown: BTreeMap<u64, Shown>,
}

impl Pulls {
    /// Takes over which ones wait now.
    pub(super) fn replace(&mut self, open: Vec<Pull>) {
        self.open = open.into_iter().map(|pull| (pull.number, pull)).collect();
        let open = &self.open;
        self.shown.retain(|number, _| open.contains_key(number));
    }

    /// One whose head was not rendered yet and is not `refused`, newest first.
    pub(super) fn unseen(&self, refused: impl Fn(&Pull) -> bool) -> Option<Pull> {
        let is_shown = |pull: &Pull| {
            self.shown.get(&pull.number).is_some_and(|shown| shown.head == pull.head.sha)
        };
        let mut open = self.open.values().rev();
        open.find(|pull| !is_shown(pull) && !refused(pull)).cloned()
    }

    pub(super) fn put(&mut self, shown: Shown) {
        self.shown.insert(shown.number, shown);
    }

    /// Renders a head again.
    pub(super) fn forget(&mut self, head: &CommitId) {
        self.shown.retain(|_, shown| &shown.head != head);
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &Shown> {
        self.shown.values()
    }
}

/// What a review says in its pull request.
pub(super) fn shown(pull: &Pull, review: &Review, reports: Reports) -> Shown {
    let mut shown = Shown {
        number: pull.number,
        head: pull.head.sha,
        status: None,
        check: None,
        comment: None,
    };
    if !review.is_pipeline {
        return shown;
    }
    shown.status = reports.statuses.then(|| review.status(&pull.html_url));
    shown.comment = reports.comments.then(|| review.comment());
    shown.check = reports.checks.then(|| {
        let said = (review.problems.as_slice(), review.findings.as_slice());
        Check::of(check_id(review), said, pull.html_url.clone())
    });
    shown
}

/// Names the run after what it says: other words are another run, because
/// GitHub only ever appends annotations.
fn check_id(review: &Review) -> String {
    let said = serde_json::to_vec(&(&review.problems, &review.findings)).unwrap_or_default();
    format!("pull-{}", &ContentHash::of(&said).short()[..8])
}

/// What is shown of one that could not be rendered.
pub(super) fn unrendered(pull: &Pull, error: &ReviewError, reports: Reports) -> Shown {
    let text = format!("not rendered: {error}");
    let status = Status::new("convoy/render", StatusState::Error, &text, pull.html_url.clone());
    Shown {
        number: pull.number,
        head: pull.head.sha,
        status: reports.statuses.then_some(status),
        check: None,
        comment: None,
    }
}
