//! What `/metrics` shows.

use jiff::Timestamp;

use crate::mirroring::{self, Mirroring};
use crate::promote::Status;
use crate::reconcile::{Handle, MirrorState};
use crate::telemetry::clock;
use crate::telemetry::metrics::Page;
use crate::xds::Hub;

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
    page.counter("xds_nacks", "Responses that nodes refused", &[], counters.nacks);
}

fn stages(page: &mut Page, handle: &Handle) {
    let view = handle.view();
    for ((repo, stage), fleet) in &view.fleet {
        let labels = [("repository", repo.as_str()), ("stage", stage.as_str())];
        page.gauge("xds_nodes", "Connected nodes", &labels, fleet.nodes as f64);
        page.gauge("xds_nodes_in_step", "Nodes that took all", &labels, fleet.acked as f64);
        page.gauge("xds_nodes_refusing", "Nodes that refuse", &labels, fleet.nacked as f64);
    }
    for ((repo, stage), slot) in &view.state.slots {
        let labels = [("repository", repo.as_str()), ("stage", stage.as_str())];
        page.gauge("stage_epoch", "Moves of the stage's pointer", &labels, slot.epoch as f64);
        let open = view.state.open(repo, stage);
        let waiting = open.iter().filter(|p| p.status == Status::Gated).count();
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
