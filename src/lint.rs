//! Rules over rendered resources: what Envoy accepts and production pays for.
//!
//! Not validation: what Envoy refuses is found earlier, by `render` and
//! `snapshot`. A rule here is exact or it is not here: it names what will
//! happen, and an author can always write the resource so that it is silent.
//! One file for each family of rules; a finding's place is its resource's.

mod alias;
mod cluster;
mod fault;
mod route;
mod walk;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::model::{Finding, Place, Problem, Resource, Resources, Severity, Stage};
use crate::schema::Schema;

/// Runs every rule over one stage's resources. Each finding is there once,
/// however many groups hold the resource; sorted by place.
pub fn run(schema: &Schema, stage: &Stage, resources: &Resources) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    let mut seen = HashSet::new();
    for resource in resources.groups.values().flatten() {
        // What groups share is one and the same; an equal one says the same.
        if seen.insert(Arc::as_ptr(resource)) {
            let noted = resource.derived.findings(|| of_resource(schema, resource));
            found.extend(noted.iter().cloned().map(|noted| {
                let problem = Problem { stages: vec![stage.clone()], ..noted.problem };
                Finding { problem, ..noted }
            }));
        }
    }
    for group in resources.groups.values() {
        found.extend(alias::check(group).into_iter().map(|noted| {
            let problem = Problem { stages: vec![stage.clone()], ..noted.problem };
            Finding { problem, ..noted }
        }));
    }
    found.into_iter().collect()
}

/// The findings of one resource. One that can't be decoded has none: it did
/// not come from `render`.
fn of_resource(schema: &Schema, resource: &Resource) -> Vec<Finding> {
    let Ok(message) = schema.decode(&resource.type_url, &resource.body) else { return Vec::new() };
    let mut notes = Notes { place: &resource.place, findings: Vec::new() };
    walk::resource(schema, &message, &mut |part| match part {
        walk::Part::Cluster(cluster) => cluster::check(cluster, &mut notes),
        walk::Part::Routes(config) => route::same_domains(config, &mut notes),
        walk::Part::VirtualHost(host) => route::check(host, &mut notes),
        walk::Part::Fault { name, config } => fault::check(name, config, &mut notes),
    });
    notes.findings
}

/// Collects the findings of one resource.
struct Notes<'p> {
    place: &'p Place,
    findings: Vec<Finding>,
}

impl Notes<'_> {
    fn error(&mut self, rule: &str, message: String, hint: &str) {
        self.push(Severity::Error, rule, message, hint);
    }

    fn warning(&mut self, rule: &str, message: String, hint: &str) {
        self.push(Severity::Warning, rule, message, hint);
    }

    fn push(&mut self, severity: Severity, rule: &str, message: String, hint: &str) {
        let problem = Problem::new(self.place.clone(), rule, message).with_hint(hint);
        self.findings.push(Finding { problem, severity });
    }
}
