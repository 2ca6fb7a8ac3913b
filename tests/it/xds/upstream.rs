//! HTTP servers that Envoys send requests on to.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convoy::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A server that answers everything with its own name; stopped on drop.
pub(super) struct Upstream {
    pub(super) port: u16,
    served: Arc<AtomicU64>,
    tasks: Tasks,
}

impl Upstream {
    pub(super) fn start(runtime: &Runtime, name: &'static str) -> Self {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::new(AtomicU64::new(0));
        let count = served.clone();
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(name)
        };
        let app = axum::Router::new().fallback(answer);
        let tasks = Tasks::default();
        runtime.block_on(async {
            tasks.spawn("upstream", async move {
                let _ = axum::serve(listener, app).await;
            });
        });
        Self { port, served, tasks }
    }

    /// How many requests it has answered.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
