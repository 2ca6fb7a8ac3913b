//! Whether a request really is Slack's, and whether it came before.
//!
//! The rule is Slack's (<https://docs.slack.dev/authentication/verifying-requests-from-slack>):
//! HMAC-SHA256 over `v0:<timestamp>:<raw body>`, at most five minutes old. The
//! signature is checked by slack-morphism; the age is checked here because the
//! clock is an argument. `web::hooks` calls it before anything is parsed, with
//! a body that is already bounded.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use slack_morphism::signature_verifier::{
    SlackEventSignatureVerifier, SlackEventSignatureVerifierError as VerifierError,
};

use super::seen::Seen;
use crate::model::{ContentHash, Secret};

/// How far a request's timestamp may be from now, both ways, inclusive.
const AGE_MAX_MS: i64 = 300_000;
/// Twice the window, so that no request outlives the memory of it.
const REMEMBER: Duration = Duration::from_secs(600);
/// Slack sends a few a minute; this many is a flood.
const REMEMBER_MAX: usize = 10_000;

/// Knows the signing secrets and what was delivered lately.
pub struct Ingress {
    verifiers: Vec<SlackEventSignatureVerifier>,
    seen: Mutex<Seen<ContentHash>>,
}

/// Whether an authentic request is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is.
    First,
    /// The very same signed request came before.
    Again,
}

/// Why a request is not taken as Slack's. Carries no signature: when a secret
/// is misconfigured, what was received is a valid credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngressRefusal {
    /// A header is not there.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// The timestamp is not a number of seconds.
    #[error("the timestamp is not a number")]
    MalformedTimestamp,
    /// Too old, or from the future.
    #[error("the timestamp is {0} s away from now, more than 300 s")]
    Stale(i64),
    /// Slack's bodies are text.
    #[error("the body is not UTF-8")]
    NotText,
    /// No secret makes this signature.
    #[error("the signature is wrong")]
    WrongSignature,
}

impl Ingress {
    /// The header that carries the time of signing.
    pub const TIMESTAMP: &'static str = SlackEventSignatureVerifier::SLACK_SIGNED_TIMESTAMP;
    /// The header that carries the signature.
    pub const SIGNATURE: &'static str = SlackEventSignatureVerifier::SLACK_SIGNED_HASH_HEADER;

    /// Several secrets are valid at once while one is being replaced. Empty
    /// ones are dropped; with none at all every request is refused.
    pub fn new(signing_secrets: Vec<Secret>) -> Self {
        let usable = signing_secrets.iter().filter(|secret| !secret.is_empty());
        let verifier =
            |secret: &Secret| SlackEventSignatureVerifier::new(&secret.expose().to_owned().into());
        Self {
            verifiers: usable.map(verifier).collect(),
            seen: Mutex::new(Seen::new(REMEMBER, REMEMBER_MAX)),
        }
    }

    /// Checks the signature over the raw body, and its age.
    ///
    /// # Errors
    /// The request is not Slack's, or too old. Nothing of it may be used.
    pub fn verify(
        &self,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, IngressRefusal> {
        let timestamp = timestamp.ok_or(IngressRefusal::MissingHeader(Self::TIMESTAMP))?;
        let signature = signature.ok_or(IngressRefusal::MissingHeader(Self::SIGNATURE))?;
        check_age(timestamp, now)?;
        let body = std::str::from_utf8(body).map_err(|_| IngressRefusal::NotText)?;
        let signed = |verifier| is_signed(verifier, signature, body, timestamp);
        if !self.verifiers.iter().any(signed) {
            return Err(IngressRefusal::WrongSignature);
        }
        let key = ContentHash::of_parts([timestamp.as_bytes(), signature.as_bytes()]);
        let first = self.seen.lock().unwrap_or_else(PoisonError::into_inner).first(key, now);
        Ok(if first { Delivery::First } else { Delivery::Again })
    }
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress").field("secrets", &self.verifiers.len()).finish_non_exhaustive()
    }
}

fn check_age(timestamp: &str, now: Timestamp) -> Result<(), IngressRefusal> {
    if timestamp.is_empty() || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IngressRefusal::MalformedTimestamp);
    }
    let second: i64 = timestamp.parse().map_err(|_| IngressRefusal::MalformedTimestamp)?;
    let age_ms = now.as_millisecond().saturating_sub(second.saturating_mul(1000));
    if age_ms.saturating_abs() > AGE_MAX_MS {
        return Err(IngressRefusal::Stale(age_ms / 1000));
    }
    Ok(())
}

/// The verifier compares in constant time, and looks at its own clock only
/// after the signature was right: its complaint about the time is a yes to
/// the signature. Ours is the clock that counts.
fn is_signed(
    verifier: &SlackEventSignatureVerifier,
    signature: &str,
    body: &str,
    timestamp: &str,
) -> bool {
    matches!(
        verifier.verify(signature, body, timestamp),
        Ok(()) | Err(VerifierError::IncorrectOrExpiredTimestampError(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "fa2c05deeef5a4077494e89f54394de0";
    const SIGNED_AT: i64 = 1_531_420_618;
    const SIGNATURE: &str = "v0=baa91ef62d346e56607bbdd278a8acd570b91226854f15a382f43d33be42f666";

    fn verify(
        timestamp: &str,
        signature: &str,
        body: &[u8],
        age_ms: i64,
    ) -> Result<Delivery, IngressRefusal> {
        let now = Timestamp::from_millisecond(SIGNED_AT * 1000 + age_ms).unwrap();
        let ingress = Ingress::new(vec![Secret::new("another"), Secret::new(SECRET)]);
        ingress.verify(Some(timestamp), Some(signature), body, now)
    }

    #[test]
    fn the_known_vector_is_accepted_until_exactly_300_seconds() {
        let table = [(0, true), (300_000, true), (300_001, false), (301_000, false)];
        for (age_ms, good) in table {
            for age_ms in [age_ms, -age_ms] {
                let verdict = verify("1531420618", SIGNATURE, b"test-body", age_ms);
                assert_eq!(verdict.is_ok(), good, "{age_ms}: {verdict:?}");
            }
        }
    }

    #[test]
    fn anything_that_was_touched_is_refused() {
        let wrong = Err(IngressRefusal::WrongSignature);
        assert_eq!(verify("1531420618", SIGNATURE, b"test-bodY", 0), wrong);
        assert_eq!(verify("1531420619", SIGNATURE, b"test-body", 0), wrong);
        assert_eq!(verify("1531420618", "v0=", b"test-body", 0), wrong);
        assert_eq!(verify("1531420618", &SIGNATURE.to_uppercase(), b"test-body", 0), wrong);
        assert_eq!(verify("1531420618", SIGNATURE, b"\xff", 0), Err(IngressRefusal::NotText));
    }

    #[test]
    fn odd_timestamps_are_refused_cleanly() {
        for odd in
            ["", "now", "1e9", "-1531420618", "+1531420618", "99999999999999999999", "1531420618.0"]
        {
            let verdict = verify(odd, SIGNATURE, b"test-body", 0);
            assert_eq!(verdict, Err(IngressRefusal::MalformedTimestamp), "{odd}");
        }
        let far = verify("9223372036854775807", SIGNATURE, b"test-body", 0);
        assert!(matches!(far, Err(IngressRefusal::Stale(_))));
    }

    #[test]
    fn without_a_secret_or_a_header_nothing_is_accepted() {
        let now = Timestamp::from_second(SIGNED_AT).unwrap();
        let none = Ingress::new(vec![Secret::new("")]);
        let verdict = none.verify(Some("1531420618"), Some(SIGNATURE), b"test-body", now);
        assert_eq!(verdict, Err(IngressRefusal::WrongSignature));
        let ingress = Ingress::new(vec![Secret::new(SECRET)]);
        for (timestamp, signature) in [(None, Some(SIGNATURE)), (Some("1531420618"), None)] {
            let verdict = ingress.verify(timestamp, signature, b"test-body", now);
            assert!(matches!(verdict, Err(IngressRefusal::MissingHeader(_))));
        }
    }

    #[test]
    fn the_same_signed_request_is_recognised() {
        let now = Timestamp::from_second(SIGNED_AT).unwrap();
        let ingress = Ingress::new(vec![Secret::new(SECRET)]);
        let send = || ingress.verify(Some("1531420618"), Some(SIGNATURE), b"test-body", now);
        assert_eq!(send(), Ok(Delivery::First));
        assert_eq!(send(), Ok(Delivery::Again));
    }

    #[test]
    fn no_refusal_shows_a_signature() {
        for refusal in [IngressRefusal::WrongSignature, IngressRefusal::Stale(301)] {
            assert!(!format!("{refusal:?} {refusal}").contains("v0="));
        }
    }
}
