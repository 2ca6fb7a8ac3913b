//! Runs one declarative check against a listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use super::client::Client;
use super::echo::CLUSTER_HEADER;
use super::suite::{Check, Expect};

/// As much of an unexpected body as a reason quotes: Envoy's own replies are
/// a line.
const QUOTED_CHARS: usize = 160;

/// Standard deviations that a share may be off: beyond it, chance is to blame
/// once in sixteen thousand.
const CHANCE_DEVIATIONS: f64 = 4.0;

/// Where a check goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The listener's address.
    pub(super) address: SocketAddr,
    /// Whether the listener speaks TLS.
    pub(super) tls: bool,
    /// How long the check may take.
    pub(super) within: Duration,
}

/// Runs `check`.
///
/// # Errors
/// What was expected and what came, in one line.
pub(super) async fn run(check: &Check, target: Target) -> Result<(), String> {
    let mut tally = Tally::default();
    match timeout(target.within, ask(check, target, &mut tally)).await {
        Err(_) => Err(format!(
            "did not finish within {} s: {} of {} requests were answered",
            target.within.as_secs_f32(),
            tally.answered,
            check.repeat
        )),
        Ok(outcome) => outcome.and_then(|()| tally.shares(&check.expect)),
    }
}

async fn ask(check: &Check, target: Target, tally: &mut Tally) -> Result<(), String> {
    let name = check.request.tls.unwrap_or(target.tls).then(|| server_name(&check.request.host));
    let mut client = Client::new(target.address, name);
    for number in 1..=check.repeat {
        let answer = client.send(request(check)?).await;
        let outcome = match &answer {
            Ok(answer) => compare(&check.expect, answer),
            Err(error) => Err(error.to_string()),
        };
        outcome.map_err(|complaint| match check.repeat {
            1 => complaint,
            repeat => format!("request {number} of {repeat}: {complaint}"),
        })?;
        tally.add(answer.ok().as_ref());
    }
    Ok(())
}

fn request(check: &Check) -> Result<Request<Full<Bytes>>, String> {
    let ask = &check.request;
    let mut request = Request::builder()
        .method(&ask.method)
        .uri(ask.path.as_str())
        .header(http::header::HOST, ask.host.as_str());
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(ask.body.clone()));
    request.body(body).map_err(|error| format!("the request can't be made: {error}"))
}

/// The host without its port; a host that can't be asked for asks for none.
fn server_name(host: &str) -> ServerName<'static> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    ServerName::try_from(name).unwrap_or_else(|_| ServerName::from(std::net::Ipv4Addr::LOCALHOST))
}

/// Names every expectation that the answer breaks.
fn compare(expect: &Expect, answer: &Response<Bytes>) -> Result<(), String> {
    let mut complaints = Vec::new();
    let status = answer.status().as_u16();
    if let Some(expected) = expect.status.filter(|expected| *expected != status) {
        complaints.push(format!("expected status {expected}, got {status}"));
    }
    let hit = cluster(answer);
    if let Some(expected) = expect.cluster.as_ref().filter(|expected| hit != Some(expected)) {
        let hit = hit.map_or_else(|| "none".into(), |hit| format!("`{hit}`"));
        complaints.push(format!("expected cluster `{expected}`, got {hit}"));
    }
    for (name, pattern) in &expect.headers {
        let values = answer.headers().get_all(name).iter().filter_map(|v| v.to_str().ok());
        let values: Vec<_> = values.collect();
        if !values.iter().any(|value| pattern.fits(value)) {
            let got = if values.is_empty() { "none".into() } else { values.join(", ") };
            complaints.push(format!("expected header {name} to be {pattern}, got {got}"));
        }
    }
    let body = String::from_utf8_lossy(answer.body());
    if let Some(part) = expect.body_contains.as_ref().filter(|part| !body.contains(*part)) {
        complaints.push(format!("expected a body with `{part}`"));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    // The echo upstream's own body says nothing that the complaints don't.
    if hit.is_some() && expect.body_contains.is_none() {
        return Err(complaints.join("; "));
    }
    let quoted: String = body.chars().take(QUOTED_CHARS).collect();
    Err(format!("{} (status {status}, body `{}`)", complaints.join("; "), quoted.trim()))
}

fn cluster(answer: &Response<Bytes>) -> Option<&str> {
    answer.headers().get(CLUSTER_HEADER)?.to_str().ok()
}

/// Which clusters answered how often.
#[derive(Debug, Default)]
struct Tally {
    answered: u32,
    clusters: BTreeMap<String, u32>,
}

impl Tally {
    fn add(&mut self, answer: Option<&Response<Bytes>>) {
        self.answered += 1;
        let cluster = answer.and_then(cluster).unwrap_or("none");
        *self.clusters.entry(cluster.to_owned()).or_default() += 1;
    }

    fn share(&self, cluster: &str) -> f64 {
        let hits = self.clusters.get(cluster).copied().unwrap_or(0);
        f64::from(hits) * 100.0 / f64::from(self.answered.max(1))
    }

    fn shares(&self, expect: &Expect) -> Result<(), String> {
        let mut complaints = Vec::new();
        for (cluster, share) in &expect.weights {
            let (got, allowed) = (self.share(cluster), self.allowed(*share, expect.tolerance));
            if (got - share).abs() > allowed {
                complaints.push(format!(
                    "expected `{cluster}` to get {share} % ± {allowed:.1}, got {got:.1} %"
                ));
            }
        }
        if complaints.is_empty() {
            return Ok(());
        }
        let hits: Vec<_> = self.clusters.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let (told, hits) = (complaints.join("; "), hits.join(", "));
        Err(format!("{told} (of {} requests: {hits})", self.answered))
    }

    /// How far a share may be off. Envoy draws a cluster by chance for each
    /// request, so a sound split may miss a narrow tolerance over few
    /// requests: what chance alone explains is never held against it.
    fn allowed(&self, share: f64, tolerance: f64) -> f64 {
        let p = share / 100.0;
        let deviation = (p * (1.0 - p) / f64::from(self.answered.max(1))).sqrt();
        tolerance.max(CHANCE_DEVIATIONS * deviation * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(a: u32, b: u32) -> Tally {
        Tally { answered: a + b, clusters: BTreeMap::from([("a".into(), a), ("b".into(), b)]) }
    }

    fn weights(a: f64, b: f64, tolerance: f64) -> Expect {
        let weights = vec![("a".into(), a), ("b".into(), b)];
        Expect { weights, tolerance, ..Expect::default() }
    }

    #[test]
    fn shares_are_compared_within_the_tolerance() {
        let tally = tally(1700, 300);
        assert_eq!(tally.shares(&weights(89.0, 11.0, 5.0)), Ok(()));
        assert_eq!(
            tally.shares(&weights(95.0, 5.0, 5.0)).unwrap_err(),
            "expected `a` to get 95 % ± 5.0, got 85.0 %; expected `b` to get 5 % ± 5.0, \
             got 15.0 % (of 2000 requests: a 1700, b 300)"
        );
    }

    #[test]
    fn what_chance_explains_is_never_held_against_a_split() {
        assert_eq!(tally(40, 10).shares(&weights(90.0, 10.0, 1.0)), Ok(()));
        assert!(tally(4000, 1000).shares(&weights(90.0, 10.0, 1.0)).is_err());
        assert!(tally(100, 0).shares(&weights(90.0, 10.0, 9.0)).is_ok());
        assert!(tally(0, 100).shares(&weights(90.0, 10.0, 5.0)).is_err());
    }

    #[test]
    fn an_answer_is_compared_in_every_part() {
        let answer = Response::builder()
            .status(503)
            .header("x-a", "1")
            .body(Bytes::from("no healthy upstream"))
            .unwrap();
        let expect = Expect {
            status: Some(200),
            cluster: Some("payments".into()),
            headers: vec![(
                http::HeaderName::from_static("x-a"),
                super::super::suite::Pattern::Exact("2".into()),
            )],
            body_contains: Some("ok".into()),
            ..Expect::default()
        };
        assert_eq!(
            compare(&expect, &answer).unwrap_err(),
            "expected status 200, got 503; expected cluster `payments`, got none; expected header \
             x-a to be `2`, got 1; expected a body with `ok` (status 503, body `no healthy upstream`)"
        );
    }

    #[test]
    fn the_server_name_is_the_host_without_its_port() {
        assert_eq!(server_name("api.example.com:8443").to_str(), "api.example.com");
        assert_eq!(server_name("*").to_str(), "127.0.0.1");
    }
}
