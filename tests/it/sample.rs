//! The sample under `templates/envoy/sample`: whole, silent, and the same as
//! it was when somebody last looked at it.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use convoy::lint;
use convoy::model::{FilePath, Manifest, SourceTree};
use convoy::render::{Output, Renderer};
use convoy::schema::Schema;

/// Reads a folder as if it were a commit.
pub(crate) fn tree(folder: &Path) -> SourceTree {
    let mut tree = SourceTree::default();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = FilePath::new(path.strip_prefix(folder).unwrap().to_str().unwrap()).unwrap();
            tree.files.insert(name, Bytes::from(std::fs::read(&path).unwrap()));
        }
    }
    tree
}

fn sample() -> SourceTree {
    tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/envoy/sample"))
}

fn rendered(renderer: &Renderer) -> (Manifest, Vec<Output>) {
    let tree = sample();
    let manifest = renderer.manifest(&tree).expect("no mistakes").expect("a manifest");
    let outputs =
        manifest.stages.iter().map(|spec| renderer.render(&tree, &manifest, &spec.name)).collect();
    (manifest, outputs)
}

#[test]
fn the_sample_has_no_problems_and_no_findings_in_any_stage() {
    let renderer = Renderer::new(Schema::load());
    let (manifest, outputs) = rendered(&renderer);
    assert_eq!(manifest.stages.len(), 4);
    for (spec, output) in manifest.stages.iter().zip(&outputs) {
        assert_eq!(output.problems, [], "{}", spec.name);
        assert_eq!(
            lint::run(renderer.schema(), &spec.name, &output.resources),
            [],
            "{}",
            spec.name
        );
    }
}

#[test]
fn the_text_of_every_stage_is_as_recorded() {
    let (manifest, outputs) = rendered(&Renderer::new(Schema::load()));
    for (spec, output) in manifest.stages.iter().zip(outputs) {
        let files: Vec<String> = output
            .files
            .iter()
            .map(|file| {
                let group = file.group.as_ref().map_or("all", |group| group.as_str());
                format!("=== {} ({group})\n{}", file.source, file.text)
            })
            .collect();
        insta::assert_snapshot!(format!("text_{}", spec.name), files.join("\n"));
    }
}

#[test]
fn the_resources_of_every_stage_and_group_are_as_recorded() {
    let renderer = Renderer::new(Schema::load());
    let (manifest, outputs) = rendered(&renderer);
    for (spec, output) in manifest.stages.iter().zip(outputs) {
        for (group, resources) in &output.resources.groups {
            let texts: Vec<String> = resources
                .iter()
                .map(|resource| {
                    let schema = renderer.schema();
                    let message = schema.decode(&resource.type_url, &resource.body).unwrap();
                    let (type_url, place) = (&resource.type_url, &resource.place);
                    format!("=== {type_url} from {place}\n{}", schema.to_yaml(&message))
                })
                .collect();
            let name = format!("resources_{}_{group}", spec.name);
            insta::assert_snapshot!(name, texts.join("\n"));
        }
    }
}

#[test]
fn the_same_tree_renders_to_the_same_bytes_with_and_without_the_memo() {
    let renderer = Renderer::new(Schema::load());
    let (_, first) = rendered(&renderer);
    let (_, again) = rendered(&renderer);
    let (_, fresh) = rendered(&Renderer::new(Schema::load()));
    assert_eq!(first, again);
    assert_eq!(first, fresh);
    let hashes: BTreeMap<_, _> = first.iter().map(|output| (output.hash, ())).collect();
    assert_eq!(hashes.len(), 4, "each stage differs");
}
