//! Fields that Envoy dropped because it doesn't know them, by name.
//!
//! Envoy takes such a resource and logs the numbers of the fields; the names
//! come from our descriptors, which are newer than the Envoys under test.

use std::collections::BTreeSet;

use prost_reflect::MessageDescriptor;

use crate::schema::Schema;

/// One reason for each unknown field in the log.
pub(super) fn describe(schema: &Schema, log: &[String]) -> Vec<String> {
    let lookup = |name: &str| schema.pool().get_message_by_name(name);
    let found: BTreeSet<_> = log.iter().filter_map(|line| name_fields(line, &lookup)).collect();
    if found.is_empty() {
        return vec!["envoy dropped fields that it does not know (dynamic_unknown_fields)".into()];
    }
    found.into_iter().collect()
}

/// Reads `type envoy.config.cluster.v3.Cluster(…) with unknown field set {58}`.
fn name_fields(line: &str, lookup: &dyn Fn(&str) -> Option<MessageDescriptor>) -> Option<String> {
    let (head, set) = line.split_once(" with unknown field set {")?;
    let numbers = set.split('}').next()?;
    let type_name = head.rsplit_once("type ")?.1.split('(').next()?.trim();
    let descriptor = lookup(type_name);
    let names: Vec<_> = numbers
        .split(',')
        .map(str::trim)
        .map(|number| {
            let field = number.parse().ok().and_then(|n| descriptor.as_ref()?.get_field(n));
            field.map_or_else(|| format!("number {number}"), |field| format!("`{}`", field.name()))
        })
        .collect();
    Some(format!(
        "envoy dropped a field that it does not know: {} of {type_name} (dynamic_unknown_fields)",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_called_by_number_where_nobody_knows_them() {
        let line = "[warning][misc] Unknown field: type envoy.config.cluster.v3.Cluster(x) \
                    with unknown field set {70, 71}";
        let reason = name_fields(line, &|_| None).unwrap();
        assert!(reason.contains("number 70, number 71 of envoy.config.cluster.v3.Cluster"));
        assert_eq!(name_fields("[warning][main] nothing", &|_| None), None);
    }
}
