//! Every task that runs beside the main one: named, counted, ended in order.
//!
//! A core task that ends ends the process (what it owned is safe on disk); a
//! stream's task that ends ends only itself. Nothing is spawned outside.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

/// A handle for starting tasks and for being told to stop; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    stop: watch::Sender<bool>,
    failure: Arc<OnceLock<String>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { stop: watch::Sender::new(false), failure: Arc::default() }
    }
}

impl Tasks {
    /// Runs `work` until it ends or the program stops, whichever is first.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let stopping = self.stopping();
        tokio::spawn(async move {
            tokio::select! {
                () = work => tracing::trace!(task = name, "task ended"),
                () = stopping => tracing::trace!(task = name, "task stopped"),
            }
        })
    }

    /// Runs a server that ends by itself, in order, when the program stops.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn_server(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let tasks = self.clone();
        tokio::spawn(async move {
            work.await;
            // One server without the other is half a Convoy.
            tasks.stop();
            tracing::trace!(task = name, "server ended");
        })
    }

    /// Resolves when the program stops.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            let _ = stop.wait_for(|stopped| *stopped).await;
        }
    }

    /// Ends the program because a core task can't go on; the first reason
    /// given is the one that is reported.
    pub fn fail(&self, reason: impl Into<String>) {
        let _ = self.failure.set(reason.into());
        self.stop();
    }

    /// Why the program had to end, where a task said so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}
