//! What is measured of the promotions: which questions are open, and what an
//! answer comes to. Which follows from the state alone, so a lost answer or a
//! restart costs no more than asking again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::{Judgement, Limits, Metrics, Names, Reading, fill, judge};
use crate::model::{MetricRule, Number, PromotionId};
use crate::promote::{MetricValue, Promotion, State, asks};

/// Questions that wait for an answer at once.
const ASKED_MAX: usize = 16;

/// A metrics server, and how often it is asked.
#[derive(Debug, Clone)]
pub struct MetricsServer {
    /// The server.
    pub server: Metrics,
    /// How far two questions of one metric are apart.
    pub every: Duration,
}

/// A metric of a promotion at a point of its way. A new step asks anew: what
/// was said of other nodes is no word about these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) promotion: PromotionId,
    /// The epoch and the step; `None`: it has not begun.
    pub(super) step: Option<(u64, u32)>,
    pub(super) metric: String,
}

impl Subject {
    fn of(promotion: &Promotion, rule: &MetricRule) -> Self {
        let step = promotion.step.as_ref().map(|step| (step.epoch, step.index));
        Self { promotion: promotion.id.clone(), step, metric: rule.name.clone() }
    }
}

/// What was asked, and when.
#[derive(Debug, Default)]
pub(super) struct Measuring {
    asked: BTreeMap<Subject, Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    open: bool,
}

impl Measuring {
    /// The questions to ask now; they count as asked.
    pub(super) fn due(
        &mut self,
        state: &State,
        every: Duration,
        now: Instant,
    ) -> Vec<(Subject, MetricRule)> {
        let wanted = wanted(state);
        self.asked.retain(|subject, _| wanted.iter().any(|(one, _)| one == subject));
        let mut open = self.asked.values().filter(|asked| asked.open).count();
        let mut due = Vec::new();
        for (subject, rule) in wanted {
            let waits = |asked: &Asked| asked.open || now < asked.at + every;
            if open >= ASKED_MAX || self.asked.get(&subject).is_some_and(waits) {
                continue;
            }
            open += 1;
            self.asked.insert(subject.clone(), Asked { at: now, open: true });
            due.push((subject, rule));
        }
        due
    }

    /// An answer came. False where nobody waits for it any more.
    pub(super) fn answered(&mut self, subject: &Subject) -> bool {
        match self.asked.get_mut(subject) {
            Some(asked) => std::mem::replace(&mut asked.open, false),
            None => false,
        }
    }
}

/// Every metric that somebody waits for.
fn wanted(state: &State) -> Vec<(Subject, MetricRule)> {
    let open = state.promotions.values().filter(|one| !one.status.is_terminal());
    let of = |promotion| {
        let rules = asks(state, promotion).into_iter();
        rules.map(move |rule| (Subject::of(promotion, &rule), rule))
    };
    open.flat_map(of).collect()
}

/// Asks what `rule` asks for, and says what the answer means.
pub(super) async fn measure(
    server: Option<&Metrics>,
    rule: &MetricRule,
    names: &Names,
) -> MetricValue {
    let Some(server) = server else {
        return MetricValue::Unreachable("no metrics server is configured (`metrics.url`)".into());
    };
    let candidate = match read(server, &rule.query, names).await {
        Ok(reading) => reading,
        Err(value) => return value,
    };
    let baseline = match &rule.baseline {
        Some(query) => match read(server, query, names).await {
            Ok(reading) => Some(reading),
            Err(value) => return value,
        },
        None => None,
    };
    let value = |number: &Option<Number>| number.as_ref().map(Number::value);
    let limits = Limits {
        at_most: value(&rule.at_most),
        at_least: value(&rule.at_least),
        at_most_times_baseline: value(&rule.at_most_times_baseline),
    };
    match judge(limits, &candidate, baseline.as_ref()) {
        Judgement::Pass(_) => MetricValue::Pass,
        Judgement::Fail(detail) => MetricValue::Fail(detail),
        Judgement::Inconclusive(detail) => MetricValue::Inconclusive(detail),
        Judgement::Unreachable(detail) => MetricValue::Unreachable(detail),
    }
}

async fn read(server: &Metrics, query: &str, names: &Names) -> Result<Reading, MetricValue> {
    let query = fill(query, names);
    let query = query.map_err(|error| MetricValue::Inconclusive(error.to_string()))?;
    let reading = server.ask(&query).await;
    reading.map_err(|error| MetricValue::Unreachable(error.to_string()))
}
