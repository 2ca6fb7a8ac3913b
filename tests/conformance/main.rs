//! The conformance suite, tried on Convoy, and on servers that are wrong on
//! purpose.
//!
//! Every rule over every transport is a test of its own, named after it:
//! `hub::wildcard::legacy::delta_ads`. The names come from the rules, so this
//! target has its own small `main` that speaks the test runners' language
//! (`--list`, `--exact`, names to filter by).
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

use convoy::conform::{Case, Verdict, cases, run_case};

use harness::Test;

/// What the hub alone does not have: it stands beside it in the whole server.
const BESIDE_THE_HUB: [&str; 1] = ["beside"];

fn main() -> std::process::ExitCode {
    harness::run(tests())
}

fn tests() -> Vec<Test> {
    let of_hub = cases().into_iter().filter(|case| !BESIDE_THE_HUB.contains(&case.rule.family()));
    let of_faults = faults::CATCHES
        .iter()
        .map(|catch| Test::new(format!("faults::{}", catch.1), faults::check(*catch)));
    of_hub.map(of_hub_test).chain(of_faults).collect()
}

fn of_hub_test(case: Case) -> Test {
    Test::new(format!("hub::{}", path(&case.id())), async move {
        let server = hub::Server::start().await;
        let outcome = run_case(server.target(), case, Some(server.driver())).await.unwrap();
        match outcome.verdict {
            Verdict::Passed => {}
            Verdict::Skipped { reason } => panic!("skipped: {reason}"),
            Verdict::Failed { reason, exchange } => {
                panic!("{}\n{reason}\n{}", outcome.says, exchange.join("\n"))
            }
        }
    })
}

/// A case's id as a test's name.
fn path(id: &str) -> String {
    id.replace(['.', '/'], "::").replace('-', "_")
}
