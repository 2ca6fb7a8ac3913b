//! Holds answers against what a check expects: each by itself, and the
//! shares of all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Answer;
use super::echo::{CLUSTER_HEADER, ENDPOINT_HEADER};
use super::odds;
use super::suite::Expect;

/// As much of an unexpected body as a reason quotes: Envoy's own replies are
/// a line.
const QUOTED_CHARS: usize = 160;

/// Names every expectation that the answer breaks.
pub(super) fn compare(expect: &Expect, answer: &Answer, took: Duration) -> Result<(), String> {
    if expect.refused {
        return Err(format!("expected to be refused, got status {}", answer.status().as_u16()));
    }
    let mut complaints = numbers(expect, answer);
    complaints.extend(place(expect, answer));
    complaints.extend(headers(expect, answer));
    if let Some(most) = expect.within.filter(|most| took > *most) {
        let (most, took) = (most.as_millis(), took.as_millis());
        complaints.push(format!("expected an answer within {most} ms, it took {took} ms"));
    }
    let body = String::from_utf8_lossy(&answer.body);
    if let Some(part) = expect.body_contains.as_ref().filter(|part| !body.contains(*part)) {
        complaints.push(format!("expected a body with `{part}`"));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    // The echo upstream's own body says nothing that the complaints don't.
    if cluster(answer).is_some() && expect.body_contains.is_none() {
        return Err(complaints.join("; "));
    }
    let (status, quoted) = (answer.status().as_u16(), body.chars().take(QUOTED_CHARS));
    let quoted: String = quoted.collect();
    Err(format!("{} (status {status}, body `{}`)", complaints.join("; "), quoted.trim()))
}

fn numbers(expect: &Expect, answer: &Answer) -> Vec<String> {
    let mut complaints = Vec::new();
    let status = answer.status().as_u16();
    if let Some(expected) = expect.status.filter(|expected| *expected != status) {
        complaints.push(format!("expected status {expected}, got {status}"));
    }
    let grpc = answer.field("grpc-status");
    if let Some(expected) = expect.grpc_status.filter(|n| grpc != Some(n.to_string().as_str())) {
        let words = answer.field("grpc-message").map(|words| format!(" ({words})"));
        let (grpc, words) = (grpc.unwrap_or("none"), words.unwrap_or_default());
        complaints.push(format!("expected gRPC status {expected}, got {grpc}{words}"));
    }
    complaints
}

fn place(expect: &Expect, answer: &Answer) -> Vec<String> {
    let mut complaints = Vec::new();
    let hit = cluster(answer);
    if let Some(expected) = expect.cluster.as_ref().filter(|expected| hit != Some(expected)) {
        let hit = hit.map_or_else(|| "none".into(), |hit| format!("`{hit}`"));
        complaints.push(format!("expected cluster `{expected}`, got {hit}"));
    }
    let endpoint = answer.field(ENDPOINT_HEADER);
    if let Some(expected) = expect.endpoint.filter(|n| endpoint != Some(n.to_string().as_str())) {
        complaints
            .push(format!("expected endpoint {expected}, got {}", endpoint.unwrap_or("none")));
    }
    complaints
}

fn headers(expect: &Expect, answer: &Answer) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, pattern) in &expect.headers {
        let heads = answer.head.headers.get_all(name).iter();
        let values = heads.chain(answer.trailers.get_all(name)).filter_map(|v| v.to_str().ok());
        let values: Vec<_> = values.collect();
        if !values.iter().any(|value| pattern.fits(value)) {
            let got = if values.is_empty() { "none".into() } else { values.join(", ") };
            complaints.push(format!("expected header {name} to be {pattern}, got {got}"));
        }
    }
    complaints
}

fn cluster(answer: &Answer) -> Option<&str> {
    answer.field(CLUSTER_HEADER)
}

/// Who answered how often, and how.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many answers came.
    pub(super) answered: u32,
    clusters: BTreeMap<String, u32>,
    endpoints: BTreeMap<String, u32>,
    statuses: BTreeMap<String, u32>,
}

impl Tally {
    /// Counts an answer, or that none came.
    pub(super) fn add(&mut self, answer: Option<&Answer>) {
        self.answered += 1;
        let cluster = answer.and_then(cluster).unwrap_or("none");
        *self.clusters.entry(cluster.to_owned()).or_default() += 1;
        let endpoint = answer.and_then(|answer| answer.field(ENDPOINT_HEADER)).unwrap_or("none");
        *self.endpoints.entry(format!("{cluster}/{endpoint}")).or_default() += 1;
        let status = answer.map_or("none".into(), |answer| answer.status().as_u16().to_string());
        *self.statuses.entry(status).or_default() += 1;
    }

    /// Names every share that is off by more than the tolerance and more than
    /// chance explains.
    pub(super) fn shares(&self, expect: &Expect) -> Result<(), String> {
        let kinds = [
            (&expect.weights, &self.clusters),
            (&expect.endpoints, &self.endpoints),
            (&expect.statuses, &self.statuses),
        ];
        let comparisons = kinds.iter().map(|(expected, _)| expected.len()).sum();
        let mut complaints = Vec::new();
        for (expected, found) in kinds {
            let off = expected.iter().filter_map(|(name, share)| {
                let hits = found.get(name).copied().unwrap_or(0);
                self.share(name, *share, hits, expect.tolerance, comparisons)
            });
            let off: Vec<_> = off.collect();
            if !off.is_empty() {
                let hits: Vec<_> = found.iter().map(|(name, n)| format!("{name} {n}")).collect();
                let (told, hits) = (off.join("; "), hits.join(", "));
                complaints.push(format!("{told} (of {} requests: {hits})", self.answered));
            }
        }
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
    }

    fn share(
        &self,
        name: &str,
        share: f64,
        hits: u32,
        tolerance: f64,
        comparisons: usize,
    ) -> Option<String> {
        let tries = self.answered.max(1);
        let got = f64::from(hits) * 100.0 / f64::from(tries);
        let chance = share / 100.0;
        if (got - share).abs() <= tolerance || odds::explains(hits, tries, chance, comparisons) {
            return None;
        }
        let probability = odds::tail(hits, tries, chance);
        Some(format!(
            "expected `{name}` to get {share} % ± {tolerance}, got {got:.1} %, \
             which chance explains once in {:.0e}",
            1.0 / probability.max(f64::MIN_POSITIVE)
        ))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Response};

    use super::super::suite::Pattern;
    use super::*;

    fn tally(a: u32, b: u32) -> Tally {
        let clusters = BTreeMap::from([("a".into(), a), ("b".into(), b)]);
        Tally { answered: a + b, clusters, ..Tally::default() }
    }

    fn weights(a: f64, b: f64, tolerance: f64) -> Expect {
        let weights = vec![("a".into(), a), ("b".into(), b)];
        Expect { weights, tolerance, ..Expect::default() }
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        Answer { head, body: Bytes::from(body), trailers: HeaderMap::new() }
    }

    #[test]
    fn shares_are_compared_within_the_tolerance() {
        let tally = tally(1700, 300);
        assert_eq!(tally.shares(&weights(89.0, 11.0, 5.0)), Ok(()));
        let told = tally.shares(&weights(95.0, 5.0, 5.0)).unwrap_err();
        for part in [
            "expected `a` to get 95 % ± 5, got 85.0 %, which chance explains once in",
            "expected `b` to get 5 % ± 5, got 15.0 %",
            "(of 2000 requests: a 1700, b 300)",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn what_chance_explains_is_never_held_against_a_split() {
        assert_eq!(tally(40, 10).shares(&weights(90.0, 10.0, 1.0)), Ok(()));
        assert!(tally(4000, 1000).shares(&weights(90.0, 10.0, 1.0)).is_err());
        assert!(tally(100, 0).shares(&weights(90.0, 10.0, 9.0)).is_ok());
        assert!(tally(0, 100).shares(&weights(90.0, 10.0, 5.0)).is_err());
    }

    #[test]
    fn endpoints_and_statuses_have_shares_too() {
        let mut tally = Tally::default();
        for number in 0..100 {
            let endpoint = if number % 2 == 0 { "0" } else { "1" };
            let headers = [(CLUSTER_HEADER, "a"), (ENDPOINT_HEADER, endpoint)];
            tally.add(Some(&answer(if number < 40 { 503 } else { 200 }, &headers, "")));
        }
        let expect = |endpoints: f64, statuses: f64| Expect {
            endpoints: vec![("a/0".into(), endpoints)],
            statuses: vec![("503".into(), statuses)],
            ..Expect::default()
        };
        assert_eq!(tally.shares(&expect(50.0, 40.0)), Ok(()));
        let told = tally.shares(&expect(100.0, 0.0)).unwrap_err();
        assert!(told.contains("`a/0`") && told.contains("`503`"), "{told}");
    }

    #[test]
    fn an_answer_is_compared_in_every_part() {
        let answer = answer(503, &[("x-a", "1")], "no healthy upstream");
        let expect = Expect {
            status: Some(200),
            cluster: Some("payments".into()),
            endpoint: Some(1),
            headers: vec![(http::HeaderName::from_static("x-a"), Pattern::Exact("2".into()))],
            body_contains: Some("ok".into()),
            within: Some(Duration::from_millis(10)),
            ..Expect::default()
        };
        assert_eq!(
            compare(&expect, &answer, Duration::from_millis(20)).unwrap_err(),
            "expected status 200, got 503; expected cluster `payments`, got none; expected endpoint \
             1, got none; expected header x-a to be `2`, got 1; expected an answer within 10 ms, it \
             took 20 ms; expected a body with `ok` (status 503, body `no healthy upstream`)"
        );
    }

    #[test]
    fn an_answer_to_what_should_be_refused_is_told() {
        let expect = Expect { refused: true, ..Expect::default() };
        let told = compare(&expect, &answer(200, &[], ""), Duration::ZERO).unwrap_err();
        assert_eq!(told, "expected to be refused, got status 200");
    }
}
