//! References between resources: what one names, another must be.
use std::sync::Arc;

use crate::model::{Problem, Resource};
use crate::schema::Schema;

/// Every reference that leads nowhere within `resources` (one node group's
/// complete set): route → cluster, listener → route, cluster → endpoints,
/// anything → secret …
pub fn check(_schema: &Schema, _resources: &[Arc<Resource>]) -> Vec<Problem> {
    todo!()
}
