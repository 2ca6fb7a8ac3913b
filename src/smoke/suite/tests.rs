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
    let (one, two) = (traffic(first, 0), traffic(second, 0));
    assert_eq!(
        (one.request.method.as_str(), one.request.path.as_str()),
        ("POST", "//payments?x=1")
    );
    assert_eq!(one.request.headers[0].1, "1");
    assert!(one.expect.headers[0].1.fits("beta") && !one.expect.headers[1].1.fits("exac"));
    assert_eq!((second.listener.as_deref(), two.repeat), (Some("back"), 100));
    assert_eq!(two.expect.weights, [("a".into(), 90.0), ("b".into(), 10.0)]);
    assert_eq!((two.expect.tolerance, two.request.transport.tls), (DEFAULT, Some(true)));
}

fn traffic(check: &Check, step: usize) -> &Traffic {
    let Action::Traffic(traffic) = &check.steps[step].action else { panic!("{check:?}") };
    traffic
}

const SCENARIO: &str = r#"
checks:
  - name: payments fails over
    listener: front
    timeout: 30s
    steps:
      - request: {path: /payments, host: a.b}
        repeat: 200
        rate: 400
        at_once: 4
        expect: {status: 200, endpoints: {payments/0: 50, payments/1: 50}, within: 300ms}
      - fail: {cluster: payments, endpoint: 0, status: 503, share: 50}
      - delay: {cluster: payments, by: 200ms}
      - drop: {cluster: payments, endpoint: 1}
      - runtime: {feature.on: false, share: 10}
      - stats: {cluster.payments.upstream_rq_retry: ">= 10", x: 3}
        within: 5s
      - restore: {cluster: payments}
      - restore: all
      - wait: 1s
      - grpc: {method: pkg.Payments/Get, message: aGk=, identity: {alternatives: ["spiffe://m/web"]}}
        expect: {grpc_status: 0, cluster: payments}
      - tcp: {send: "ping
", identity: none}
        expect: {contains: ping, cluster: redis}
"#;

#[test]
fn a_scenario_is_read() {
    let (suite, problems) = Suite::read(&tree(&[("checks/a.yaml", SCENARIO)]));
    assert_eq!(problems, []);
    let check = &suite.checks[0];
    assert!(check.is_scenario && check.disturbs() && check.asks());
    assert_eq!((check.steps.len(), check.timeout), (11, Some(Duration::from_secs(30))));
    let first = traffic(check, 0);
    assert_eq!((first.rate, first.at_once), (Some(400.0), 4));
    let grpc = traffic(check, 9);
    assert_eq!(&grpc.request.body[..], &[0, 0, 0, 0, 2, b'h', b'i']);
    assert_eq!((grpc.request.path.as_str(), grpc.request.http2), ("/pkg.Payments/Get", true));
    let actions: Vec<_> = check.steps.iter().map(|step| format!("{:?}", step.action)).collect();
    assert!(actions[1].contains("Status(503), 50.0"), "{}", actions[1]);
    assert!(actions[4].contains("(\"feature.on\", \"false\")"), "{}", actions[4]);
    let clusters: Vec<_> = check.clusters().collect();
    assert!(clusters.iter().any(|cluster| *cluster == "redis"), "{clusters:?}");
    assert_eq!(check.steps[3].place.line, 14);
}

#[test]
fn every_mistake_of_a_step_is_told_with_its_place() {
    let step = |text: &str| {
        let file = format!(
            "checks:\n- name: x\n  steps:\n  - request: {{path: /}}\n    expect: {{status: 200}}\n  - {text}\n"
        );
        let found = problems(&file);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("checks/a.yaml:6:"), "{text}: {found:?}");
        found[0].clone()
    };
    for (text, told) in [
        ("fial: {cluster: a, status: 503}", "did you mean `fail`"),
        ("{drop: {cluster: a}, wait: 1s}", "a step does one thing, and this has 2"),
        ("{drop: {cluster: a}, repeat: 3}", "`repeat` means nothing beside `drop`"),
        ("within: 3s", "a step says what to do"),
        ("fail: {cluster: a}", "fails in one way"),
        ("fail: {cluster: a, status: 503, reset: true}", "fails in one way"),
        ("fail: {cluster: a, status: 5030}", "5030 is not between 100 and 599"),
        ("delay: {cluster: a}", "`by` is missing"),
        ("delay: {cluster: a, by: 3}", "expected a text, found a number"),
        ("delay: {cluster: a, by: 3 weeks}", "`3 weeks` is not a duration"),
        ("delay: {cluster: a, by: 90m}", "is longer than 60 s"),
        ("drop: {endpoint: 0}", "`cluster` is missing"),
        ("restore: everything", "`everything` is not `all`"),
        ("runtime: []", "a map of runtime keys and values"),
        ("stats: {a: about 3}", "`about 3` is no condition"),
        ("stats: {}", "no stat is named"),
        ("{grpc: {method: /a/b}, expect: {grpc_status: 0}}", "`package.Service/Method`"),
        ("{grpc: {method: a/b, message: '*'}, expect: {grpc_status: 0}}", "a message in base64"),
        ("{tcp: {send: x}, expect: {status: 200}}", "there is no key `status` here"),
        ("{tcp: {send: x}}", "`expect` is missing"),
        ("{request: {path: /}, expect: {status: 200, refused: true}}", "what is `refused`"),
        ("{request: {path: /, identity: me}, expect: {status: 200}}", "expected `none`, or a map"),
        ("{request: {path: /}, repeat: 60, expect: {endpoints: {a: 50}}}", "written `cluster/0`"),
        ("{request: {path: /}, grpc: {method: a/b}, expect: {status: 1}}", "and this has 2"),
    ] {
        let found = match text {
            // Two mistakes come of a key that isn't known.
            "fial: {cluster: a, status: 503}" | "{tcp: {send: x}, expect: {status: 200}}" => {
                let file = format!(
                    "checks:\n- name: x\n  steps:\n  - request: {{path: /}}\n    expect: {{status: 200}}\n  - {text}\n"
                );
                problems(&file).join("\n")
            }
            _ => step(text),
        };
        assert!(found.contains(told), "{text}: {found}");
    }
}

#[test]
fn a_scenario_that_looks_at_nothing_is_a_mistake() {
    let found = problems("checks:\n- name: x\n  steps: [{drop: {cluster: a}}]\n");
    assert!(found[0].contains("expects nothing"), "{found:?}");
    let found = problems("checks:\n- name: x\n  steps: []\n");
    assert!(found[0].contains("has no steps"), "{found:?}");
    let found = problems("checks:\n- name: x\n  repeat: 3\n  steps: [{stats: {a: 1}}]\n");
    assert!(found[0].contains("`repeat` belongs into one of the `steps`"), "{found:?}");
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
