//! Which files of a tree are rendered, and as what.
//!
//! Paths only: no content is read. A file whose name, or one of whose
//! folders, begins with `_` or `.` is left out, and so is every folder that
//! Convoy gives no meaning.

use crate::model::{
    FilePath, Manifest, NodeGroup, Place, Problem, ResourceKind, SourceTree, Stage, nearest,
    suggestion,
};

/// The folders that Convoy gives a meaning.
const FOLDERS: [&str; 6] = ["resources", "groups", "discovery", "values", "templates", "checks"];

/// A file to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found<'t> {
    /// Its path.
    pub(crate) path: &'t FilePath,
    /// The only group it is for.
    pub(crate) group: Option<NodeGroup>,
    /// What it holds.
    pub(crate) holds: Holds,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Envoy resources, of the folder's kind where it says one.
    Resources(Option<ResourceKind>),
    /// Hosts, from which endpoints are made.
    Inventory,
}

impl Holds {
    /// The kinds that may come out of the file.
    pub(crate) fn kinds(self) -> Vec<ResourceKind> {
        match self {
            Self::Resources(Some(kind)) => vec![kind],
            Self::Resources(None) => ResourceKind::ALL.to_vec(),
            Self::Inventory => vec![ResourceKind::Endpoints],
        }
    }
}

/// The files to render, those for all groups first, and every file whose
/// place makes no sense.
pub(crate) fn find<'t>(
    tree: &'t SourceTree,
    manifest: &Manifest,
) -> (Vec<Found<'t>>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for folder in ["resources", "groups", "discovery", "values"] {
        for (path, _) in tree.under(folder) {
            let parts: Vec<&str> = path.as_str().split('/').skip(1).collect();
            if parts.iter().any(|part| part.starts_with(['_', '.'])) || !is_yaml(path) {
                continue;
            }
            let outcome = match folder {
                "resources" => resources(path, None, &parts),
                "groups" => of_group(path, manifest, &parts),
                "discovery" => Ok(Some(Found { path, group: None, holds: Holds::Inventory })),
                _ => values(path, manifest, &parts).map(|()| None),
            };
            match outcome {
                Ok(file) => found.extend(file),
                Err(problem) => problems.push(problem),
            }
        }
    }
    (found, problems)
}

/// Files that look as if they were meant to count, and don't: what resources
/// and values lie in is YAML, in folders of a known name.
pub fn overlooked(tree: &SourceTree) -> Vec<Problem> {
    tree.files.keys().filter_map(overlooked_file).collect()
}

fn overlooked_file(path: &FilePath) -> Option<Problem> {
    let (folder, rest) = path.as_str().split_once('/')?;
    if rest.split('/').any(|part| part.starts_with(['_', '.'])) {
        return None;
    }
    if FOLDERS.contains(&folder) {
        let counts = folder == "templates" || folder == "checks" || is_yaml(path);
        return (!counts && !path.as_str().ends_with(".md")).then(|| {
            problem(path, "not-read", "the file is not read: its name does not end in .yaml")
                .with_hint("rename it; a name that begins with `_` is left out silently")
        });
    }
    let near = nearest(folder, FOLDERS).filter(|_| is_yaml(path))?;
    let message = format!("the file is not read: Convoy gives the folder `{folder}` no meaning");
    Some(problem(path, "not-read", message).with_hint(format!("did you mean `{near}/`?")))
}

fn is_yaml(path: &FilePath) -> bool {
    path.as_str().ends_with(".yaml") || path.as_str().ends_with(".yml")
}

fn resources<'t>(
    path: &'t FilePath,
    group: Option<NodeGroup>,
    parts: &[&str],
) -> Result<Option<Found<'t>>, Problem> {
    let kind = match parts {
        [folder, _, ..] => {
            match ResourceKind::ALL.into_iter().find(|kind| kind.folder() == *folder) {
                Some(kind) => Some(kind),
                None => return Err(unknown_kind(path, folder)),
            }
        }
        _ => None,
    };
    Ok(Some(Found { path, group, holds: Holds::Resources(kind) }))
}

fn unknown_kind(path: &FilePath, folder: &str) -> Problem {
    let known = ResourceKind::ALL.map(ResourceKind::folder);
    let message = format!("`{folder}` is not a kind of resource");
    problem(path, "unknown-kind", message).with_hint(suggestion(folder, &known))
}

fn of_group<'t>(
    path: &'t FilePath,
    manifest: &Manifest,
    parts: &[&str],
) -> Result<Option<Found<'t>>, Problem> {
    let Some((name, parts)) = parts.split_first().filter(|(_, parts)| !parts.is_empty()) else {
        return Err(problem(path, "unknown-group", "the file lies in no group's folder")
            .with_hint("move it to `groups/<group>/<kind>/`"));
    };
    match manifest.groups.iter().find(|rule| rule.name.as_str() == *name) {
        Some(rule) => resources(path, Some(rule.name.clone()), parts),
        None => Err(unknown_group(path, manifest, name)),
    }
}

fn unknown_group(path: &FilePath, manifest: &Manifest, name: &str) -> Problem {
    let known: Vec<&str> = manifest.groups.iter().map(|rule| rule.name.as_str()).collect();
    problem(path, "unknown-group", format!("the manifest has no group `{name}`"))
        .with_hint(suggestion(name, &known))
}

fn values(path: &FilePath, manifest: &Manifest, parts: &[&str]) -> Result<(), Problem> {
    let stages: Vec<&str> = manifest.stages.iter().map(|spec| spec.name.as_str()).collect();
    let stem = match parts {
        [name] => name.strip_suffix(".yaml"),
        _ => None,
    };
    let Some(stem) = stem else {
        return Err(problem(path, "unknown-stage", "the name says no stage").with_hint(
            "values lie in `values/common.yaml`, `values/<stage>.yaml` and \
             `values/<stage>.<group>.yaml`",
        ));
    };
    if stem == "common" || stages.contains(&stem) {
        return Ok(());
    }
    let of_stage = |stage: &&str| stem.strip_prefix(stage).and_then(|rest| rest.strip_prefix('.'));
    let groups: Vec<&str> = stages.iter().filter_map(of_stage).collect();
    if groups.iter().any(|name| manifest.groups.iter().any(|rule| rule.name.as_str() == *name)) {
        return Ok(());
    }
    match groups.first() {
        Some(name) => Err(unknown_group(path, manifest, name)),
        None => Err(unknown_stage(path, stem, &stages)),
    }
}

fn unknown_stage(path: &FilePath, stem: &str, stages: &[&str]) -> Problem {
    let name = match Stage::new(stem) {
        Ok(_) => stem.split('.').next().unwrap_or(stem),
        Err(_) => stem,
    };
    let mut known = vec!["common"];
    known.extend(stages);
    problem(path, "unknown-stage", format!("the manifest has no stage `{name}`"))
        .with_hint(suggestion(name, &known))
}

fn problem(path: &FilePath, rule: &str, message: impl Into<String>) -> Problem {
    Problem::new(Place::file(path.clone()), rule, message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::render::manifest;

    fn tree(paths: &[&str]) -> (SourceTree, Manifest) {
        let mut tree = SourceTree::default();
        let manifest = "stages: [{name: beta}, {name: v1.2}]\n\
                        groups: [{name: edge, nodes: {id: x}}]\n";
        tree.files
            .insert(FilePath::new("convoy.yaml").unwrap(), Bytes::from_static(manifest.as_bytes()));
        for path in paths {
            tree.files.insert(FilePath::new(path).unwrap(), Bytes::new());
        }
        let manifest = manifest::read(&tree).unwrap().unwrap();
        (tree, manifest)
    }

    /// Group and content of the file, or rule and hint of its problem.
    type Checked = Result<Option<(Option<String>, Holds)>, (String, Option<String>)>;

    fn check(path: &str) -> Checked {
        let (tree, manifest) = tree(&[path]);
        let (found, mut problems) = find(&tree, &manifest);
        match problems.pop() {
            Some(problem) => Err((problem.rule, problem.hint)),
            None => {
                Ok(found.into_iter().map(|file| (file.group.map(String::from), file.holds)).next())
            }
        }
    }

    #[test]
    fn folders_say_kind_and_group() {
        let clusters = Holds::Resources(Some(ResourceKind::Clusters));
        for (path, group, holds) in [
            ("resources/clusters/a.yaml", None, clusters),
            ("resources/clusters/deep/down/a.yml", None, clusters),
            ("resources/a.yaml", None, Holds::Resources(None)),
            ("groups/edge/clusters/a.yaml", Some("edge"), clusters),
            ("groups/default/a.yaml", Some("default"), Holds::Resources(None)),
            ("discovery/a.yaml", None, Holds::Inventory),
        ] {
            assert_eq!(check(path), Ok(Some((group.map(Into::into), holds))), "{path}");
        }
    }

    #[test]
    fn files_that_are_not_ours_are_left_out() {
        for path in [
            "README.md",
            "resources/README.md",
            "resources/_old/clusters/a.yaml",
            "resources/clusters/_a.yaml",
            "resources/.hidden.yaml",
            "docs/clusters/a.yaml",
            "templates/a.yaml",
            "values/common.yaml",
            "values/beta.yaml",
            "values/beta.edge.yaml",
            "values/v1.2.yaml",
            "values/v1.2.default.yaml",
        ] {
            assert_eq!(check(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn files_that_look_as_if_they_counted_are_pointed_out() {
        for (path, hint) in [
            ("resources/clusters/a.json", Some("rename it")),
            ("values/beta.yaml.bak", Some("rename it")),
            ("resource/clusters/a.yaml", Some("did you mean `resources/`?")),
            ("check/a.yaml", Some("did you mean `checks/`?")),
            ("resources/clusters/a.yaml", None),
            ("resources/clusters/_a.json", None),
            ("resources/README.md", None),
            ("checks/host.py", None),
            ("docs/a.yaml", None),
        ] {
            let found = overlooked(&tree(&[path]).0);
            let hints: Vec<_> = found.iter().filter_map(|one| one.hint.as_deref()).collect();
            match hint {
                Some(hint) => assert!(hints[0].starts_with(hint), "{path}: {hints:?}"),
                None => assert_eq!(hints, [""; 0], "{path}"),
            }
        }
    }

    #[test]
    fn files_in_unknown_places_are_problems_with_the_nearest_name() {
        for (path, rule, hint) in [
            ("resources/cluster/a.yaml", "unknown-kind", "did you mean `clusters`?"),
            ("groups/edge/route/a.yaml", "unknown-kind", "did you mean `routes`?"),
            ("groups/egde/clusters/a.yaml", "unknown-group", "did you mean `edge`?"),
            ("groups/a.yaml", "unknown-group", "move it to `groups/<group>/<kind>/`"),
            ("values/bata.yaml", "unknown-stage", "did you mean `beta`?"),
            ("values/bata.edge.yaml", "unknown-stage", "did you mean `beta`?"),
            ("values/beta.egde.yaml", "unknown-group", "did you mean `edge`?"),
        ] {
            assert_eq!(check(path), Err((rule.into(), Some(hint.into()))), "{path}");
        }
        assert_eq!(check("values/beta.yml").unwrap_err().0, "unknown-stage");
        assert_eq!(check("values/x/beta.yaml").unwrap_err().0, "unknown-stage");
    }
}
