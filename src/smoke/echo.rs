//! The upstream that stands in for every cluster's endpoints.
//!
//! One loopback port per endpoint, so that hosts of one cluster stay distinct
//! to Envoy (it folds equal addresses into one host, and with them localities
//! and subsets). Each says which cluster and endpoint it stands for, in
//! whatever protocol it is spoken to (see `serve`), and fails, dawdles or goes
//! away when a check tells it to.

mod conduct;
mod serve;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;

pub(super) use conduct::{Conduct, Failure};
use serve::Stand;

use super::pki::Issued;
use super::room::Room;
use crate::tasks::Tasks;

/// The response header that names the cluster.
pub(super) const CLUSTER_HEADER: &str = "x-convoy-cluster";
/// The response header that numbers the endpoint within its cluster, from 0.
pub(super) const ENDPOINT_HEADER: &str = "x-convoy-endpoint";
/// Endpoints of one cluster beyond this many share ports.
const PORTS_PER_CLUSTER: usize = 64;
/// Ports of one cell; clusters beyond it get one port each.
const PORTS: usize = 2048;

/// The stand-ins of each cluster's endpoints; they serve until it is dropped.
pub(super) struct Echo {
    endpoints: BTreeMap<String, Vec<Endpoint>>,
}

/// One endpoint's stand-in.
struct Endpoint {
    port: u16,
    stand: Arc<Stand>,
    /// Of a host that is there; stopping them makes it go away.
    tasks: Option<Tasks>,
}

/// Which stand-ins are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hosts {
    /// Of which cluster.
    pub(super) cluster: String,
    /// Which of its endpoints; all of them where none is given.
    pub(super) endpoint: Option<usize>,
}

impl Echo {
    /// Listens for `clusters`, given with how many endpoints each has.
    pub(super) async fn start(
        room: &Room,
        clusters: &BTreeMap<String, usize>,
        papers: &Issued,
    ) -> io::Result<Self> {
        let config = papers.server_config().map_err(io::Error::other)?;
        let tls = TlsAcceptor::from(config);
        let mut echo = Self { endpoints: BTreeMap::new() };
        let mut left = PORTS;
        for (cluster, endpoints) in clusters {
            let wanted = (*endpoints).clamp(1, PORTS_PER_CLUSTER).min(left.max(1));
            left = left.saturating_sub(wanted);
            let mut stands = Vec::with_capacity(wanted);
            for number in 0..wanted {
                let stand = Arc::new(Stand::new(label(cluster)?, number, tls.clone()));
                stands.push(Endpoint::open(room, stand, 0).await?);
            }
            echo.endpoints.insert(cluster.clone(), stands);
        }
        Ok(echo)
    }

    /// The port of a cluster's `endpoint`-th endpoint.
    pub(super) fn port(&self, cluster: &str, endpoint: usize) -> Option<u16> {
        let endpoints = self.endpoints.get(cluster)?;
        endpoints.get(endpoint % endpoints.len().max(1)).map(|endpoint| endpoint.port)
    }

    /// Makes hosts behave so from now on.
    ///
    /// # Errors
    /// There are no such hosts.
    pub(super) fn conduct(
        &mut self,
        hosts: &Hosts,
        change: impl Fn(&mut Conduct),
    ) -> Result<(), String> {
        for endpoint in self.named(hosts)? {
            endpoint.stand.change(&change);
        }
        Ok(())
    }

    /// Makes hosts go away: their ports close, and so do their connections.
    ///
    /// # Errors
    /// There are no such hosts.
    pub(super) async fn leave(&mut self, hosts: &Hosts) -> Result<(), String> {
        for endpoint in self.named(hosts)? {
            if let Some(tasks) = endpoint.tasks.take() {
                tasks.stop();
                endpoint.stand.closed().await;
            }
        }
        Ok(())
    }

    /// Makes hosts be there and behave again; all of them where none is named.
    ///
    /// # Errors
    /// There are no such hosts, or somebody else has their port now.
    pub(super) async fn restore(
        &mut self,
        room: &Room,
        hosts: Option<&Hosts>,
    ) -> Result<(), String> {
        let endpoints = match hosts {
            Some(hosts) => self.named(hosts)?,
            None => self.endpoints.values_mut().flatten().collect(),
        };
        for endpoint in endpoints {
            endpoint.stand.change(|conduct| *conduct = Conduct::default());
            if endpoint.tasks.is_none() {
                let (stand, port) = (Arc::clone(&endpoint.stand), endpoint.port);
                let reopened = Endpoint::open(room, stand, port).await;
                *endpoint =
                    reopened.map_err(|e| format!("port {port} could not be opened again: {e}"))?;
            }
        }
        Ok(())
    }

    fn named(&mut self, hosts: &Hosts) -> Result<Vec<&mut Endpoint>, String> {
        let Hosts { cluster, endpoint } = hosts;
        if !self.endpoints.contains_key(cluster) {
            let known: Vec<_> = self.endpoints.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(format!(
                "cluster `{cluster}` has no endpoints here; clusters that have: {known}"
            ));
        }
        let endpoints = self.endpoints.get_mut(cluster).into_iter().flatten();
        let chosen: Vec<_> = endpoints
            .enumerate()
            .filter(|(number, _)| endpoint.is_none_or(|only| only == *number))
            .map(|(_, endpoint)| endpoint)
            .collect();
        match (chosen.is_empty(), endpoint) {
            (true, Some(endpoint)) => Err(format!(
                "cluster `{cluster}` has no endpoint {endpoint}; they are counted from 0"
            )),
            _ => Ok(chosen),
        }
    }
}

impl Endpoint {
    async fn open(room: &Room, stand: Arc<Stand>, port: u16) -> io::Result<Self> {
        let listener = room.listen(port).await?;
        let port = listener.local_addr()?.port();
        let tasks = Tasks::default();
        let open = stand.open();
        tasks.spawn("smoke-echo", accept(listener, Arc::clone(&stand), open, tasks.clone()));
        Ok(Self { port, stand, tasks: Some(tasks) })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(tasks) = &self.tasks {
            tasks.stop();
        }
    }
}

/// A name that can't be a header is shown in a readable form of it.
fn label(cluster: &str) -> io::Result<HeaderValue> {
    HeaderValue::from_str(cluster)
        .or_else(|_| HeaderValue::from_str(&cluster.escape_default().to_string()))
        .map_err(io::Error::other)
}

/// `open` is dropped after the listener, so that who waits for it finds the
/// port closed.
async fn accept(
    listener: TcpListener,
    stand: Arc<Stand>,
    open: Option<OwnedSemaphorePermit>,
    tasks: Tasks,
) {
    let (_open, listener) = (open, listener);
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn("smoke-echo-connection", serve::serve(stream, Arc::clone(&stand)));
    }
}
