//! The renderer around a stand-in for `typed`, which is tested by itself:
//! here each line `name: <name>` is a resource of the file's kind.

use bytes::Bytes;

use super::*;
use crate::model::{FilePath, NodeGroup, Resource, ResourceKind, ResourceName};

const MANIFEST: &str = "stages: [{name: beta}, {name: release}]
groups: [{name: edge, nodes: {metadata: {role: edge}}}, {name: inner, nodes: {id: i}}]
";

fn tree(files: &[(&str, &str)]) -> SourceTree {
    let mut tree = SourceTree::default();
    for (path, text) in files.iter().chain(&[("convoy.yaml", MANIFEST)]) {
        tree.files.insert(FilePath::new(path).unwrap(), Bytes::from((*text).to_owned()));
    }
    tree
}

fn decode(file: &RenderedFile) -> typed::Decoded {
    let kind = file.kind.unwrap_or(ResourceKind::Clusters);
    let resources = (1..).zip(file.text.lines()).filter_map(|(line, text)| {
        let name = text.strip_prefix("name: ")?;
        let name = ResourceName(name.split_whitespace().next()?.into());
        let body = Bytes::from(text.to_owned());
        Some(Resource::new(kind.type_url(), name, body, file.place(line, 1)))
    });
    typed::Decoded { resources: resources.collect(), ..typed::Decoded::default() }
}

fn render(memo: &memo::Memo, tree: &SourceTree, stage: &str) -> Output {
    let manifest = manifest::read(tree).unwrap().unwrap();
    let stage = Stage::new(stage).unwrap();
    let renderings = stage::render(memo, &decode, tree, &manifest, &stage);
    merge::merge(&manifest, &stage, renderings)
}

fn beta(files: &[(&str, &str)]) -> Output {
    render(&memo::Memo::default(), &tree(files), "beta")
}

/// The resources' bodies of one group.
fn bodies(output: &Output, group: &str) -> Vec<String> {
    output.resources.groups[&NodeGroup::new(group).unwrap()]
        .iter()
        .map(|resource| String::from_utf8(resource.body.to_vec()).unwrap())
        .collect()
}

fn problems(output: &Output) -> Vec<String> {
    output.problems.iter().map(|problem| format!("{} {}", problem.place, problem.rule)).collect()
}

#[test]
fn every_group_holds_what_is_for_all_and_its_own() {
    let output = beta(&[
        ("resources/clusters/a.yaml", "name: a\n"),
        ("groups/edge/clusters/b.yaml", "name: b\n"),
        ("discovery/c.yaml", "cluster: c\nhosts: []\n"),
    ]);
    assert_eq!(problems(&output), [""; 0]);
    assert_eq!(bodies(&output, "edge"), ["name: a", "name: b"]);
    assert_eq!(bodies(&output, "inner"), ["name: a"]);
    assert_eq!(bodies(&output, "default"), ["name: a"]);
}

#[test]
fn groups_share_a_rendering_unless_they_differ() {
    let files = [
        ("resources/clusters/plain.yaml", "name: plain\n"),
        ("resources/clusters/shared.yaml", "name: shared ${{ size }}\n"),
        ("resources/clusters/asked.yaml", "name: asked ${{ group }}\n"),
        ("values/common.yaml", "size: 1\n"),
        ("values/beta.edge.yaml", "size: 2\n"),
    ];
    let output = beta(&files);
    assert_eq!(problems(&output), [""; 0]);
    assert_eq!(bodies(&output, "edge"), ["name: asked edge", "name: plain", "name: shared 2"]);
    assert_eq!(bodies(&output, "inner"), ["name: asked inner", "name: plain", "name: shared 1"]);
    let resource = |group: &str, at: usize| {
        Arc::clone(&output.resources.groups[&NodeGroup::new(group).unwrap()][at])
    };
    assert!(Arc::ptr_eq(&resource("edge", 1), &resource("inner", 1)));
    assert!(Arc::ptr_eq(&resource("inner", 2), &resource("default", 2)));
    let count = |file: &str| output.files.iter().filter(|f| f.source.file_name() == file).count();
    assert_eq!((count("plain.yaml"), count("shared.yaml"), count("asked.yaml")), (1, 2, 3));
}

#[test]
fn a_template_that_asks_for_the_group_is_rendered_for_each() {
    let output = beta(&[
        ("templates/m.yaml", "#% macro m()\nname: ${{ group }}\n#% endmacro\n"),
        ("resources/clusters/a.yaml", "#% import 'm.yaml' as m\n${{ m.m() }}\n"),
    ]);
    assert_eq!(problems(&output), [""; 0]);
    assert_eq!(bodies(&output, "edge"), ["name: edge"]);
    assert_eq!(bodies(&output, "default"), ["name: default"]);
}

#[test]
fn stages_see_their_own_values() {
    let tree = tree(&[
        ("resources/clusters/a.yaml", "name: a ${{ size }} ${{ stage }} ${{ stages | length }}\n"),
        ("values/common.yaml", "size: 1\n"),
        ("values/release.yaml", "size: 9\n"),
    ]);
    let memo = memo::Memo::default();
    assert_eq!(bodies(&render(&memo, &tree, "beta"), "edge"), ["name: a 1 beta 2"]);
    assert_eq!(bodies(&render(&memo, &tree, "release"), "edge"), ["name: a 9 release 2"]);
}

#[test]
fn a_second_resource_of_one_name_names_the_first() {
    let output = beta(&[
        ("resources/clusters/a.yaml", "name: a\n"),
        ("resources/clusters/b.yaml", "x: 1\nname: a\n"),
        ("resources/routes/a.yaml", "name: a\n"),
        ("groups/edge/clusters/a.yaml", "name: a\n"),
    ]);
    let expected = [
        "groups/edge/clusters/a.yaml:1:1 duplicate-name",
        "resources/clusters/b.yaml:2:1 duplicate-name",
    ];
    assert_eq!(problems(&output), expected);
    assert!(output.problems[0].message.ends_with("the first is resources/clusters/a.yaml:1:1"));
}

#[test]
fn two_of_one_macro_are_told_apart_by_their_files() {
    let output = beta(&[
        ("templates/m.yaml", "#% macro m()\nname: a\n#% endmacro\n"),
        ("resources/clusters/a.yaml", "#% import 'm.yaml' as m\n${{ m.m() }}\n"),
        ("resources/clusters/b.yaml", "#% import 'm.yaml' as m\n${{ m.m() }}\n"),
    ]);
    assert_eq!(problems(&output), ["templates/m.yaml:2:1 duplicate-name"]);
    let message = &output.problems[0].message;
    assert!(message.contains("(through resources/clusters/b.yaml); the first"), "{message}");
    assert!(message.ends_with("(through resources/clusters/a.yaml)"), "{message}");
}

#[test]
fn every_mistake_is_given_at_once_and_the_rest_is_rendered() {
    let output = beta(&[
        ("resources/clusters/good.yaml", "name: good\n"),
        ("resources/clusters/bad.yaml", "name: ${{ nope }}\n"),
        ("resources/clusters/worse.yaml", "name: ${{ \n"),
        ("resources/cluster/lost.yaml", "name: lost\n"),
        ("groups/egde/clusters/lost.yaml", "name: lost\n"),
        ("values/bata.yaml", "a: 1\n"),
        ("discovery/d.yaml", "cluster: d\nhosts: [{address: x, port: 1}]\n"),
    ]);
    let expected = [
        "discovery/d.yaml:2:19 bad-address",
        "groups/egde/clusters/lost.yaml unknown-group",
        "resources/cluster/lost.yaml unknown-kind",
        "resources/clusters/bad.yaml:1:11 undefined-variable",
        "resources/clusters/worse.yaml:1:7 template-syntax",
        "values/bata.yaml unknown-stage",
    ];
    assert_eq!(problems(&output), expected);
    assert_eq!(bodies(&output, "edge"), ["name: good"]);
}

#[test]
fn values_that_cannot_be_read_do_not_make_every_use_a_mistake() {
    let output = beta(&[
        ("values/common.yaml", "a: [1\n"),
        ("resources/clusters/a.yaml", "name: ${{ a }}\n"),
    ]);
    assert_eq!(output.problems.len(), 1, "{:?}", output.problems);
    assert_eq!(output.problems[0].rule, "yaml-syntax");
}

#[test]
fn files_that_are_no_text_or_too_large_are_problems() {
    let mut tree = tree(&[]);
    let file = |name: &str| FilePath::new(&format!("resources/clusters/{name}.yaml")).unwrap();
    tree.files.insert(file("binary"), Bytes::from_static(b"a: 1\nb: \xff\n"));
    tree.files.insert(file("huge"), Bytes::from(vec![b' '; 50 << 20]));
    let output = render(&memo::Memo::default(), &tree, "beta");
    let expected = [
        "resources/clusters/binary.yaml:2 not-utf-8",
        "resources/clusters/huge.yaml file-too-large",
    ];
    assert_eq!(problems(&output), expected);
}

#[test]
fn the_memo_changes_no_result() {
    let files = [
        ("resources/clusters/a.yaml", "name: a ${{ size }}\n"),
        ("values/common.yaml", "size: 1\n"),
    ];
    let memo = memo::Memo::default();
    let first = render(&memo, &tree(&files), "beta");
    let again = render(&memo, &tree(&files), "beta");
    assert_eq!(first, again);
    let group =
        |output: &Output| Arc::clone(&output.resources.groups[&NodeGroup::new("edge").unwrap()][0]);
    assert!(Arc::ptr_eq(&group(&first), &group(&again)), "it was remembered");
    let changed = [files[0], ("values/common.yaml", "size: 2\n")];
    let changed = render(&memo, &tree(&changed), "beta");
    assert_eq!(bodies(&changed, "edge"), ["name: a 2"]);
    assert_ne!(changed.hash, first.hash);
}

#[test]
fn problems_of_several_stages_are_united() {
    let stages = ["beta", "release"].map(|name| Stage::new(name).unwrap());
    let tree = tree(&[
        ("resources/clusters/a.yaml", "name: ${{ size }}${{ nope }}\n"),
        ("resources/clusters/b.yaml", "name: ${{ small }}\n"),
        ("resources/nothing/a.yaml", ""),
        ("values/common.yaml", "size: 1\n"),
        ("values/release.yaml", "small: 1\n"),
    ]);
    let memo = memo::Memo::default();
    let all = stages.iter().flat_map(|stage| render(&memo, &tree, stage.as_str()).problems);
    let united = unite(all, &stages);
    let shown: Vec<_> =
        united.iter().map(|p| (p.place.file.file_name(), p.stages.as_slice())).collect();
    assert_eq!(shown, [("a.yaml", &[][..]), ("b.yaml", &stages[..1]), ("a.yaml", &[][..])]);
}

#[test]
fn convoys_own_templates_are_filled_in() {
    let source = include_str!("../../templates/envoy/bootstrap.yaml");
    let values = serde_json::json!({
        "node_id": "a-1", "node_cluster": "front", "stage": "beta", "metadata": {"role": "edge"},
        "region": "west", "zone": "a", "delta": true, "token": "", "xds_host": "127.0.0.1",
        "xds_port": 7401, "runtime_layers": ["mesh"], "admin_port": 9901, "ca_file": "",
    });
    let text = fill(&FilePath::new("bootstrap.yaml").unwrap(), source, values).unwrap();
    insta::assert_snapshot!(text);
}
