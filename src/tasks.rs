//! Every task that runs beside the main one: named, counted, ended in order.
//!
//! A core task that ends ends the process (what it owned is safe on disk); a
//! stream's task that ends ends only itself. Nothing is spawned outside.
//!
//! Ending has two steps: servers stop taking requests and answer those that
//! they have ([`Tasks::drain`]); then the work behind them stops
//! ([`Tasks::stop`]), the core tasks between two events and not within one.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

/// A handle for starting tasks and for being told to stop; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    drain: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    core: watch::Sender<usize>,
    failure: Arc<OnceLock<String>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            drain: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            core: watch::Sender::new(0),
            failure: Arc::default(),
        }
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

    /// Runs a server that ends by itself, in order, when the program drains.
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
            tasks.drain();
            tracing::trace!(task = name, "server ended");
        })
    }

    /// Runs what nothing works without. It watches [`Tasks::stopping`] itself; if
    /// it is over before, or panics, the program ends.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn_core(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.core.send_modify(|count| *count += 1);
        let core = Core { tasks: self.clone(), name };
        tokio::spawn(async move {
            let _core = core;
            work.await;
        })
    }

    /// Runs what ends by itself once nobody has work for it any more, so that
    /// what it has begun is finished.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn_outbox(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            work.await;
            tracing::trace!(task = name, "outbox ended");
        })
    }

    /// Resolves when servers should take no more requests.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut drain = self.drain.subscribe();
        async move {
            let _ = drain.wait_for(|draining| *draining).await;
        }
    }

    /// Resolves when the core tasks are over.
    pub async fn finished(&self) {
        let _ = self.core.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Tells servers to take no more requests.
    pub fn drain(&self) {
        self.drain.send_replace(true);
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
        self.drain();
    }

    /// Why the program had to end, where a task said so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.drain();
        self.stop.send_replace(true);
    }
}

/// A core task at work; dropped when it ends, also by a panic.
struct Core {
    tasks: Tasks,
    name: &'static str,
}

impl Drop for Core {
    fn drop(&mut self) {
        if !*self.tasks.stop.borrow() {
            self.tasks.fail(format!("`{}` ended unexpectedly; the log has the reason", self.name));
        }
        self.tasks.core.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_core_task_that_panics_ends_the_program_and_says_which() {
        let tasks = Tasks::default();
        let work = tasks.spawn_core("owner", async { panic!("a mistake") });
        assert!(work.await.is_err());
        tasks.draining().await;
        assert!(tasks.failure().is_some_and(|reason| reason.contains("`owner`")));
        tasks.finished().await;
    }

    #[tokio::test]
    async fn a_core_task_finishes_what_it_is_at_before_the_end() {
        let tasks = Tasks::default();
        let (stopping, done) = (tasks.stopping(), Arc::new(OnceLock::new()));
        let set = done.clone();
        let _work = tasks.spawn_core("owner", async move {
            stopping.await;
            tokio::task::yield_now().await;
            let _ = set.set(());
        });
        tasks.drain();
        tokio::task::yield_now().await;
        assert!(done.get().is_none(), "servers that drain don't stop the work behind them");
        tasks.stop();
        tasks.finished().await;
        assert!(done.get().is_some());
        assert_eq!(tasks.failure(), None);
    }
}
