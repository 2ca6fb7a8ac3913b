//! What files hold, apart from where they lie: kinds, patterns, patches,
//! differences, merges and queries. Pure: no disk, no clock, no repository.
//!
//! Called by `store` (patches of a commit, patterns of a history or watch), by
//! the APIs (queries, differences, merges) and by the console.

mod diff;
mod error;
mod kind;
mod merge;
mod patch;
mod pattern;
mod query;
mod scan;

pub use diff::{json_diff, json_diff_safe, text_diff};
pub use error::ContentError;
pub use kind::{EntryKind, check, parse, pretty};
pub use merge::{Conflict, merge_three, overlay};
pub use patch::{patch_json, patch_text};
pub use pattern::{Pattern, Patterns};
pub use query::{select, select_in_sequence};
pub use scan::{Hit, Scan};
