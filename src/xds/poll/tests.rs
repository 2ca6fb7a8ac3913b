//! Polls against a hub, without HTTP.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::rpc::Status;
use tokio::sync::mpsc;

use super::*;
use crate::model::ResourceKind;
use crate::snapshot::build;
use crate::snapshot::testing::{cluster, key};
use crate::xds::Guard;
use crate::xds::peer::Peer;
use crate::xds::{Report, TypeStatus};

fn anybody() -> Caller {
    Guard::open().admit(&http::HeaderMap::new(), &Peer::default()).unwrap()
}

struct Bed {
    hub: Hub,
    polls: Polls,
    reports: mpsc::Receiver<Report>,
}

fn bed() -> Bed {
    let (sender, reports) = mpsc::channel(64);
    let hub =
        Hub::serving(Arc::new(build(key("beta"), &[cluster("a", 1), cluster("b", 1)])), sender);
    Bed { polls: Polls::new(hub.clone()), hub, reports }
}

fn request(names: &[&str], version: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        node: Some(Node { id: "n".into(), ..Node::default() }),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        version_info: version.into(),
        ..Default::default()
    }
}

fn refusing(names: &[&str], version: &str, nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        error_detail: Some(Status { message: "no".into(), ..Status::default() }),
        response_nonce: nonce.into(),
        ..request(names, version)
    }
}

impl Bed {
    /// The version and the names that are answered; `None` where unchanged.
    fn poll(&self, request: DiscoveryRequest) -> Option<(String, Vec<String>)> {
        let method = Method::fetching(ResourceKind::Clusters);
        match self.polls.answer(&Poll::read(&method, request).unwrap(), &anybody()).unwrap() {
            Reply::Unchanged => None,
            Reply::Full(part) => {
                let names = part.resources().map(|one| one.name.to_string()).collect();
                Some((part.version.to_string(), names))
            }
        }
    }

    fn status(&self) -> TypeStatus {
        self.hub.nodes()[0].types[0].clone()
    }

    fn publish(&self, seconds: i64) {
        self.hub.publish(Arc::new(build(key("beta"), &[cluster("a", seconds)])));
    }

    fn answers(&mut self) -> Vec<String> {
        let reports = std::iter::from_fn(|| self.reports.try_recv().ok());
        reports
            .filter_map(|report| match report {
                Report::Acked { version, .. } => Some(format!("took {version}")),
                Report::Nacked { version, message, .. } => Some(format!("{version}: {message}")),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_client_is_answered_in_full_until_it_has_the_version() {
    let mut bed = bed();
    let (first, names) = bed.poll(request(&[], "")).unwrap();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(bed.poll(request(&[], &first)), None);
    assert_eq!(bed.poll(request(&["*", "x"], &first)), None);
    bed.publish(2);
    let (second, names) = bed.poll(request(&[], &first)).unwrap();
    assert_eq!(names, ["a"]);
    // The answer got lost: it is given again.
    assert_eq!(bed.poll(request(&[], &first)).unwrap().0, second);
    assert_eq!(bed.poll(request(&[], &second)), None);
    assert_eq!(bed.answers(), [format!("took {first}"), format!("took {second}")]);
}

#[test]
fn a_version_is_of_what_is_asked_for() {
    let bed = bed();
    let (one, names) = bed.poll(request(&["a", "none"], "")).unwrap();
    assert_eq!(names, ["a"]);
    assert_eq!(bed.poll(request(&["a"], &one)), None);
    assert_eq!(bed.poll(request(&["a", "b"], &one)).unwrap().1, ["a", "b"]);
    let (nothing, names) = bed.poll(request(&["none"], "")).unwrap();
    assert!(names.is_empty() && !nothing.is_empty());
    assert_eq!(bed.poll(request(&["none"], &nothing)), None);
}

#[test]
fn a_refusal_is_reported_once_and_not_answered_until_something_changes() {
    let mut bed = bed();
    let (first, _) = bed.poll(request(&[], "")).unwrap();
    assert_eq!(bed.poll(refusing(&[], "", &first)), None);
    assert_eq!(bed.poll(refusing(&[], "", &first)), None);
    assert_eq!(bed.status().nacked.unwrap().message, "no");
    bed.publish(2);
    let (second, _) = bed.poll(refusing(&[], "", &first)).unwrap();
    assert_eq!(bed.poll(request(&[], &second)), None);
    assert_eq!((bed.status().nacked, bed.status().acked), (None, Some(second.as_str().into())));
    assert_eq!(bed.answers(), [format!("{first}: no"), format!("took {second}")]);
}

#[test]
fn a_client_that_returns_to_what_it_had_is_in_step() {
    let mut bed = bed();
    let (first, _) = bed.poll(request(&[], "")).unwrap();
    bed.poll(request(&[], &first));
    bed.publish(2);
    let (second, _) = bed.poll(request(&[], &first)).unwrap();
    bed.poll(refusing(&[], &first, &second));
    bed.hub.publish(Arc::new(build(key("beta"), &[cluster("a", 1), cluster("b", 1)])));
    assert_eq!(bed.poll(request(&[], &first)), None);
    let status = bed.status();
    assert_eq!((status.nacked, status.sent), (None, status.acked));
    let took = format!("took {first}");
    assert_eq!(bed.answers(), [took.clone(), format!("{second}: no"), took]);
}

#[test]
fn without_a_node_or_a_snapshot_there_is_no_answer() {
    let (sender, _) = mpsc::channel(1);
    let polls = Polls::new(Hub::new(sender));
    let method = Method::fetching(ResourceKind::Clusters);
    let poll = Poll::read(&method, request(&[], "")).unwrap();
    assert_eq!(polls.answer(&poll, &anybody()).unwrap_err(), Refusal::NothingServed);
    let nobody = DiscoveryRequest { node: None, ..request(&[], "") };
    assert_eq!(Poll::read(&method, nobody).unwrap_err(), Refusal::NoNode);
    let other = DiscoveryRequest { type_url: "x/y".into(), ..request(&[], "") };
    assert!(matches!(Poll::read(&method, other), Err(Refusal::OtherType { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_away_is_signed_off() {
    let bed = bed();
    let every = Duration::from_secs(20);
    let polling = async {
        for _ in 0..5 {
            bed.poll(request(&[], ""));
            tokio::time::sleep(every).await;
            assert_eq!(bed.hub.nodes().len(), 1);
        }
        tokio::time::sleep(every * 2).await;
        assert_eq!(bed.hub.nodes().len(), 1);
        tokio::time::sleep(every).await;
        assert_eq!(bed.hub.nodes(), []);
    };
    tokio::select! {
        () = bed.polls.sweep() => unreachable!("it sweeps for ever"),
        () = polling => {}
    }
    bed.poll(request(&[], ""));
    drop(bed.polls);
    assert_eq!(bed.hub.nodes(), []);
}
