//! Decides, makes it durable, then acts on it: in this order, always.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{Actor, BundleId, PromotionId};
use crate::promote::{self, Decision, Document, Effect, FleetFacts, Refusal, State};
use crate::reconcile::Fleet;
use crate::reconcile::bundle::{Bundle, Made, diff_stat};
use crate::reconcile::fleet::standing;
use crate::reconcile::people;
use crate::reconcile::record::RecordError;
use crate::telemetry::clock;

use super::Owner;

impl Owner {
    pub(super) async fn system(&mut self, event: promote::Event) -> Result<(), RecordError> {
        if let Err(refusal) = self.decide(event, None, &Actor::system()).await? {
            tracing::warn!(refusal = %refusal, "an event was refused");
        }
        Ok(())
    }

    /// Decides, makes it durable, then acts on it. The outer error means that
    /// nothing was recorded and nothing changed.
    pub(super) async fn decide(
        &mut self,
        event: promote::Event,
        made: Option<&Made>,
        by: &Actor,
    ) -> Result<Result<Decision, Refusal>, RecordError> {
        self.learn_authors().await?;
        self.learn_fleet();
        let now = clock::now();
        let mut decision = match promote::step(&self.state, event, now) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if decision.documents.is_empty() {
            return Ok(Ok(decision));
        }
        let mut next = State::clone(&self.state);
        for document in &decision.documents {
            next.put(document.clone());
        }
        self.fill_diffs(&mut decision, &mut next).await;
        let (bundles, promotions) = self.records.forgettable(&next);
        let forgotten = self.records.forget(&bundles, &promotions)?;
        if !bundles.is_empty() {
            Arc::make_mut(&mut next.bundles).retain(|id, _| !bundles.contains(id));
        }
        if !promotions.is_empty() {
            Arc::make_mut(&mut next.promotions).retain(|id, _| !promotions.contains(id));
        }
        let content = made.map(|made| (&made.record.repo, &made.bundle));
        let (documents, message) = (&decision.documents, &decision.message);
        let began = Instant::now();
        self.records.write(documents, content, &forgotten, (by, now), message).await?;
        let record_ms = began.elapsed().as_millis() as u64;
        self.state = Arc::new(next);
        tracing::info!(by = %by, record_ms, decision = message.lines().next().unwrap_or(""), "decided");
        self.act(&decision.effects).await;
        Ok(Ok(decision))
    }

    /// Looks anew at who wrote what, where people were written since: the
    /// person behind a mail address may become known after a bundle was made.
    /// It is recorded before anything is decided with it.
    pub(super) async fn learn_authors(&mut self) -> Result<(), RecordError> {
        let people = self.parts.govern.registry();
        if self.people.as_ref().is_some_and(|known| Arc::ptr_eq(known, &people)) {
            return Ok(());
        }
        let govern = &self.parts.govern;
        let mut next = State::clone(&self.state);
        let learnt = next.learn_authors(&|mail| govern.person_by_author(mail));
        if !learnt.is_empty() {
            let (by, now) = (Actor::system(), clock::now());
            let message = "who wrote these bundles is known by now";
            self.records.write(&learnt, None, &[], (&by, now), message).await?;
            self.state = Arc::new(next);
        }
        let known = Arc::new(people::people(govern, self.parts.settings.open));
        if self.state.people != known {
            Arc::make_mut(&mut self.state).people = known;
        }
        self.people = Some(people);
        Ok(())
    }

    /// How nodes stand is looked at anew each time; nothing of it is recorded.
    pub(super) fn learn_fleet(&mut self) {
        let facts = standing(&self.parts.hub).into_iter().map(|(stage, fleet)| {
            let Fleet { nodes, acked, nacked } = fleet;
            (stage, FleetFacts { nodes, acked, nacked })
        });
        let facts: BTreeMap<_, _> = facts.collect();
        if *self.state.fleet != facts {
            Arc::make_mut(&mut self.state).fleet = Arc::new(facts);
        }
    }

    /// Counts what each promotion of the decision changes.
    pub(super) async fn fill_diffs(&self, decision: &mut Decision, next: &mut State) {
        for document in &mut decision.documents {
            let Document::Promotion(promotion) = document else { continue };
            let (plan, before) = (&promotion.plan, self.state.promotions.get(&promotion.id));
            if before.is_some_and(|p| p.plan.from == plan.from && p.plan.to == plan.to) {
                continue;
            }
            let from = match &plan.from {
                Some(id) => self.content(next, id).await,
                None => None,
            };
            if let Some(to) = self.content(next, &plan.to).await {
                promotion.plan.diff = diff_stat(&promotion.stage, from.as_deref(), &to);
                next.put(Document::Promotion(promotion.clone()));
            }
        }
    }

    pub(super) async fn content(&self, state: &State, id: &BundleId) -> Option<Arc<Bundle>> {
        self.records.bundle(state.bundles.get(id)?).await.ok()
    }

    pub(super) async fn act(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Publish(repo, stage) => self.publish(repo, stage).await,
                Effect::Serve { .. } => self.serve_step(effect).await,
                Effect::Ask(_) => self.begin_measuring(),
                Effect::Alarm { promotion, line } => {
                    tracing::error!(promotion = %promotion, line, "a promotion needs a person");
                }
                Effect::Retest { bundle, cells } => self.runs.afresh(bundle, cells),
                Effect::Announce(id) => {
                    self.show();
                    self.announce(id);
                }
            }
        }
    }

    pub(super) fn announce(&self, id: &PromotionId) {
        if let Some(cards) = &self.cards
            && cards.try_send(id.clone()).is_err()
        {
            tracing::warn!(promotion = %id, "its card is not brought up to date");
        }
    }
}
