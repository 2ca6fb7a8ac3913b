//! Watching, in the forms that the Python client has no words for.

use serde_json::json;

use super::{Api, text, upsert};
use crate::harness::convoy::wait_for;

const FILE: &str = "/projects/p/repos/r/contents/a.json";
const ALL: &str = "/projects/p/repos/r/contents/**";

#[test]
fn headers_in_every_form_are_understood() {
    let api = Api::with_repository();
    api.push(&json!([upsert("/a.json", &json!({"a": 1}))]));
    for known in ["1", "\"1\"", "W/\"1\"", "-2"] {
        let headers = [("if-none-match", known), ("prefer", "wait=20")];
        let told = api.send("GET", ALL, &headers, "");
        assert_eq!((told.status, told.json()), (200, json!({"revision": 2})), "{known}");
        let told = api.send("GET", FILE, &headers, "").json();
        assert_eq!((&told["revision"], &told["entry"]["content"]), (&json!(2), &json!({"a": 1})));
        assert_eq!(told["entry"]["url"], "/api/v1/projects/p/repos/r/contents/a.json");
    }
    for (known, prefer, status, name) in [
        ("x", "wait=1", 400, "IllegalArgumentException"),
        ("0", "wait=1", 400, "IllegalArgumentException"),
        ("9", "wait=1", 404, "RevisionNotFoundException"),
        ("-9", "wait=1", 404, "RevisionNotFoundException"),
        ("2", "respond-async", 400, "IllegalArgumentException"),
        ("2", "wait=x", 400, "IllegalArgumentException"),
        ("2", "wait=0", 400, "IllegalArgumentException"),
        ("2", "wait=-1", 400, "IllegalArgumentException"),
    ] {
        let told = api.send("GET", FILE, &[("if-none-match", known), ("prefer", prefer)], "");
        assert_eq!(told.fault(), (status, name.to_owned()), "{known} {prefer}");
    }
    let nothing = api.send("GET", FILE, &[("if-none-match", "2"), ("prefer", "wait=1")], "");
    assert_eq!((nothing.status, nothing.text.as_str()), (304, ""));
}

#[test]
fn a_missing_entry_ends_the_watch_of_who_asks_for_that() {
    let api = Api::with_repository();
    let path = "/projects/p/repos/r/contents/none.json";
    for path in [path, "/projects/p/repos/r/contents/*.json"] {
        for prefer in
            ["wait=20, notify-entry-not-found=true", "notify-entry-not-found=true;wait=20"]
        {
            let told = api.send("GET", path, &[("if-none-match", "1"), ("prefer", prefer)], "");
            assert_eq!(told.fault(), (404, "EntryNotFoundException".into()), "{path}");
        }
    }
    let waits = api.send("GET", path, &[("if-none-match", "1"), ("prefer", "wait=1")], "");
    assert_eq!(waits.status, 304);
    // One that is removed while it is watched.
    api.push(&json!([text("/none.json", "{}")]));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let headers =
                [("if-none-match", "2"), ("prefer", "wait=30, notify-entry-not-found=true")];
            api.send("GET", path, &headers, "")
        });
        api.push(&json!([{"path": "/none.json", "type": "REMOVE"}]));
        let told = watch.join().expect("the watch ends");
        assert_eq!(told.fault(), (404, "EntryNotFoundException".into()));
    });
}

#[test]
fn what_changed_and_changed_back_wakes_nobody() {
    let api = Api::with_repository();
    api.push(&json!([upsert("/a.json", &json!({"a": 1}))]));
    api.push(&json!([upsert("/a.json", &json!({"a": 2}))]));
    api.push(&json!([upsert("/a.json", &json!({"a": 1}))]));
    for path in [FILE, ALL] {
        let told = api.send("GET", path, &[("if-none-match", "2"), ("prefer", "wait=1")], "");
        assert_eq!(told.status, 304, "{path}");
    }
    // Other white space is a change of the file, and none of what is in it.
    let spaced = json!([{"path": "/a.json", "type": "UPSERT_TEXT", "content": "{\"a\":1}"}]);
    api.push(&spaced);
    let told = api.send("GET", FILE, &[("if-none-match", "4"), ("prefer", "wait=1")], "");
    assert_eq!(told.status, 304);
    let told = api.send("GET", ALL, &[("if-none-match", "4"), ("prefer", "wait=20")], "");
    assert_eq!(told.json(), json!({"revision": 5}));
}

/// Waits until the server says that so many watches began.
fn wait_begun(api: &Api, count: usize) {
    wait_for("the watch to begin", || {
        let begun = api.convoy.log().matches("a watch begins").count();
        if begun >= count { Ok(()) } else { Err(format!("{begun} began")) }
    });
}

#[test]
fn a_watch_ends_when_the_server_does() {
    let mut api = Api::telling_of_watches();
    let url = api.url(ALL);
    let client = api.client.clone();
    let watch = std::thread::spawn(move || {
        let request = client.get(url).header("if-none-match", "1").header("prefer", "wait=50");
        request.send().map(|answer| answer.status().as_u16())
    });
    wait_begun(&api, 1);
    assert_eq!(api.convoy.stop(), Some(0));
    assert_eq!(watch.join().expect("the watch ends").ok(), Some(304));
}

#[test]
fn a_watch_ends_when_its_repository_is_removed() {
    let api = Api::telling_of_watches();
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let headers = [("if-none-match", "1"), ("prefer", "wait=50")];
            api.send("GET", FILE, &headers, "")
        });
        wait_begun(&api, 1);
        assert_eq!(api.delete("/projects/p/repos/r").status, 204);
        let told = watch.join().expect("the watch ends");
        assert_eq!(told.fault(), (404, "RepositoryNotFoundException".into()));
    });
}

#[test]
fn many_watches_wait_at_once_and_each_is_told_its_own() {
    let api = Api::with_repository();
    let paths: Vec<String> = (0..64).map(|number| format!("/f{number}.txt")).collect();
    let files: Vec<_> = paths.iter().map(|path| text(path, "old")).collect();
    api.push(&json!(files));
    std::thread::scope(|scope| {
        let watches: Vec<_> = paths
            .iter()
            .map(|path| {
                let api = &api;
                scope.spawn(move || {
                    let at = format!("/projects/p/repos/r/contents{path}");
                    api.send("GET", &at, &[("if-none-match", "2"), ("prefer", "wait=40")], "")
                })
            })
            .collect();
        for path in &paths {
            api.push(&json!([text(path, "new")]));
        }
        for (watch, path) in watches.into_iter().zip(&paths) {
            let told = watch.join().expect("the watch ends").json();
            assert_eq!(
                (&told["entry"]["path"], &told["entry"]["content"]),
                (&json!(path), &json!("new\n"))
            );
        }
    });
}
