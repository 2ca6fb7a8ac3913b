//! That the suite can fail: each fault is caught by exactly the cases that
//! name it.
//!
//! By default the aggregated variants are run, both protocols; all variants
//! with `CONVOY_LONG=1`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use convoy::conform::{Case, Report, Target, Verdict, cases, run};

use super::faulty::{Fault, Relay};
use super::hub::{QUIET, Server};

/// A fault, and what catches it.
pub(crate) struct Catch {
    pub(crate) fault: Fault,
    pub(crate) name: &'static str,
    /// Rules that fail, over every transport or over those of one protocol:
    /// `rule`, `rule/sotw`, `rule/delta`.
    pub(crate) due: &'static [&'static str],
}

const fn catch(fault: Fault, name: &'static str, due: &'static [&'static str]) -> Catch {
    Catch { fault, name, due }
}

pub(crate) const CATCHES: &[Catch] = &[
    catch(Fault::None, "a_relay_is_invisible", &[]),
    catch(
        Fault::ResubscribedUnsent,
        "a_name_subscribed_to_again_and_not_sent",
        &["subscribe.again", "subscribe.again-under-wildcard"],
    ),
    catch(
        Fault::MissingUntold,
        "a_missing_name_not_told",
        &["missing.told", "missing.cluster-told", "missing.told-under-wildcard"],
    ),
    catch(Fault::NackLoop, "a_refusal_answered_with_the_same", &["nack.no-loop"]),
    catch(
        Fault::StaleDropped,
        "a_stale_nonce_that_loses_names",
        &["nonce.stale-subscribes", "nonce.stale-unsubscribes"],
    ),
    catch(
        Fault::FirstNonceRead,
        "a_nonce_of_another_stream_that_is_looked_at",
        &["nonce.first-ignored"],
    ),
    catch(
        Fault::NackListsLost,
        "a_nack_that_loses_names",
        &["nack.subscribes", "nack.unsubscribes"],
    ),
    catch(
        Fault::AckListsLost,
        "an_ack_that_loses_names",
        &["nonce.ack-subscribes", "nonce.ack-unsubscribes"],
    ),
    catch(Fault::OneVersion, "one_version_for_all_types", &["version.of-one-type"]),
    catch(
        Fault::EmptyUnanswered,
        "an_empty_answer_not_given",
        &["wildcard.empty-answered", "missing.full-state-answered"],
    ),
    catch(
        Fault::AckUnawaited,
        "no_waiting_for_answers",
        &["order.removals-last", "flight.one-at-a-time", "flight.latest-wins"],
    ),
    catch(
        Fault::StarIsName,
        "a_star_taken_for_a_name",
        &[
            "wildcard.explicit",
            "wildcard.beside-a-name",
            "wildcard.sotw-left",
            "wildcard.delta-left",
            "wildcard.name-dropped",
            "missing.told-under-wildcard",
        ],
    ),
    catch(
        Fault::InitialUnread,
        "initial_versions_not_read",
        &[
            "initial.unchanged-unsent",
            "initial.changed-sent",
            "initial.gone-removed",
            "initial.named-unchanged",
            "initial.of-each-type",
        ],
    ),
    catch(
        Fault::InitialSubscribes,
        "initial_versions_that_subscribe",
        &["initial.no-subscription"],
    ),
    catch(
        Fault::UnsubscribedKept,
        "nobody_unsubscribed",
        &[
            "wildcard.sotw-left",
            "wildcard.sotw-empty-is-nothing",
            "wildcard.delta-left",
            "wildcard.name-dropped",
            "wildcard.both-lists",
            "subscribe.dropped-and-again/sotw",
            "subscribe.dropped-not-pushed",
            "subscribe.nothing-left",
            "nonce.stale-unsubscribes",
            "nonce.ack-unsubscribes",
            "nack.unsubscribes",
        ],
    ),
    catch(
        Fault::FullStatePartial,
        "full_state_sent_in_part",
        &[
            "version.full-state",
            "wildcard.sotw-left",
            "removal.by-absence",
            "order.removals-last/sotw",
        ],
    ),
    catch(
        Fault::SentTwice,
        "a_resource_sent_twice",
        &["version.nothing-twice", "subscribe.named-twice"],
    ),
    catch(Fault::NonceConstant, "the_same_nonce_always", &["nonce.own", "nonce.stale-unanswered"]),
    catch(Fault::EndpointsOnce, "endpoints_never_sent_again", &["order.endpoints-again"]),
    catch(
        Fault::ServerAlwaysNamed,
        "a_server_that_always_introduces_itself",
        &["wire.server-named-once"],
    ),
];

/// Runs the suite against a server with that fault.
pub(crate) async fn check(catch: &Catch) {
    let server = Server::start().await;
    let relay = Relay::start(server.address, catch.fault).await;
    let target = Target {
        address: relay.address.to_string(),
        patience: Duration::from_secs(4),
        quiet: Duration::from_millis(500),
        at_once: 64,
        ..Target::clone(&server.target(QUIET))
    };
    let chosen: Vec<_> = cases().into_iter().filter(is_tried).collect();
    let report = run(Arc::new(target), &chosen, Some(server.driver())).await.unwrap();
    let due: BTreeSet<_> =
        chosen.iter().filter(|case| is_due(case, catch.due)).map(Case::id).collect();
    let caught = caught(&report);
    let missed: Vec<_> = due.difference(&caught).collect();
    let beside: Vec<_> = caught.difference(&due).collect();
    assert!(
        missed.is_empty() && beside.is_empty(),
        "{:?}: missed {missed:?}, and failed beside it: {beside:?}\n{}",
        catch.fault,
        report.table()
    );
}

/// The ids of the cases that failed.
fn caught(report: &Report) -> BTreeSet<String> {
    let failed = |verdict: &Verdict| matches!(verdict, Verdict::Failed { .. });
    let failed = report.outcomes.iter().filter(|one| failed(&one.verdict));
    failed.map(|one| format!("{}/{}", one.rule, one.transport)).collect()
}

fn is_due(case: &Case, due: &[&str]) -> bool {
    due.iter().any(|due| match due.split_once('/') {
        Some((rule, protocol)) => {
            rule == case.rule.id && case.transport.name().starts_with(protocol)
        }
        None => *due == case.rule.id,
    })
}

/// What goes through the relay, and does not only cost time.
fn is_tried(case: &Case) -> bool {
    let beside = ["fetch", "beside", "limits", "ttl", "demand", "types", "xdstp"];
    let variant = case.transport.name().ends_with("-ads");
    let long = std::env::var_os("CONVOY_LONG").is_some();
    !beside.contains(&case.rule.family()) && (variant || long)
}
