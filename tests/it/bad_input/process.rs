//! What keeps a server from starting, and what it gets over.

use std::path::Path;
use std::process::{Command, Output};

use crate::harness::convoy::{Convoy, free_port, program};
use crate::harness::upstream::{ADA, Upstream};

fn serve(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.env_clear().args(["serve", "--insecure-dev"]).args(arguments);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn secret(folder: &Path, name: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, "hidden-words").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// A file's text, and the parts that the message must have.
type Case = (String, &'static [&'static str]);

fn mistakes(folder: &Path) -> Vec<Case> {
    let upstream = |rest: &str| format!("repositories:\n  - name: mesh/config\n    {rest}\n");
    let case = |text: &str, parts: &'static [&'static str]| (text.to_owned(), parts);
    let slack = format!(
        "slack: {{channel: C1, signing_secret_files: [{}], bot_token_file: {}}}\n",
        secret(folder, "open", 0o644),
        secret(folder, "closed", 0o600)
    );
    vec![
        case(
            "repositorys: []\n",
            &["c.yaml:1:1: ", "`repositorys`", "did you mean `repositories`?"],
        ),
        (upstream("pol: 1s"), &["c.yaml:3:5: ", "`pol`", "did you mean `poll`?"]),
        (upstream("zzz: 1s"), &["c.yaml:3:5: ", "the keys here are name, upstream, poll, webhook"]),
        case("smoke: {}\nsmoke: {}\n", &["c.yaml:2:1: ", "`smoke` is there twice"]),
        case("listen: here\n", &["c.yaml:1:9: ", "write it as 127.0.0.1:7400"]),
        case("ack_deadline: soon\n", &["c.yaml:1:15: ", "`soon`", "30s"]),
        case("smoke: {parallel: 0}\n", &["c.yaml:1:", "`0`", "at least 1"]),
        case("log: {format: jsn}\n", &["c.yaml:1:15: ", "`jsn`", "did you mean `json`?"]),
        case("data: [\n", &["c.yaml:1:"]),
        (upstream("upstream: {url: 'ftp://x/y'}"), &["c.yaml:3:21: ", "ftp://x/y", "https://"]),
        (slack, &["/open: ", "open to every user", "chmod 600"]),
    ]
}

#[test]
fn every_mistake_of_the_configuration_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("c.yaml"), folder.path().join("data"));
    for (text, parts) in mistakes(folder.path()) {
        std::fs::write(&file, &text).unwrap();
        let arguments = ["--config", file.to_str().unwrap(), "--data", data.to_str().unwrap()];
        let output = serve(&arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {parts:?}: {said}");
        assert!(!said.contains("hidden-words"), "{said}");
        assert!(!data.exists(), "checked before anything is touched: {text}");
    }
}

#[test]
fn what_another_process_holds_is_named() {
    let convoy = Convoy::with().start();
    let ours = convoy.data();
    let http = convoy.url().replace("http://", "");
    let free = || format!("127.0.0.1:{}", free_port());
    let other = convoy.home().join("other");
    for (data, listen, xds, named) in [
        (&ours, free(), free(), format!("`{}` is in use by another process", ours.display())),
        (&other, http.clone(), free(), format!("can't listen on {http}")),
        (&other, free(), convoy.xds_address(), format!("listen on {}", convoy.xds_address())),
    ] {
        let data = data.to_str().unwrap();
        let output = serve(&["--data", data, "--listen", &listen, "--xds-listen", &xds]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&named), "{named}: {said}");
    }
    convoy.try_get("/readyz").unwrap();
}

#[test]
fn the_index_may_be_deleted() {
    let upstream = Upstream::start();
    let mut convoy = Convoy::with().upstream(&upstream.file_url(), "1s").start();
    let files = [("convoy.yaml", super::ONE_STAGE), ("resources/clusters/a.yaml", super::CLUSTER)];
    upstream.commit(&files, "one", ADA);
    let changed = super::CLUSTER.replace("1s", "2s");
    let last = upstream.commit(&[("resources/clusters/a.yaml", changed)], "two", ADA).to_string();
    convoy.wait_served("beta", &last);
    let shown = |convoy: &Convoy| {
        let card = convoy.stage("beta").unwrap();
        let revisions = convoy.get("/repos/mesh/config/revisions");
        (card["live"].clone(), revisions, convoy.get("/promotions?repo=mesh/config"))
    };
    let before = shown(&convoy);
    assert_eq!(convoy.stop(), Some(0));
    std::fs::remove_dir_all(convoy.data().join("index")).unwrap();
    convoy.start_again();
    assert_eq!(shown(&convoy), before);
}
