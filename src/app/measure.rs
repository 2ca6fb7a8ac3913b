//! What `/metrics` shows.

use jiff::Timestamp;

use crate::mirroring::{self, Mirroring};
use crate::reconcile::{Handle, MirrorState};
use crate::telemetry::clock;
use crate::telemetry::metrics::Page;
use crate::xds::Hub;

/// More clusters than these are not shown: each is several lines.
const LOADS_SHOWN_MAX: usize = 1000;

/// The metrics page as of now.
pub(super) fn page(
    handle: &Handle,
    hub: &Hub,
    mirroring: &Mirroring,
    insecure_dev: bool,
) -> String {
    let mut page = Page::default();
    page.gauge(
        "build_info",
        "Always 1; the labels say what runs",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
    let dev = if insecure_dev { 1.0 } else { 0.0 };
    page.gauge("insecure_dev", "1 while everything is served without authentication", &[], dev);
    streams(&mut page, hub);
    nodes(&mut page, hub);
    loads(&mut page, hub);
    stages(&mut page, handle);
    mirrors(&mut page, handle);
    mirror_documents(&mut page, &mirroring.states(), clock::now());
    page.text()
}

fn streams(page: &mut Page, hub: &Hub) {
    let counters = hub.counters();
    page.gauge("xds_streams", "Open xDS streams", &[], counters.streams as f64);
    page.counter("xds_pushes", "Responses sent", &[], counters.pushes);
    page.counter("xds_resources", "Resources sent", &[], counters.resources_sent);
    page.counter("xds_acks", "Responses that nodes took", &[], counters.acks);
    for (kind, count) in hub.nacks_by_kind() {
        page.counter("xds_nacks", "Responses that nodes refused", &[("kind", kind)], count);
    }
    page.counter("xds_bytes", "Bytes sent in responses", &[], counters.bytes_sent);
    page.counter("xds_streams_opened", "Streams ever opened", &[], counters.streams_opened);
    page.counter("xds_streams_refused", "Streams that were refused", &[], counters.streams_refused);
    page.counter("xds_reconnects", "Streams of nodes seen before", &[], counters.reconnects);
    let help = "Requests that named another node than their stream's first one";
    page.counter("xds_other_nodes", help, &[], counters.other_nodes);
    let lags = hub.lags();
    let help = "From a commit to its publication to the nodes of a stage and group";
    page.spread("xds_commit_to_publish_seconds", help, lags.commit_to_publish);
    let help = "From a publication to a node's last ACK of it";
    page.spread("xds_publish_to_ack_seconds", help, lags.publish_to_ack);
    let help = "From a commit to a node's last ACK of it";
    page.spread("xds_commit_to_ack_seconds", help, lags.commit_to_ack);
}

/// Connected nodes by what they are served from, and by how they stand.
fn nodes(page: &mut Page, hub: &Hub) {
    for (key, tally) in hub.tally() {
        let lagging = tally.nodes.saturating_sub(tally.in_step + tally.refusing);
        let states =
            [("in_step", tally.in_step), ("lagging", lagging), ("refusing", tally.refusing)];
        for (state, count) in states {
            let labels = [
                ("repository", key.repo.as_str()),
                ("stage", key.stage.as_str()),
                ("group", key.group.as_str()),
                ("state", state),
            ];
            page.gauge("xds_nodes", "Connected nodes", &labels, count as f64);
        }
    }
}

/// What clusters carry, as nodes report it.
fn loads(page: &mut Page, hub: &Hub) {
    let refused = hub.loads_refused();
    page.counter("cluster_loads_refused", "Reported loads that were not kept", &[], refused);
    for one in hub.cluster_loads().iter().take(LOADS_SHOWN_MAX) {
        let labels = [
            ("repository", one.repo.as_ref().map_or("", |repo| repo.as_str())),
            ("stage", one.stage.as_ref().map_or("", |stage| stage.as_str())),
            ("cluster", one.cluster.as_str()),
            ("locality", one.locality.as_str()),
        ];
        let load = one.load;
        page.counter("cluster_requests", "Requests that nodes report", &labels, load.issued);
        page.counter("cluster_errors", "Requests that failed", &labels, load.errors);
        page.counter("cluster_dropped", "Requests that were dropped", &labels, load.dropped);
        let under_way = load.in_progress as f64;
        page.gauge("cluster_requests_in_progress", "Requests under way", &labels, under_way);
    }
}

fn stages(page: &mut Page, handle: &Handle) {
    let view = handle.view();
    for ((repo, stage), slot) in &view.state.slots {
        let labels = [("repository", repo.as_str()), ("stage", stage.as_str())];
        page.gauge("stage_epoch", "Moves of the stage's pointer", &labels, slot.epoch as f64);
        let open = view.state.open(repo, stage);
        let waiting = open.iter().filter(|p| p.status.is_waiting()).count();
        page.gauge("promotions_waiting", "Promotions that wait", &labels, waiting as f64);
    }
    page.gauge("smoke_cells_running", "Smoke cells at work", &[], view.running.len() as f64);
}

fn mirrors(page: &mut Page, handle: &Handle) {
    for (repo, mirror) in &handle.view().mirrors {
        let labels = [("repository", repo.as_str())];
        let in_step = matches!(mirror.state, MirrorState::InStep);
        let diverged = matches!(mirror.state, MirrorState::Diverged { .. });
        let number = |yes| if yes { 1.0 } else { 0.0 };
        page.gauge("mirror_in_step", "1 while the last fetch worked", &labels, number(in_step));
        page.gauge(
            "mirror_diverged",
            "1 while the upstream is rewritten",
            &labels,
            number(diverged),
        );
        page.gauge("mirror_revision", "Our newest revision", &labels, mirror.revision.0 as f64);
    }
}

/// Mirrors that are documents: how far each is behind, and whether it fails.
fn mirror_documents(page: &mut Page, states: &[mirroring::MirrorState], now: Timestamp) {
    for state in states {
        let labels = [("project", state.project.as_str()), ("mirror", state.id.as_str())];
        let since = state.in_step_at.unwrap_or(state.known_since);
        let lag_s = now.duration_since(since).as_secs_f64().max(0.0);
        page.gauge("mirror_lag_seconds", "Time since it was last in step", &labels, lag_s);
        let failures = f64::from(state.failures);
        page.gauge("mirror_failures", "Runs that failed in a row", &labels, failures);
        let running = if state.running { 1.0 } else { 0.0 };
        page.gauge("mirror_running", "1 while it runs", &labels, running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_lags_since_it_was_last_in_step_or_else_since_it_is_known() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut state = mirroring::MirrorState {
            project: "mesh".into(),
            id: "up".into(),
            running: false,
            last: None,
            failures: 3,
            failing_since: Some(at(60)),
            in_step_at: None,
            known_since: at(10),
            next_at: None,
        };
        let text = |state: &mirroring::MirrorState| {
            let mut page = Page::default();
            mirror_documents(&mut page, std::slice::from_ref(state), at(110));
            page.text()
        };
        let labels = "{project=\"mesh\",mirror=\"up\"}";
        assert!(text(&state).contains(&format!("convoy_mirror_lag_seconds{labels} 100.0\n")));
        state.in_step_at = Some(at(50));
        let text = text(&state);
        assert!(text.contains(&format!("convoy_mirror_lag_seconds{labels} 60.0\n")), "{text}");
        assert!(text.contains(&format!("convoy_mirror_failures{labels} 3.0\n")), "{text}");
    }
}
