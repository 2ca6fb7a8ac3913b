//! `convoy ci` and `convoy smoke` as programs: what a pipeline sees of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::convoy::program;

const MANIFEST: &str = "stages:\n  - name: beta\n    auto: true\nenvoy: ['1.40.0']\n";
const LISTENER: &str = r#"
name: front
address: {socket_address: {address: 0.0.0.0, port_value: 80}}
filter_chains:
- filters:
  - name: http
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: front
      route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 204}}]}]}
      http_filters:
      - name: router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

fn check(status: u16) -> String {
    format!("checks:\n- name: answers\n  request: {{path: /}}\n  expect: {{status: {status}}}\n")
}

/// A repository whose check expects `status`; the listener answers 204.
fn repository(status: u16) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("mesh/convoy.yaml", MANIFEST.to_owned()),
        ("mesh/resources/listeners/front.yaml", LISTENER.to_owned()),
        ("mesh/checks/front.yaml", check(status)),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn convoy(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.current_dir(dir).args(arguments).env_remove("GITHUB_ACTIONS");
    command.output().expect("convoy can be run")
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What Python's parser finds in a JUnit file: tests, failures, errors.
fn junit(path: &Path) -> String {
    let script = "import sys, xml.etree.ElementTree as e\n\
                  s = e.parse(sys.argv[1]).getroot().findall('testsuite')\n\
                  print(*[(x.get('name'), len(x), len(x.findall('.//failure')), x.get('failures')) for x in s])";
    let python = std::env::var("CONVOY_PY").expect("CONVOY_PY names a Python");
    let read = Command::new(python).args(["-c", script]).arg(path).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    String::from_utf8_lossy(&read.stdout).trim().to_owned()
}

#[test]
fn a_sound_checkout_passes_and_leaves_evidence() {
    let dir = repository(204);
    let arguments = ["ci", "mesh", "--junit", "out.xml", "--evidence", "kept", "--cache", "cache"];
    let output = convoy(dir.path(), &arguments);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("ok: 1 cell, 0 errors"), "{stdout}");
    assert_eq!(
        junit(&dir.path().join("out.xml")),
        "('convoy validate', 1, 0, '0') ('convoy smoke', 1, 0, '0')"
    );
    let kept = dir.path().join("kept/beta-1.40.0/default");
    assert!(fs::read_to_string(kept.join("config_dump.json")).unwrap().contains("\"front\""));
    fs::remove_dir_all(dir.path().join("kept")).unwrap();
    let again =
        convoy(dir.path(), &["ci", "mesh", "--cache", "cache", "--evidence", "kept", "--json"]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["cells"][0]["cached"], true, "{report}");
    assert!(kept.join("envoy.log").exists(), "what is known from before has its evidence too");
}

#[test]
fn a_check_that_fails_is_told_where_it_is_written() {
    let dir = repository(200);
    let output = convoy(dir.path(), &["ci", "mesh", "--junit", "out.xml"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    let line = "mesh/checks/front.yaml:2:3: error: beta × 1.40.0: check `answers` \
                (checks/front.yaml:2:3): expected status 200, got 204";
    assert!(stderr.contains(line), "{stderr}");
    assert_eq!(
        junit(&dir.path().join("out.xml")),
        "('convoy validate', 1, 0, '0') ('convoy smoke', 1, 1, '1')"
    );
    let output = convoy(dir.path(), &["ci", "mesh", "--annotations", "github"]);
    let (_, stderr) = texts(&output);
    assert!(stderr.contains("::error file=mesh/checks/front.yaml,line=2,col=3::beta"), "{stderr}");
}

#[test]
fn a_mistake_is_told_and_nothing_is_booted() {
    let dir = repository(204);
    let listener = dir.path().join("mesh/resources/listeners/front.yaml");
    fs::write(&listener, LISTENER.replace("stat_prefix", "stat_prefxi")).unwrap();
    let output = convoy(dir.path(), &["ci", "mesh", "--junit", "out.xml"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{stdout}{stderr}");
    assert!(stderr.contains("mesh/resources/listeners/front.yaml:9:"), "{stderr}");
    assert!(stderr.contains("stat_prefxi"), "{stderr}");
    assert!(stdout.contains("nothing was booted"), "{stdout}");
    let counted = junit(&dir.path().join("out.xml"));
    assert!(counted.ends_with("('convoy smoke', 0, 0, '0')"), "{counted}");
}

#[test]
fn a_pipeline_can_be_printed_and_parsed() {
    let dir = repository(204);
    for (system, key) in [("drone", "steps"), ("github", "jobs")] {
        let output = convoy(dir.path(), &["ci", "mesh", "--emit", system, "--image", "x/convoy:1"]);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let pipeline: Value = serde_yaml::from_str(&stdout).unwrap();
        assert!(!pipeline[key].is_null(), "{stdout}");
        assert!(stdout.contains("convoy envoy install 1.40.0"), "{stdout}");
        assert!(stdout.contains("convoy ci mesh --junit"), "{stdout}");
    }
}

/// Runs `convoy smoke` as somebody who is not root, who needs a user
/// namespace for his fence.
#[test]
fn anybody_gets_a_fence_where_the_kernel_gives_user_namespaces() {
    let dir = repository(204);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), open).unwrap();
    // Where everybody may read: a checkout may be below a folder of root's.
    let copy = dir.path().join("convoy");
    fs::copy(program(), &copy).unwrap();
    let is_root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    let mut command = match is_root {
        true => Command::new("setpriv"),
        false => Command::new("env"),
    };
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    let temporary = dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&temporary, everybody).unwrap();
    command.arg(&copy).args(["--json", "smoke", "mesh"]);
    let output = command.current_dir(dir.path()).env("TMPDIR", &temporary).output().unwrap();
    let (stdout, stderr) = texts(&output);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"));
    assert_eq!(report["passed"], true, "{stdout}{stderr}");
    assert_eq!(report["cells"][0]["proof"].get("unfenced"), None, "{stdout}");
}

/// A disk without room is the machine's fault and never the configuration's.
#[test]
fn a_full_disk_is_an_error_with_its_name() {
    let dir = repository(204);
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k none {0} && head -c 65536 /dev/zero > {0}/full 2>/dev/null; \
         TMPDIR={0} exec {1} smoke mesh",
        small.display(),
        program()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let output =
        command.current_dir(dir.path()).output().expect("unshare is of Debian's util-linux");
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    let told = format!("{stdout}{stderr}");
    assert!(told.contains("No space left on device"), "{told}");
    assert!(!told.contains("beta × 1.40.0: failed"), "{told}");
}
