//! Whether an Envoy took its configuration, in its own words where it didn't.
//!
//! Failed means that the configuration is wrong; errored means that we could
//! not find out. Called by `cell` after the boot.

mod unknown;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Listening;
use super::candidate::{Candidate, Transport};
use super::client::ClientError;
use super::envoy::{Admin, Envoy};
use crate::schema::Schema;

/// How often Envoy is looked at while it starts.
const POLL: Duration = Duration::from_millis(10);
/// How long after the first refusal others are still gathered.
const REFUSAL_GRACE: Duration = Duration::from_millis(300);
/// How long a rejection that Envoy counted may take to reach our listener.
const WORDS_GRACE: Duration = Duration::from_millis(500);
/// Log lines that a reason quotes.
const LOG_LINES: usize = 8;
/// Names that a reason lists.
const MAX_NAMES: usize = 10;
/// `SIGXFSZ`.
const FILE_TOO_LARGE: i32 = 25;
/// The gauges of what is not ready yet.
const WARMING: &str = "%5E(cluster_manager.warming_clusters%7C\
                       listener_manager.total_listeners_warming)$";
/// The stats that tell of the state of the configuration.
const STATS: &str = "(warming_clusters%7Ctotal_listeners_warming%7Cdynamic_unknown_fields\
                     %7Ccontrol_plane.connected_state%7Cinit_fetch_timeout%7Cupdate_rejected\
                     %7Cdeprecated_feature_use)$";

/// What became of an Envoy.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It took everything.
    Ready(Ready),
    /// The configuration is wrong: why, a line each.
    Failed(Vec<String>),
    /// We could not find out.
    Errored(String),
}

/// An Envoy at work.
#[derive(Debug)]
pub(super) struct Ready {
    /// Its admin.
    pub(super) admin: SocketAddr,
    /// Where its TCP listeners are, by name.
    pub(super) listeners: BTreeMap<String, SocketAddr>,
}

/// One Envoy under judgement.
pub(super) struct Case<'a> {
    /// Envoy's types, to call fields by name.
    pub(super) schema: &'a Schema,
    /// What it is served.
    pub(super) candidate: &'a Candidate,
    /// By whom.
    pub(super) listening: &'a dyn Listening,
    /// How long it may take.
    pub(super) within: Duration,
}

/// Waits until the Envoy is ready, or can't become so, and says which.
pub(super) async fn judge(envoy: &mut Envoy<'_>, case: &Case<'_>) -> Verdict {
    let deadline = Instant::now() + case.within;
    let admin = match first_answer(envoy, deadline).await {
        Ok(admin) => admin,
        Err(verdict) => return verdict,
    };
    let mut watch = Watch { admin: Admin::new(envoy.room(), admin), address: admin, deadline };
    match watch.run(envoy, case).await {
        Ok(verdict) => verdict,
        // An admin that stops answering is an Envoy that stopped.
        Err(error) => match ended(envoy).await {
            Some(status) => crashed(status, &envoy.log().last_words().await),
            None => Verdict::Errored(format!("envoy's admin does not answer: {error}")),
        },
    }
}

async fn first_answer(envoy: &mut Envoy<'_>, deadline: Instant) -> Result<SocketAddr, Verdict> {
    loop {
        if let Some(status) = envoy.ended() {
            return Err(crashed(status, &envoy.log().last_words().await));
        }
        if let Some(admin) = envoy.admin() {
            return Ok(admin);
        }
        if Instant::now() >= deadline {
            return Err(Verdict::Errored("envoy opened no admin port in time".into()));
        }
        sleep(POLL).await;
    }
}

/// Whether it ended, given a moment to.
async fn ended(envoy: &mut Envoy<'_>) -> Option<ExitStatus> {
    for _ in 0..20 {
        if let Some(status) = envoy.ended() {
            return Some(status);
        }
        sleep(POLL).await;
    }
    None
}

fn crashed(status: ExitStatus, log: &[String]) -> Verdict {
    let words = log[log.len().saturating_sub(LOG_LINES)..].join(" / ");
    match (status.signal(), status.code()) {
        // Not by us: we stop waiting before we kill.
        (Some(9), _) => Verdict::Errored("envoy was killed from outside; is memory short?".into()),
        (Some(FILE_TOO_LARGE), _) => Verdict::Failed(vec![
            "envoy was ended: it wrote a file of more than 64 MiB, which no access log of a few \
             requests needs"
                .into(),
        ]),
        (_, Some(code @ (126 | 127))) => {
            Verdict::Errored(format!("envoy can't run here (exit status {code}): {words}"))
        }
        (Some(signal), _) => {
            Verdict::Failed(vec![format!("envoy crashed with signal {signal}: {words}")])
        }
        (None, code) => Verdict::Failed(vec![format!(
            "envoy exited with status {}: {words}",
            code.unwrap_or_default()
        )]),
    }
}

/// What one look at Envoy showed.
struct Look {
    /// Envoy's word for its state.
    state: String,
    listeners: BTreeMap<String, SocketAddr>,
    missing: Vec<String>,
    warming: bool,
}

struct Watch<'a> {
    admin: Admin<'a>,
    address: SocketAddr,
    deadline: Instant,
}

impl Watch<'_> {
    async fn run(
        &mut self,
        envoy: &mut Envoy<'_>,
        case: &Case<'_>,
    ) -> Result<Verdict, ClientError> {
        let mut refused: Option<Instant> = None;
        let look = loop {
            let look = self.look(case.candidate).await?;
            if look.state == "LIVE" && look.missing.is_empty() && !look.warming {
                break look;
            }
            if refused.is_none() && !case.listening.refusals().is_empty() {
                refused = Some(Instant::now());
            }
            if refused.is_some_and(|since| since.elapsed() >= REFUSAL_GRACE) {
                return Ok(Verdict::Failed(self.faults(envoy, case).await?));
            }
            if Instant::now() >= self.deadline {
                return self.never_ready(envoy, case, &look).await;
            }
            if let Some(status) = envoy.ended() {
                return Ok(crashed(status, &envoy.log().last_words().await));
            }
            sleep(POLL).await;
        };
        let mut faults = self.faults(envoy, case).await?;
        if faults.is_empty() {
            faults = self.unhealthy(case.candidate).await?;
        }
        if faults.is_empty() {
            return Ok(Verdict::Ready(Ready { admin: self.address, listeners: look.listeners }));
        }
        Ok(Verdict::Failed(faults))
    }

    async fn look(&mut self, candidate: &Candidate) -> Result<Look, ClientError> {
        let (live, state) = self.admin.ready().await?;
        if !live {
            let missing = candidate.listeners.keys().cloned().collect();
            return Ok(Look { state, listeners: BTreeMap::new(), missing, warming: true });
        }
        let active = active_listeners(&self.admin.json("/listeners?format=json").await?);
        let stats = self.admin.stats(WARMING).await?;
        let is_warming = |name: &str| stats.get(name).is_some_and(|count| *count > 0);
        let missing = candidate.listeners.keys().filter(|name| !active.contains_key(*name));
        let missing = missing.cloned().collect();
        let reachable = |name: &String| {
            candidate.listeners.get(name).is_some_and(|l| l.transport == Transport::Tcp)
        };
        let listeners = active.into_iter().filter(|(name, _)| reachable(name));
        Ok(Look {
            state,
            listeners: listeners.filter_map(|(name, at)| Some((name, at?))).collect(),
            missing,
            warming: is_warming("cluster_manager.warming_clusters")
                || is_warming("listener_manager.total_listeners_warming"),
        })
    }

    /// Everything that is wrong with what Envoy was served.
    async fn faults(
        &mut self,
        envoy: &Envoy<'_>,
        case: &Case<'_>,
    ) -> Result<Vec<String>, ClientError> {
        let stats = self.admin.stats(STATS).await?;
        let counted = |suffix: &str| {
            let found = stats.iter().filter(|(name, n)| name.ends_with(suffix) && **n > 0);
            found.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let rejected = counted("update_rejected");
        let mut faults = refusals(case.listening, !rejected.is_empty()).await;
        if faults.is_empty() && !rejected.is_empty() {
            faults.push(format!("envoy rejected an update: {}", some(&rejected)));
        }
        faults.extend(timeouts(&counted("init_fetch_timeout")));
        if !counted("dynamic_unknown_fields").is_empty() {
            faults.extend(unknown::describe(case.schema, &envoy.log().lines()));
        }
        if !counted("deprecated_feature_use").is_empty() {
            tracing::info!("the configuration uses features that this envoy calls deprecated");
        }
        Ok(faults)
    }

    async fn never_ready(
        &mut self,
        envoy: &Envoy<'_>,
        case: &Case<'_>,
        look: &Look,
    ) -> Result<Verdict, ClientError> {
        let mut faults = self.faults(envoy, case).await?;
        if !faults.is_empty() {
            return Ok(Verdict::Failed(faults));
        }
        let connected = self.admin.stats("control_plane.connected_state").await?;
        if connected.values().all(|connected| *connected == 0) {
            return Ok(Verdict::Errored("envoy never reached the private xds listener".into()));
        }
        let within = case.within.as_secs_f32();
        faults.push(format!("envoy did not become ready within {within} s: {}", look.state));
        if look.state == "LIVE" && !look.missing.is_empty() {
            faults.push(format!("listeners that are not active: {}", some(&look.missing)));
        }
        let waiting = self.waiting(case.candidate).await?;
        if !waiting.is_empty() {
            faults.push(format!("warming never ended; still waited for: {}", some(&waiting)));
        }
        Ok(Verdict::Failed(faults))
    }

    /// What Envoy still waits for: its own list, and clusters that asked for
    /// endpoints and got no answer, which that list leaves out.
    async fn waiting(&mut self, candidate: &Candidate) -> Result<Vec<String>, ClientError> {
        let dump = self.admin.json("/init_dump").await?;
        let managers = dump["unready_targets_dumps"].as_array().cloned().unwrap_or_default();
        let targets = managers.iter().filter_map(|m| m["target_names"].as_array()).flatten();
        let mut waiting: Vec<_> = targets.filter_map(Value::as_str).map(str::to_owned).collect();
        let stats = self.admin.stats("%5Ecluster%5C..*update_(attempt%7Csuccess)$").await?;
        for cluster in &candidate.clusters {
            let stat = |what: &str| stats.get(&format!("cluster.{cluster}.update_{what}")).copied();
            if stat("attempt").unwrap_or(0) > 0 && stat("success") == Some(0) {
                waiting.push(format!("the endpoints of cluster `{cluster}`"));
            }
        }
        waiting.sort();
        waiting.dedup();
        Ok(waiting)
    }

    /// Health-checked clusters that don't come to have a healthy host. The
    /// panic mode would hide it: requests are answered all the same.
    async fn unhealthy(&mut self, candidate: &Candidate) -> Result<Vec<String>, ClientError> {
        loop {
            if candidate.health_checked.is_empty() {
                return Ok(Vec::new());
            }
            let healthy = self.healthy_clusters().await?;
            let sick = candidate.health_checked.iter().filter(|name| !healthy.contains(*name));
            let sick: Vec<_> = sick.cloned().collect();
            if sick.is_empty() {
                return Ok(sick);
            }
            if Instant::now() >= self.deadline {
                return Ok(vec![format!(
                    "health checks find no healthy host in: {} (membership_healthy is 0)",
                    some(&sick)
                )]);
            }
            sleep(POLL).await;
        }
    }

    async fn healthy_clusters(&mut self) -> Result<Vec<String>, ClientError> {
        let clusters = self.admin.json("/clusters?format=json").await?;
        let clusters = clusters["cluster_statuses"].as_array().cloned().unwrap_or_default();
        let healthy = clusters.iter().filter(|cluster| {
            let hosts = cluster["host_statuses"].as_array();
            hosts.is_some_and(|hosts| hosts.iter().any(|host| is_healthy(&host["health_status"])))
        });
        Ok(healthy.filter_map(|c| c["name"].as_str().map(str::to_owned)).collect())
    }
}

fn is_healthy(status: &Value) -> bool {
    let by_endpoint = status["eds_health_status"].as_str().unwrap_or("HEALTHY");
    let flags = ["failed_active_health_check", "pending_active_hc", "failed_outlier_check"];
    matches!(by_endpoint, "HEALTHY" | "UNKNOWN")
        && flags.iter().all(|flag| status[flag].as_bool() != Some(true))
}

/// The active listeners; those on something other than a port have no place.
fn active_listeners(answer: &Value) -> BTreeMap<String, Option<SocketAddr>> {
    let listeners = answer["listener_statuses"].as_array().into_iter().flatten();
    let read = |listener: &Value| {
        let socket = &listener["local_address"]["socket_address"];
        let ip = socket["address"].as_str().and_then(|ip| ip.parse().ok());
        let port = socket["port_value"].as_u64().and_then(|port| u16::try_from(port).ok());
        let place = ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
        Some((listener["name"].as_str()?.to_owned(), place))
    };
    listeners.filter_map(read).collect()
}

/// What our listener was told; waits a moment where Envoy counted a rejection
/// whose words are still on their way.
async fn refusals(listening: &dyn Listening, is_expected: bool) -> Vec<String> {
    let until = Instant::now() + WORDS_GRACE;
    while is_expected && listening.refusals().is_empty() && Instant::now() < until {
        sleep(POLL).await;
    }
    let mut reasons = Vec::new();
    for (type_url, words) in listening.refusals() {
        let kind = type_url.rsplit(['.', '/']).next().unwrap_or(&type_url);
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let reason = format!("envoy refused {kind}: {words}");
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// `cluster.NAME.init_fetch_timeout` and the like.
fn timeouts(stats: &[String]) -> Option<String> {
    let names: Vec<_> =
        stats.iter().map(|stat| stat.trim_end_matches(".init_fetch_timeout").to_owned()).collect();
    (!names.is_empty())
        .then(|| format!("warming ended only by envoy's own time limit for: {}", some(&names)))
}

fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let listed = names[..names.len() - more].join(", ");
    if more == 0 { listed } else { format!("{listed} and {more} more") }
}
