//! That the suite can fail: each fault is caught by exactly the rules that
//! name it.
//!
//! By default the aggregated variants are run, both protocols; all variants
//! with `CONVOY_LONG=1`.

use std::sync::Arc;
use std::time::Duration;

use convoy::conform::{Case, Target, cases, run};

use super::faulty::{Fault, Relay};
use super::hub::Server;

/// A fault, and the rules that catch it.
pub(crate) type Catch = (Fault, &'static str, &'static [&'static str]);

pub(crate) const CATCHES: &[Catch] = &[
    (Fault::None, "a_relay_is_invisible", &[]),
    (
        Fault::ResubscribedUnsent,
        "a_name_subscribed_to_again_and_not_sent",
        &["subscribe.again", "subscribe.again-under-wildcard"],
    ),
    (
        Fault::MissingUntold,
        "a_missing_name_not_told",
        &["missing.told", "missing.cluster-told", "missing.told-under-wildcard"],
    ),
    (Fault::NackLoop, "a_refusal_answered_with_the_same", &["nack.no-loop"]),
    (
        Fault::StaleDropped,
        "a_stale_nonce_that_loses_names",
        &["nonce.stale-subscribes", "nonce.stale-unsubscribes"],
    ),
    (Fault::NackListsLost, "a_nack_that_loses_names", &["nack.subscribes", "nack.unsubscribes"]),
    (
        Fault::AckListsLost,
        "an_ack_that_loses_names",
        &["nonce.ack-subscribes", "nonce.ack-unsubscribes"],
    ),
    (Fault::OneVersion, "one_version_for_all_types", &["version.of-one-type"]),
    (
        Fault::EmptyUnanswered,
        "an_empty_answer_not_given",
        &["wildcard.empty-answered", "missing.full-state-answered"],
    ),
    (
        Fault::AckUnawaited,
        "no_waiting_for_answers",
        &["order.removals-last", "flight.one-at-a-time", "flight.latest-wins"],
    ),
    (
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
    (
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
    (Fault::InitialSubscribes, "initial_versions_that_subscribe", &["initial.no-subscription"]),
    (
        Fault::UnsubscribedKept,
        "nobody_unsubscribed",
        &[
            "wildcard.sotw-left",
            "wildcard.sotw-empty-is-nothing",
            "wildcard.delta-left",
            "wildcard.name-dropped",
            "wildcard.both-lists",
            "subscribe.dropped-and-again",
            "subscribe.dropped-not-pushed",
            "subscribe.nothing-left",
            "nonce.stale-unsubscribes",
            "nonce.ack-unsubscribes",
            "nack.unsubscribes",
        ],
    ),
    (
        Fault::FullStatePartial,
        "full_state_sent_in_part",
        &["version.full-state", "wildcard.sotw-left", "removal.by-absence", "order.removals-last"],
    ),
    (
        Fault::SentTwice,
        "a_resource_sent_twice",
        &["version.nothing-twice", "subscribe.named-twice"],
    ),
    (Fault::NonceConstant, "the_same_nonce_always", &["nonce.own", "nonce.stale-unanswered"]),
    (Fault::EndpointsOnce, "endpoints_never_sent_again", &["order.endpoints-again"]),
    (
        Fault::ServerAlwaysNamed,
        "a_server_that_always_introduces_itself",
        &["wire.server-named-once"],
    ),
];

/// How many rules may fail beside those that name the fault, of about ninety.
const BESIDE_MAX: usize = 4;

/// Runs the suite against a server with that fault.
pub(crate) async fn check((fault, _, expected): Catch) {
    let server = Server::start().await;
    let relay = Relay::start(server.address, fault).await;
    let target = Target {
        address: relay.address.to_string(),
        patience: Duration::from_secs(4),
        quiet: Duration::from_millis(300),
        at_once: 16,
        ..Target::clone(&server.target())
    };
    let chosen: Vec<_> = cases().into_iter().filter(is_tried).collect();
    let report = run(Arc::new(target), &chosen, Some(server.driver())).await.unwrap();
    let caught = report.failed_rules();
    let all_named = expected.iter().all(|rule| caught.contains(rule));
    // A message too many or too few may get into the way of a neighbouring
    // rule, as the moment will have it; a suite that fails at anything is none.
    let beside = caught.iter().filter(|rule| !expected.contains(rule)).count();
    let beside_max = if expected.is_empty() { 0 } else { BESIDE_MAX };
    let is_told = all_named && beside <= beside_max;
    assert!(is_told, "{fault:?}: due {expected:?}, caught {caught:?}:\n{}", report.table());
}

/// What goes through the relay, and does not only cost time.
fn is_tried(case: &Case) -> bool {
    let beside = ["fetch", "beside", "limits", "ttl", "demand", "types", "xdstp"];
    let variant = case.transport.name().ends_with("-ads");
    let long = std::env::var_os("CONVOY_LONG").is_some();
    !beside.contains(&case.rule.family()) && (variant || long)
}
