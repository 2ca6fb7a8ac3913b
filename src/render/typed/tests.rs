//! What decodes, and every kind of mistake with its place.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::*;
use crate::model::{FilePath, ResourceKind};
use crate::render::Origin;

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(Schema::load)
}

fn file(kind: Option<ResourceKind>, text: &str) -> RenderedFile {
    RenderedFile {
        source: FilePath::new("f.yaml").unwrap(),
        group: None,
        kind,
        text: text.into(),
        origin: Origin::Same,
    }
}

/// Decodes `text` as a file of `kind` and compares each problem, written as
/// `line:column rule: message (hint)`.
fn check(kind: ResourceKind, text: &str, expected: &[&str]) -> Vec<Resource> {
    let (resources, problems) = decode(schema(), &file(Some(kind), text));
    let found: Vec<_> = problems
        .iter()
        .map(|problem| {
            let place = format!("{}:{}", problem.place.line, problem.place.column);
            let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{place} {}: {}{hint}", problem.rule, problem.message)
        })
        .collect();
    assert_eq!(found, expected, "{text}");
    resources
}

fn cluster(text: &str, expected: &[&str]) -> Vec<Resource> {
    check(ResourceKind::Clusters, text, expected)
}
