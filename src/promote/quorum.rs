//! Whose votes count, and whether they are enough.

use std::collections::BTreeSet;

use super::gate::{Gate, GateKind};
use super::policy::{Asked, Policy};
use super::promotion::{Plan, Promotion};
use super::state::State;
use super::step::{Refusal, RefusalKind};
use crate::model::Person;

/// What is needed to judge a vote on one promotion.
#[derive(Debug)]
pub(super) struct Electorate<'a> {
    pub(super) state: &'a State,
    pub(super) promotion: &'a Promotion,
    pub(super) policy: &'a Policy,
    /// Who wrote what it would bring.
    pub(super) authors: BTreeSet<Person>,
}

impl<'a> Electorate<'a> {
    /// Whoever may vote on a promotion; `None` where its bundle is gone.
    pub(super) fn of(
        state: &'a State,
        promotion: &'a Promotion,
        policy: &'a Policy,
    ) -> Option<Self> {
        let bundle = state.bundles.get(&promotion.bundle)?;
        let authors = state.authors(bundle, &promotion.stage);
        Some(Self { state, promotion, policy, authors })
    }

    /// Whether somebody may vote.
    pub(super) fn admits(&self, who: &Person) -> Result<(), Refusal> {
        let Promotion { id, bundle, stage, requested_by, .. } = self.promotion;
        let refuse =
            |message: String, hint: &str| Err(Refusal::new(RefusalKind::Forbidden, message, hint));
        if self.authors.contains(who) {
            let message = format!("{who} is an author of {bundle} and can't approve it");
            return refuse(message, "somebody who did not write it must approve");
        }
        if requested_by.person.as_ref() == Some(who) {
            let message = format!("{who} asked for {id} and can't approve it");
            return refuse(message, "somebody other than the requester must approve");
        }
        if !self.state.people.is_active(who) {
            let message = format!("{who} is not active and can't approve {id}");
            return refuse(message, "an administrator can let them in again");
        }
        if !self.policy.allows(who.as_str()) {
            let message = format!("{who} is not an approver of {stage}");
            return refuse(message, "the stage's `approvers` in convoy.yaml says who is");
        }
        let quorums = &self.policy.quorums;
        if !quorums.is_empty() && !quorums.iter().any(|asked| self.is_of(asked, who)) {
            let message = format!("{who} is in no quorum of {stage}");
            return refuse(message, "the stage's `approvals` in convoy.yaml says who is asked");
        }
        Ok(())
    }

    fn is_of(&self, asked: &Asked, who: &Person) -> bool {
        let people = &self.state.people;
        asked.from.as_ref().is_none_or(|list| list.iter().any(|one| people.means(one, who)))
    }

    /// Whose votes for `plan` count now: each person's once. Not that of
    /// somebody who turned out to be an author since, or left.
    pub(super) fn votes(&self, plan: &Plan) -> Vec<&'a Person> {
        let mut seen = BTreeSet::new();
        let votes = self.promotion.approvals.iter().filter(|vote| vote.plan == plan.digest);
        votes
            .map(|vote| &vote.by)
            .filter(|by| self.admits(by).is_ok() && seen.insert(*by))
            .collect()
    }

    /// The condition: enough votes in every quorum.
    pub(super) fn gate(&self, plan: &Plan) -> Gate {
        let votes = self.votes(plan);
        let needed = self.policy.approvals;
        let missing = self.missing(plan);
        let open = votes.len() >= needed && missing.is_empty();
        let names: Vec<&str> = votes.iter().map(|vote| vote.as_str()).collect();
        let detail = match (needed, names.len()) {
            (0, _) => "none needed".into(),
            (needed, 0) => format!("0 of {needed}"),
            (needed, count) => format!("{count} of {needed}: {}", names.join(", ")),
        };
        let parts: Vec<String> = std::iter::once(detail).chain(missing).collect();
        Gate::new(GateKind::Approvals, open, parts.join("; "))
    }

    /// The quorums that are not reached, one sentence each.
    fn missing(&self, plan: &Plan) -> Vec<String> {
        let votes = self.votes(plan);
        let lacks = |asked: &&Asked| {
            let count = votes.iter().filter(|who| self.is_of(asked, who)).count();
            (count < asked.count)
                .then(|| format!("{count} of {} from {}", asked.count, named(asked)))
        };
        self.policy.quorums.iter().filter_map(|asked| lacks(&asked)).collect()
    }

    /// Who could still vote so that it helps, for people.
    pub(super) fn wanted(&self, plan: &Plan) -> String {
        let missing = self.missing(plan);
        match (missing.is_empty(), self.policy.approvers.first()) {
            (false, _) => missing.join("; "),
            (true, Some(list)) => list.join(", "),
            (true, None) => "anybody but the authors and the requester".into(),
        }
    }
}

fn named(asked: &Asked) -> String {
    let list = match &asked.from {
        None => "anybody".into(),
        Some(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    if asked.as_owners { format!("the owners ({list})") } else { list }
}
