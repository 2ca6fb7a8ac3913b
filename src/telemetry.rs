//! Logs, metrics and the clock: the only place that reads wall time. Also an
//! error with its causes, as logs and people read it.

mod chain;
pub mod clock;
pub mod logs;
pub mod metrics;

pub use chain::chain;
