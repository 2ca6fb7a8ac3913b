//! Servers that have only a part of xDS: what they lack is skipped and told,
//! what they have is tried.

use std::sync::Arc;

use convoy::conform::{Target, Verdict, cases, run};

use super::faulty::{Fault, Relay};
use super::hub::{QUIET, Server};

/// A server with the aggregated state-of-the-world stream and nothing else,
/// with and without somebody who can change it.
pub(crate) async fn one_transport() {
    let server = Server::start().await;
    let relay = Relay::start(server.address, Fault::OneTransport).await;
    let address = relay.address.to_string();
    let target = Arc::new(Target { address, ..Target::clone(&server.target(QUIET)) });
    let families = ["wildcard", "initial", "fetch", "beside", "types"];
    let chosen: Vec<_> =
        cases().into_iter().filter(|case| families.contains(&case.rule.family())).collect();
    for driver in [Some(server.driver()), None] {
        let driven = driver.is_some();
        let report = run(target.clone(), &chosen, driver).await.unwrap();
        for outcome in &report.outcomes {
            let has = outcome.transport == "sotw-ads";
            match &outcome.verdict {
                Verdict::Passed => assert!(has, "{outcome:?}"),
                Verdict::Skipped { reason } if reason.contains("needs a driver") => {
                    assert!(!driven, "{outcome:?}");
                }
                Verdict::Skipped { reason } => {
                    let told = reason.contains("the server has no ");
                    assert!(told && (!has || !driven), "{outcome:?}");
                }
                _ => panic!("{outcome:?}"),
            }
        }
        let passed = report.count().passed;
        assert!(passed >= if driven { 14 } else { 3 }, "{}", report.table());
    }
}
