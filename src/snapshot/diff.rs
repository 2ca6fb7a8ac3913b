//! What changes from one snapshot to another, resource by resource.
use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::model::{ResourceName, TypeUrl};
use crate::schema::Schema;

/// How a resource differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceChange {
    /// It is new.
    Added,
    /// Its content differs.
    Changed,
    /// It goes.
    Removed,
}

/// One resource that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDiff {
    /// Its type.
    pub type_url: TypeUrl,
    /// Its name.
    pub name: ResourceName,
    /// How.
    pub change: ResourceChange,
    /// A unified diff of its YAML form, three lines of context, no header.
    pub text: String,
}

/// Every resource that differs, by type then name. `None` is an empty snapshot.
pub fn diff(
    _schema: &Schema,
    _from: Option<&Snapshot>,
    _to: Option<&Snapshot>,
) -> Vec<ResourceDiff> {
    todo!()
}
