//! The values that templates see: `values/common.yaml`, then the stage's
//! file, then the stage × group's, merged so that the later wins.
//!
//! Maps merge, everything else replaces, and null removes. Files of other
//! stages are not read; which file names are known is `layout`'s to say.

use std::collections::HashMap;

use minijinja::value::{Serde, Value as TemplateValue};
use serde_json::Value as Json;

use super::document::{self, Entry, Node, Value};
use super::mistakes::Mistakes;
use crate::model::{ContentHash, FilePath, Manifest, NodeGroup, Problem, SourceTree, Stage};

/// Names that every template has, so that no value can take them.
const RESERVED: [&str; 4] = ["group", "stage", "stages", "values"];

/// The values of one stage, by group.
#[derive(Debug)]
pub(crate) struct Values {
    shared: Vec<Entry>,
    groups: Vec<(NodeGroup, Vec<Entry>)>,
    /// The mistakes in the files.
    pub(crate) problems: Vec<Problem>,
}

impl Values {
    /// Reads the files of `stage`.
    pub(crate) fn read(tree: &SourceTree, manifest: &Manifest, stage: &Stage) -> Self {
        let mut problems = Vec::new();
        let common = file(tree, "common", &mut problems).unwrap_or_default();
        let own = file(tree, stage.as_str(), &mut problems).unwrap_or_default();
        let shared = merge(merge(Vec::new(), common), own);
        let mut groups = Vec::new();
        for rule in &manifest.groups {
            let stem = format!("{stage}.{}", rule.name);
            if let Some(own) = file(tree, &stem, &mut problems) {
                groups.push((rule.name.clone(), merge(shared.clone(), own)));
            }
        }
        Self { shared, groups, problems }
    }

    /// Whether `group` has values of its own.
    pub(crate) fn differ_for(&self, group: &NodeGroup) -> bool {
        self.groups.iter().any(|(name, _)| name == group)
    }

    /// What templates see for `group`, or for all groups alike; and a hash
    /// over it.
    pub(crate) fn context(
        &self,
        manifest: &Manifest,
        stage: &Stage,
        group: Option<&NodeGroup>,
    ) -> (TemplateValue, ContentHash) {
        let own = self.groups.iter().find(|(name, _)| Some(name) == group);
        let values = own.map_or(&self.shared, |(_, values)| values);
        let stages: Vec<&str> = manifest.stages.iter().map(|spec| spec.name.as_str()).collect();
        let mut map = map(values);
        map.insert("values".into(), Json::Object(map.clone()));
        map.insert("stage".into(), stage.as_str().into());
        map.insert("stages".into(), stages.into());
        if let Some(group) = group {
            map.insert("group".into(), group.as_str().into());
        }
        let context = Json::Object(map);
        let hash = ContentHash::of(context.to_string().as_bytes());
        (TemplateValue::from(Serde(context)), hash)
    }
}

/// The entries of `values/<stem>.yaml`; `None` where there is no such file.
fn file(tree: &SourceTree, stem: &str, problems: &mut Vec<Problem>) -> Option<Vec<Entry>> {
    let path = FilePath::new(&format!("values/{stem}.yaml")).ok()?;
    let content = tree.files.get(&path)?;
    let documents = match document::parse(&path, content) {
        Ok(documents) => documents,
        Err(problem) => {
            problems.push(problem);
            return Some(Vec::new());
        }
    };
    let mut mistakes = Mistakes::new(&path);
    let entries = entries(&mut mistakes, documents);
    problems.append(&mut mistakes.problems);
    Some(entries)
}

fn entries(mistakes: &mut Mistakes<'_>, documents: Vec<Node>) -> Vec<Entry> {
    if let Some(second) = documents.get(1) {
        mistakes.note(second.at, "wrong-type", "values must be one document");
    }
    let Some(Node { at, value }) = documents.into_iter().next() else { return Vec::new() };
    let Value::Map(mut entries) = value else {
        mistakes.note(at, "wrong-type", format!("values must be a map, not {}", value.what()));
        return Vec::new();
    };
    entries.retain(|entry| {
        let free = !RESERVED.contains(&entry.key.as_str());
        if !free {
            let message = format!("`{}` is a name that every template has already", entry.key);
            mistakes.hint(entry.at, "reserved-name", message, "choose another name");
        }
        free
    });
    entries
}

/// `over` merged over `base`, without nulls.
fn merge(mut base: Vec<Entry>, over: Vec<Entry>) -> Vec<Entry> {
    let mut places: HashMap<String, usize> =
        base.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
    for mut entry in over {
        let known = places.get(&entry.key).copied();
        if let Value::Map(over) = entry.node.value {
            let below = match known.map(|at| &mut base[at].node.value) {
                Some(Value::Map(below)) => std::mem::take(below),
                _ => Vec::new(),
            };
            entry.node.value = Value::Map(merge(below, over));
        }
        match known {
            Some(at) => base[at].node.value = entry.node.value,
            None => {
                places.insert(entry.key.clone(), base.len());
                base.push(entry);
            }
        }
    }
    base.retain(|entry| entry.node.value != Value::Null);
    base
}

fn map(entries: &[Entry]) -> serde_json::Map<String, Json> {
    entries.iter().map(|entry| (entry.key.clone(), json(&entry.node.value))).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(small), _) => small.into(),
            (_, Ok(large)) => large.into(),
            _ => value.to_string().into(),
        },
        Value::Float(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Value::Map(entries) => Json::Object(map(entries)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{GroupRule, StageSpec};

    fn manifest() -> Manifest {
        let stage = |name| StageSpec {
            name: Stage::new(name).unwrap(),
            envoy_versions: Vec::new(),
            approvals: 0,
            auto: false,
            soak_seconds: 0,
            approvers: Vec::new(),
            nodes: Vec::new(),
            ..StageSpec::new(Stage::new(name).unwrap())
        };
        let group = |name| GroupRule { name: NodeGroup::new(name).unwrap(), nodes: Vec::new() };
        Manifest {
            stages: vec![stage("beta"), stage("release")],
            groups: vec![group("edge"), group("default")],
            ..Manifest::default()
        }
    }

    fn read(files: &[(&str, &str)]) -> Values {
        let mut tree = SourceTree::default();
        for (path, text) in files {
            tree.files.insert(FilePath::new(path).unwrap(), Bytes::from((*text).to_owned()));
        }
        Values::read(&tree, &manifest(), &Stage::new("beta").unwrap())
    }

    fn seen(values: &Values, group: Option<&str>) -> serde_json::Value {
        let group = group.map(|name| NodeGroup::new(name).unwrap());
        let stage = Stage::new("beta").unwrap();
        let (context, _) = values.context(&manifest(), &stage, group.as_ref());
        let mut json = serde_json::to_value(&context).unwrap();
        json.as_object_mut().unwrap().remove("values");
        json
    }

    #[test]
    fn later_files_win_and_maps_merge_deeply() {
        let values = read(&[
            ("values/common.yaml", "a: {x: 1, y: 2}\nb: [1, 2]\nc: yes\nd: 1\ne: ~\n"),
            ("values/beta.yaml", "a: {y: 3, z: {k: v, gone: ~}}\nb: [3]\nd: ~\n"),
            ("values/beta.edge.yaml", "a: text\n"),
            ("values/release.yaml", "a: [broken\n"),
        ]);
        assert_eq!(values.problems, []);
        let expected = serde_json::json!({
            "a": {"x": 1, "y": 3, "z": {"k": "v"}}, "b": [3], "c": "yes",
            "stage": "beta", "stages": ["beta", "release"],
        });
        assert_eq!(seen(&values, None), expected);
        let edge = seen(&values, Some("edge"));
        assert_eq!((&edge["a"], &edge["group"]), (&"text".into(), &"edge".into()));
    }

    #[test]
    fn mistakes_in_values_have_their_place() {
        let values = read(&[
            ("values/common.yaml", "a: 1\nstage: x\n"),
            ("values/beta.yaml", "- 1\n"),
            ("values/beta.edge.yaml", "a: 1\na: 2\n"),
        ]);
        let problems: Vec<_> =
            values.problems.iter().map(|p| format!("{} {}", p.place, p.rule)).collect();
        let expected = [
            "values/common.yaml:2:1 reserved-name",
            "values/beta.yaml:1:1 wrong-type",
            "values/beta.edge.yaml:2:1 duplicate-key",
        ];
        assert_eq!(problems, expected);
    }
}
