//! Checks held against the pipeline: one that names a stage, group, listener
//! or cluster that nowhere exists would never run, or never pass.

use std::collections::BTreeSet;

use super::{Check, Suite};
use crate::model::suggestion;
use crate::model::{EVERYONE, Manifest, Problem, ResourceKind, Resources, SourceTree};

/// What a pipeline has, in any of its stages.
struct Known {
    stages: BTreeSet<String>,
    groups: BTreeSet<String>,
    listeners: Option<BTreeSet<String>>,
    clusters: Option<BTreeSet<String>>,
}

impl Suite {
    /// Every check that names what is in no stage. Of the kinds that are
    /// `incomplete`, because a mistake kept some of them back, nothing is said.
    pub fn misfits<'r>(
        &self,
        manifest: &Manifest,
        rendered: impl Iterator<Item = &'r Resources> + Clone,
        incomplete: &BTreeSet<ResourceKind>,
    ) -> Vec<Problem> {
        let names = |kind: ResourceKind| {
            let of_kind = rendered.clone().flat_map(|one| one.groups.values().flatten());
            let of_kind = of_kind.filter(|one| one.type_url == kind.type_url());
            (!incomplete.contains(&kind)).then(|| of_kind.map(|one| one.name.to_string()).collect())
        };
        let groups = manifest.groups.iter();
        let known = Known {
            stages: manifest.stages.iter().map(|spec| spec.name.to_string()).collect(),
            groups: groups.map(|rule| rule.name.to_string()).chain([EVERYONE.into()]).collect(),
            listeners: names(ResourceKind::Listeners),
            clusters: names(ResourceKind::Clusters),
        };
        self.checks.iter().flat_map(|check| misfit(check, &known)).collect()
    }

    /// Files of `checks/` that begin as scripts do but may not be run.
    pub fn unrunnable(&self, tree: &SourceTree) -> Vec<Problem> {
        let scripts = self.files.iter().filter(|(path, content)| {
            content.starts_with(b"#!") && !tree.executables.contains(*path)
        });
        let problem = |path: &crate::model::FilePath| {
            let place = crate::model::Place::file(path.clone());
            Problem::new(place, "not-executable", "the script is never run: it is not executable")
                .with_hint(format!("`chmod +x {path}`, and commit that"))
        };
        scripts.map(|(path, _)| problem(path)).collect()
    }
}

fn misfit(check: &Check, known: &Known) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut expect = |what: &str, rule: &str, name: &str, names: &BTreeSet<String>| {
        if !names.contains(name) {
            let message =
                format!("the check `{}` names the {what} `{name}`, which is not there", check.name);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let problem = Problem::new(check.place.clone(), rule, message);
            problems.push(problem.with_hint(suggestion(name, &names)));
        }
    };
    for stage in &check.stages {
        expect("stage", "unknown-stage", stage.as_str(), &known.stages);
    }
    for group in &check.groups {
        expect("group", "unknown-group", group.as_str(), &known.groups);
    }
    if let (Some(listener), Some(names)) = (&check.listener, &known.listeners) {
        expect("listener", "missing-listener", listener, names);
    }
    if let Some(names) = &known.clusters {
        let named: BTreeSet<&String> = check.clusters().collect();
        for cluster in named {
            expect("cluster", "missing-cluster", cluster, names);
        }
    }
    problems
}
