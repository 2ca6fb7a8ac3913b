//! What releases of Envoy know, where they differ from the vocabulary that
//! this program is built with.
//!
//! Plain knowledge, read from the Envoys themselves by `ci/releases`; nothing
//! is checked here. `render::typed` holds resources against it for the Envoys
//! that a stage runs.

use std::collections::{HashMap, HashSet};

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};

use super::rules::FieldRules;

/// What `ci/releases` wrote.
const TABLE: &str = include_str!("releases.txt");

/// The type of `validate.rules`.
const RULES: &str = "validate.FieldRules";

/// The Envoys that a resource is for, as their stage names them, each with the
/// release that stands for it. Empty: nobody said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// By release, what they are called.
    by_release: Vec<(usize, String)>,
}

impl Targets {
    /// Each release that is run, with the versions of it in words.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.by_release.iter().map(|(release, names)| (*release, names.as_str()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_release.is_empty()
    }
}

/// A set of the releases that were read, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known(u32);

impl Known {
    fn read(marks: &str) -> Self {
        let bit = |(at, mark)| if mark == '+' { 1u32 << at } else { 0 };
        Self(marks.chars().take(32).enumerate().map(bit).sum())
    }

    /// Whether `release` is one of them.
    pub(crate) fn has(self, release: usize) -> bool {
        u32::try_from(release).is_ok_and(|release| self.0 >> release & 1 == 1)
    }
}

/// An extension's type: which releases have it built in, and as what.
#[derive(Debug)]
pub(crate) struct Extension {
    /// The releases that have it.
    pub(crate) known: Known,
    categories: Vec<&'static str>,
}

impl Extension {
    /// Whether it is one of `category`.
    pub(crate) fn is(&self, category: &str) -> bool {
        self.categories.contains(&category)
    }

    /// Whether matchers use it.
    pub(crate) fn is_some_matching(&self) -> bool {
        self.categories.iter().any(|category| category.starts_with("envoy.matching."))
    }
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    versions: Vec<&'static str>,
    /// Types, fields, enum values as `Enum.VALUE` and formats' commands that not
    /// all of them know.
    partial: HashMap<&'static str, Known>,
    /// The enums that have such values.
    enums: HashSet<&'static str>,
    /// Other rules for a field.
    rules: HashMap<&'static str, Vec<(Known, FieldRules)>>,
    extensions: HashMap<&'static str, Extension>,
    /// The packages of filters that have a message of its own for routes.
    with_route_form: HashSet<&'static str>,
}

impl Releases {
    /// Reads the table that was built into the program.
    pub(super) fn load(pool: &DescriptorPool) -> Self {
        let mut releases = Self::default();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("release"), Some(first), next) => {
                    releases.versions = [first].into_iter().chain(next).chain(words).collect();
                }
                (Some("field" | "type" | "command"), Some(marks), Some(name)) => {
                    releases.partial.insert(name, Known::read(marks));
                }
                (Some("value"), Some(marks), Some(name)) => {
                    releases.partial.insert(name, Known::read(marks));
                    releases.enums.extend(name.rsplit_once('.').map(|(owner, _)| owner));
                }
                (Some("rule"), Some(marks), Some(name)) => {
                    let rules = rules(pool, words.next().unwrap_or_default());
                    releases.rules.entry(name).or_default().push((Known::read(marks), rules));
                }
                (Some("extension"), Some(marks), Some(name)) => {
                    let categories = words.next().unwrap_or_default().split(',').collect();
                    let extension = Extension { known: Known::read(marks), categories };
                    releases.extensions.insert(name, extension);
                    let (package, short) = name.rsplit_once('.').unwrap_or_default();
                    if is_route_form(short) {
                        releases.with_route_form.insert(package);
                    }
                }
                _ => {}
            }
        }
        releases
    }

    /// The releases that stand for `versions`: the same minor one, else the
    /// newest before it, else the oldest that was read.
    pub(super) fn targets(&self, versions: &[String]) -> Targets {
        let mut targets = Targets::default();
        for version in versions {
            let wanted = minor(version);
            let before = self.versions.iter().rposition(|known| minor(known) <= wanted);
            let release = before.unwrap_or(0);
            match targets.by_release.iter_mut().find(|(known, _)| *known == release) {
                Some((_, names)) => *names = format!("{names}, {version}"),
                None => targets.by_release.push((release, version.clone())),
            }
        }
        targets
    }

    /// Whether anything about the fields of `message` differs by release.
    pub(super) fn differ_on(&self, message: &MessageDescriptor) -> bool {
        message.fields().any(|field| {
            let kind = field.kind();
            let of_enum = kind.as_enum().is_some_and(|one| self.enums.contains(one.full_name()));
            of_enum
                || self.partial.contains_key(field.full_name())
                || self.rules.contains_key(field.full_name())
        })
    }

    /// Whether `release` knows `field`.
    pub(crate) fn knows(&self, release: usize, field: &FieldDescriptor) -> bool {
        self.partial.get(field.full_name()).is_none_or(|known| known.has(release))
    }

    /// The name of the enum value that `release` does not know, if `number` in
    /// `field` is one.
    pub(crate) fn unknown_value(
        &self,
        release: usize,
        field: &FieldDescriptor,
        number: i32,
    ) -> Option<String> {
        let Kind::Enum(descriptor) = field.kind() else { return None };
        let value = descriptor.get_value(number)?;
        let known = self.partial.get(&*format!("{}.{}", descriptor.full_name(), value.name()))?;
        (!known.has(release)).then(|| value.name().to_owned())
    }

    /// The rules that `release` has for `field`, where they are others.
    pub(crate) fn rules(&self, release: usize, field: &FieldDescriptor) -> Option<&FieldRules> {
        let rules = self.rules.get(field.full_name())?;
        rules.iter().find(|(known, _)| known.has(release)).map(|(_, rules)| rules)
    }

    /// Whether `release` came before `version`.
    pub(crate) fn is_before(&self, release: usize, version: &str) -> bool {
        self.versions.get(release).is_some_and(|known| minor(known) < minor(version))
    }

    /// Whether `release` knows `name`: a type, or a command of formats.
    pub(crate) fn knows_name(&self, release: usize, name: &str) -> bool {
        self.partial.get(name).is_none_or(|known| known.has(release))
    }

    /// What is known of the type `name` as an extension's configuration.
    pub(crate) fn extension(&self, name: &str) -> Option<&Extension> {
        self.extensions.get(name)
    }

    /// Whether routes configure the filter of the type `name` by another message.
    pub(crate) fn has_other_route_form(&self, name: &str) -> bool {
        let (package, short) = name.rsplit_once('.').unwrap_or_default();
        !is_route_form(short) && self.with_route_form.contains(package)
    }

    /// The first version that was read and knows `name`: an extension's type, a
    /// type, a field or a value.
    pub(crate) fn since(&self, name: &str) -> Option<&'static str> {
        let extension = self.extensions.get(name).map(|extension| extension.known);
        let known = extension.or_else(|| self.partial.get(name).copied())?;
        let all = self.versions.len();
        // Who lacks a field's message is marked as knowing the field.
        let release = (0..all).find(|first| (*first..all).all(|release| known.has(release)))?;
        self.versions.get(release).copied()
    }
}

/// Rules that are given as hexadecimal bytes; none where they can't be read,
/// which a test rules out.
fn rules(pool: &DescriptorPool, digits: &str) -> FieldRules {
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    let decoded = pool
        .get_message_by_name(RULES)
        .zip(bytes)
        .and_then(|(kind, bytes)| DynamicMessage::decode(kind, bytes.as_slice()).ok());
    decoded.map(|rules| FieldRules::read(&rules)).unwrap_or_default()
}

/// Whether a filter's message, by its short name, is for routes only.
fn is_route_form(short: &str) -> bool {
    short.contains("PerRoute") || short == "CorsPolicy"
}

fn minor(version: &str) -> (u64, u64) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{RuleKind, Schema};

    fn names(targets: &Targets) -> Vec<(usize, &str)> {
        targets.iter().collect()
    }

    #[test]
    fn a_version_is_judged_as_the_release_it_belongs_to() {
        let schema = Schema::load();
        let versions = ["1.36.9", "1.36.4", "1.41.0", "1.12.0", "2.0.0"].map(str::to_owned);
        let targets = schema.targets(&versions);
        let last = schema.releases().versions.len() - 1;
        let expected = [(0, "1.36.9, 1.36.4, 1.12.0"), (last, "1.41.0, 2.0.0")];
        assert_eq!(names(&targets), expected);
        assert!(schema.targets(&[]).is_empty());
    }

    #[test]
    fn every_line_of_the_table_names_something_of_the_pool() {
        let schema = Schema::load();
        let pool = schema.pool();
        let marks = schema.releases().versions.len();
        for line in TABLE.lines().filter(|line| !line.starts_with(['#', 'r'])) {
            let [word, known, name, ..] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            assert_eq!(known.len(), marks, "{line}");
            let (owner, last) = name.rsplit_once('.').unwrap_or_default();
            let found = match word {
                "field" => pool
                    .get_message_by_name(owner)
                    .is_some_and(|owner| owner.get_field_by_name(last).is_some()),
                "value" => pool
                    .get_enum_by_name(owner)
                    .is_some_and(|owner| owner.get_value_by_name(last).is_some()),
                "type" => {
                    pool.get_message_by_name(name).is_some()
                        || pool.get_enum_by_name(name).is_some()
                }
                _ => ["extension", "command"].contains(&word),
            };
            assert!(found, "{line}");
        }
    }

    #[test]
    fn older_rules_are_read() {
        let schema = Schema::load();
        let tags = "envoy.extensions.filters.http.ip_tagging.v3.IPTagging";
        let field = schema.message(tags).unwrap().get_field_by_name("ip_tags").unwrap();
        let rules = schema.releases().rules(0, &field).unwrap();
        assert!(matches!(&rules.kind, RuleKind::List { size, .. } if size.min == Some(1)));
        let newest = schema.releases().versions.len() - 1;
        assert!(schema.releases().rules(newest, &field).is_none());
    }
}
