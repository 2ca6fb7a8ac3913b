//! The parts: each opens streams, does one thing often, and gives the figures.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use convoy::model::ResourceKind;
use serde_json::{Value, json};

use super::clients::{Arrival, Ask, Clients, Manner};
use super::pki::Pki;
use super::process::{Server, cpu_ms, rss_kib};
use super::servers::{STAGES, name};

/// How long "nothing comes" is watched for.
const SILENCE: Duration = Duration::from_secs(2);
/// Long enough for streams to be at rest: answers taken, buffers freed.
const REST: Duration = Duration::from_millis(500);

fn clusters(delta: bool) -> Ask {
    Ask {
        delta,
        stage: STAGES[0],
        types: vec![(ResourceKind::Clusters.type_url().to_string(), Vec::new())],
        held: Vec::new(),
        version: String::new(),
        manner: Manner::Takes,
        token: None,
        tls: None,
    }
}

/// Clusters, and the endpoints of each by name, as Envoy asks.
fn mesh(delta: bool, count: usize) -> Ask {
    let mut ask = clusters(delta);
    let endpoints = ResourceKind::Endpoints.type_url().to_string();
    ask.types.push((endpoints, (0..count).map(name).collect()));
    ask
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value below which `percent` of them lie.
fn at(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
        .get((values.len() * percent / 100).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// One push to every stream, again and again; with certificates over TLS.
pub async fn fanout(
    server: &'static str,
    pki: Option<Pki>,
    streams: usize,
    count: usize,
    delta: bool,
    rounds: usize,
) -> Value {
    let form = if delta { "delta" } else { "sotw" };
    let (count_word, folder) =
        (count.to_string(), pki.as_ref().map(|pki| pki.folder().display().to_string()));
    let words = [server, &count_word, form].into_iter().chain(folder.as_deref());
    let mut server = Server::start(&words.collect::<Vec<_>>());
    let mut clients = Clients::new();
    let ask = Ask { tls: pki.as_ref().map(Pki::client), ..clusters(delta) };
    // What a first stream costs once is no cost of each.
    clients.open(server.address, 1, &ask, false);
    clients.board.take(1).await;
    tokio::time::sleep(REST).await;
    let (memory, began, cpu) = (rss_kib(server.id()), Instant::now(), cpu_ms(server.id()));
    clients.open(server.address, streams - 1, &ask, false);
    let first = clients.board.take(streams - 1).await;
    let synced = ms(began.elapsed());
    tokio::time::sleep(REST).await;
    let sync_cpu = cpu_ms(server.id()) - cpu;
    let per_stream = (rss_kib(server.id()) - memory) / (streams - 1).max(1) as f64;
    let mut seen = Pushes::default();
    for round in 0..rounds + 2 {
        let (cpu, own) = (cpu_ms(server.id()), cpu_ms(std::process::id()));
        let (pushed, _) = server.order("beta cluster");
        let arrivals = clients.board.take(streams).await;
        // Answers are part of a push.
        tokio::time::sleep(REST).await;
        if round >= 2 {
            seen.add(
                pushed,
                &arrivals,
                cpu_ms(server.id()) - cpu,
                cpu_ms(std::process::id()) - own,
            );
        }
    }
    let mut figures = seen.figures();
    figures["streams"] = json!(streams);
    figures["resources"] = json!(count);
    figures["sync_ms"] = json!(synced);
    figures["sync_cpu_ms"] = json!(sync_cpu);
    figures["sync_bytes"] = json!(first.iter().map(|one| one.response.bytes).sum::<usize>());
    figures["rss_per_stream_kib"] = json!(per_stream);
    figures["rss_after_mib"] = json!(rss_kib(server.id()) / 1024.0);
    figures
}

/// What pushes cost and how long they took.
#[derive(Default)]
struct Pushes {
    each: Vec<f64>,
    last: Vec<f64>,
    server: Vec<f64>,
    client: Vec<f64>,
    bytes: Vec<f64>,
}

impl Pushes {
    fn add(&mut self, pushed: Instant, arrivals: &[Arrival], server: f64, client: f64) {
        let times = arrivals.iter().map(|one| ms(one.at.saturating_duration_since(pushed)));
        let times: Vec<f64> = times.collect();
        self.last.push(at(&times, 100));
        self.each.extend(times);
        self.server.push(server);
        self.client.push(client);
        self.bytes.push(arrivals.iter().map(|one| one.response.bytes).sum::<usize>() as f64);
    }

    fn figures(&self) -> Value {
        json!({
            "rounds": self.last.len(),
            "p50_ms": at(&self.each, 50), "p99_ms": at(&self.each, 99),
            "last_p50_ms": at(&self.last, 50), "last_max_ms": at(&self.last, 100),
            "cpu_per_push_ms": at(&self.server, 50), "cpu_per_push_max_ms": at(&self.server, 100),
            "client_cpu_per_push_ms": at(&self.client, 50), "bytes_per_push": at(&self.bytes, 50),
        })
    }
}

/// Publishing the same again, and publishing endpoints alone.
pub async fn nothing(streams: usize, count: usize, delta: bool) -> Value {
    let mut server = Server::start(&["serve", &count.to_string()]);
    let mut clients = Clients::new();
    let ask = mesh(delta, count);
    clients.open(server.address, streams, &ask, false);
    clients.board.take(streams * 2).await;
    tokio::time::sleep(SILENCE).await;
    clients.board.drain();
    let bytes = server.order("beta count").1["bytes"].as_u64();
    for _ in 0..10 {
        server.order("beta same");
    }
    tokio::time::sleep(SILENCE).await;
    let same = server.order("beta count").1["bytes"].as_u64().zip(bytes).map(|(a, b)| a - b);
    let unasked = clients.board.drain().len();
    server.order("beta endpoints");
    clients.board.take(streams).await;
    tokio::time::sleep(SILENCE).await;
    let after = clients.board.drain().len();
    let (_, counted) = server.order("beta cluster");
    json!({ "noop_bytes": same, "noop_messages": unasked, "endpoints_extra_messages": after, "nacks": counted["nacks"] })
}

/// Endpoints that change so many times a second: how old what a client has may
/// be. A change is over for a stream with the first response of its version or
/// a later one.
pub async fn churn(streams: usize, count: usize, rate: usize, seconds: usize) -> Value {
    let mut server = Server::start(&["serve", &count.to_string()]);
    let mut clients = Clients::new();
    clients.open(server.address, streams, &mesh(true, count), false);
    clients.board.take(streams * 2).await;
    tokio::time::sleep(REST).await;
    clients.board.drain();
    let (cpu, own, began) = (cpu_ms(server.id()), cpu_ms(std::process::id()), Instant::now());
    let (mut changes, mut versions) = (Vec::new(), BTreeMap::new());
    let mut clock =
        tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate).expect("few"));
    for number in 0..rate * seconds {
        clock.tick().await;
        let (at, answer) = server.order("beta endpoints");
        changes.push(at);
        versions.insert(answer["endpoints"].as_str().expect("a version").to_owned(), number);
    }
    let took = began.elapsed();
    tokio::time::sleep(REST).await;
    let (cpu, own) = (cpu_ms(server.id()) - cpu, cpu_ms(std::process::id()) - own);
    let mut by_stream: BTreeMap<usize, Vec<(usize, Instant)>> = BTreeMap::new();
    let arrivals = clients.board.drain();
    let delivered: usize = arrivals.iter().map(|one| one.response.resources).sum();
    for one in &arrivals {
        let number = versions.get(&one.response.version).copied();
        by_stream.entry(one.stream).or_default().extend(number.map(|number| (number, one.at)));
    }
    let mut stale = Vec::new();
    for seen in by_stream.values() {
        let mut next = 0;
        for (number, change) in changes.iter().enumerate() {
            while seen.get(next).is_some_and(|(at, _)| *at < number) {
                next += 1;
            }
            let (_, at) = seen.get(next).expect("the last change reaches everybody");
            stale.push(ms(at.saturating_duration_since(*change)));
        }
    }
    json!({
        "streams": by_stream.len(), "changes": changes.len(), "seconds": took.as_secs_f64(),
        "staleness_p50_ms": at(&stale, 50), "staleness_p99_ms": at(&stale, 99),
        "cores": cpu / ms(took), "client_cores": own / ms(took),
        "messages": arrivals.len(), "delivered": delivered, "owed": changes.len() * streams,
    })
}

/// Clients that come back all at once with what they have.
pub async fn herd(streams: usize, count: usize, delta: bool) -> Value {
    let mut server = Server::start(&["serve", &count.to_string()]);
    let mut clients = Clients::new();
    clients.open(server.address, 1, &clusters(delta), delta);
    let first = clients.board.take(1).await.remove(0).response;
    let mut ask = clusters(delta);
    (ask.held, ask.version) = (first.versions, first.version);
    let before = server.order("beta count").1;
    let (cpu, own, began) = (cpu_ms(server.id()), cpu_ms(std::process::id()), Instant::now());
    clients.open(server.address, streams, &ask, false);
    let settled = async {
        // A state-of-the-world client in step is told nothing: it is settled
        // when the server has taken its request.
        while !delta && server.order("beta count").1["streams"].as_u64() <= Some(streams as u64) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    settled.await;
    let arrivals = if delta { clients.board.take(streams).await } else { Vec::new() };
    let took = ms(began.elapsed());
    tokio::time::sleep(REST).await;
    let after = server.order("beta count").1;
    let more = |what: &str| after[what].as_u64().zip(before[what].as_u64()).map(|(a, b)| a - b);
    json!({
        "streams": streams, "settled_ms": took, "resources": more("resources"), "bytes": more("bytes"),
        "messages": arrivals.len(), "cpu_ms": cpu_ms(server.id()) - cpu,
        "client_cpu_ms": cpu_ms(std::process::id()) - own,
    })
}

/// Some clients that never read, beside all others; and a stage whose clients
/// refuse what they get, beside a healthy one.
pub async fn mute(streams: usize, count: usize, rounds: usize) -> Value {
    let mut server = Server::start(&["serve", &count.to_string()]);
    let mut clients = Clients::new();
    clients.open(server.address, streams, &clusters(false), false);
    clients.board.take(streams).await;
    // The first pushes are slower than all that follow, with or without others.
    rounds_of(&mut server, &clients, "beta", streams, 3).await;
    let alone = rounds_of(&mut server, &clients, "beta", streams, rounds).await;
    let few = (streams / 100).max(1);
    let before = rss_kib(server.id());
    let mut others = Clients::new();
    let ask = Ask { manner: Manner::Mute, ..clusters(false) };
    others.open(server.address, few, &ask, false);
    others.board.take(few).await;
    let beside = rounds_of(&mut server, &clients, "beta", streams, rounds).await;
    let middle = rss_kib(server.id());
    let again = rounds_of(&mut server, &clients, "beta", streams, rounds).await;
    let grown = rss_kib(server.id()) - middle;
    let mut bad = Clients::new();
    let ask = Ask { manner: Manner::Refuses, stage: STAGES[1], ..clusters(false) };
    bad.open(server.address, few, &ask, false);
    bad.board.take(few).await;
    server.order("release cluster");
    let stage = rounds_of(&mut server, &clients, "beta", streams, rounds).await;
    json!({
        "streams": streams, "mute": few, "alone": alone.figures(), "beside": beside.figures(),
        "again": again.figures(), "beside_a_bad_stage": stage.figures(),
        "rss_first_kib": middle - before, "rss_more_kib": grown,
    })
}

async fn rounds_of(
    server: &mut Server,
    clients: &Clients,
    stage: &str,
    streams: usize,
    rounds: usize,
) -> Pushes {
    let mut seen = Pushes::default();
    for _ in 0..rounds {
        let (cpu, own) = (cpu_ms(server.id()), cpu_ms(std::process::id()));
        let (pushed, _) = server.order(&format!("{stage} cluster"));
        let arrivals = clients.board.take(streams).await;
        tokio::time::sleep(REST).await;
        seen.add(pushed, &arrivals, cpu_ms(server.id()) - cpu, cpu_ms(std::process::id()) - own);
    }
    seen
}

/// Clients that refuse: how many responses each gets for one bad push.
pub async fn refuse(streams: usize, count: usize, rounds: usize) -> Value {
    let mut figures = Vec::new();
    for delta in [true, false] {
        let mut server = Server::start(&["serve", &count.to_string()]);
        let mut clients = Clients::new();
        let ask = Ask { manner: Manner::Refuses, ..clusters(delta) };
        clients.open(server.address, streams, &ask, false);
        clients.board.take(streams).await;
        for _ in 0..rounds {
            tokio::time::sleep(REST).await;
            clients.board.drain();
            server.order("beta cluster");
            tokio::time::sleep(SILENCE).await;
            let mut each: BTreeMap<usize, usize> = BTreeMap::new();
            for one in clients.board.drain() {
                *each.entry(one.stream).or_default() += 1;
            }
            figures.push(json!({
                "delta": delta, "streams": each.len(),
                "most": each.values().max(), "least": each.values().min(),
            }));
        }
    }
    json!({ "streams": streams, "pushes": figures })
}

/// A commit over HTTP to the whole product until the first byte, and the last
/// stream's. The repository `bench/mesh` is there, with its clusters as files
/// of `resources/clusters/`.
pub async fn first(http: String, xds: String, streams: usize, rounds: usize) -> Value {
    let server: SocketAddr = xds.parse().expect("an address");
    let mut clients = Clients::new();
    clients.open(server, streams, &clusters(true), false);
    let first = clients.board.take(streams).await;
    tokio::time::sleep(REST).await;
    let (mut commits, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds + 2 {
        let file =
            format!("/resources/clusters/c{:05}.yaml", round * 7 % first[0].response.resources);
        let text = cluster(round * 7 % first[0].response.resources, 2 + round);
        let began = Instant::now();
        commit(&http, &file, &text);
        let committed = began.elapsed();
        let arrivals = clients.board.take(streams).await;
        let times: Vec<f64> =
            arrivals.iter().map(|one| ms(one.at.saturating_duration_since(began))).collect();
        if round >= 2 {
            commits.push(ms(committed));
            firsts.push(at(&times, 0));
            lasts.push(at(&times, 100));
        }
        tokio::time::sleep(REST).await;
    }
    json!({
        "streams": streams, "resources": first[0].response.resources, "commit_ms": at(&commits, 50),
        "first_byte_ms": at(&firsts, 50), "first_byte_max_ms": at(&firsts, 100), "last_ms": at(&lasts, 50),
    })
}

/// Grants and revocations over the API of the whole product, until each open
/// stream has felt them. The repository `bench/mesh` serves a secret `key`;
/// `root` is an administrator's token.
pub async fn revoke(
    http: String,
    xds: String,
    root: String,
    streams: usize,
    rounds: usize,
) -> Value {
    let server: SocketAddr = xds.parse().expect("an address");
    let (mut granted, mut taken, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let path = format!("/api/v1/govern/tokens/edge-{round}");
        let scope = json!({"nodes": ["*"], "stages": ["*"]});
        let new = json!({"name": format!("edge-{round}"), "role": "node", "scope": scope});
        let (_, issued) = call(&http, &root, "POST /api/v1/govern/tokens", &new);
        let token = issued["secret"].as_str().expect("a token").to_owned();
        let types = vec![(ResourceKind::Secrets.type_url().to_string(), vec!["key".to_owned()])];
        let ask = Ask { types, token: Some(token), ..clusters(true) };
        let mut clients = Clients::new();
        clients.open(server, streams, &ask, false);
        let hidden = clients.board.take(streams).await;
        assert!(hidden.iter().all(|one| one.response.resources == 0), "a secret is shown");
        tokio::time::sleep(REST).await;
        for (secrets, expect, times) in
            [(json!(["key"]), 1, &mut granted), (json!([]), 0, &mut taken)]
        {
            let body = json!({ "secrets": secrets });
            let (began, _) = call(&http, &root, &format!("PUT {path}/scope"), &body);
            let arrivals = clients.board.take(streams).await;
            assert!(arrivals.iter().all(|one| one.response.resources == expect));
            let late = arrivals.iter().map(|one| ms(one.at.saturating_duration_since(began)));
            times.extend(late);
            tokio::time::sleep(REST).await;
        }
        let (began, _) = call(&http, &root, &format!("POST {path}/revoke"), &json!({}));
        let ends = clients.board.ends(streams).await;
        ended.extend(ends.iter().map(|end| ms(end.saturating_duration_since(began))));
    }
    let figures = |times: &[f64]| json!({ "p50_ms": at(times, 50), "max_ms": at(times, 100) });
    json!({
        "streams": streams, "rounds": rounds, "granted": figures(&granted),
        "taken": figures(&taken), "revoked": figures(&ended),
    })
}

/// As `ci/bench_xds.py` wrote it.
fn cluster(number: usize, seconds: usize) -> String {
    format!(
        "name: c{number:05}\nconnect_timeout: {seconds}s\ntype: STRICT_DNS\n\
         lb_policy: LEAST_REQUEST\n\
         outlier_detection: {{consecutive_5xx: 5, interval: 10s, base_ejection_time: 30s}}\n\
         load_assignment:\n  cluster_name: c{number:05}\n  endpoints:\n    - lb_endpoints:\n        \
         - endpoint: {{address: {{socket_address: {{address: c{number:05}.internal, port_value: 8080}}}}}}\n"
    )
}

fn commit(address: &str, file: &str, text: &str) {
    let body = json!({
        "commitMessage": {"summary": "measure"},
        "changes": [{"path": file, "type": "UPSERT_TEXT", "content": text}],
    });
    let what = "POST /api/v1/projects/bench/repos/mesh/contents?revision=-1";
    call(address, "anonymous", what, &body);
}

/// Asks over HTTP; gives when, and the answer.
fn call(address: &str, token: &str, what: &str, body: &Value) -> (Instant, Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let request = format!(
        "{what} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let began = Instant::now();
    stream.write_all(request.as_bytes()).expect("a request that is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 20"), "{what}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    (began, serde_json::from_str(body).expect("an answer that is JSON"))
}
