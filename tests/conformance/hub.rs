//! Convoy's xDS in this process: the hub and the server, and a driver that
//! publishes to it directly. Each node has a stage of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy::conform::{Abilities, Change, Driver, Item, NodeShape, Target};
use convoy::model::{
    FilePath, NodeGroup, NodeRule, Place, RepoName, Resource, ResourceName, SnapshotKey, Stage,
    Wrapping,
};
use convoy::snapshot::{Route, Routing, build};
use convoy::tasks::Tasks;
use convoy::xds::{Guard, Hub, serve};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How long silence is, where nothing says otherwise.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// A server on a loopback port, stopped on drop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    driver: Arc<Publisher>,
    tasks: Tasks,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reports, mut read) = mpsc::channel(1024);
        let hub = Hub::new(reports);
        let tasks = Tasks::default();
        let served = serve(listener, hub.clone(), Guard::open(), None, tasks.stopping());
        tasks.spawn("xds under test", async move { served.await.expect("the server ends well") });
        tasks.spawn("reports", async move { while read.recv().await.is_some() {} });
        let driver = Arc::new(Publisher { hub, nodes: Mutex::default() });
        Self { address, driver, tasks }
    }

    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    /// How the suite speaks to it; `quiet` is how long silence is.
    pub(crate) fn target(&self, quiet: Duration) -> Arc<Target> {
        target(self.address, quiet)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// How the suite speaks to a server of ours.
pub(crate) fn target(address: SocketAddr, quiet: Duration) -> Arc<Target> {
    Arc::new(Target {
        address: address.to_string(),
        tls: None,
        authority: None,
        token: None,
        node: NodeShape::default(),
        patience: Duration::from_secs(10),
        quiet,
        at_once: 32,
    })
}

/// Publishes snapshots.
#[derive(Debug)]
struct Publisher {
    hub: Hub,
    nodes: Mutex<Vec<String>>,
}

impl Driver for Publisher {
    fn abilities(&self) -> Abilities {
        Abilities { ttl: true, on_demand: true, collections: true, ..Abilities::default() }
    }

    fn set<'a>(&'a self, node: &'a str, items: &'a [Item]) -> Change<'a> {
        let resources: Vec<_> = items.iter().map(resource).collect();
        self.hub.publish(Arc::new(build(key(node), &resources)));
        let mut nodes = self.nodes.lock().unwrap();
        if !nodes.iter().any(|known| known == node) {
            nodes.push(node.to_owned());
            self.hub.route(Arc::new(Routing::new(nodes.iter().map(|node| route(node)).collect())));
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn resource(item: &Item) -> Arc<Resource> {
    let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
    let name = ResourceName(item.name.as_str().into());
    let wrapping = Wrapping { ttl: item.ttl, aliases: Vec::new() };
    let body = item.body.clone().into();
    Arc::new(Resource::wrapped(item.kind.type_url(), name, body, wrapping, place))
}

fn key(node: &str) -> SnapshotKey {
    SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new(node).unwrap(),
        group: NodeGroup::default(),
    }
}

fn route(node: &str) -> Route {
    let rule = NodeRule { ids: vec![node.to_owned()], ..NodeRule::default() };
    Route { repo: key(node).repo, stage: key(node).stage, nodes: vec![rule], groups: vec![] }
}
