//! Checks, right and wrong.

use super::*;
use crate::model::ResourceKind;

fn tree(files: &[(&str, &str)]) -> SourceTree {
    let mut tree = SourceTree::default();
    for (path, content) in files {
        let path = FilePath::new(path).unwrap();
        tree.files.insert(path, Bytes::copy_from_slice(content.as_bytes()));
    }
    tree
}

/// Reads one file and gives its problems as lines.
fn problems(content: &str) -> Vec<String> {
    let (_, problems) = Suite::read(&tree(&[("checks/a.yaml", content)]));
    problems.iter().map(ToString::to_string).collect()
}

const WHOLE: &str = r#"
listener: front
checks:
  - name: payments answers
    request: {method: POST, path: //payments?x=1, host: api.example.com, headers: {x-user: 1}, body: hi}
    expect: {status: 200, cluster: payments, headers: {x-stage: "~^be", x-n: exact}, body_contains: hi}
  - name: split
    listener: back
    stages: [beta]
    groups: [edge]
    repeat: 100
    request: {path: /, tls: true}
    expect: {weights: {a: 90, b: 10}}
"#;

#[test]
fn a_whole_file_is_read() {
    let (suite, problems) = Suite::read(&tree(&[("checks/a.yaml", WHOLE)]));
    assert_eq!(problems, []);
    let [first, second] = suite.checks.as_slice() else { panic!("{suite:?}") };
    assert_eq!((first.place.line, first.listener.as_deref()), (4, Some("front")));
    assert_eq!(
        (first.request.method.as_str(), first.request.path.as_str()),
        ("POST", "//payments?x=1")
    );
    assert_eq!(first.request.headers[0].1, "1");
    assert!(first.expect.headers[0].1.fits("beta") && !first.expect.headers[1].1.fits("exac"));
    assert_eq!((second.listener.as_deref(), second.repeat), (Some("back"), 100));
    assert_eq!(second.expect.weights, [("a".into(), 90.0), ("b".into(), 10.0)]);
    assert_eq!((second.expect.tolerance, second.request.tls), (DEFAULT, Some(true)));
}

const DEFAULT: f64 = 5.0;

#[test]
fn every_mistake_of_a_file_is_told_with_its_place() {
    let found = problems(
        "checks:\n  - nam: x\n    request: {path: payments, methd: GET}\n    expect: {statsu: 200}\n  \
         - name: y\n    request: {path: /}\n    expect: {weights: {a: 100}, status: 99}\n    \
         repeat: 10\n",
    );
    assert_eq!(
        found,
        [
            "checks/a.yaml:2:5: there is no key `nam` here [unknown-field]\n  hint: did you mean `name`?",
            "checks/a.yaml:2:5: `name` is missing [check-syntax]",
            "checks/a.yaml:3:31: there is no key `methd` here [unknown-field]\n  hint: did you mean `method`?",
            "checks/a.yaml:3:21: `payments` is not a path, which begins with `/` [check-syntax]",
            "checks/a.yaml:4:14: there is no key `statsu` here [unknown-field]\n  hint: did you mean `status`?",
            "checks/a.yaml:4:13: the check expects nothing [check-syntax]",
            "checks/a.yaml:7:23: weights need `repeat` of at least 50 [check-syntax]",
            "checks/a.yaml:7:41: 99 is not between 100 and 599 [check-syntax]",
        ]
    );
}

#[test]
fn broken_yaml_is_a_problem_and_not_a_panic() {
    for broken in
        ["", "checks: [", "checks: {}", "- a", "checks: yes", "a: 1\na: 2", "\u{0}", "[[[["]
    {
        assert!(!problems(broken).is_empty(), "{broken:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(!problems(&deep).is_empty());
}

#[test]
fn only_executables_that_are_no_yaml_are_run() {
    let mut tree = tree(&[("checks/run.sh", "#!"), ("checks/data.txt", "x"), ("other/run.sh", "")]);
    tree.executables.insert(FilePath::new("checks/run.sh").unwrap());
    tree.executables.insert(FilePath::new("other/run.sh").unwrap());
    let (suite, problems) = Suite::read(&tree);
    assert_eq!((suite.scripts.len(), suite.files.len(), problems.len()), (1, 2, 0));
}

#[test]
fn the_hash_covers_every_file_and_which_may_run() {
    let plain = tree(&[("checks/run.sh", "#!")]);
    let mut executable = plain.clone();
    executable.executables.insert(FilePath::new("checks/run.sh").unwrap());
    let other = tree(&[("checks/run.sh", "#!"), ("checks/data.txt", "")]);
    let hashes: std::collections::BTreeSet<_> =
        [plain, executable, other].iter().map(|tree| Suite::read(tree).0.hash).collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(Suite::read(&SourceTree::default()).0.hash, None);
}

#[test]
fn globs_may_name_the_folder_or_leave_it_out() {
    let file = FilePath::new("checks/front/a.yaml").unwrap();
    for (glob, takes) in [("**", true), ("front/*", true), ("checks/**", true), ("back/**", false)]
    {
        assert_eq!(Selection::new(&[glob.into()]).takes(&file), takes, "{glob}");
    }
}

#[test]
fn checks_that_name_what_is_not_there_are_told() {
    let manifest = "stages: [{name: beta}]\ngroups: [{name: edge, nodes: {id: x}}]\n";
    let files = tree(&[
        ("convoy.yaml", manifest),
        ("resources/clusters/a.yaml", "name: a\ntype: STATIC\n"),
        ("checks/a.yaml", WHOLE),
        ("checks/b.py", "#!/usr/bin/python3\n"),
        ("checks/b.txt", "input"),
    ]);
    let renderer = crate::render::Renderer::new(crate::schema::Schema::load());
    let manifest = renderer.manifest(&files).unwrap().unwrap();
    let output = renderer.render(&files, &manifest, &manifest.stages[0].name);
    let (suite, problems) = Suite::read(&files);
    assert_eq!(problems, []);
    let said = |incomplete: &[ResourceKind]| -> Vec<String> {
        let rendered = std::iter::once(&output.resources);
        let found = suite.misfits(&manifest, rendered, &incomplete.iter().copied().collect());
        found.iter().map(|one| format!("{} {}", one.place, one.rule)).collect()
    };
    let expected = [
        "checks/a.yaml:4:5 missing-listener",
        "checks/a.yaml:4:5 missing-cluster",
        "checks/a.yaml:7:5 missing-listener",
        "checks/a.yaml:7:5 missing-cluster",
    ];
    assert_eq!(said(&[]), expected);
    assert_eq!(said(&[ResourceKind::Listeners, ResourceKind::Clusters]), [""; 0]);
    let idle = suite.unrunnable(&files);
    assert_eq!(idle.iter().map(|one| one.place.to_string()).collect::<Vec<_>>(), ["checks/b.py"]);
}
