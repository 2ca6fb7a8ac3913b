//! Puts what the files of a stage rendered to together: each group's
//! resources, all problems, one hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Output;
use super::stage::Renderings;
use crate::model::{
    ContentHash, FilePath, Manifest, NodeGroup, Problem, Resource, ResourceName, Resources, Stage,
    TypeUrl,
};

/// A resource, and the file that it was rendered from.
#[derive(Clone, Copy)]
struct Added<'r> {
    resource: &'r Arc<Resource>,
    source: Option<&'r FilePath>,
}

impl<'r> Added<'r> {
    fn key(&self) -> (&'r TypeUrl, &'r ResourceName) {
        (&self.resource.type_url, &self.resource.name)
    }
}

/// The output of one stage.
pub(crate) fn merge(manifest: &Manifest, stage: &Stage, renderings: Renderings) -> Output {
    let Renderings { parts, mut problems, everywhere, incomplete } = renderings;
    let mut groups: BTreeMap<NodeGroup, Vec<Added<'_>>> =
        manifest.groups.iter().map(|rule| (rule.name.clone(), Vec::new())).collect();
    let (mut files, mut warnings) = (Vec::with_capacity(parts.len()), Vec::new());
    for (rendering, names) in parts.iter().flat_map(|parts| parts.iter()) {
        files.extend(rendering.file.clone());
        problems.extend(rendering.problems.iter().cloned());
        warnings.extend(rendering.warnings.iter().cloned());
        let source = rendering.file.as_ref().map(|file| &file.source);
        for name in names {
            let added = rendering.resources.iter().map(|resource| Added { resource, source });
            match groups.get_mut(name) {
                Some(group) => group.extend(added),
                None => drop(groups.insert(name.clone(), added.collect())),
            }
        }
    }
    let sorted = |(name, all)| (name, sort(all, &mut problems));
    let resources = Resources { groups: groups.into_iter().map(sorted).collect() };
    for problem in problems.iter_mut().chain(&mut warnings) {
        problem.stages = vec![stage.clone()];
    }
    problems.extend(everywhere);
    problems.sort();
    problems.dedup();
    warnings.sort();
    warnings.dedup();
    Output { hash: hash(&resources), resources, problems, warnings, files, incomplete }
}

/// A group's resources by type and name, each name once: the first one counts.
fn sort(mut all: Vec<Added<'_>>, problems: &mut Vec<Problem>) -> Vec<Arc<Resource>> {
    // Stable; and quick, because files are mostly in the order of their names.
    all.sort_by(|a, b| a.key().cmp(&b.key()));
    let mut first: Option<Added<'_>> = None;
    all.retain(|added| match first.filter(|first| first.key() == added.key()) {
        Some(first) => {
            problems.push(second(*added, first));
            false
        }
        None => {
            first = Some(*added);
            true
        }
    });
    all.into_iter().map(|added| added.resource.clone()).collect()
}

fn second(added: Added<'_>, first: Added<'_>) -> Problem {
    let message = format!(
        "a second {} `{}`{}; the first is {}",
        added.resource.type_url.message().rsplit('.').next().unwrap_or_default(),
        added.resource.name,
        through(added).unwrap_or_default(),
        described(first),
    );
    Problem::new(added.resource.place.clone(), "duplicate-name", message)
        .with_hint("names are unique within a type and group; rename or remove one")
}

/// Where a resource is written, and through which file it came where that is
/// another: two of one macro have the same place.
fn described(added: Added<'_>) -> String {
    format!("{}{}", added.resource.place, through(added).unwrap_or_default())
}

fn through(added: Added<'_>) -> Option<String> {
    let source = added.source.filter(|source| **source != added.resource.place.file)?;
    Some(format!(" (through {source})"))
}

fn hash(resources: &Resources) -> ContentHash {
    let groups = resources.groups.iter().flat_map(|(name, resources)| {
        let parts = resources.iter().flat_map(|resource| {
            let Resource { type_url, name, hash, .. } = resource.as_ref();
            [type_url.0.as_bytes(), name.0.as_bytes(), hash.0.as_slice()]
        });
        // No resource has an empty type, so a group can't run into the next.
        [b"".as_slice(), name.as_str().as_bytes(), b""].into_iter().chain(parts)
    });
    ContentHash::of_parts(groups)
}

/// The problems of several stages as one list: the same problem once, with
/// all the stages it shows in, and with none where it shows in each of
/// `stages`.
pub fn unite(problems: impl IntoIterator<Item = Problem>, stages: &[Stage]) -> Vec<Problem> {
    let mut united: BTreeMap<Problem, Vec<Stage>> = BTreeMap::new();
    for mut problem in problems {
        let mut shows_in = std::mem::take(&mut problem.stages);
        if shows_in.is_empty() {
            shows_in = stages.to_vec();
        }
        let known = united.entry(problem).or_default();
        shows_in.retain(|stage| !known.contains(stage));
        known.append(&mut shows_in);
    }
    let ordered = |known: &[Stage]| -> Vec<Stage> {
        stages.iter().filter(|stage| known.contains(stage)).cloned().collect()
    };
    united
        .into_iter()
        .map(|(problem, known)| match ordered(&known) {
            all if all.len() == stages.len() => problem,
            some => Problem { stages: some, ..problem },
        })
        .collect()
}
