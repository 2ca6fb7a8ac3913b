//! The single owner of what is decided: one task, one closed `enum Event`.
//!
//! Everything that can change a pipeline comes here as an event: a nudge, a
//! fetch that ended, a rendered tree, a cell's result, a person's command, an
//! Envoy's answer, a tick. The owner calls the pure parts (`render`, `lint`,
//! `snapshot`, `promote`), records what they decided as one commit in
//! `@convoy/state`, and only then fires the effects: a snapshot published, a
//! card shown. Work that takes time (fetching, rendering, smoke runs, posting
//! cards) runs beside it and comes back as an event.
//!
//! ```text
//!  nudge, tick ─▶ sync (fetch + import) ─▶ Synced ─▶ render ─▶ Rendered ─▶ decide ─▶ commit ─▶ effects
//!  command ───────────────────────────────────────────────────────────────▶   │
//!  cell done, ACK, NACK ──────────────────────────────────────────────────▶   │
//! ```
//!
//! Nothing else writes decisions. After a crash the documents are read back
//! and every effect is fired again; each is safe to fire twice.

mod act;
mod assess;
mod bundle;
mod cards;
mod changes;
mod culprit;
mod event;
mod fleet;
mod handle;
mod measure;
mod offer;
mod owner;
mod people;
mod record;
mod rehearse;
mod resolve;
mod review;
mod runs;
mod stored;
mod sync;
mod trees;
mod view;

pub use act::Act;
pub use assess::{Assessment, assess, assess_next};
pub use bundle::Bundle;
pub use cards::{Announcer, CardRef, Showing, Told, Trouble};
pub use culprit::{Change, Culprit, Input};
pub use handle::{Command, Handle, Receipt};
pub use measure::MetricsServer;
pub use offer::{offer, offer_to, options, options_of};
pub use owner::{Parts, start};
pub use rehearse::Rehearsal;
pub use resolve::find_bundle;
pub use review::{ReviewFailure, Reviewing, review};
pub use sync::Repository;
pub use view::{Fleet, MirrorState, MirrorView, Progress, View};

use std::time::Duration;

/// What the configuration tells the reconciler.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Every repository that the configuration names.
    pub repositories: Vec<Repository>,
    /// How long a stage's nodes may take to answer before a promotion counts
    /// as done without the silent ones.
    pub ack_deadline: Duration,
    /// Who is asked what gates and steps measure; `None`: nobody.
    pub metrics: Option<MetricsServer>,
    /// Open development mode: anybody may be anybody.
    pub open: bool,
    /// The folder for quarantined fetches.
    pub quarantine: std::path::PathBuf,
}
