//! The nouns that every other module speaks in.
//!
//! Nothing here does anything beyond parsing, comparing and printing itself: no
//! IO, no clock, no dependency on another module. Ids are newtypes so that a revision
//! (our number) can never be passed where a commit (Git's hash) is meant.

mod at;
mod change;
mod fetched;
mod ids;
mod manifest;
mod nearest;
mod node;
mod person;
mod policy;
mod problem;
mod resource;
mod role;
mod rollout;
mod secret;
mod tree;
mod verdict;
mod window;
mod zone;

pub use at::At;
pub use change::{Change, Changed, Effect, FileState, Precondition};
pub use fetched::{CommitInfo, Fetched, Markup};
pub use ids::{
    BlobId, BundleId, CommitId, ContentHash, EVERYONE, IdError, NodeGroup, Person, PromotionId,
    RepoName, Revision, SnapshotKey, Stage,
};
pub use manifest::{GroupRule, MANIFEST_PATH, Manifest, NodeRule, SmokePolicy, StageSpec};
pub use nearest::{all_of, did_you_mean, nearest, one_of, suggestion};
pub use node::{NodeId, NodeIdentity};
pub use person::{Actor, Origin, Via};
pub use policy::{FleetRule, MetricRule, Number, OnInconclusive, OwnerRule, Quorum, Voter, Voters};
pub use problem::{Finding, Place, Problem, Severity};
pub use resource::{
    Derived, Mention, Resource, ResourceKind, ResourceName, Resources, TypeUrl, Wrapping,
};
pub use role::Role;
pub use rollout::{OnFailure, Rollout, RolloutStep, Subset};
pub use secret::Secret;
pub use tree::{FilePath, PathError, SourceTree};
pub use verdict::{Cell, CellResult, Outcome, Proof};
pub use window::{Span, WEEKDAYS, Window, WindowEffect};
pub use zone::{time_zone, time_zone_names};
