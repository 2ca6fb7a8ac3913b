//! What a message descriptor's options say, read once: validation rules,
//! required oneofs, sensitive fields.
//!
//! Options decode anew on each look at a descriptor, which is too slow for
//! every message of every file; `Schema::shape` keeps one `Shape` per type.

use std::collections::{BTreeSet, HashMap};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, OneofDescriptor, Value,
};

use super::releases::Releases;
use super::rules::FieldRules;

/// One message type's options.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The fields that carry rules, by number order.
    pub(crate) rules: Vec<(FieldDescriptor, FieldRules)>,
    /// The oneofs of which one member must be set.
    pub(crate) required_oneofs: Vec<OneofDescriptor>,
    /// The numbers of the fields whose content must not be shown.
    pub(crate) sensitive: BTreeSet<u32>,
    /// The fields whose content is not validated (`message.skip`).
    pub(crate) skipped: BTreeSet<u32>,
    /// Fields by proto name and by JSON name.
    pub(crate) fields: HashMap<String, FieldDescriptor>,
    /// Whether releases of Envoy differ in what they know of the fields.
    pub(crate) differs: bool,
}

impl Shape {
    /// Reads the options of `message`.
    pub(super) fn of(message: &MessageDescriptor, releases: &Releases) -> Self {
        let pool = message.parent_pool();
        let differs = releases.differ_on(message);
        let mut shape = Self { fields: names(message), differs, ..Self::default() };
        for field in message.fields() {
            let options = field.options();
            if flag(pool, &options, "udpa.annotations.sensitive") {
                shape.sensitive.insert(field.number());
            }
            if let Some(rules) = message_option(pool, &options, "validate.rules") {
                let rules = FieldRules::read(&rules);
                if rules.skip {
                    shape.skipped.insert(field.number());
                }
                shape.rules.push((field, rules));
            }
        }
        let options = message.options();
        if ["validate.disabled", "validate.ignored"].iter().any(|name| flag(pool, &options, name)) {
            shape.rules.clear();
            return shape;
        }
        shape.required_oneofs = message
            .oneofs()
            .filter(|oneof| flag(pool, &oneof.options(), "validate.required"))
            .collect();
        shape
    }
}

fn names(message: &MessageDescriptor) -> HashMap<String, FieldDescriptor> {
    let mut fields = HashMap::new();
    for field in message.fields() {
        fields.insert(field.json_name().to_owned(), field.clone());
        fields.insert(field.name().to_owned(), field);
    }
    fields
}

fn flag(pool: &DescriptorPool, options: &DynamicMessage, extension: &str) -> bool {
    pool.get_extension_by_name(extension)
        .filter(|extension| options.has_extension(extension))
        .is_some_and(|extension| matches!(*options.get_extension(&extension), Value::Bool(true)))
}

fn message_option(
    pool: &DescriptorPool,
    options: &DynamicMessage,
    extension: &str,
) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(extension)?;
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}
