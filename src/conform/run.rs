//! Runs cases: many at once where they can't disturb each other, one after the
//! other where all nodes of a server see the same resources.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use tokio::time::{Instant, timeout};

use super::bench::Bench;
use super::driver::Driver;
use super::exchange::Exchange;
use super::known::{Known, base};
use super::report::{Outcome, Report, Verdict};
use super::rule::{Rule, Stop};
use super::rules;
use super::target::Target;
use super::transport::Transport;

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
/// The server can't be reached, or shows nothing to start from. The text is a
/// sentence for people.
pub async fn run(
    target: Arc<Target>,
    cases: &[Case],
    driver: Option<Arc<dyn Driver>>,
) -> Result<Report, String> {
    let shared = driver.as_ref().is_some_and(|driver| driver.abilities().shared);
    let known = prepare(&target, driver.as_ref()).await?;
    let (mut driven, still): (Vec<_>, Vec<_>) =
        cases.iter().enumerate().partition(|(_, case)| changes(case.rule, shared));
    // Refusals come last: a server may spare others what some have refused.
    driven.sort_by_key(|(_, case)| case.rule.family() == REFUSALS);
    let turn = |(number, case): (usize, &Case)| {
        let (target, driver, known) = (target.clone(), driver.clone(), known.clone());
        let case = *case;
        async move { (number, on_bench(target, case, number, driver, known).await) }
    };
    // What needs no change comes first: nothing changes under it.
    let still = iter(still.into_iter().map(turn));
    let mut done: Vec<_> = still.buffer_unordered(target.at_once.max(1)).collect().await;
    let at_once = if shared { 1 } else { target.at_once.max(1) };
    let driven = iter(driven.into_iter().map(turn));
    done.extend(driven.buffer_unordered(at_once).collect::<Vec<_>>().await);
    done.sort_by_key(|(number, _)| *number);
    Ok(Report { outcomes: done.into_iter().map(|(_, outcome)| outcome).collect() })
}

/// Whether a case changes what others see, where they see the same.
fn changes(rule: &Rule, shared: bool) -> bool {
    rule.driven || (shared && rule.family() == REFUSALS)
}

/// Runs one case.
///
/// # Errors
/// As [`run`].
pub async fn run_case(
    target: Arc<Target>,
    case: Case,
    driver: Option<Arc<dyn Driver>>,
) -> Result<Outcome, String> {
    let known = prepare(&target, driver.as_ref()).await?;
    Ok(on_bench(target, case, 0, driver, known).await)
}

/// What the server holds at the start.
async fn prepare(target: &Target, driver: Option<&Arc<dyn Driver>>) -> Result<Known, String> {
    let Some(driver) = driver else {
        return Known::look(target).await.map_err(|stop| match stop {
            Stop::Fail(text) | Stop::Skip(text) => {
                format!("the server does not show its clusters and listeners: {text}")
            }
        });
    };
    if driver.abilities().shared {
        let node = target.node.node("conform-all").id;
        driver.set(&node, &base()).await.map_err(|error| format!("the driver failed: {error}"))?;
    }
    Ok(Known::of(&base()))
}

async fn on_bench(
    target: Arc<Target>,
    case: Case,
    number: usize,
    driver: Option<Arc<dyn Driver>>,
    known: Known,
) -> Outcome {
    let since = Instant::now();
    let bench = Bench {
        transport: case.transport,
        exchange: Exchange::begin(),
        node: format!("conform-{number}"),
        lines: AtomicUsize::new(0),
        target,
        driver,
        known,
    };
    let limit = bench.patience() * PATIENCES;
    let done = match timeout(limit, turn(&bench, case.rule)).await {
        Ok(done) => done,
        Err(_) => Err(Stop::Fail(format!("it came to no end within {limit:?}"))),
    };
    let verdict = match done {
        Ok(()) => Verdict::Passed,
        Err(Stop::Fail(reason)) => Verdict::Failed { reason, exchange: bench.exchange.lines() },
        Err(Stop::Skip(reason)) => Verdict::Skipped { reason },
    };
    let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    Outcome::new(case.rule, case.transport, verdict, took_ms)
}

async fn turn(bench: &Bench, rule: &Rule) -> Result<(), Stop> {
    let own = |driver: &Arc<dyn Driver>| !driver.abilities().shared || rule.family() == REFUSALS;
    if bench.driver.as_ref().is_some_and(own) && !rule.driven {
        bench.hold_only(&base()).await?;
    }
    if rule.driven && bench.driver.is_none() {
        return Err(Stop::Skip("it needs a driver that changes the server's resources".into()));
    }
    (rule.run)(bench).await
}
