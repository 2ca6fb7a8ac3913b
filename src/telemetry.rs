//! Logs, metrics and the clock: the only place that reads wall time.

pub mod clock;
pub mod logs;
pub mod metrics;
