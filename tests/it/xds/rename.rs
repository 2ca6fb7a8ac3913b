//! A cluster and the routes to it get other names in one commit, and then the
//! route configuration too, again and again, while requests go through a real
//! Envoy. Not one of them may fail.

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
use tokio::runtime::Runtime;

use super::Server;
use super::mesh::snapshot;
use super::real::{
    Setup, Transport, cluster, endpoints, http_manager, listener, rds, routes, status,
};
use super::upstream::Upstream;
use crate::harness::convoy::{Ends, free_port, wait_for};

/// How many send requests at once.
const CLIENTS: usize = 4;
/// How long each waits between two requests.
const PAUSE: Duration = Duration::from_millis(1);

/// For how many seconds connections go on with an old route configuration.
const DRAINS: u32 = 3;

/// What gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The cluster, and the route to it.
    Route,
    /// The route configuration too, so that the listener changes.
    RouteConfiguration,
}

/// What is served while `name` is the name of the cluster and of the route.
fn mesh(source: Transport, what: What, port: u16, name: &str, upstream: u16) -> Arc<Snapshot> {
    let source = source.source();
    let route = match what {
        What::Route => "r".to_owned(),
        What::RouteConfiguration => format!("r-{name}"),
    };
    let manager = http_manager(&rds(&route, &source), &[]);
    snapshot(&[
        cluster(name, &source),
        endpoints(name, &[upstream]),
        listener("l", port.into(), &manager),
        routes(&route, name),
    ])
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
fn rename(version: &'static str, transport: Transport, what: What, times: usize) {
    let runtime = Runtime::new().unwrap();
    let upstreams = [Upstream::start(&runtime, "a"), Upstream::start(&runtime, "b")];
    let port = free_port();
    let round = |round: usize| {
        let name = format!("name-{round}");
        mesh(transport, what, port, &name, upstreams[round % 2].port)
    };
    let server = runtime.block_on(Server::start(round(0)));
    let envoy = Setup { drains: DRAINS, ..Setup::new(version, transport) }.boot(&server);
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
        let next = round(number);
        server.hub.publish(next.clone());
        wait_in_step(&server, &next);
        // Whoever waits for the node does not wait for old connections to end.
        wait_for("the node to count as in step", || {
            let nodes = server.hub.nodes();
            if nodes[0].in_step { Ok(()) } else { Err(format!("{nodes:?}")) }
        });
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
    assert!(
        load.bad.is_empty(),
        "{version} {transport:?} {what:?}: {} went well, {:#?}",
        load.good,
        load.bad
    );
    let served = upstreams.iter().map(Upstream::served).collect::<Vec<_>>();
    assert!(served.iter().all(|count| *count > 0), "both names were used: {served:?}");
    assert_eq!(server.hub.counters().nacks, 0, "{}", envoy.log());
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

fn times() -> usize {
    if std::env::var_os("CONVOY_LONG").is_some() { 100 } else { 10 }
}

#[test]
fn no_request_fails_while_cluster_and_route_are_renamed_over_sotw() {
    rename("1.36.4", Transport::Ads, What::Route, times());
    rename("1.40.0", Transport::Ads, What::Route, times());
}

#[test]
fn no_request_fails_while_cluster_and_route_are_renamed_over_delta() {
    rename("1.36.4", Transport::DeltaAds, What::Route, times());
    rename("1.40.0", Transport::DeltaAds, What::Route, times());
}

#[test]
fn no_request_fails_while_route_configurations_are_renamed_over_sotw() {
    rename("1.36.4", Transport::Ads, What::RouteConfiguration, times());
    rename("1.40.0", Transport::Ads, What::RouteConfiguration, times());
}

#[test]
fn no_request_fails_while_route_configurations_are_renamed_over_delta() {
    rename("1.36.4", Transport::DeltaAds, What::RouteConfiguration, times());
    rename("1.40.0", Transport::DeltaAds, What::RouteConfiguration, times());
}
