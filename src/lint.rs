//! Rules over rendered resources: what Envoy accepts and production pays for.
use crate::model::{Finding, Resources, Stage};
use crate::schema::Schema;

/// Runs every rule over one stage's resources.
pub fn run(_schema: &Schema, _stage: &Stage, _resources: &Resources) -> Vec<Finding> {
    todo!()
}
