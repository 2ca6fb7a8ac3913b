//! What to do where nothing could be tried.

use crate::cli::Failure;
use crate::conform::Obstacle;

/// The failure that says so, with the flag that helps.
pub(super) fn failure(obstacle: &Obstacle) -> Failure {
    let (code, hint) = match obstacle {
        Obstacle::Unreachable { .. } => (
            Failure::UNAVAILABLE,
            "is the server running, and is this its xDS port? A Convoy's is 7401 by default",
        ),
        Obstacle::SpeaksTls(_) => {
            (Failure::UNAVAILABLE, "--ca FILE names the certificates that vouch for it")
        }
        Obstacle::SpeaksNoTls(_) => (Failure::UNAVAILABLE, "leave --ca, --cert and --key out"),
        Obstacle::Untrusted { .. } => {
            (Failure::UNAVAILABLE, "--ca FILE has to hold the authority that issued it")
        }
        Obstacle::OtherName { .. } => (
            Failure::UNAVAILABLE,
            "--authority NAME says which of the certificate's names to expect",
        ),
        Obstacle::Handshake { .. } => (
            Failure::FORBIDDEN,
            "--cert FILE and --key FILE are the client's certificate, from an authority that the \
             server trusts",
        ),
        Obstacle::OldHttp(_) | Obstacle::NoGrpc { .. } | Obstacle::NoDiscovery(_) => (
            Failure::UNAVAILABLE,
            "is this its xDS port? A Convoy's is 7401 by default, its API and console are another",
        ),
        Obstacle::TurnedAway(_) => (
            Failure::FORBIDDEN,
            "--token-file FILE, or --cert and --key, say who asks; --node, --node-cluster and \
             --metadata have to fit what is allowed",
        ),
        Obstacle::ShowsNothing { .. } => (
            Failure::UNAVAILABLE,
            "which nodes does the server serve? --node, --node-cluster and --metadata KEY=VALUE \
             (a Convoy asks for stage=NAME) say which one asks",
        ),
        Obstacle::Driver(_) => {
            (Failure::UNAVAILABLE, "--help says what a driver is asked for; try it by hand first")
        }
    };
    Failure::new(code, obstacle.to_string()).with_hint(hint)
}
