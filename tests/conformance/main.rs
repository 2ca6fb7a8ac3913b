//! The conformance suite, tried on Convoy, and on servers that are wrong on
//! purpose.
//!
//! Every rule is a test of its own, named after it: `hub::wildcard::legacy`. It
//! runs over all its transports at once, because most of it is waiting. The
//! names come from the rules, so this target has its own small `main` that
//! speaks the test runners' language (`--list`, `--exact`, names to filter by).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests; clippy knows only those that the standard harness runs"
)]

mod faults;
mod faulty;
mod harness;
mod hub;
mod partial;

use std::time::Duration;

use convoy::conform::{Rule, Verdict, cases, rules, run};

use harness::Test;

/// What the hub alone does not have: it stands beside it in the whole server.
const BESIDE_THE_HUB: [&str; 1] = ["beside"];

/// For how long nothing may follow a refusal.
const QUIET_AFTER_NACK: Duration = Duration::from_secs(2);

fn main() -> std::process::ExitCode {
    convoy::app::choose_crypto();
    harness::run(tests())
}

fn tests() -> Vec<Test> {
    let of_hub = rules().filter(|rule| !BESIDE_THE_HUB.contains(&rule.family()));
    let of_faults = faults::CATCHES
        .iter()
        .map(|catch| Test::new(format!("faults::{}", catch.name), faults::check(catch)));
    let name = "partial::what_a_server_lacks_is_skipped_and_told";
    let of_part = Test::new(name.into(), partial::one_transport());
    of_hub.map(of_hub_test).chain(of_faults).chain([of_part]).collect()
}

fn of_hub_test(rule: &'static Rule) -> Test {
    Test::new(format!("hub::{}", path(rule.id)), async move {
        let server = hub::Server::start().await;
        let chosen: Vec<_> = cases().into_iter().filter(|case| case.rule.id == rule.id).collect();
        let quiet = if rule.family() == "nack" { QUIET_AFTER_NACK } else { hub::QUIET };
        let report = run(server.target(quiet), &chosen, Some(server.driver())).await.unwrap();
        let passed = report.outcomes.iter().all(|one| one.verdict == Verdict::Passed);
        assert!(passed && report.outcomes.len() == chosen.len(), "{}", report.table());
    })
}

/// A rule's id as a test's name.
fn path(id: &str) -> String {
    id.replace('.', "::").replace('-', "_")
}
