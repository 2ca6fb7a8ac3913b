//! Sends what a step says, over as many connections and as fast as it says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until, timeout};

use super::client::{self, Client, Way};
use super::expect::{Tally, compare};
use super::pki::Authority;
use super::room::Room;
use super::suite::{Ask, Raw, Shown, Traffic, Transport};

/// How long plain bytes may take to come back.
const RAW_WAIT: Duration = Duration::from_secs(3);
/// As much of what comes back as is read.
const RAW_BYTES: usize = 64 << 10;

/// Where a step goes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// In whose network.
    pub(super) room: &'a Room,
    /// The listener's address.
    pub(super) address: SocketAddr,
    /// Whether the listener speaks TLS.
    pub(super) tls: bool,
    /// Who makes certificates to show.
    pub(super) authority: &'a Authority,
}

impl Target<'_> {
    fn way(&self, transport: &Transport, host: &str, http2: bool) -> Result<Way, String> {
        let tls = transport.tls.unwrap_or(self.tls).then(|| server_name(host));
        let identity = match (&transport.identity, &tls) {
            (Shown::Nothing, _) | (_, None) => None,
            (Shown::Somebody, _) => Some(self.authority.client(&super::pki::Identity::default())),
            (Shown::Named(identity), _) => Some(self.authority.client(identity)),
        };
        let identity = identity.transpose().map_err(|e| format!("no certificate: {e}"))?;
        Ok(Way { tls, identity: identity.map(Arc::new), http2 })
    }
}

/// Sends the requests of `traffic`; `tally` counts what came, even where this
/// is dropped on the way.
///
/// # Errors
/// What was expected and what came, in one line.
pub(super) async fn send(
    traffic: &Traffic,
    target: Target<'_>,
    tally: &Mutex<Tally>,
) -> Result<(), String> {
    let way =
        target.way(&traffic.request.transport, &traffic.request.host, traffic.request.http2)?;
    let pace = Pace { next: AtomicU32::new(0), start: Instant::now() };
    let workers = (0..traffic.at_once.min(traffic.repeat)).map(|_| {
        let client = Client::new(target.room, target.address, way.clone());
        work(traffic, client, &pace, tally)
    });
    try_join_all(workers).await?;
    tally.lock().unwrap_or_else(PoisonError::into_inner).shares(&traffic.expect)
}

/// Which request is next, and when.
struct Pace {
    next: AtomicU32,
    start: Instant,
}

impl Pace {
    /// The number of the next request, once it is its time.
    async fn next(&self, traffic: &Traffic) -> Option<u32> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= traffic.repeat {
            return None;
        }
        if let Some(rate) = traffic.rate {
            sleep_until(self.start + Duration::from_secs_f64(f64::from(number) / rate)).await;
        }
        Some(number + 1)
    }
}

async fn work(
    traffic: &Traffic,
    mut client: Client<'_>,
    pace: &Pace,
    tally: &Mutex<Tally>,
) -> Result<(), String> {
    while let Some(number) = pace.next(traffic).await {
        let began = Instant::now();
        let answer = client.send(request(&traffic.request)?).await;
        let outcome = match &answer {
            Ok(answer) => compare(&traffic.expect, answer, began.elapsed()),
            Err(_) if traffic.expect.refused => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        outcome.map_err(|complaint| match traffic.repeat {
            1 => complaint,
            repeat => format!("request {number} of {repeat}: {complaint}"),
        })?;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(answer.ok().as_ref());
    }
    Ok(())
}

fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::builder()
        .method(&ask.method)
        .uri(ask.path.as_str())
        .header(http::header::HOST, ask.host.as_str());
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let body = Full::new(ask.body.clone());
    request.body(body).map_err(|error| format!("the request can't be made: {error}"))
}

/// The host without its port; a host that can't be asked for asks for none.
fn server_name(host: &str) -> ServerName<'static> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    ServerName::try_from(name).unwrap_or_else(|_| ServerName::from(std::net::Ipv4Addr::LOCALHOST))
}

/// Sends plain bytes and waits for what must come back.
///
/// # Errors
/// What was expected and what came, in one line.
pub(super) async fn send_raw(raw: &Raw, target: Target<'_>) -> Result<(), String> {
    let way = target.way(&raw.transport, &raw.host, false)?;
    let mut got = Vec::new();
    let talk = exchange(raw, target, &way, &mut got);
    let outcome = timeout(RAW_WAIT, talk).await;
    if raw.refused {
        let ended = matches!(outcome, Ok(Err(_)) | Ok(Ok(false)));
        return match (ended, got.is_empty()) {
            (true, true) => Ok(()),
            (_, false) => Err(format!("expected to be refused, got {}", quoted(&got))),
            (false, true) => Err("expected to be refused, and nothing happened".into()),
        };
    }
    match outcome {
        Ok(Ok(true)) => Ok(()),
        Ok(Err(error)) => Err(format!("could not connect: {error}")),
        Ok(Ok(false)) => Err(format!("the connection ended; {}", wanting(raw, &got))),
        Err(_) => Err(wanting(raw, &got)),
    }
}

/// Whether what was expected came before the end.
async fn exchange(
    raw: &Raw,
    target: Target<'_>,
    way: &Way,
    got: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let mut stream = client::open(target.room, target.address, way).await?;
    stream.write_all(raw.send.as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = vec![0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        got.extend_from_slice(&buffer[..read]);
        let is_done = !raw.refused && missing(raw, got).is_empty();
        if is_done || read == 0 || got.len() > RAW_BYTES || (raw.refused && read > 0) {
            return Ok(is_done);
        }
    }
}

fn missing(raw: &Raw, got: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(got);
    let mut missing = Vec::new();
    if let Some(cluster) = &raw.cluster
        && !text.contains(&format!("convoy cluster={cluster} endpoint="))
    {
        missing.push(format!("cluster `{cluster}`"));
    }
    if let Some(part) = raw.contains.as_ref().filter(|part| !text.contains(*part)) {
        missing.push(format!("`{part}`"));
    }
    missing
}

fn wanting(raw: &Raw, got: &[u8]) -> String {
    format!("expected {}, got {}", missing(raw, got).join(" and "), quoted(got))
}

fn quoted(got: &[u8]) -> String {
    match String::from_utf8_lossy(got).chars().take(160).collect::<String>().trim() {
        "" => "nothing".into(),
        text => format!("`{}`", text.escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_name_is_the_host_without_its_port() {
        assert_eq!(server_name("api.example.com:8443").to_str(), "api.example.com");
        assert_eq!(server_name("*").to_str(), "127.0.0.1");
    }
}
