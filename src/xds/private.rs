//! A listener for one snapshot, for whoever connects: what a smoke run boots
//! its Envoys on. It has no routing and no tokens; its port is the caller's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Guard, Hub, NodeStatus, serve};
use crate::snapshot::Snapshot;
use crate::tasks::Tasks;

/// A private listener at work; stops when dropped.
#[derive(Debug)]
pub struct Private {
    address: SocketAddr,
    hub: Hub,
    tasks: Tasks,
}

/// Serves `snapshot` to every node that connects to `listener`, until the
/// result is dropped.
///
/// # Errors
/// The listener has no address.
pub fn listen_private(snapshot: Arc<Snapshot>, listener: TcpListener) -> io::Result<Private> {
    let address = listener.local_addr()?;
    // Nobody reads reports here; the hub itself remembers refusals.
    let (reports, _) = mpsc::channel(1);
    let hub = Hub::serving(snapshot, reports);
    // Tasks of its own: they are to end with this listener, not with the program.
    let tasks = Tasks::default();
    let (served, stopping) = (hub.clone(), tasks.stopping());
    tasks.spawn("private xds", async move {
        if let Err(error) = serve(listener, served, Guard::open(), None, stopping).await {
            tracing::error!(error = %error, "a private xDS listener ended");
        }
    });
    Ok(Private { address, hub, tasks })
}

impl Private {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What Envoy refused so far, as `(type URL, Envoy's own words)`.
    pub fn refusals(&self) -> Vec<(String, String)> {
        let refusals = self.hub.refusals();
        refusals.into_iter().map(|(type_url, text)| (type_url.to_string(), text)).collect()
    }

    /// Who is connected, and what each took.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.hub.nodes()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
