//! A folder's mistakes, as `convoy validate` tells them.

use std::path::Path;
use std::process::Command;

use super::{CLUSTER, ONE_STAGE};
use crate::harness::convoy::program;

/// The file with the mistake and its content, and how its line must begin.
struct Case {
    file: &'static str,
    content: String,
    told: &'static str,
    rule: &'static str,
}

fn case(
    file: &'static str,
    content: impl Into<String>,
    told: &'static str,
    rule: &'static str,
) -> Case {
    Case { file, content: content.into(), told, rule }
}

const CLUSTERS: &str = "resources/clusters/a.yaml";
const BETA: &str = "values/beta.yaml";
const CHECKS: &str = "checks/a.yaml";

/// Nine levels of nine aliases each.
fn bomb() -> String {
    let level = |n: u8| match n {
        0 => "l0: &l0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
        n => format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(", ")),
    };
    (0..9).map(level).collect()
}

fn deep() -> String {
    format!("a: {}{}\n", "[".repeat(100_000), "]".repeat(100_000))
}

/// A listener whose router has a misspelt field, in line 11.
const LISTENER: &str = r#"name: front
address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
filter_chains:
  - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          http_filters:
            - name: envoy.filters.http.router
              typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, start_child_spam: true}
          route_config: {name: front}
"#;
const ROUTES: &str = "name: front\nvirtual_hosts:\n  - name: all\n    domains: [\"*\"]\n    \
                      routes:\n      - {match: {prefix: /}, route: {cluster: nowhere}}\n";

fn syntax() -> Vec<Case> {
    let check = "checks:\n  - {name: a, name: b, request: {path: /}, expect: {status: 200}}\n";
    vec![
        case(CLUSTERS, "name: a\nconnect_timeout: [1s\n", ":2:18: ", "yaml-syntax"),
        case(BETA, "a: [1\n", ":1:4: ", "yaml-syntax"),
        case("convoy.yaml", "stages: [\n", ":1:9: ", "yaml-syntax"),
        case(CLUSTERS, "name: a\nname: b\n", ":2:1: ", "duplicate-key"),
        case(BETA, "a: 1\na: 2\n", ":2:1: ", "duplicate-key"),
        case("convoy.yaml", format!("{ONE_STAGE}stages: []\n"), ":3:1: ", "duplicate-key"),
        case(CHECKS, check, ":2:15: ", "duplicate-key"),
        case(CLUSTERS, bomb(), ":", "yaml-budget"),
        case(BETA, bomb(), ":", "yaml-budget"),
        case("convoy.yaml", bomb(), ":", "yaml-budget"),
        case(CLUSTERS, deep(), ":1:", "yaml-budget"),
        case(CLUSTERS, format!("a: {}x\n", "- ".repeat(100_000)), ":1:", "yaml-syntax"),
        case(CLUSTERS, format!("a:\n  {}x\n", "- ".repeat(100_000)), ":2:", "yaml-budget"),
        case(BETA, deep(), ":1:", "yaml-budget"),
        case("convoy.yaml", deep(), ":1:", "yaml-budget"),
        case(CHECKS, deep(), ":1:", "yaml-budget"),
        case(CHECKS, bomb(), ":", "yaml-budget"),
        case(CHECKS, format!("a:\n  {}x\n", "- ".repeat(100_000)), ":2:", "yaml-budget"),
        case(BETA, format!("a:\n  {}x\n", "- ".repeat(100_000)), ":2:", "yaml-budget"),
        case(CLUSTERS, "#".repeat(50 << 20), ": ", "file-too-large"),
    ]
}

fn meaning() -> Vec<Case> {
    let check =
        "checks:\n  - {name: a, stages: [bta], request: {path: /}, expect: {status: 200}}\n";
    let loops = "#% for a in range(9999)\n#% for b in range(9999)\n#% for c in range(9999)\n\
                 #% endfor\n#% endfor\n#% endfor\nname: a\n";
    vec![
        case(CLUSTERS, "name: a\nalt_stat_name: ${{ usrs }}\n", ":2:20: ", "undefined-variable"),
        case(CLUSTERS, loops, ":", "template-budget"),
        case("resources/listeners/front.yaml", LISTENER, ":11:", "unknown-field"),
        case("resources/routes/front.yaml", ROUTES, ":", "missing-cluster"),
        case("resources/clusters/z.yaml", CLUSTER, ":1:1: ", "duplicate-name"),
        case("values/bta.yaml", "a: 1\n", ": ", "unknown-stage"),
        case(CHECKS, check, ":2:5: ", "unknown-stage"),
        case("convoy.yaml", "stages: []\n", ":", "no-stages"),
        case("convoy.yaml", format!("{ONE_STAGE}enovy: [1.40.0]\n"), ":3:1: ", "unknown-field"),
    ]
}

fn write(folder: &Path, path: &str, content: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Exit code, stdout and stderr of `convoy validate`.
fn validate(folder: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(program()).arg("validate").arg(folder).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_mistake_of_a_folder_is_told_with_its_place() {
    for Case { file, content, told, rule } in syntax().into_iter().chain(meaning()) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "convoy.yaml", ONE_STAGE);
        write(folder.path(), "resources/clusters/users.yaml", CLUSTER);
        write(folder.path(), file, &content);
        let (code, out, err) = validate(folder.path());
        let what = content.chars().take(60).collect::<String>();
        assert_eq!(code, Some(3), "{what}: {out}{err}");
        let begin = format!("{file}{told}");
        let of_file =
            |line: &&str| line.starts_with(&begin) && line.ends_with(&format!("[{rule}]"));
        let lines = out.lines().filter(|line| line.contains("error: ")).collect::<Vec<_>>();
        assert!(lines.iter().any(of_file), "{what}: {begin} … [{rule}]\n{out}{err}");
        assert_eq!(lines.len(), 1, "one mistake is one problem: {out}");
        assert!(lines[0].len() < 400, "a message is for people: {out}");
    }
}

#[test]
fn a_folder_without_a_manifest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "resources/clusters/users.yaml", CLUSTER);
    let (code, out, err) = validate(folder.path());
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains(folder.path().to_str().unwrap()), "{err}");
    assert!(err.contains("has no convoy.yaml") && err.contains("hint: "), "{err}");
}
