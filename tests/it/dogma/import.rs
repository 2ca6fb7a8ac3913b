//! `convoy import centraldogma`: from a data folder that real git wrote, and
//! from a running server; killed on the way, repeated, refused.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::{Api, text, upsert};
use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::process::{git, git_with};

/// One commit: summary, detail, markup, and what it writes (`None` removes).
type Commit<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, Option<&'a str>)]);

/// Writes a repository as Central Dogma would: one branch, each message a JSON
/// document, the first commit empty.
fn repository(dir: &Path, commits: &[Commit<'_>]) {
    std::fs::create_dir_all(dir).expect("a folder");
    git(dir, &["init", "--bare", "--quiet", "--initial-branch=master"]);
    let mut stream = String::new();
    let first: Commit<'_> = ("Create a new repository", "", "PLAINTEXT", &[]);
    for (number, (summary, detail, markup, files)) in [first].iter().chain(commits).enumerate() {
        let revision = number + 1;
        let message = json!({
            "summary": summary, "detail": detail, "markup": markup,
            "revision": revision.to_string(),
        });
        let message = message.to_string();
        let who = format!("Minwoo <minu.jin@example.com> {} +0000", 1_500_000_000 + revision);
        let _ = writeln!(stream, "commit refs/heads/master\nauthor {who}\ncommitter {who}");
        let _ = writeln!(stream, "data {}\n{message}", message.len());
        for (path, content) in *files {
            let _ = match content {
                Some(content) => {
                    writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len())
                }
                None => writeln!(stream, "D {path}"),
            };
        }
        stream.push('\n');
    }
    git_with(dir, &["fast-import", "--quiet", "--force"], stream.as_bytes());
}

/// A server's data folder: two projects, one of them removed, and the
/// server's own.
fn data_folder(dir: &Path) {
    let commits: [Commit<'_>; 5] = [
        (
            "Add",
            "with\ndetail\n",
            "MARKDOWN",
            &[("a.json", Some("{\n  \"a\" : 1\n}\n")), ("d/b.txt", Some("one\n"))],
        ),
        ("Ändern", "", "PLAINTEXT", &[("d/b.txt", Some("two\n"))]),
        (
            "A file becomes a folder",
            "",
            "PLAINTEXT",
            &[("d/b.txt", None), ("d/b.txt/c.txt", Some("three\n"))],
        ),
        ("Nothing\n\nin two paragraphs", "and more", "PLAINTEXT", &[("a.json", None)]),
        ("Back", "", "PLAINTEXT", &[("a.json", Some("{\n  \"a\" : 1\n}\n"))]),
    ];
    repository(&dir.join("mesh/config"), &commits);
    repository(&dir.join("mesh/empty"), &[]);
    repository(&dir.join("mesh/gone.removed"), &commits[..1]);
    let metadata = json!({
        "name": "mesh",
        "repos": {"config": {"name": "config", "roles": {
            "projects": {"member": "READ", "guest": null},
            "users": {"bob@example.com": "WRITE"}, "appIds": {"ci": "READ"},
        }}},
        "members": {"ann@example.com": {"login": "ann@example.com", "role": "OWNER"}},
        "appIds": {"ci": {"appId": "ci", "role": "MEMBER"}},
    });
    let metadata = metadata.to_string();
    let file = [("metadata.json", Some(metadata.as_str()))];
    repository(&dir.join("mesh/dogma"), &[("Metadata", "", "PLAINTEXT", &file)]);
    repository(&dir.join("old.removed/config"), &commits[..2]);
    std::fs::create_dir_all(dir.join("older.purged")).expect("a folder");
    let tokens = json!({"appIds": {
        "ci": {"appId": "ci", "secret": "appToken-of-long-ago-0123456789", "systemAdmin": false},
        "dead": {"appId": "dead", "secret": "appToken-dead-0123456789", "deactivation": {}},
    }});
    let tokens = tokens.to_string();
    let file = [("tokens.json", Some(tokens.as_str()))];
    repository(&dir.join("dogma/dogma"), &[("Tokens", "", "PLAINTEXT", &file)]);
}

fn import(convoy: &Convoy, source: &str, data: &Path) -> Output {
    let mut command = convoy.command("import");
    command.args(["centraldogma", source, "--data"]).arg(data);
    command.output().expect("the program runs")
}

fn said(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

/// Trees, authors and times of a branch, as git reads them.
fn line(git_dir: &Path) -> String {
    let head = git(git_dir, &["symbolic-ref", "HEAD"]);
    git(git_dir, &["log", "--format=%T %an <%ae> %at", &head])
}

fn stored(data: &Path, repo: &str) -> std::path::PathBuf {
    data.join("repositories").join(format!("{repo}.git"))
}

#[test]
fn a_data_folder_comes_over_whole() {
    let source = tempfile::tempdir().expect("a folder");
    data_folder(source.path());
    let mut api = Api::open();
    let from = source.path().display().to_string();
    // Not while a server uses the folder.
    let refused = import(&api.convoy, &from, &api.convoy.data());
    assert_eq!(refused.status.code(), Some(6), "{}", said(&refused));
    assert!(said(&refused).contains("in use"), "{}", said(&refused));
    assert_eq!(api.convoy.stop(), Some(0));
    let data = api.convoy.data();
    let first = import(&api.convoy, &from, &data);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("mesh/config: 6 of 6 revisions brought"), "{}", said(&first));
    let again = import(&api.convoy, &from, &data);
    assert!(again.status.success(), "{}", said(&again));
    assert!(said(&again).contains("nothing was changed"), "{}", said(&again));
    for (theirs, ours) in [
        ("mesh/config", "mesh/config"),
        ("mesh/empty", "mesh/empty"),
        ("mesh/gone.removed", "mesh/gone"),
        ("old.removed/config", "old/config"),
    ] {
        let ours = stored(&data, ours);
        assert_eq!(line(&source.path().join(theirs)), line(&ours), "{theirs}");
        git(&ours, &["fsck", "--strict"]);
    }
    api.convoy.start_again();
    let at = "/projects/mesh/repos/config";
    let commits = api.get(&format!("{at}/commits")).json();
    let messages: Vec<_> =
        commits.as_array().into_iter().flatten().map(|one| &one["commitMessage"]).collect();
    let message = |summary: &str, detail: &str, markup: &str| json!({"summary": summary, "detail": detail, "markup": markup});
    assert_eq!(messages[5], &message("Create a new repository", "", "PLAINTEXT"));
    assert_eq!(messages[4], &message("Add", "with\ndetail\n", "MARKDOWN"));
    assert_eq!(messages[3], &message("Ändern", "", "PLAINTEXT"));
    assert_eq!(commits[0]["author"], json!({"name": "Minwoo", "email": "minu.jin@example.com"}));
    assert_eq!(commits[0]["pushedAt"], "2017-07-14T02:40:06Z");
    let raw = api.get(&format!("{at}/contents/a.json?revision=2&viewRaw=true")).json();
    assert_eq!(raw["rawContent"], "{\n  \"a\" : 1\n}\n");
    let removed = api.get("/projects/mesh/repos?status=removed").json();
    assert_eq!(removed, json!([{"name": "gone"}]));
    assert_eq!(api.get("/projects?status=removed").json(), json!([{"name": "old"}]));
    let metadata = api.get("/projects/mesh").json();
    assert_eq!(metadata["members"]["ann"]["role"], "OWNER", "{metadata}");
    let roles = &metadata["repos"]["config"]["roles"];
    assert_eq!(
        roles,
        &json!({
            "projects": {"member": "READ", "guest": null},
            "users": {"bob": "WRITE"}, "appIds": {"ci": "READ"},
        })
    );
    let tokens = api.get("/appIdentities").json();
    let ids: Vec<_> = tokens.as_array().into_iter().flatten().map(|one| &one["appId"]).collect();
    assert_eq!(ids, ["ci"]);
    // What is different now is told and left alone.
    let body = json!({"commitMessage": {"summary": "Ours"}, "changes": [text("/ours.txt", "x")]});
    assert_eq!(api.post(&format!("{at}/contents"), &body).status, 200);
    assert_eq!(api.convoy.stop(), Some(0));
    let before = line(&stored(&data, "mesh/config"));
    let refused = import(&api.convoy, &from, &data);
    assert_eq!(refused.status.code(), Some(6), "{}", said(&refused));
    assert!(said(&refused).contains("7 revisions here and 6 there"), "{}", said(&refused));
    assert_eq!(line(&stored(&data, "mesh/config")), before);
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let source = tempfile::tempdir().expect("a folder");
    let contents: Vec<String> = (0..150).map(|number| format!("{number}\n")).collect();
    let files: Vec<[(&str, Option<&str>); 1]> =
        contents.iter().map(|content| [("n.txt", Some(content.as_str()))]).collect();
    let commits: Vec<Commit<'_>> =
        files.iter().map(|files| ("Count", "", "PLAINTEXT", files.as_slice())).collect();
    for repo in ["one", "two"] {
        repository(&source.path().join("mesh").join(repo), &commits);
    }
    let mut api = Api::open();
    assert_eq!(api.convoy.stop(), Some(0));
    let data = api.convoy.data();
    let written = || {
        let journal = std::fs::read_dir(data.join("journal")).into_iter().flatten().flatten();
        journal.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum::<u64>()
    };
    for _ in 0..3 {
        let before = written();
        let mut command = api.convoy.command("import");
        command.arg("centraldogma").arg(source.path()).arg("--data").arg(&data);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut running = command.spawn().expect("the program runs");
        wait_for("some revisions to be brought", || {
            let ended = running.try_wait().ok().flatten().is_some();
            if ended || written() > before + 4096 { Ok(()) } else { Err(format!("{}", written())) }
        });
        let _ = running.kill();
        let _ = running.wait();
    }
    let last = import(&api.convoy, &source.path().display().to_string(), &data);
    assert!(last.status.success(), "{}", said(&last));
    for repo in ["mesh/one", "mesh/two"] {
        assert_eq!(line(&source.path().join(repo)), line(&stored(&data, repo)), "{repo}");
    }
}

#[test]
fn a_running_server_comes_over_whole() {
    let mut api = Api::with_repository();
    let body = |summary: &str, detail: &str, changes: Value| {
        json!({
            "commitMessage": {"summary": summary, "detail": detail, "markup": "MARKDOWN"},
            "changes": changes,
        })
    };
    let raw = |path: &str, kind: &str, content: &str| json!({"path": path, "type": kind, "rawContent": content});
    for push in [
        body("One", "", json!([upsert("/a.json", &json!({"a": 1})), text("/d/t.txt", "t")])),
        body("Two", "more\nwords", json!([raw("/a.json", "UPSERT_JSON", "{\"a\":1}")])),
        body(
            "Three",
            "",
            json!([
                raw("/b.yaml", "UPSERT_YAML", "# why\na: 1"),
                raw("/c.json5", "UPSERT_JSON", "{a: 1,}")
            ]),
        ),
        body("Four", "", json!([{"path": "/d", "type": "RENAME", "content": "/e"}])),
        body("Five", "", json!([{"path": "/a.json", "type": "REMOVE"}])),
    ] {
        assert_eq!(api.post("/projects/p/repos/r/contents", &push).status, 200, "{push}");
    }
    assert_eq!(api.post("/projects", &json!({"name": "empty"})).status, 201);
    let other = tempfile::tempdir().expect("a folder");
    let first = import(&api.convoy, &api.convoy.url(), other.path());
    assert!(first.status.success(), "{}", said(&first));
    let again = import(&api.convoy, &api.convoy.url(), other.path());
    assert!(said(&again).contains("nothing was changed"), "{}", said(&again));
    let commits = api.get("/projects/p/repos/r/commits").json();
    assert_eq!(api.convoy.stop(), Some(0));
    let data = api.convoy.data();
    assert_eq!(line(&stored(&data, "p/r")), line(&stored(other.path(), "p/r")));
    // The copy, served, tells the same.
    std::fs::rename(&data, data.with_extension("old")).expect("the folder moves");
    std::fs::rename(other.path(), &data).expect("the folder moves");
    api.convoy.start_again();
    assert_eq!(api.get("/projects/p/repos/r/commits").json(), commits);
    assert_eq!(api.get("/projects/empty/repos").status, 204);
}

#[test]
fn what_is_no_source_is_said() {
    let api = Api::open();
    let nowhere = tempfile::tempdir().expect("a folder");
    for (source, code, word) in [
        ("/nowhere/at/all", 5, "neither a URL nor a folder"),
        (nowhere.path().to_str().expect("a path"), 5, "holds no project"),
        ("http://127.0.0.1:1", 7, "no answer"),
    ] {
        let data = tempfile::tempdir().expect("a folder");
        let refused = import(&api.convoy, source, data.path());
        assert_eq!(refused.status.code(), Some(code), "{source}: {}", said(&refused));
        assert!(said(&refused).contains(word), "{source}: {}", said(&refused));
    }
}
