//! Manifests, right and wrong.

use bytes::Bytes;

use super::*;
use crate::model::{FilePath, Number, OnFailure, OnInconclusive, Voters, WindowEffect};

fn parse(text: &str) -> Result<Option<Manifest>, Vec<Problem>> {
    let mut tree = SourceTree::default();
    tree.files.insert(FilePath::new(MANIFEST_PATH).unwrap(), Bytes::from(text.to_owned()));
    read(&tree)
}

/// Every mistake of `text` as `line:column rule`.
fn mistakes(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err("the manifest has no mistake");
    problems.iter().map(|p| format!("{}:{} {}", p.place.line, p.place.column, p.rule)).collect()
}

#[test]
fn a_tree_without_a_manifest_has_no_pipeline() {
    assert_eq!(read(&SourceTree::default()), Ok(None));
}

#[test]
fn every_field_is_read() {
    let manifest = parse(
        "stages:
  - name: beta
    auto: true
  - name: release
    envoy: ['1.40.0']
    approvals: 2
    soak: 1h30m
    approvers: [kim, lee]
    nodes: {cluster: 'front-*', id: [a-1, b-*], metadata: {stage: live, canary: true}}
    smoke: {checks: ['front/**'], ready_timeout: 20s, check_timeout: 500ms}
groups:
  - name: edge
    nodes: [{cluster: front}, {metadata: {role: edge}}]
envoy: ['1.36.4', '1.40.0']
",
    )
    .unwrap()
    .unwrap();
    insta::assert_yaml_snapshot!(manifest);
}

#[test]
fn a_manifest_without_stages_is_refused() {
    for text in ["", "# nothing\n", "stages: []\n", "stages:\n", "envoy: []\n"] {
        let problems = parse(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}");
        assert_eq!(problems[0].rule, "no-stages", "{text}");
    }
}

#[test]
fn a_manifest_that_is_no_map_is_refused() {
    assert_eq!(mistakes("- beta\n"), ["1:1 wrong-type"]);
    assert_eq!(mistakes("stages: beta\n"), ["1:9 wrong-type"]);
    assert_eq!(mistakes("stages: [{name: a}]\n---\nx: 1\n"), ["3:1 wrong-type"]);
}

#[test]
fn duplicate_stages_and_groups_are_found() {
    let text = "stages:
  - name: beta
  - name: beta
groups:
  - {name: edge, nodes: {id: x}}
  - {name: edge, nodes: {id: y}}
";
    assert_eq!(mistakes(text), ["3:5 duplicate-stage", "6:5 duplicate-group"]);
}

#[test]
fn names_are_checked_and_some_are_reserved() {
    let text = "stages:
  - name: be ta
  - name: common
  - {auto: true}
groups:
  - {name: default, nodes: {}}
  - {name: '', nodes: {}}
  - {name: edge}
";
    let expected = [
        "2:11 bad-name",
        "3:11 reserved-name",
        "4:5 missing-field",
        "6:5 reserved-name",
        "7:12 bad-name",
        "8:5 missing-field",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn unknown_fields_come_with_the_nearest_known_one() {
    let problems = parse("stages:\n  - name: beta\n    aprovals: 1\ngruops: []\n").unwrap_err();
    let hints: Vec<_> = problems
        .iter()
        .map(|p| (p.place.line, p.place.column, p.rule.as_str(), p.hint.as_deref()))
        .collect();
    let expected = [
        (3, 5, "unknown-field", Some("did you mean `approvals`?")),
        (4, 1, "unknown-field", Some("did you mean `groups`?")),
    ];
    assert_eq!(hints, expected);
}

#[test]
fn bad_durations_versions_globs_and_numbers_are_found_together() {
    let text = "stages:
  - name: beta
    soak: 10 minutes
    envoy: ['1.36', latest, 1.40, '1.36.4', '1.36.4']
    approvals: -1
    auto: maybe
    nodes: {id: '[a'}
    smoke: {checks: '{a', ready_timeout: 2d, check_timeout: 5}
";
    let expected = [
        "3:11 bad-duration",
        "4:13 bad-version",
        "4:21 bad-version",
        "4:29 wrong-type",
        "4:45 duplicate-version",
        "5:16 out-of-range",
        "6:11 wrong-type",
        "7:17 bad-glob",
        "8:21 bad-glob",
        "8:42 out-of-range",
        "8:61 wrong-type",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn the_first_stage_may_ask_for_approvals() {
    let manifest = parse("stages: [{name: beta, approvals: 1}]\n").unwrap().unwrap();
    assert_eq!(manifest.stages[0].approvals, 1);
}

#[test]
fn approvals_that_nobody_can_give_are_refused() {
    let text = "stages: [{name: beta, approvals: 2, approvers: [kim]}]\n";
    assert_eq!(mistakes(text), ["1:48 too-few-approvers"]);
    let text = "stages: [{name: beta, approvers: [kim, kim]}]\n";
    assert_eq!(mistakes(text), ["1:40 duplicate-approver"]);
}

#[test]
fn yes_is_text_and_not_a_boolean() {
    assert_eq!(mistakes("stages: [{name: beta, auto: yes}]\n"), ["1:29 wrong-type"]);
}

#[test]
fn broken_yaml_is_one_problem_with_its_place() {
    assert_eq!(mistakes("stages: [\n  {name: beta\n"), ["2:3 yaml-syntax"]);
    assert_eq!(mistakes("stages: []\nstages: []\n"), ["2:1 duplicate-key"]);
}

#[test]
fn every_key_of_promotion_is_read() {
    let manifest = parse(
        "stages:
  - name: beta
  - name: release
    approvals:
      - {count: 2, from: [team:release-approvers, ann]}
      - {count: 1, from: owners}
      - {count: 3}
    windows:
      - {allow: 'mon-fri 09:00-17:00', zone: Asia/Tokyo}
      - {deny: '2026-12-24T00:00/2027-01-04T09:00', zone: Asia/Tokyo, reason: year end}
    fleet: {acked: 95%}
    metrics:
      - {name: errors, query: 'sum(e)', at_most: 0.01}
      - {name: latency, query: 'l', baseline: 'b', at_most_times_baseline: 1.2, inconclusive: pause}
    rollout:
      acked: 99%
      deadline: 5m
      steps:
        - {percent: 10, bake: 10m}
        - {localities: ['ap-northeast-1/*'], bake: 500ms, pause: true}
        - {nodes: ['edge-1*'], percent: 50}
      bake: 1m
      on_failure: hold
    expires: 12h
owners:
  - {paths: ['resources/clusters/payments*'], from: [team:payments, kim]}
  - {paths: 'values/**', from: []}
",
    )
    .unwrap()
    .unwrap();
    let release = &manifest.stages[1];
    let from = |quorum: &crate::model::Quorum| match &quorum.from {
        Voters::Anyone => "anyone".to_owned(),
        Voters::Owners => "owners".to_owned(),
        Voters::Of(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let quorums: Vec<_> = release.quorums.iter().map(|one| (one.count, from(one))).collect();
    let expected = [(2, "team:release-approvers ann"), (1, "owners"), (3, "anyone")];
    assert_eq!(quorums, expected.map(|(count, from)| (count, from.to_owned())));
    assert_eq!(release.approvals, 3, "the largest of them");
    let windows: Vec<_> = release.windows.iter().map(ToString::to_string).collect();
    let expected = [
        "mon,tue,wed,thu,fri 09:00-17:00 Asia/Tokyo",
        "2026-12-24T00:00/2027-01-04T09:00 Asia/Tokyo",
    ];
    assert_eq!(windows, expected);
    assert_eq!(release.windows[1].effect, WindowEffect::Deny);
    assert_eq!(release.windows[1].reason, "year end");
    assert_eq!(release.fleet.map(|rule| rule.acked_percent), Some(95));
    let bounds: Vec<_> = release
        .metrics
        .iter()
        .map(|rule| (rule.at_most.clone(), rule.at_most_times_baseline.clone(), rule.inconclusive))
        .collect();
    let expected = [
        (Number::new("0.01"), None, OnInconclusive::Wait),
        (None, Number::new("1.2"), OnInconclusive::Pause),
    ];
    assert_eq!(bounds, expected);
    let rollout = release.rollout.clone().unwrap();
    let steps: Vec<_> = rollout
        .steps
        .iter()
        .map(|step| (step.subset.sentence(), step.bake_seconds, step.pause))
        .collect();
    let expected = [
        ("10 %", 600, false),
        ("localities ap-northeast-1/*", 1, true),
        ("50 %, nodes edge-1*", 0, false),
    ];
    assert_eq!(steps, expected.map(|(who, bake, pause)| (who.to_owned(), bake, pause)));
    let rest = (rollout.acked_percent, rollout.deadline_seconds, rollout.bake_seconds);
    assert_eq!((rest, rollout.on_failure), ((99, 300, 60), OnFailure::Hold));
    assert_eq!(release.expires_seconds, Some(43_200));
    assert_eq!((manifest.owners[0].from.len(), manifest.owners[1].from.len()), (2, 0));
}

#[test]
fn every_bad_value_of_promotion_has_a_place_and_a_rule() {
    let stage = |lines: &str| format!("stages:\n  - name: a\n    {lines}\n");
    let table = [
        ("approvals: 51", "out-of-range"),
        ("approvals: [{from: owners}]", "missing-field"),
        ("approvals: [{count: 0}]", "out-of-range"),
        ("approvals: [{count: 1, from: []}]", "missing-field"),
        ("approvals: [{count: 1, from: ['team:']}]", "bad-name"),
        ("approvals: [{count: 1, from: [ann, ann]}]", "duplicate-approver"),
        ("approvals: [{count: 2, from: [ann]}]", "too-few-approvers"),
        ("approvals: [{count: 1}, {count: 2}]", "duplicate-quorum"),
        ("approvals: [{count: 1, of: ann}]", "unknown-field"),
        ("windows: always", "wrong-type"),
        ("windows: [{zone: UTC}]", "missing-field"),
        ("windows: [{allow: 'mon 09:00-10:00', deny: 'tue 09:00-10:00'}]", "missing-field"),
        ("windows: [{allow: 'noon'}]", "bad-window"),
        ("windows: [{allow: '09:00-10:00', zone: Asia/Tokio}]", "bad-zone"),
        ("windows: [{allow: '09:00-10:00', when: now}]", "unknown-field"),
        ("fleet: {}", "missing-field"),
        ("fleet: {acked: 101%}", "out-of-range"),
        ("fleet: {acked: most}", "out-of-range"),
        ("metrics: [{name: a, query: q}]", "missing-field"),
        ("metrics: [{name: a, at_most: 1}]", "missing-field"),
        ("metrics: [{name: a, query: '', at_most: 1}]", "out-of-range"),
        ("metrics: [{name: a, query: q, at_most: few}]", "wrong-type"),
        ("metrics: [{name: a, query: q, at_most_times_baseline: 2}]", "missing-field"),
        ("metrics: [{name: a, query: q, at_most: 1, inconclusive: fail}]", "bad-value"),
        ("rollout: {steps: [{bake: 1m}]}", "missing-field"),
        ("rollout: {steps: [{percent: 0}]}", "out-of-range"),
        ("rollout: {steps: [{percent: 50}, {percent: 50}]}", "out-of-range"),
        ("rollout: {steps: [{nodes: 'a['}]}", "bad-glob"),
        ("rollout: {deadline: 0s}", "out-of-range"),
        ("rollout: {deadline: soon}", "bad-duration"),
        ("rollout: {on_failure: panic}", "bad-value"),
        ("rollout: {speed: 1}", "unknown-field"),
        ("expires: 40d", "out-of-range"),
    ];
    for (lines, rule) in table {
        let problems = parse(&stage(lines)).expect_err(lines);
        let found: Vec<_> = problems.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(found, [rule], "{lines}");
        assert_eq!(problems[0].place.line, 3, "{lines}");
    }
    let mistakes_of =
        |owners: &str| mistakes(&format!("stages: [{{name: a}}]\nowners: {owners}\n"));
    assert_eq!(mistakes_of("[{from: [ann]}]"), ["2:10 missing-field"]);
    assert_eq!(mistakes_of("[{paths: ['**']}]"), ["2:10 missing-field"]);
    assert_eq!(mistakes_of("[{paths: ['**'], from: ['team:a b']}]"), ["2:33 bad-name"]);
    let both = "stages:\n  - {name: a, approvals: [{count: 1}], approvers: [ann]}\n";
    assert_eq!(mistakes(both), ["2:51 bad-value"]);
}
