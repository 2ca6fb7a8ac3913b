//! What plugs one room into another's port; cards are in `cards`.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::smoke::{Listeners, Listening};
use crate::snapshot::Snapshot;
use crate::xds::{Private, listen_private};

/// Private xDS listeners for smoke runs, by `xds`.
#[derive(Debug, Clone, Copy)]
pub struct PrivateListeners;

impl Listeners for PrivateListeners {
    fn listen(
        &self,
        snapshot: Arc<Snapshot>,
        on: TcpListener,
    ) -> std::io::Result<Box<dyn Listening>> {
        Ok(Box::new(PrivateXds(listen_private(snapshot, on)?)))
    }
}

struct PrivateXds(Private);

impl Listening for PrivateXds {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn refusals(&self) -> Vec<(String, String)> {
        self.0.refusals()
    }
}
