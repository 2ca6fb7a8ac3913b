//! xDS over real gRPC: independent clients, and real Envoys.

mod broken;
mod cohorts;
mod envoys;
mod fanout;
mod grpc_client;
mod impact;
mod kinds;
mod lifetimes;
mod mesh;
mod on_demand;
mod real;
mod rename;
mod rest;
mod settled;
mod truth;
mod upstream;
mod virtual_hosts;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use convoy::model::{NodeRule, RepoName, SnapshotKey, Stage};
use convoy::snapshot::{Route, Routing, Snapshot};
use convoy::tasks::Tasks;
use convoy::xds::{Guard, Hub, Report, XdsError, client_status, serve};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

/// A server on a loopback port, stopped on drop.
struct Server {
    address: SocketAddr,
    hub: Hub,
    reports: mpsc::Receiver<Report>,
    ended: Option<JoinHandle<()>>,
    stop: Tasks,
    /// Ends the task at the latest when the test does.
    _tasks: Tasks,
}

impl Server {
    /// Serves `snapshot`'s key to nodes whose metadata names its stage.
    async fn start(snapshot: Arc<Snapshot>) -> Self {
        Self::start_with(snapshot, Guard::open()).await
    }

    async fn start_with(snapshot: Arc<Snapshot>, guard: impl Into<Guard>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::start_on(listener, snapshot, guard.into())
    }

    /// Starts where one was before.
    async fn start_at(address: SocketAddr, snapshot: Arc<Snapshot>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self::start_on(listener, snapshot, Guard::open())
    }

    fn start_on(listener: TcpListener, snapshot: Arc<Snapshot>, guard: Guard) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, reports) = mpsc::channel(1024);
        let hub = Hub::new(sender);
        hub.route(Arc::new(Routing::new(vec![route("beta"), route("release")])));
        hub.publish(snapshot);
        // The shutdown is the server's own; the task is to see it through.
        let stop = Tasks::default();
        let beside = Routes::new(client_status(hub.clone(), Arc::new(|_: &MetadataMap| Ok(()))));
        let served = serve(listener, hub.clone(), guard, Some(beside), stop.stopping());
        let tasks = Tasks::default();
        let ended = tasks.spawn("xds under test", async move {
            let result: Result<(), XdsError> = served.await;
            result.expect("the server ends well");
        });
        Self { address, hub, reports, ended: Some(ended), stop, _tasks: tasks }
    }

    /// Tells it to stop, and waits until it has.
    async fn shut_down(&mut self) {
        self.stop.stop();
        self.ended.take().expect("it is shut down once").await.expect("the server ends well");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

fn key(stage: &str) -> SnapshotKey {
    SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new(stage).unwrap(),
        group: convoy::model::NodeGroup::default(),
    }
}

/// Nodes are of the stage that their metadata names.
fn route(stage: &str) -> Route {
    let rule = NodeRule { metadata: vec![("stage".into(), stage.into())], ..NodeRule::default() };
    Route { repo: key(stage).repo, stage: key(stage).stage, nodes: vec![rule], groups: vec![] }
}
