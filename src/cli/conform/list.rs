//! `convoy xds conform --list`: the rules, without trying any.

use serde_json::{Value, json};

use crate::cli::output::{Output, columns};
use crate::conform::{Basis, Case, Rule};

/// Prints the rules of `cases`, each with the transports that it is tried over.
pub(super) fn print(cases: &[Case], output: &Output) {
    let mut rules: Vec<(&Rule, Vec<&str>)> = Vec::new();
    for case in cases {
        match rules.last_mut().filter(|(rule, _)| rule.id == case.rule.id) {
            Some((_, transports)) => transports.push(case.transport.name()),
            None => rules.push((case.rule, vec![case.transport.name()])),
        }
    }
    let value: Vec<_> = rules.iter().map(|(rule, transports)| document(rule, transports)).collect();
    output.result(&json!({ "rules": value }), || table(&rules));
}

fn document(rule: &Rule, transports: &[&str]) -> Value {
    json!({
        "rule": rule.id, "says": rule.says, "source": rule.source, "basis": rule.basis,
        "transports": transports, "driven": rule.driven,
    })
}

fn table(rules: &[(&Rule, Vec<&str>)]) -> String {
    let heads = ["RULE", "BASIS", "NEEDS", "OVER", "SAYS"].map(str::to_owned).to_vec();
    let row = |(rule, transports): &(&Rule, Vec<&str>)| {
        let basis = match rule.basis {
            Basis::Specification => "spec",
            Basis::Practice => "practice",
        };
        let needs = if rule.driven { "driver" } else { "" };
        [rule.id, basis, needs, &transports.join(","), rule.says].map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = std::iter::once(heads).chain(rules.iter().map(row)).collect();
    columns(&rows)
}
