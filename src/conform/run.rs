//! Runs cases: many at once where they can't disturb each other, one after the
//! other where all nodes of a server see the same resources.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use tokio::time::Instant;

use super::bench::{Bench, Driving};
use super::driver::{Abilities, Driver};
use super::exchange::Exchange;
use super::known::{Known, base};
use super::obstacle::Obstacle;
use super::report::{Outcome, Report, Verdict};
use super::rule::{Rule, Stop};
use super::rules;
use super::survey::{STILL, survey};
use super::target::Target;
use super::transport::Transport;
use super::wait::Wait;

/// How many times the patience for one answer a whole case may take.
const PATIENCES: u32 = 8;

/// The family whose cases refuse what others take.
const REFUSALS: &str = "nack";

/// A rule over a transport.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The rule.
    pub rule: &'static Rule,
    /// The transport.
    pub transport: Transport,
}

impl Case {
    /// `family.rule/transport`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.rule.id, self.transport.name())
    }

    /// Whether `word` is its id, its rule, its family or its transport.
    pub fn is_named(&self, word: &str) -> bool {
        let names = [self.rule.id, self.rule.family(), self.transport.name()];
        names.contains(&word) || self.id() == word
    }
}

/// Every case, in the order of the rules.
pub fn cases() -> Vec<Case> {
    let of = |rule: &'static Rule| {
        rule.transports.iter().map(move |transport| Case { rule, transport: *transport })
    };
    rules::all().flat_map(of).collect()
}

/// Runs `cases` against `target`.
///
/// # Errors
/// Nothing could be tried.
pub async fn run(
    target: Arc<Target>,
    cases: &[Case],
    driver: Option<Arc<dyn Driver>>,
) -> Result<Report, Obstacle> {
    // Where every case is the same node, no case has resources of its own.
    let one = |driver: &Arc<dyn Driver>| driver.abilities().shared || target.node.id.is_some();
    let shared = driver.as_ref().is_some_and(one);
    let known = survey(&target, driver.as_ref()).await?;
    let at_once = target.at_once.max(1);
    let course = Course { target, driver, known, shared };
    let (changing, still): (Vec<_>, Vec<_>) =
        cases.iter().enumerate().partition(|(_, case)| case.changes());
    let (refusals, changing): (Vec<_>, Vec<_>) =
        changing.into_iter().partition(|(_, case)| case.rule.family() == REFUSALS);
    let turn = |(number, case): (usize, &Case)| {
        let (course, case) = (course.clone(), *case);
        async move { (number, course.case(case, number).await) }
    };
    let apart = |alone: bool| if alone { 1 } else { at_once };
    // What needs no change comes first: nothing changes under it. Refusals come
    // last: a server may spare others what some have refused.
    let felt = shared || course.abilities().refusals_shared;
    let mut done = Vec::new();
    for (part, at_once) in [(still, at_once), (changing, apart(shared)), (refusals, apart(felt))] {
        let part = iter(part.into_iter().map(turn));
        done.extend(part.buffer_unordered(at_once).collect::<Vec<_>>().await);
    }
    done.sort_by_key(|(number, _)| *number);
    Ok(Report { outcomes: done.into_iter().map(|(_, outcome)| outcome).collect() })
}

impl Case {
    /// Whether it changes what others see, where they see the same: also a
    /// refusal may.
    fn changes(&self) -> bool {
        self.rule.driven || self.rule.family() == REFUSALS
    }
}

/// What the cases of a run have in common.
#[derive(Clone)]
struct Course {
    target: Arc<Target>,
    driver: Option<Arc<dyn Driver>>,
    known: Known,
    shared: bool,
}

impl Course {
    fn abilities(&self) -> Abilities {
        self.driver.as_ref().map(|driver| driver.abilities()).unwrap_or_default()
    }

    async fn case(self, case: Case, number: usize) -> Outcome {
        let since = Instant::now();
        let own = case.changes() && !self.shared && self.driver.is_some();
        let bench = Bench {
            transport: case.transport,
            exchange: Exchange::begin(),
            node: if own { format!("conform-{number}") } else { STILL.to_owned() },
            lines: AtomicUsize::new(0),
            driving: Driving::default(),
            target: self.target,
            driver: self.driver,
            known: self.known,
        };
        let done = in_time(&bench, case.rule).await;
        if own && let Some(driver) = &bench.driver {
            driver.release(&bench.identity().id);
        }
        let verdict = match done {
            Ok(()) => Verdict::Passed,
            Err(Stop::Fail(reason)) => Verdict::Failed { reason, exchange: bench.exchange.lines() },
            Err(Stop::Skip(reason)) => Verdict::Skipped { reason },
            Err(Stop::Stuck(reason)) => Verdict::Errored { reason },
        };
        let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Outcome::new(case.rule, case.transport, verdict, took_ms)
    }
}

/// Ends what never ends by itself.
async fn in_time(bench: &Bench, rule: &Rule) -> Result<(), Stop> {
    let limit = bench.patience() * PATIENCES;
    let mut turn = std::pin::pin!(turn(bench, rule));
    let mut wait = Wait::of(limit);
    loop {
        match (wait.until(&mut turn).await, bench.driving.excused()) {
            (Some(done), _) => return done,
            (None, Some(more)) => wait = Wait::of(more),
            (None, None) => {
                return Err(Stop::Fail(format!("it came to no end within {limit:?}")));
            }
        }
    }
}

async fn turn(bench: &Bench, rule: &Rule) -> Result<(), Stop> {
    if rule.driven && bench.driver.is_none() {
        return Err(Stop::Skip("it needs a driver that changes the server's resources".into()));
    }
    if bench.driver.is_some() && rule.family() == REFUSALS && !rule.driven {
        bench.hold_only(&base()).await?;
    }
    (rule.run)(bench).await
}
