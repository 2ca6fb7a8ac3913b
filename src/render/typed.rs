//! YAML documents to typed messages, checked field by field.
use crate::model::{Problem, Resource};
use crate::render::RenderedFile;
use crate::schema::Schema;

/// Reads every document of `file`: syntax, types, unknown fields, enums,
/// durations, validation rules, inside every `Any` too. Gives each resource
/// that has no mistake, and all mistakes of the others.
pub fn decode(_schema: &Schema, _file: &RenderedFile) -> (Vec<Resource>, Vec<Problem>) {
    todo!()
}
