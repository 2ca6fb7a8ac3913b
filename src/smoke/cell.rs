//! Runs one cell: for each of the stage's snapshots a real Envoy, the
//! surroundings it needs, and the checks, one group after the other.
//!
//! Everything that a group's run starts is owned by its future: dropping that
//! kills the Envoy, ends the upstream and the xDS listener, and removes the
//! folder.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::bootstrap::Bootstrap;
use super::candidate::{Candidate, Draft, Papers, Surroundings, Transport};
use super::check;
use super::echo::Echo;
use super::envoy::{Admin, Envoy};
use super::evidence::Redactor;
use super::judge::{Case, Ready, Verdict, judge};
use super::keep;
use super::pki::Authority;
use super::room::{Builder, Room};
use super::script::{self, Trouble};
use super::suite::{Check, Selection};
use super::traffic::Target;
use super::{Listeners, Plan};
use crate::model::{Outcome, ResourceKind};
use crate::schema::Schema;
use crate::snapshot::Snapshot;

/// What a run has to work with.
pub(super) struct Bench<'a> {
    /// Envoy's types.
    pub(super) schema: &'a Schema,
    /// Where private xDS listeners come from.
    pub(super) listeners: &'a dyn Listeners,
    /// The Envoy.
    pub(super) binary: &'a Path,
    /// How rooms are made.
    pub(super) rooms: Builder<'a>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    failed: Vec<String>,
    errored: Vec<String>,
    /// How many checks ran.
    pub(super) checks: usize,
    /// Why a room was open, where one was.
    pub(super) unfenced: Option<String>,
    /// What is kept, by group and file.
    pub(super) files: BTreeMap<String, BTreeMap<String, String>>,
}

impl Report {
    /// What it came to. What failed has been found out, whatever else has not.
    pub(super) fn outcome(&self) -> Outcome {
        if !self.failed.is_empty() {
            Outcome::Failed
        } else if !self.errored.is_empty() {
            Outcome::Errored
        } else {
            Outcome::Passed
        }
    }

    /// Why, a line each.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.failed.iter().chain(&self.errored).cloned().collect()
    }

    fn add(&mut self, label: &str, group: Self) {
        let labelled = |reason: String| format!("{label}{reason}");
        self.failed.extend(group.failed.into_iter().map(labelled));
        self.errored.extend(group.errored.into_iter().map(labelled));
        self.checks += group.checks;
        self.unfenced = self.unfenced.take().or(group.unfenced);
        self.files.extend(group.files);
    }

    fn error(&mut self, what: &str, error: &dyn std::fmt::Display) {
        self.errored.push(format!("{what}: {error}"));
    }
}

/// Runs the cell of `plan`.
pub(super) async fn run(bench: &Bench<'_>, plan: &Plan) -> Report {
    let mut report = Report { failed: homeless(plan), ..Report::default() };
    for snapshot in &plan.snapshots {
        let group = snapshot.key.group.as_str();
        let label = match plan.snapshots.len() {
            1 => String::new(),
            _ => format!("group {group}: "),
        };
        report.add(&label, run_group(bench, plan, snapshot).await);
    }
    report
}

/// Complaints of checks that ask for a listener or a group that no snapshot
/// of the stage has: they would pass by never running.
fn homeless(plan: &Plan) -> Vec<String> {
    let groups: BTreeSet<_> = plan.snapshots.iter().map(|s| s.key.group.clone()).collect();
    let listeners: BTreeSet<_> = plan.snapshots.iter().flat_map(|s| listener_names(s)).collect();
    let mut complaints = Vec::new();
    for check in checks_of(plan) {
        if let Some(group) = check.groups.iter().find(|group| !groups.contains(*group)) {
            let known: Vec<_> = groups.iter().map(ToString::to_string).collect();
            let known = known.join(", ");
            complaints
                .push(complain(check, &format!("there is no group `{group}`; there are: {known}")));
        }
        let missing = check.listener.as_ref().filter(|name| !listeners.contains(*name));
        if let Some(listener) = missing.filter(|_| check.groups.is_empty()) {
            complaints.push(complain(check, &no_listener(listener, &listeners)));
        }
    }
    complaints
}

fn no_listener(listener: &str, there: &BTreeSet<String>) -> String {
    let there: Vec<_> = there.iter().map(String::as_str).collect();
    match there.as_slice() {
        [] => format!("there is no listener `{listener}`, nor any other"),
        _ => format!("there is no listener `{listener}`; there are: {}", there.join(", ")),
    }
}

fn complain(check: &Check, complaint: &str) -> String {
    format!("check `{}` ({}): {complaint}", check.name, check.place)
}

fn listener_names(snapshot: &Snapshot) -> Vec<String> {
    let listeners = snapshot.types.get(&ResourceKind::Listeners.type_url());
    listeners.map_or_else(Vec::new, |listeners| {
        listeners.resources.keys().map(|name| name.0.as_ref().to_owned()).collect()
    })
}

/// The declarative checks that the policy and the stage let run.
fn checks_of(plan: &Plan) -> impl Iterator<Item = &Check> {
    let selection = Selection::new(&plan.policy.checks);
    plan.suite.checks.iter().filter(move |check| {
        let here = check.stages.is_empty() || check.stages.contains(&plan.cell.stage);
        here && selection.takes(&check.place.file)
    })
}

async fn run_group(bench: &Bench<'_>, plan: &Plan, snapshot: &Arc<Snapshot>) -> Report {
    let mut report = Report::default();
    match bench.rooms.build(bench.binary).await {
        Ok((room, unfenced)) => {
            report.unfenced = unfenced;
            if let Err(complaint) = run_in(bench, plan, snapshot, &room, &mut report).await {
                report.errored.push(complaint);
            }
        }
        Err(error) => {
            let work = bench.rooms.work.display();
            let words = format!("no folder could be made in {work} (is the disk full?)");
            report.error(&words, &error);
        }
    }
    report
}

async fn run_in(
    bench: &Bench<'_>,
    plan: &Plan,
    snapshot: &Arc<Snapshot>,
    room: &Room,
    report: &mut Report,
) -> Result<(), String> {
    let mut stage = prepare(bench.schema, snapshot, room).await?;
    let closed = |error| format!("the private xds listener could not be opened: {error}");
    let port = room.listen(0).await.map_err(closed)?;
    let served = Arc::new(stage.candidate.snapshot.clone());
    let listening = bench.listeners.listen(served, port).map_err(closed)?;
    let bootstrap = Bootstrap {
        node: &format!("smoke-{}-{}-{}", plan.cell.stage, plan.cell.version, snapshot.key.group),
        group: snapshot.key.group.as_str(),
        stage: plan.cell.stage.as_str(),
        xds: listening.address(),
        runtime: &stage.candidate.runtime,
    }
    .to_json();
    let mut envoy = Envoy::start(room, &bootstrap)
        .await
        .map_err(|error| format!("{} could not be started: {error}", bench.binary.display()))?;
    let case = Case {
        schema: bench.schema,
        candidate: &stage.candidate,
        listening: listening.as_ref(),
        within: plan.policy.ready_timeout,
    };
    match judge(&mut envoy, &case).await {
        Verdict::Failed(reasons) => report.failed = reasons,
        Verdict::Errored(reason) => report.errored.push(reason),
        Verdict::Ready(ready) => {
            let mut group = Group { plan, snapshot, room, stage: &mut stage, ready: &ready };
            group.run_checks(report).await;
            if let Some(status) = envoy.ended() {
                let log = envoy.log().last_words().await.join(" / ");
                report.failed.push(format!("envoy ended during the checks with {status}: {log}"));
            }
        }
    }
    let redactor = Redactor::new(std::mem::take(&mut stage.candidate.secrets));
    let files = keep::gather(&mut envoy, &bootstrap, &redactor).await;
    report.files.insert(snapshot.key.group.to_string(), files);
    envoy.end().await;
    Ok(())
}

/// What stands around one Envoy.
struct Stage {
    candidate: Candidate,
    echo: Echo,
    authority: Authority,
}

async fn prepare(schema: &Schema, snapshot: &Snapshot, room: &Room) -> Result<Stage, String> {
    let mut draft = Draft::read(schema, snapshot).map_err(|error| error.to_string())?;
    let papers = |error| format!("no certificates could be made: {error}");
    let authority = Authority::new().map_err(papers)?;
    let server = authority.server().map_err(papers)?;
    let echo = Echo::start(room, &draft.upstreams(), &server).await;
    let echo = echo.map_err(|error| format!("no port for the echo upstream: {error}"))?;
    // Port 9 is nobody's: a cluster without endpoints is never asked for one.
    let port = |cluster: &str, endpoint| echo.port(cluster, endpoint).unwrap_or(9);
    let papers = Papers { authority: authority.pem(), cert: &server.cert, key: &server.key };
    let around = Surroundings { folder: &room.inner_folder(), port: &port, papers };
    let candidate = draft.finish(schema, &around);
    Ok(Stage { candidate, echo, authority })
}

/// One Envoy that is ready, and what to check on it.
struct Group<'a> {
    plan: &'a Plan,
    snapshot: &'a Snapshot,
    room: &'a Room,
    stage: &'a mut Stage,
    ready: &'a Ready,
}

impl Group<'_> {
    async fn run_checks(&mut self, report: &mut Report) {
        // What disturbs comes last, whatever file it is in.
        let (quiet, loud): (Vec<&Check>, Vec<&Check>) =
            checks_of(self.plan).partition(|check| !check.disturbs());
        for check in quiet {
            self.run_check(check, report).await;
        }
        self.run_scripts(report).await;
        for check in loud {
            self.run_check(check, report).await;
        }
    }

    async fn run_check(&mut self, check: &Check, report: &mut Report) {
        let address = match self.target(check) {
            Ok(Some(address)) => address,
            Ok(None) => return,
            Err(complaint) => {
                report.failed.push(complain(check, &complaint));
                return;
            }
        };
        report.checks += 1;
        let Stage { echo, authority, .. } = &mut *self.stage;
        let target =
            address.map(|(address, tls)| Target { room: self.room, address, tls, authority });
        let admin = Admin::new(self.room, self.ready.admin);
        let within = check.timeout.unwrap_or(self.plan.policy.check_timeout);
        let scene = check::Scene { room: self.room, target, echo, admin, within };
        if let Err(complaint) = check::run(check, scene).await {
            report.failed.push(complain(check, &complaint));
        }
    }

    /// Where a check goes and whether over TLS; nowhere when it isn't for this
    /// group.
    fn target(&self, check: &Check) -> Result<Option<Option<(SocketAddr, bool)>>, String> {
        let is_named = check.groups.contains(&self.snapshot.key.group);
        if !is_named && !check.groups.is_empty() {
            return Ok(None);
        }
        if check.listener.is_none() && !check.asks() {
            return Ok(Some(None));
        }
        let there: BTreeSet<_> = self.stage.candidate.listeners.keys().cloned().collect();
        let only = self.ready.listeners.keys().next();
        let name = match (&check.listener, self.ready.listeners.len()) {
            (Some(name), _) if there.contains(name) => name,
            (Some(name), _) if is_named => return Err(no_listener(name, &there)),
            (None, 1) => only.unwrap_or(&check.name),
            (None, 0) if is_named => return Err("there is no listener on a port".into()),
            (Some(_), _) | (None, 0) => return Ok(None),
            (None, _) => {
                let names: Vec<_> = there.iter().map(String::as_str).collect();
                return Err(format!("name one of the listeners: {}", names.join(", ")));
            }
        };
        let address = self.ready.listeners.get(name).copied();
        let listener = self.stage.candidate.listeners.get(name);
        let Some((address, listener)) = address.zip(listener) else {
            let kind = match listener.map(|listener| listener.transport) {
                Some(Transport::Udp) => "on UDP",
                Some(Transport::Pipe) => "on a pipe",
                _ => "inside envoy",
            };
            return Err(format!("listener `{name}` is {kind}, where a check can't ask it"));
        };
        Ok(Some(Some((address, listener.tls))))
    }

    async fn run_scripts(&self, report: &mut Report) {
        let selection = Selection::new(&self.plan.policy.checks);
        let scripts = self.plan.suite.scripts.iter().filter(|script| selection.takes(script));
        let scripts: Vec<_> = scripts.collect();
        if scripts.is_empty() {
            return;
        }
        if let Err(error) = script::unpack(&self.plan.suite, self.room) {
            report.error("the files of `checks/` could not be written", &error);
            return;
        }
        let around = script::Surroundings {
            cell: &self.plan.cell,
            group: self.snapshot.key.group.as_str(),
            admin: self.ready.admin,
            listeners: &self.ready.listeners,
            room: self.room,
            within: self.plan.policy.check_timeout,
        };
        for script in scripts {
            report.checks += 1;
            match script::run(script, &around).await {
                Ok(()) => {}
                Err(Trouble::Failed(why)) => report.failed.push(format!("check {script} {why}")),
                Err(Trouble::Errored(why)) => report.errored.push(format!("check {script} {why}")),
            }
        }
    }
}
