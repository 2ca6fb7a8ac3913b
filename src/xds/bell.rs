//! One wake-up for all that rarely happens to streams: new rules for nodes,
//! other credentials, the end of the server.
//!
//! A stream that followed each of these by itself would sign up at five places
//! with every message, beside the strangers who do so too: a tenth of what a
//! push costs. It follows the bell, and looks at all of them when that rings.
//! What is served to it, which is not rare, it follows itself.

use std::sync::Arc;

use tokio::sync::watch;

use super::guard::Changes;
use crate::snapshot::Routing;

/// Rings `bell` at every change of what is given, which must be followed from
/// before the first stream opens, and when `stopping` turns true; never ends.
/// Followers look for themselves what for. Should it be dropped, with the bell,
/// they see that nobody serves them any more.
pub(super) async fn ring(
    bell: watch::Sender<()>,
    mut routing: watch::Receiver<Arc<Routing>>,
    mut access: Changes,
    mut stopping: watch::Receiver<bool>,
) {
    let mut stopped = false;
    loop {
        tokio::select! {
            Ok(()) = routing.changed() => {}
            () = access.next() => {}
            _ = stopping.wait_for(|stopping| *stopping), if !stopped => stopped = true,
        }
        bell.send_replace(());
    }
}
