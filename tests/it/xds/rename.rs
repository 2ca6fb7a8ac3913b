//! A cluster and the routes to it get other names in one commit, and then the
//! route configuration too, again and again, while requests go through a real
//! Envoy. Not one of them may fail, whether the commit is published to the hub
//! or pushed to the upstream of the whole program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use convoy::model::ResourceKind;
use convoy::snapshot::Snapshot;
use convoy::tasks::Tasks;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Setup, Transport, VERSIONS, cluster_message, endpoints_message, http_manager, listener_message,
    rds, resource, routes_message, status,
};
use super::upstream::Upstream;
use crate::harness;
use crate::harness::convoy::{Convoy, Ends, free_port, wait_for};
use crate::harness::upstream::ADA;

/// How many send requests at once.
const CLIENTS: usize = 4;
/// How long each waits between two requests.
const PAUSE: Duration = Duration::from_millis(1);

/// For how many seconds connections go on with an old route configuration.
const DRAINS: u32 = 3;

const PIPELINE: &str = "stages:\n  - {name: beta, auto: true}\n";

/// What gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The cluster, and the route to it.
    Route,
    /// The route configuration too, so that the listener changes.
    RouteConfiguration,
}

/// What is served while `name` is the name of the cluster and of the route, by
/// kind and folder.
pub(super) fn mesh(source: Transport, what: What, port: u16, name: &str, upstream: u16) -> Mesh {
    let source = source.source();
    let route = match what {
        What::Route => "r".to_owned(),
        What::RouteConfiguration => format!("r-{name}"),
    };
    let manager = http_manager(&rds(&route, &source), &[]);
    [
        (ResourceKind::Clusters, "clusters", cluster_message(name, &source)),
        (ResourceKind::Endpoints, "endpoints", endpoints_message(name, &[upstream])),
        (ResourceKind::Listeners, "listeners", listener_message("l", port.into(), &manager)),
        (ResourceKind::Routes, "routes", routes_message(&route, name)),
    ]
}

pub(super) type Mesh = [(ResourceKind, &'static str, Value); 4];

fn snapshot_of(mesh: &Mesh) -> Arc<Snapshot> {
    snapshot(&mesh.clone().map(|(kind, _, message)| resource(kind, &message)))
}

/// What an Envoy is served by.
#[allow(clippy::large_enum_variant, reason = "a test has one of them")]
pub(super) enum Plane {
    /// The hub in this process.
    Hub(Server),
    /// The whole program, which follows an upstream.
    Program(Convoy, harness::upstream::Upstream),
}

impl Plane {
    pub(super) fn start(runtime: &Runtime, program: bool, first: &Mesh) -> Self {
        if !program {
            return Self::Hub(runtime.block_on(Server::start(snapshot_of(first))));
        }
        let upstream = harness::upstream::Upstream::start();
        let convoy = Convoy::with().upstream(upstream.url(), "1s").people().start();
        let hook = format!("{}/hooks/github", convoy.url());
        let upstream = upstream.with_webhook(&hook, "hook-secret");
        let commit = push(&upstream, first);
        convoy.wait_served("beta", &commit);
        Self::Program(convoy, upstream)
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Hub(server) => server.address.port(),
            Self::Program(convoy, _) => {
                convoy.xds_address().rsplit_once(':').unwrap().1.parse().unwrap()
            }
        }
    }

    /// Serves what is next, and waits until the Envoy took all of it. Whoever
    /// waits for the node does not wait for old connections to end.
    fn move_on(&self, next: &Mesh) {
        match self {
            Self::Hub(server) => {
                let next = snapshot_of(next);
                server.hub.publish(next.clone());
                wait_in_step(server, &next);
                wait_for("the node to count as in step", || {
                    let nodes = server.hub.nodes();
                    if nodes[0].in_step { Ok(()) } else { Err(format!("{nodes:?}")) }
                });
            }
            Self::Program(convoy, upstream) => {
                let commit = push(upstream, next);
                let card = convoy.wait_served("beta", &commit);
                let revision = &card["live"]["revision"];
                assert!(revision.is_u64(), "{card}");
                wait_for("the node to be in step", || {
                    let shown = convoy.try_get("/api/v1/nodes/node-1")?;
                    let node = &shown["node"];
                    let there =
                        node["state"] == "synced" && node["release"]["revision"] == *revision;
                    if there { Ok(()) } else { Err(shown.to_string()) }
                });
            }
        }
    }

    fn refusals(&self) -> u64 {
        match self {
            Self::Hub(server) => server.hub.counters().nacks,
            Self::Program(convoy, _) => {
                let page = convoy.try_get("/metrics").unwrap();
                let page = page.as_str().unwrap();
                assert!(page.contains("\nconvoy_xds_resources_total{} "), "{page}");
                let counts =
                    page.lines().filter_map(|line| line.strip_prefix("convoy_xds_nacks_total{"));
                let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
                counts.sum()
            }
        }
    }
}

/// Pushes a mesh in one commit; the files keep their names.
fn push(upstream: &harness::upstream::Upstream, mesh: &Mesh) -> String {
    let mut files = vec![("convoy.yaml".to_owned(), PIPELINE.to_owned())];
    files.extend(
        mesh.iter().map(|(_, folder, message)| {
            (format!("resources/{folder}/one.yaml"), message.to_string())
        }),
    );
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    upstream.commit(&files, "rename", ADA).to_string()
}

/// What came of the requests: how many went well, and what else was said.
#[derive(Debug, Default)]
struct Load {
    good: u64,
    bad: Vec<String>,
}

/// Sends requests until `done`, over one connection and now and then over a
/// new one.
async fn send(url: http::Uri, done: &AtomicBool) -> Load {
    let mut load = Load::default();
    let mut http = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    while !done.load(Ordering::SeqCst) {
        if load.good % 50 == 49 {
            http = Client::builder(TokioExecutor::new()).build_http();
        }
        match http.get(url.clone()).await {
            Ok(answer) => {
                let status = answer.status();
                let body = answer.into_body().collect().await.map(|body| body.to_bytes());
                match (status.as_u16(), body) {
                    (200, Ok(_)) => load.good += 1,
                    (_, body) => load.bad.push(format!("{status} {body:?}")),
                }
            }
            Err(error) => load.bad.push(format!("{error:?}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    load
}

async fn load(port: u16, done: Arc<AtomicBool>) -> Load {
    let url: http::Uri = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let all = futures_util::future::join_all((0..CLIENTS).map(|_| send(url.clone(), &done))).await;
    all.into_iter().fold(Load::default(), |mut sum, one| {
        sum.good += one.good;
        sum.bad.extend(one.bad);
        sum
    })
}

/// Renames `times` times under load.
fn rename(setup: Setup, what: What, times: usize, program: bool) {
    let shown = format!("{setup:?} {what:?}, program: {program}");
    let transport = setup.transport;
    let runtime = Runtime::new().unwrap();
    let upstreams = [Upstream::start(&runtime, "a"), Upstream::start(&runtime, "b")];
    let port = free_port();
    let round = |round: usize| {
        let name = format!("name-{round}");
        mesh(transport, what, port, &name, upstreams[round % 2].port)
    };
    let plane = Plane::start(&runtime, program, &round(0));
    let envoy = Setup { drains: DRAINS, ..setup }.boot_at(plane.port());
    envoy.wait_ready();
    wait_for("the listener", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())
    });
    let done = Arc::new(AtomicBool::new(false));
    let ends = Ends(&done);
    let (tasks, counted) = (Tasks::default(), done.clone());
    let (sender, sum) = std::sync::mpsc::channel();
    runtime.block_on(async {
        tasks.spawn("load", async move {
            let _ = sender.send(load(port, counted).await);
        });
    });
    for number in 1..=times {
        plane.move_on(&round(number));
        let upstream = &upstreams[number % 2];
        let before = upstream.served();
        wait_for("the new name to be used", || match upstream.served() {
            served if served > before => Ok(()),
            served => Err(format!("{served} requests")),
        });
    }
    drop(ends);
    let load = sum.recv_timeout(Duration::from_secs(20)).expect("the load ends");
    assert!(load.good > times as u64, "too little load to tell: {load:?}");
    assert!(load.bad.is_empty(), "{shown}: {} went well, {:#?}", load.good, load.bad);
    let served = upstreams.iter().map(Upstream::served).collect::<Vec<_>>();
    assert!(served.iter().all(|count| *count > 0), "both names were used: {served:?}");
    assert_eq!(plane.refusals(), 0, "{}", envoy.log());
    envoy.wait_config(&[&format!("name-{times}")], &[&format!("name-{}", times - 1)]);
}

/// Waits until the Envoy took every type of `next`, removals too.
fn wait_in_step(server: &Server, next: &Snapshot) {
    let kinds = [
        ResourceKind::Clusters,
        ResourceKind::Endpoints,
        ResourceKind::Listeners,
        ResourceKind::Routes,
    ];
    for kind in kinds {
        wait_for(&format!("{kind:?} to be in step"), || match status(server, kind) {
            Some(status) if status.sent == status.acked => {
                let wildcard = status.wildcard;
                let version = &next.types[&kind.type_url()].version;
                match !wildcard || status.acked.as_ref() == Some(version) {
                    true => Ok(()),
                    false => Err(format!("{status:?}")),
                }
            }
            other => Err(format!("{other:?}")),
        });
    }
}

/// How often one Envoy sees a rename.
fn times() -> usize {
    if std::env::var_os("CONVOY_LONG").is_some() { 100 } else { 10 }
}

/// Every version with both muxes: together more than a hundred times.
fn rename_with_all(transport: Transport, what: What) {
    for version in VERSIONS {
        std::thread::scope(|scope| {
            for unified_mux in [false, true] {
                let setup = Setup { unified_mux, ..Setup::new(version, transport) };
                scope.spawn(move || rename(setup, what, times(), false));
            }
        });
    }
}

#[test]
fn no_request_fails_while_cluster_and_route_are_renamed_over_sotw() {
    rename_with_all(Transport::Ads, What::Route);
}

#[test]
fn no_request_fails_while_cluster_and_route_are_renamed_over_delta() {
    rename_with_all(Transport::DeltaAds, What::Route);
}

#[test]
fn no_request_fails_while_cluster_and_route_are_renamed_by_a_push_to_git() {
    let (old, new) = (VERSIONS[0], VERSIONS[2]);
    rename(Setup::new(old, Transport::Ads), What::Route, times() / 2, true);
    let unified = Setup { unified_mux: true, ..Setup::new(new, Transport::DeltaAds) };
    rename(unified, What::Route, times() / 2, true);
}

#[test]
fn no_request_fails_while_route_configurations_are_renamed_over_sotw() {
    let what = What::RouteConfiguration;
    rename(Setup::new("1.36.4", Transport::Ads), what, times(), false);
    rename(
        Setup { unified_mux: true, ..Setup::new("1.40.0", Transport::Ads) },
        what,
        times(),
        false,
    );
}

#[test]
fn no_request_fails_while_route_configurations_are_renamed_over_delta() {
    let what = What::RouteConfiguration;
    let unified = Setup { unified_mux: true, ..Setup::new("1.38.3", Transport::DeltaAds) };
    rename(unified, what, times(), false);
    rename(Setup::new("1.40.0", Transport::DeltaAds), what, times(), false);
}
