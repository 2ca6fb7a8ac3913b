//! Asks the metrics server beside the owner, and takes its answers.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::metrics::Names;
use crate::model::MetricRule;
use crate::promote::{self, MetricValue, Promotion};
use crate::reconcile::event::Event;
use crate::reconcile::fleet::members;
use crate::reconcile::measure::{Subject, measure};
use crate::reconcile::record::RecordError;
use crate::snapshot::Cohort;

use super::{Owner, TICK};

impl Owner {
    /// Asks whatever is due.
    pub(super) fn begin_measuring(&mut self) {
        let server = self.parts.settings.metrics.clone();
        // Without a server the answer is at hand, and is told as rarely.
        let every = server.as_ref().map_or(TICK * 15, |metrics| metrics.every);
        for (subject, rule) in self.measuring.due(&self.state, every, Instant::now()) {
            let Some(promotion) = self.state.promotions.get(&subject.promotion) else { continue };
            let names = self.names(promotion, &rule);
            let (events, server) = (self.events.clone(), server.clone());
            self.parts.tasks.spawn("metric", async move {
                let server = server.as_ref().map(|metrics| &metrics.server);
                let asking = AssertUnwindSafe(measure(server, &rule, &names)).catch_unwind();
                let value = asking.await.unwrap_or_else(|_| {
                    MetricValue::Unreachable("asking ended unexpectedly; the log says why".into())
                });
                let _ = events.send(Event::Measured { subject, value }).await;
            });
        }
    }

    /// What a query may name.
    fn names(&self, promotion: &Promotion, rule: &MetricRule) -> Names {
        let step = promotion.step.as_ref();
        let names = Names::default()
            .with("repo", promotion.repo.as_str())
            .with("stage", promotion.stage.as_str())
            .with("bundle", promotion.bundle.as_str())
            .with("promotion", promotion.id.as_str())
            .with("step", &step.map_or(0, |step| step.index).to_string());
        let texts = [Some(&rule.query), rule.baseline.as_ref()];
        let asks = |name: &str| texts.into_iter().flatten().any(|text| text.contains(name));
        if !asks("${nodes}") && !asks("${others}") {
            return names.with_nodes("nodes", []).with_nodes("others", []);
        }
        let stage = (&promotion.repo, &promotion.stage);
        let all = members(&self.parts.hub, &self.routing, stage);
        let cohort = step
            .and_then(|step| step.subset.clone())
            .map(|subset| Cohort::new(promotion.repo.clone(), promotion.stage.clone(), subset));
        // Before the first step, and after the last, there are no others.
        let within = |node: &crate::model::NodeIdentity| {
            cohort.as_ref().is_none_or(|cohort| cohort.takes(node))
        };
        let (nodes, others): (Vec<_>, Vec<_>) =
            all.iter().map(|node| &node.identity).partition(|identity| within(identity));
        names
            .with_nodes("nodes", nodes.into_iter().map(|node| &*node.id.0))
            .with_nodes("others", others.into_iter().map(|node| &*node.id.0))
    }

    /// An answer came.
    pub(super) async fn measured(
        &mut self,
        subject: &Subject,
        value: MetricValue,
    ) -> Result<(), RecordError> {
        if !self.measuring.answered(subject) {
            return Ok(());
        }
        match &value {
            MetricValue::Pass => {
                tracing::debug!(promotion = %subject.promotion, metric = subject.metric, "passed");
            }
            other => tracing::info!(promotion = %subject.promotion, metric = subject.metric,
                value = ?other, "a metric did not pass"),
        }
        let (id, name) = (subject.promotion.clone(), subject.metric.clone());
        self.system(promote::Event::Metric { id, name, value }).await
    }
}
