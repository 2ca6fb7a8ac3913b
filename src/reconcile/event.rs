//! Everything that can wake the owner. The list is closed.

use tokio::sync::oneshot;

use super::bundle::Made;
use super::cards::CardRecord;
use super::handle::{Command, Receipt};
use super::measure::Subject;
use crate::mirror::MirrorError;
use crate::model::{Actor, BundleId, Cell, CellResult, PromotionId, RepoName, Revision};
use crate::promote::{MetricValue, Refusal};
use crate::store::{Import, StoreError};

/// Why a repository could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    /// The upstream.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours.
    #[error("the fetch ended unexpectedly")]
    Lost,
}

pub(super) type Reply = oneshot::Sender<Result<Receipt, Refusal>>;

/// A person's word that an upstream be taken as it is.
pub(super) struct Adoption {
    pub(super) by: Actor,
    pub(super) reply: Reply,
}

pub(super) enum Event {
    /// The upstream, or the repository itself, may have changed.
    Nudge(RepoName),
    /// A fetch ended; `None`: there is no upstream to fetch from.
    Synced { repo: RepoName, result: Result<Option<Import>, SyncError>, adopt: Vec<Adoption> },
    /// A revision was assessed; `None`: it has no pipeline.
    Rendered { repo: RepoName, revision: Revision, made: Option<Box<Made>> },
    /// Assessing a revision failed on our side.
    RenderFailed { repo: RepoName, revision: Revision, detail: String },
    /// A cell's turn has come.
    CellBegan { bundle: BundleId, cell: Cell },
    /// A cell of the matrix has its result.
    Cell { bundle: BundleId, result: CellResult },
    /// A metric of a promotion was asked for.
    Measured { subject: Subject, value: MetricValue },
    /// A person asks for something.
    Command { actor: Actor, command: Command, reply: Reply },
    /// What is known of a card is to be written down; whoever sent it goes on
    /// once it is.
    Shown { promotion: PromotionId, room: String, record: CardRecord, done: oneshot::Sender<()> },
    /// Nodes came, went, took or refused something.
    Fleet,
    /// Time passed.
    Tick,
}
