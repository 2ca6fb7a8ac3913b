//! Edits over the JSON API and in the console: single files are checked, what
//! two people changed is merged or shown, and nothing is lost.

use super::*;

const NOTES: &str = "notes.txt";
const LINES: &str = "1\n2\n3\n4\n5\n";

impl Site {
    async fn commit(&self, base: u64, changes: Value) -> (StatusCode, Value) {
        self.commit_as(json!({ "base_revision": base, "changes": changes, "message": "m" })).await
    }

    async fn commit_as(&self, body: Value) -> (StatusCode, Value) {
        self.json(post(&format!("{REPO}/commits"), "operator", &body)).await
    }

    async fn text(&self, path: &str) -> Value {
        self.json(get(&format!("{REPO}/files/{path}"), "reader")).await.1["content"].clone()
    }
}

fn upsert(path: &str, content: &str) -> Value {
    json!({ "path": path, "content": content })
}

#[tokio::test]
async fn edits_of_different_files_do_not_collide() {
    let site = Site::start().await;
    assert_eq!(site.commit(1, json!([upsert("a", "1")])).await.0, StatusCode::OK);
    let (status, answer) = site.commit(1, json!([upsert("b", "1")])).await;
    assert_eq!((status.as_u16(), &answer["revision"]), (200, &json!(3)), "{answer}");
    let (status, answer) = site.commit(1, json!([upsert("a", "2")])).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let error = &answer["error"];
    let expect = json!({ "path": "a", "head": 3, "revision": 2, "author": "operator" });
    assert_eq!(error["conflict"], expect);
    let says = "`a` in `mesh/config` was made after revision 1: by operator in revision 2";
    assert_eq!(error["message"], says);
}

#[tokio::test]
async fn every_form_of_a_change_is_taken() {
    let site = Site::start().await;
    let changes = json!([
        upsert("a.json", "{\"n\": 1}"),
        upsert("dir/notes.txt", LINES),
        { "path": "a.json", "json_patch": [{ "op": "replace", "path": "/n", "value": 2 }] },
        { "path": "dir/notes.txt", "text_patch": "@@ -1,2 +1,2 @@\n-1\n+one\n 2\n" },
        { "rename": { "from": "dir", "to": "moved" } },
    ]);
    let body = json!({ "changes": changes });
    let (status, answer) = site.json(post(&format!("{REPO}/validate"), "reader", &body)).await;
    assert_eq!((status.as_u16(), &answer["ok"]), (200, &json!(true)), "{answer}");
    let (status, answer) = site.commit(1, changes).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(site.text("a.json").await, "{\n  \"n\": 2\n}\n");
    assert_eq!(site.text("moved/notes.txt").await, "one\n2\n3\n4\n5\n");
    let blob = "0".repeat(40);
    for (expected, status) in [
        (json!("absent"), 409),
        (json!(blob), 409),
        (json!(1), 409),
        (json!(2), 200),
        (json!(99), 404),
        (json!(true), 422),
    ] {
        let change = json!([{ "path": "a.json", "content": "{}", "expected": expected }]);
        let (found, answer) = site.commit(1, change).await;
        assert_eq!(found.as_u16(), status, "{expected} {answer}");
    }
    for (change, status, part) in [
        (json!({ "path": "none", "content": null }), 409, "is not there"),
        (json!({ "path": "a.json", "text_patch": "x" }), 422, "not a unified diff"),
        (json!({ "rename": { "from": "a.json", "to": "moved" } }), 409, "there already"),
        (json!({ "path": "a/GIT~1", "content": "" }), 422, "Git keeps the name"),
    ] {
        let (found, answer) = site.commit(3, json!([change])).await;
        assert_eq!(found.as_u16(), status, "{answer}");
        assert!(answer["error"]["message"].as_str().expect("text").contains(part), "{answer}");
    }
}

#[tokio::test]
async fn edits_are_merged_only_where_it_is_asked_for() {
    let site = Site::start().await;
    let body = |content: &str, merge: bool| json!({ "base_revision": 2, "changes": [upsert(NOTES, content)], "message": "m", "merge": merge });
    site.commit(1, json!([upsert(NOTES, LINES)])).await;
    site.commit(2, json!([upsert(NOTES, "one\n2\n3\n4\n5\n")])).await;
    let (status, _) = site.commit_as(body("1\n2\n3\n4\nfive\n", false)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, answer) = site.commit_as(body("1\n2\n3\n4\nfive\n", true)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(site.text(NOTES).await, "one\n2\n3\n4\nfive\n");
    let (status, answer) = site.commit_as(body("eins\n2\n3\n4\n5\n", true)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let marked = answer["error"]["conflict"]["marked"].as_str().expect("a text");
    for part in ["<<<<<<< revision 4\none\n", "=======\neins\n>>>>>>> your edit\n"] {
        assert!(marked.contains(part), "{marked}");
    }
}

/// A session of the console.
struct Session {
    site: Site,
    cookie: String,
    csrf: String,
}

impl Session {
    async fn start() -> Self {
        let site = Site::start().await;
        let origin = ("origin", "http://convoy.example.com");
        let response = site.send(form("/login", &[origin], "token=operator&next=/")).await;
        let cookie = response.headers()["set-cookie"].to_str().expect("text");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let request = Request::get("/").header("cookie", &cookie).body(Body::empty());
        let page = text_of(site.send(request.expect("a request")).await).await;
        let csrf = page.split(r#"name="csrf" content=""#).nth(1).expect("a token");
        let csrf = csrf.split('"').next().expect("a token").to_owned();
        Self { site, cookie, csrf }
    }

    /// Saves a draft; the answer's status and page.
    async fn save(&self, base: u64, content: &str, more: &str) -> (u16, String) {
        let fields = [
            ("csrf", self.csrf.as_str()),
            ("base", &base.to_string()),
            ("content", content),
            ("message", "m"),
            ("action", "save"),
        ];
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let headers = [("cookie", self.cookie.as_str()), ("origin", "http://convoy.example.com")];
        let path = format!("/r/mesh/config/edit/{NOTES}");
        let request = form(&path, &headers, &format!("{}{more}", body.finish()));
        let response = self.site.send(request).await;
        (response.status().as_u16(), text_of(response).await)
    }
}

async fn text_of(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// What stands in the page's editor.
fn draft(page: &str) -> String {
    let area = page.split(r#"<textarea id="content""#).nth(1).expect("an editor");
    let text = area.split_once(">\n").expect("its text").1.split("</textarea>").next();
    let text = text.expect("its end").replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&#x2f;", "/").replace("&amp;", "&")
}

#[tokio::test]
async fn the_editor_overwrites_nobody_and_loses_no_line() {
    let session = Session::start().await;
    let site = &session.site;
    site.commit(1, json!([upsert(NOTES, LINES)])).await;
    site.commit(2, json!([upsert("elsewhere", "1")])).await;
    // Another file changed: no conflict.
    let (status, page) = session.save(2, "1\n2\n3\n4\nfive\n", "").await;
    assert_eq!(status, 303, "{page}");
    // Other lines changed: merged, shown, and saved by the next click.
    let (status, page) = session.save(2, "one\n2\n3\n4\n5\n", "").await;
    assert_eq!(status, 409);
    assert!(page.contains("was merged with it") && page.contains("operator"), "{page}");
    assert!(page.contains(r#"name="base" value="4""#));
    let merged = draft(&page);
    assert_eq!(merged, "one\n2\n3\n4\nfive\n");
    assert_eq!(session.save(4, &merged, "").await.0, 303);
    // The same lines: both are there, and marks are not saved by mistake.
    let (status, page) = session.save(2, "1\n2\n3\n4\nfünf\n", "").await;
    assert_eq!(status, 409);
    let marked = draft(&page);
    for part in ["<<<<<<< revision 5\n", "five\n", "=======\nfünf\n>>>>>>> your draft\n"] {
        assert!(marked.contains(part), "{marked}");
    }
    let (status, page) = session.save(5, &marked, "").await;
    assert_eq!((status, draft(&page)), (422, marked.clone()));
    assert_eq!(session.save(5, &marked, "&anyway=yes").await.0, 303);
    // Removed meanwhile: the draft stays, and makes the file anew.
    site.commit(6, json!([{ "path": NOTES, "content": null }])).await;
    let (status, page) = session.save(6, "mine\n", "").await;
    assert_eq!((status, draft(&page)), (409, "mine\n".to_owned()));
    assert!(page.contains("was removed"), "{page}");
    assert_eq!(session.save(7, "mine\n", "").await.0, 303);
    assert_eq!(site.text(NOTES).await, "mine\n");
}
