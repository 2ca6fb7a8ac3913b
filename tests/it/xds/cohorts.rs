//! Two snapshots at once: a candidate goes to a part of the nodes, and nobody
//! is sent what it has already, however the part changes.

use std::sync::Arc;

use convoy::model::{ContentHash, NodeId, NodeIdentity, SnapshotKey, Subset};
use convoy::snapshot::{Cohort, Snapshot};
use convoy::xds::{Issue, Offer};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use futures_util::future::join_all;
use http::StatusCode;
use prost::Message as _;
use serde_json::json;

use super::Server;
use super::fanout::{Client, settled, wait_until};
use super::mesh::{cluster, snapshot};
use super::rest::Http;

/// Enough that a share is neither none nor all.
const NODES: usize = 60;

fn cohort(subset: Subset) -> Arc<Cohort> {
    let SnapshotKey { repo, stage, .. } = super::key("beta");
    Arc::new(Cohort::new(repo, stage, subset))
}

fn percent(percent: u32) -> Subset {
    Subset { percent: Some(percent), ..Subset::default() }
}

fn identity(number: usize) -> NodeIdentity {
    NodeIdentity {
        id: NodeId(format!("n{number}").into()),
        cluster: String::new(),
        metadata: Default::default(),
        envoy_version: None,
        locality: String::new(),
    }
}

/// Serves `base`, and `candidate` to a part.
fn try_out(server: &Server, base: &Arc<Snapshot>, candidate: &Arc<Snapshot>, part: &Arc<Cohort>) {
    let issue = |snapshot: &Arc<Snapshot>| Issue { snapshot: snapshot.clone(), release: None };
    let trial = Some((part.clone(), issue(candidate)));
    server.hub.serve(&base.key, Offer { base: Some(issue(base)), trial });
}

/// Everyone whom `whom` picks is sent exactly one more response; gives them.
async fn told(clients: &mut [Client], whom: impl Fn(usize) -> bool) -> Vec<DeltaDiscoveryResponse> {
    let picked = clients.iter_mut().enumerate().filter(|(number, _)| whom(*number));
    join_all(picked.map(async |(_, client)| {
        let response = client.next().await.clone();
        client.answer(None).await;
        response
    }))
    .await
}

fn in_step(server: &Server, version: ContentHash, whom: impl Fn(usize) -> bool) -> bool {
    let nodes = server.hub.nodes();
    (0..NODES).filter(|&number| whom(number)).all(|number| {
        let node = nodes.iter().find(|node| node.identity.id == identity(number).id);
        let due = server.hub.due(&super::key("beta"), &identity(number));
        node.is_some_and(|node| node.in_step) && due.is_some_and(|due| due.version == version)
    })
}

#[tokio::test]
async fn a_part_that_grows_is_told_once_and_everybody_else_not_a_byte() {
    let (old, new) = (snapshot(&[cluster("a", 1)]), snapshot(&[cluster("a", 2)]));
    let server = Server::start(old.clone()).await;
    let mut clients = settled(&server, NODES).await;
    let (small, large) = (cohort(percent(20)), cohort(percent(60)));
    let (in_small, in_large) =
        (|n: usize| small.takes(&identity(n)), |n: usize| large.takes(&identity(n)));
    let first = (0..NODES).filter(|&n| in_small(n)).count();
    let second = (0..NODES).filter(|&n| in_large(n)).count();
    assert!(0 < first && first < second && second < NODES, "{first} {second}");

    let begun = server.hub.counters();
    let mut bytes = 0;
    for (part, whom) in
        [(&small, &in_small as &dyn Fn(usize) -> bool), (&large, &|n| in_large(n) && !in_small(n))]
    {
        try_out(&server, &old, &new, part);
        let responses = told(&mut clients, whom).await;
        bytes += responses.iter().map(|one| one.encoded_len() as u64).sum::<u64>();
        wait_until("the part", || in_step(&server, new.version, whom)).await;
        // The same again is nothing.
        try_out(&server, &old, &new, &cohort(part.subset().clone()));
    }
    assert!(in_step(&server, old.version, |n| !in_large(n)));
    // Everybody gets it, who has it excepted.
    server.hub.publish(new.clone());
    let rest = told(&mut clients, |n| !in_large(n)).await;
    bytes += rest.iter().map(|one| one.encoded_len() as u64).sum::<u64>();
    wait_until("everybody", || in_step(&server, new.version, |_| true)).await;
    let after = server.hub.counters();
    assert_eq!(after.pushes - begun.pushes, NODES as u64);
    assert_eq!(after.bytes_sent - begun.bytes_sent, bytes);
    assert_eq!(after.acks, 2 * NODES as u64);
}

#[tokio::test]
async fn the_way_back_is_for_the_part_only() {
    let (old, new) = (snapshot(&[cluster("a", 1)]), snapshot(&[cluster("a", 2)]));
    let server = Server::start(old.clone()).await;
    let mut clients = settled(&server, NODES).await;
    let part = cohort(Subset { nodes: vec!["n1*".into()], ..Subset::default() });
    let within = |n: usize| part.takes(&identity(n));
    let count = (0..NODES).filter(|&n| within(n)).count() as u64;
    assert_eq!(count, 11);
    try_out(&server, &old, &new, &part);
    let picked = clients.iter_mut().enumerate().filter(|(number, _)| within(*number));
    join_all(picked.map(async |(_, client)| {
        client.next().await;
        client.answer(Some("not with me")).await;
    }))
    .await;
    wait_until("the refusals", || server.hub.counters().nacks == count).await;
    let doubt = server.hub.doubts().remove(0);
    assert_eq!((doubt.version, doubt.refused), (new.version, count));
    assert!(in_step(&server, old.version, |n| !within(n)), "the others are as they were");
    let before = server.hub.counters();
    server.hub.publish(old.clone());
    // They refused it, so they have the old one; a client is told so again.
    told(&mut clients, within).await;
    wait_until("the way back", || in_step(&server, old.version, |_| true)).await;
    assert_eq!(server.hub.counters().pushes - before.pushes, count);
    assert_eq!(server.hub.doubts(), []);
}

#[tokio::test]
async fn whoever_joins_or_comes_back_is_served_by_its_part() {
    let (old, new) = (snapshot(&[cluster("a", 1)]), snapshot(&[cluster("a", 2)]));
    let server = Server::start(old.clone()).await;
    let part = cohort(percent(50));
    try_out(&server, &old, &new, &part);
    for round in 0..2 {
        let clients = settled(&server, NODES).await;
        for (number, client) in clients.iter().enumerate() {
            let expected = if part.takes(&identity(number)) { &new } else { &old };
            let version = &client.got[0].resources[0].version;
            let clusters = convoy::model::ResourceKind::Clusters.type_url();
            let due = &expected.types[&clusters].resources.values().next().unwrap().version;
            assert_eq!(version, &**due, "n{number} in round {round}");
        }
        wait_until("everybody", || server.hub.nodes().iter().all(|node| node.in_step)).await;
        drop(clients);
        wait_until("the end", || server.hub.nodes().is_empty()).await;
    }
}

#[tokio::test]
async fn a_poll_is_answered_by_its_part() {
    let (old, new) = (snapshot(&[cluster("a", 1)]), snapshot(&[cluster("a", 2)]));
    let server = Server::start(old.clone()).await;
    let part = cohort(Subset { localities: vec!["eu/*".into()], ..Subset::default() });
    let http = Http::new(&server, false);
    let ask = |id: &str, region: &str, version: &serde_json::Value| {
        let locality = json!({"region": region, "zone": "a"});
        let node = json!({"id": id, "metadata": {"stage": "beta"}, "locality": locality});
        json!({"node": node, "version_info": version})
    };
    let timeout = |answer: &serde_json::Value| answer["resources"][0]["connect_timeout"].clone();
    let mut had = Vec::new();
    for (id, region) in [("x", "eu"), ("y", "us")] {
        let answer = http.post("clusters", &ask(id, region, &json!(""))).await.json();
        assert_eq!(timeout(&answer), "1s");
        had.push(answer["version_info"].clone());
    }
    try_out(&server, &old, &new, &part);
    let news = http.post("clusters", &ask("x", "eu", &had[0])).await.json();
    assert_eq!(timeout(&news), "2s");
    let none = http.post("clusters", &ask("y", "us", &had[1])).await;
    assert_eq!(none.status, StatusCode::NOT_MODIFIED);
    // Taken back, the part is told and the others are not.
    server.hub.publish(old);
    let back = http.post("clusters", &ask("x", "eu", &news["version_info"])).await.json();
    assert_eq!(timeout(&back), "1s");
    let none = http.post("clusters", &ask("y", "us", &had[1])).await;
    assert_eq!(none.status, StatusCode::NOT_MODIFIED);
}
