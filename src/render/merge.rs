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

/// Resources by type and name, each with the file that it was rendered from.
type ByName = BTreeMap<(TypeUrl, ResourceName), (Arc<Resource>, Option<FilePath>)>;

/// The output of one stage.
pub(crate) fn merge(manifest: &Manifest, stage: &Stage, renderings: Renderings) -> Output {
    let Renderings { parts, mut problems, everywhere, incomplete } = renderings;
    let mut groups: BTreeMap<NodeGroup, ByName> =
        manifest.groups.iter().map(|rule| (rule.name.clone(), ByName::new())).collect();
    let (mut files, mut warnings) = (Vec::new(), Vec::new());
    for (rendering, names) in parts {
        files.extend(rendering.file.clone());
        problems.extend(rendering.problems.iter().cloned());
        warnings.extend(rendering.warnings.iter().cloned());
        for name in names {
            let group = groups.entry(name).or_default();
            let source = rendering.file.as_ref().map(|file| &file.source);
            let added = rendering.resources.iter();
            problems.extend(added.filter_map(|added| add(group, added, source)));
        }
    }
    for problem in problems.iter_mut().chain(&mut warnings) {
        problem.stages = vec![stage.clone()];
    }
    problems.extend(everywhere);
    problems.sort();
    problems.dedup();
    warnings.sort();
    warnings.dedup();
    let groups = groups
        .into_iter()
        .map(|(name, all)| (name, all.into_values().map(|(resource, _)| resource).collect()))
        .collect();
    let resources = Resources { groups };
    Output { hash: hash(&resources), resources, problems, warnings, files, incomplete }
}

fn add(group: &mut ByName, added: &Arc<Resource>, source: Option<&FilePath>) -> Option<Problem> {
    let key = (added.type_url.clone(), added.name.clone());
    let Some((first, first_source)) = group.get(&key) else {
        group.insert(key, (Arc::clone(added), source.cloned()));
        return None;
    };
    let message = format!(
        "a second {} `{}`{}; the first is {}",
        added.type_url.message().rsplit('.').next().unwrap_or_default(),
        added.name,
        through(added, source).unwrap_or_default(),
        described(first, first_source.as_ref()),
    );
    Some(
        Problem::new(added.place.clone(), "duplicate-name", message)
            .with_hint("names are unique within a type and group; rename or remove one"),
    )
}

/// Where a resource is written, and through which file it came where that is
/// another: two of one macro have the same place.
fn described(resource: &Resource, source: Option<&FilePath>) -> String {
    format!("{}{}", resource.place, through(resource, source).unwrap_or_default())
}

fn through(resource: &Resource, source: Option<&FilePath>) -> Option<String> {
    let source = source.filter(|source| **source != resource.place.file)?;
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
