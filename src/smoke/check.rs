//! Runs one declarative check, step by step.
//!
//! A step that breaks what it expects ends the check. Whatever a check
//! disturbed is put right before the next one begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::echo::Echo;
use super::envoy::Admin;
use super::expect::Tally;
use super::room::Room;
use super::suite::{Action, Check, Stats, Step};
use super::traffic::{self, Target};

/// How often stats are looked at while they are waited for.
const POLL: Duration = Duration::from_millis(20);
/// How long putting things right may take.
const MENDING: Duration = Duration::from_secs(10);

/// What a check acts upon.
pub(super) struct Scene<'a> {
    /// Where all of it is.
    pub(super) room: &'a Room,
    /// The listener, where the check asks one.
    pub(super) target: Option<Target<'a>>,
    /// The upstreams.
    pub(super) echo: &'a mut Echo,
    /// Envoy's admin.
    pub(super) admin: Admin<'a>,
    /// How long the check may take.
    pub(super) within: Duration,
}

/// Runs `check`.
///
/// # Errors
/// What was expected and what came, in one line.
pub(super) async fn run(check: &Check, scene: Scene<'_>) -> Result<(), String> {
    let within = scene.within;
    let mut play = Play { scene, before: BTreeMap::new(), set: BTreeSet::new(), done: 0 };
    let tally = Mutex::default();
    let outcome = match timeout(within, play.run(check, &tally)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(play.late(check, within, &tally)),
    };
    if !check.disturbs() {
        return outcome;
    }
    let mended = timeout(MENDING, play.mend()).await;
    let mended = mended.unwrap_or_else(|_| Err("envoy's admin does not answer".into()));
    match (outcome, mended) {
        (Ok(()), Err(why)) => Err(format!("what it disturbed could not be put right: {why}")),
        (outcome, _) => outcome,
    }
}

struct Play<'a> {
    scene: Scene<'a>,
    /// The counters as the check began.
    before: BTreeMap<String, u64>,
    /// The runtime keys that were set.
    set: BTreeSet<String>,
    done: usize,
}

impl Play<'_> {
    async fn run(&mut self, check: &Check, tally: &Mutex<Tally>) -> Result<(), String> {
        if check.steps.iter().any(|step| matches!(step.action, Action::Stats(_))) {
            self.before = self.scene.admin.counters().await.map_err(|e| e.to_string())?;
        }
        for (number, step) in check.steps.iter().enumerate() {
            *tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::default();
            let outcome = self.step(step, tally).await;
            outcome.map_err(|complaint| match check.is_scenario {
                false => complaint,
                true => format!("step {} ({}): {complaint}", number + 1, step.place),
            })?;
            self.done = number + 1;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step, tally: &Mutex<Tally>) -> Result<(), String> {
        let scene = &mut self.scene;
        match &step.action {
            Action::Traffic(traffic) => traffic::send(traffic, self.target()?, tally).await,
            Action::Raw(raw) => traffic::send_raw(raw, self.target()?).await,
            Action::Fail(hosts, failure, share) => {
                scene.echo.conduct(hosts, |conduct| conduct.failure = Some((*failure, *share)))
            }
            Action::Delay(hosts, by, share) => {
                scene.echo.conduct(hosts, |conduct| conduct.delay = Some((*by, *share)))
            }
            Action::Drop(hosts) => scene.echo.leave(hosts).await,
            Action::Restore(hosts) => scene.echo.restore(scene.room, hosts.as_ref()).await,
            Action::Runtime(values) => self.set_runtime(values).await,
            Action::Stats(stats) => self.look(stats).await,
            Action::Wait(time) => {
                sleep(*time).await;
                Ok(())
            }
        }
    }

    fn target(&self) -> Result<Target<'_>, String> {
        self.scene.target.ok_or_else(|| "there is no listener to ask".into())
    }

    async fn set_runtime(&mut self, values: &[(String, String)]) -> Result<(), String> {
        self.set.extend(values.iter().map(|(key, _)| key.clone()));
        let (status, words) =
            self.scene.admin.set_runtime(values).await.map_err(|e| e.to_string())?;
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("envoy did not take the runtime values: {words}")),
        }
    }

    async fn look(&mut self, stats: &Stats) -> Result<(), String> {
        let until = Instant::now() + stats.within;
        loop {
            let found = self.scene.admin.all_stats().await.map_err(|e| e.to_string())?;
            let broken = self.broken(stats, &found);
            if broken.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                let within = stats.within.as_secs_f32();
                return Err(format!("{} (after {within} s)", broken.join("; ")));
            }
            sleep(POLL).await;
        }
    }

    fn broken(&self, stats: &Stats, found: &BTreeMap<String, u64>) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, condition) in &stats.conditions {
            // Envoy has a stat from its first use on.
            let now = found.get(name).copied().unwrap_or(0);
            let number = now.saturating_sub(self.before.get(name).copied().unwrap_or(0));
            if condition.holds(number) {
                continue;
            }
            let hint = if found.contains_key(name) { "" } else { ", which envoy does not have" };
            broken.push(format!("expected stat `{name}`{hint} {condition}, got {number}"));
        }
        broken
    }

    fn late(&self, check: &Check, within: Duration, tally: &Mutex<Tally>) -> String {
        let within = within.as_secs_f32();
        let told = format!("did not finish within {within} s");
        let answered = tally.lock().unwrap_or_else(PoisonError::into_inner).answered;
        let step = check.steps.get(self.done);
        let place = step
            .filter(|_| check.is_scenario)
            .map(|step| format!(" at step {} ({})", self.done + 1, step.place));
        let place = place.unwrap_or_default();
        match step.map(|step| &step.action) {
            Some(Action::Traffic(traffic)) => {
                format!("{told}{place}: {answered} of {} requests were answered", traffic.repeat)
            }
            _ => format!("{told}{place}"),
        }
    }

    /// Puts right what the check disturbed.
    async fn mend(&mut self) -> Result<(), String> {
        let taken_back: Vec<_> = self.set.iter().map(|key| (key.clone(), String::new())).collect();
        if !taken_back.is_empty() {
            self.set_runtime(&taken_back).await?;
        }
        self.scene.echo.restore(self.scene.room, None).await
    }
}
