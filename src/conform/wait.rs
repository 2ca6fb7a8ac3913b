//! A span of time that only passes while this program runs.
//!
//! What must come has to come in time, and where silence is the rule nothing
//! may come for a while; but a machine that is too busy to run us, or that
//! slept, is neither a late server nor a silent one. So a span is counted in
//! short ticks: one that comes late is still one.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;

/// Short against every span, long against what a tick costs.
const TICK: Duration = Duration::from_millis(20);

/// A span and what is left of it.
#[derive(Debug)]
pub(super) struct Wait {
    left: u128,
}

impl Wait {
    /// A span that begins now.
    pub(super) fn of(span: Duration) -> Self {
        Self { left: span.as_nanos().div_ceil(TICK.as_nanos()) }
    }

    /// Awaits what `coming` gives for as long as anything is left of the span.
    /// What is there already is never too late.
    pub(super) async fn until<T>(&mut self, coming: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            come = coming => Some(come),
            () = self.pass() => None,
        }
    }

    /// Safe to break off: a tick counts when it is over.
    async fn pass(&mut self) {
        while self.left > 0 {
            sleep(TICK).await;
            self.left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_span_is_used_up_by_several_waits() {
        let (mut wait, began) = (Wait::of(Duration::from_millis(100)), Instant::now());
        let short = tokio::time::timeout(Duration::from_millis(50), wait.until(pending::<()>()));
        assert!(short.await.is_err());
        assert_eq!(wait.until(pending::<()>()).await, None);
        let took = began.elapsed().as_millis();
        assert!((100..=120).contains(&took), "{took} ms");
        assert_eq!(wait.until(pending::<()>()).await, None);
        assert_eq!(wait.until(ready(7)).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_runs_uses_up_one_tick() {
        let mut wait = Wait::of(Duration::from_millis(100));
        let mut waiting = Box::pin(wait.until(pending::<()>()));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
        advance(Duration::from_secs(60)).await;
        let began = Instant::now();
        assert_eq!(waiting.await, None);
        assert!(began.elapsed() >= Duration::from_millis(80));
    }
}
