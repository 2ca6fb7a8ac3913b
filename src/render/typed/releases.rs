//! Holds a message against the Envoys that its stage runs: fields and enum
//! values that are newer than one of them, and rules that one has and others
//! don't.
//!
//! Over xDS, Envoy drops a field that it doesn't know and takes what is left.
//! So such a field is a warning, and a mistake only where what is left would
//! be refused. Called for each message that has no other mistake.

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use super::message::Given;
use super::{Mistake, Reader};
use crate::model::Problem;
use crate::render::yaml::{Node, Span};
use crate::schema::{RuleKind, Shape};

/// Something given that an Envoy does not know.
struct Newer {
    span: Span,
    /// As in the table.
    name: String,
    /// In a sentence.
    noun: String,
    /// Its field, where the field itself is what is not known.
    field: Option<FieldDescriptor>,
    /// Whether Envoy refuses it rather than drop it.
    refused: bool,
}

impl Reader<'_> {
    /// Reports what the stage's Envoys don't know of a message, or refuse of
    /// it though others don't.
    pub(super) fn releases(
        &mut self,
        shape: &Shape,
        message: &DynamicMessage,
        node: &Node,
        given: &[Given<'_>],
    ) {
        for (release, version) in self.targets.iter() {
            let newer = self.newer(release, shape, message, given);
            let left = Left::without(&newer, message, given);
            let mut refused = self.attempt(|reader| {
                if left.is_less {
                    reader.validate(shape, &left.message, node, &left.given);
                    reader.refusals(&left.message, node, &left.given);
                }
            });
            self.newer_than(version, &newer, refused.drain(..).next());
            let broken = self.attempt(|reader| {
                reader.rules_of(release, &left.message, node, &left.given);
            });
            for problem in broken {
                self.mistakes += 1;
                let message = format!("{}, says Envoy {version}", problem.message);
                self.problems.push(Problem { message, ..problem });
            }
        }
    }

    /// Whether every Envoy of the stage has other rules for `field` than the
    /// ones that its descriptor carries.
    pub(super) fn is_overruled(&self, field: &FieldDescriptor) -> bool {
        let releases = self.schema.releases();
        let other = |(release, _)| releases.rules(release, field).is_some();
        !self.targets.is_empty() && self.targets.iter().all(other)
    }

    fn newer(
        &self,
        release: usize,
        shape: &Shape,
        message: &DynamicMessage,
        given: &[Given<'_>],
    ) -> Vec<Newer> {
        let releases = self.schema.releases();
        let owner = message.descriptor();
        let mut found = Vec::new();
        for given in given {
            let Some(field) = owner.get_field(given.number) else { continue };
            if !releases.knows(release, &field) {
                found.push(Newer {
                    span: given.entry.key_span,
                    name: field.full_name().to_owned(),
                    noun: format!("the field `{}` of {}", field.name(), owner.name()),
                    field: Some(field),
                    refused: false,
                });
                continue;
            }
            for number in enum_numbers(&message.get_field(&field)) {
                let Some(value) = releases.unknown_value(release, &field, number) else { continue };
                let kind = field.kind();
                let full_name = kind.as_enum().map_or("", |kind| kind.full_name());
                found.push(Newer {
                    span: given.entry.value.span,
                    name: format!("{full_name}.{value}"),
                    noun: format!("the value `{value}` of `{}`", field.name()),
                    refused: shape.rules.iter().any(|(ruled, rules)| {
                        *ruled == field
                            && matches!(rules.kind, RuleKind::Enum { defined_only: true, .. })
                    }),
                    field: None,
                });
            }
        }
        found
    }

    /// Reports each of `newer`, with what Envoy says about what is left.
    fn newer_than(&mut self, version: &str, newer: &[Newer], refused: Option<Problem>) {
        for one in newer {
            let noun = &one.noun;
            let hint = match self.schema.releases().since(&one.name) {
                Some(since) => format!("Envoy {since} knows it"),
                None => "no release up to the newest that was looked into knows it".into(),
            };
            if let Some(refused) = refused.as_ref().filter(|_| one.field.is_some()) {
                let message = format!(
                    "Envoy {version} does not know {noun}, and refuses what is left without it: {}",
                    refused.message
                );
                self.mistake(one.span, Mistake::hinted("newer-than-envoy", message, hint));
            } else if one.refused {
                let message = format!("Envoy {version} does not know {noun}, and refuses it");
                self.mistake(one.span, Mistake::hinted("newer-than-envoy", message, hint));
            } else {
                let message = format!("Envoy {version} does not know {noun}, and ignores it");
                self.warning(one.span, Mistake::hinted("newer-than-envoy", message, hint));
            }
        }
    }

    /// Checks the rules that are `release`'s own.
    fn rules_of(
        &mut self,
        release: usize,
        message: &DynamicMessage,
        node: &Node,
        given: &[Given<'_>],
    ) {
        for field in message.descriptor().fields() {
            let schema = self.schema;
            if let Some(rules) = schema.releases().rules(release, &field) {
                let entry = given.iter().find(|given| given.number == field.number());
                let value = entry.map(|given| &given.entry.value);
                self.validate_field(&field, rules, message, node.span, value);
            }
        }
    }

    /// What `check` reports, without reporting it.
    fn attempt(&mut self, check: impl FnOnce(&mut Self)) -> Vec<Problem> {
        let (known, mistakes) = (std::mem::take(&mut self.problems), self.mistakes);
        check(self);
        self.mistakes = mistakes;
        std::mem::replace(&mut self.problems, known)
    }

    fn warning(&mut self, span: Span, mistake: Mistake) {
        if self.warnings.len() < super::MAX_PROBLEMS {
            let place = self.file.place(span.line, span.column);
            let problem = Problem::new(place, mistake.rule, mistake.message);
            self.warnings.push(Problem { hint: mistake.hint, ..problem });
        }
    }
}

/// What an Envoy sees of a message.
struct Left<'g> {
    message: DynamicMessage,
    given: Vec<Given<'g>>,
    is_less: bool,
}

impl<'g> Left<'g> {
    fn without(newer: &[Newer], message: &DynamicMessage, given: &[Given<'g>]) -> Self {
        let mut left = Self { message: message.clone(), given: given.to_vec(), is_less: false };
        for field in newer.iter().filter_map(|one| one.field.as_ref()) {
            left.message.clear_field(field);
            left.given.retain(|given| given.number != field.number());
            left.is_less = true;
        }
        left
    }
}

fn enum_numbers(value: &Value) -> Vec<i32> {
    match value {
        Value::EnumNumber(number) => vec![*number],
        Value::List(items) => items.iter().filter_map(Value::as_enum_number).collect(),
        _ => Vec::new(),
    }
}
