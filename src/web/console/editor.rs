//! The editor: a text, what is wrong with it in every stage, and saving it.
//! The draft lives in the form alone, so that no answer can lose it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::diffs::{DiffLine, lines};
use super::files::{Crumb, crumbs, parse};
use crate::access::Right;
use crate::model::{CommitId, FilePath, Finding, Problem, RepoName, Revision, Stage};
use crate::store::StoreError;
use crate::web::Site;
use crate::web::api::revision_or_head;
use crate::web::auth::Caller;
use crate::web::edits::{self, ChangeIn, Edit, Saved, Verdict};
use crate::web::error::Fault;
use crate::web::extract::{Path, Posted, Query, encode_path, repo_name};

#[derive(Deserialize)]
pub(super) struct EditQuery {
    #[serde(default)]
    revision: String,
}

#[derive(Deserialize)]
pub(super) struct EditForm {
    base: Revision,
    content: String,
    #[serde(default)]
    message: String,
    /// `check` or `save`.
    action: String,
    /// Set by a person who saves in spite of problems.
    anyway: Option<String>,
}

#[derive(Serialize)]
struct EditorPage {
    repo: RepoName,
    path: FilePath,
    crumbs: Vec<Crumb>,
    base: Revision,
    is_new: bool,
    /// Saving makes a branch of the upstream, not a commit.
    mirrored: bool,
    content: String,
    message: String,
    verdict: Option<Shown>,
    /// Saving was refused because of problems; the form offers to insist.
    refused: bool,
    conflict: Option<Conflict>,
}

/// The verdict, told apart by file.
#[derive(Serialize)]
struct Shown {
    ok: bool,
    stages: Vec<Stage>,
    here: Vec<Problem>,
    elsewhere: Vec<Problem>,
    findings: Vec<Finding>,
}

/// Somebody else changed the file meanwhile.
#[derive(Serialize)]
struct Conflict {
    base: Revision,
    head: Revision,
    /// From the version that was edited to theirs.
    theirs: Vec<DiffLine>,
}

#[derive(Serialize)]
struct ProposedPage {
    repo: RepoName,
    path: FilePath,
    branch: String,
    commit: CommitId,
    compare_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NewQuery {
    #[serde(default)]
    path: String,
}

/// Leads to the editor of a file that need not be there.
pub(super) async fn new(
    Path((project, repo)): Path<(String, String)>,
    Query(query): Query<NewQuery>,
) -> Result<Redirect, Fault> {
    let (repo, path) = (repo_name(&project, &repo)?, FilePath::new(query.path.trim())?);
    Ok(Redirect::to(&format!("/r/{repo}/edit/{}", encode_path(path.as_str()))))
}

pub(super) async fn show(
    State(site): State<Site>,
    Path((project, repo, path)): Path<(String, String, String)>,
    Query(query): Query<EditQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let (repo, path) = (repo_name(&project, &repo)?, FilePath::new(&path)?);
    caller.may(&site, Right::Write, &repo, Some(&path))?;
    let base = revision_or_head(&site, &repo, parse(&query.revision)?)?;
    let text = text_at(&site, &repo, base, &path)?;
    let is_new = text.is_none();
    let content = text.unwrap_or_default();
    let mut page = EditorPage::of(&site, repo, path, base, content);
    page.is_new = is_new;
    site.pages.render("editor.html", Some(&caller), page)
}

pub(super) async fn submit(
    State(site): State<Site>,
    Path((project, repo, path)): Path<(String, String, String)>,
    posted: Posted<EditForm>,
) -> Result<Response, Fault> {
    let (repo, path) = (repo_name(&project, &repo)?, FilePath::new(&path)?);
    posted.caller.may(&site, Right::Write, &repo, Some(&path))?;
    let before = text_at(&site, &repo, posted.form.base, &path)?;
    let content = with_line_ends(&posted.form.content, before.as_deref());
    let mut page = EditorPage::of(&site, repo, path, posted.form.base, content);
    page.is_new = before.is_none();
    page.message = posted.form.message.clone();
    let verdict = edits::verdict(&site, &page.repo, Some(page.base), page.changes()).await?;
    let hold = !verdict.ok && posted.form.anyway.is_none();
    page.verdict = Some(Shown::of(verdict, &page.path));
    if posted.form.action != "save" {
        return answer(&site, &posted.caller, StatusCode::OK, page);
    }
    if let Some(conflict) = conflict(&site, &page, before.as_deref())? {
        page.base = conflict.head;
        page.conflict = Some(conflict);
        return answer(&site, &posted.caller, StatusCode::CONFLICT, page);
    }
    if hold {
        page.refused = true;
        return answer(&site, &posted.caller, StatusCode::UNPROCESSABLE_ENTITY, page);
    }
    let EditorPage { repo, path, .. } = &page;
    let edit = Edit {
        repo: repo.clone(),
        base: page.base,
        changes: page.changes(),
        message: page.message.clone(),
    };
    match edits::save(&site, &posted.actor()?, edit).await? {
        Saved::Committed { revision, .. } => {
            let path = encode_path(path.as_str());
            let address = format!("/r/{repo}/files/{path}?revision={revision}");
            Ok(Redirect::to(&address).into_response())
        }
        Saved::Proposed { branch, commit, compare_url } => {
            let (repo, path) = (repo.clone(), path.clone());
            let page = ProposedPage { repo, path, branch, commit, compare_url };
            Ok(site.pages.render("proposed.html", Some(&posted.caller), page)?.into_response())
        }
    }
}

fn answer(
    site: &Site,
    caller: &Caller,
    status: StatusCode,
    page: EditorPage,
) -> Result<Response, Fault> {
    Ok((status, site.pages.render("editor.html", Some(caller), page)?).into_response())
}

impl EditorPage {
    fn of(site: &Site, repo: RepoName, path: FilePath, base: Revision, content: String) -> Self {
        Self {
            mirrored: edits::is_mirrored(site, &repo),
            crumbs: crumbs(path.as_str()),
            repo,
            path,
            base,
            is_new: false,
            content,
            message: String::new(),
            verdict: None,
            refused: false,
            conflict: None,
        }
    }

    fn changes(&self) -> Vec<ChangeIn> {
        vec![ChangeIn { path: self.path.clone(), content: Some(self.content.clone()) }]
    }
}

impl Shown {
    fn of(verdict: Verdict, path: &FilePath) -> Self {
        let Verdict { ok, problems, findings, stages, .. } = verdict;
        let (here, elsewhere) =
            problems.into_iter().partition(|problem| problem.place.file == *path);
        Self { ok, stages, here, elsewhere, findings }
    }
}

/// A direct commit conflicts with any newer revision, since the store compares
/// heads; a proposal only with a newer version of the file.
fn conflict(
    site: &Site,
    page: &EditorPage,
    before: Option<&str>,
) -> Result<Option<Conflict>, Fault> {
    let head = site.web.store.head(&page.repo)?.revision;
    if head == page.base {
        return Ok(None);
    }
    let theirs = text_at(site, &page.repo, head, &page.path)?;
    if page.mirrored && theirs.as_deref() == before {
        return Ok(None);
    }
    let (old, new) = (before.unwrap_or(""), theirs.as_deref().unwrap_or(""));
    let diff = TextDiff::from_lines(old, new).unified_diff().context_radius(3).to_string();
    Ok(Some(Conflict { base: page.base, head, theirs: lines(&diff) }))
}

/// The file's text; `None` where it is not there.
fn text_at(
    site: &Site,
    repo: &RepoName,
    revision: Revision,
    path: &FilePath,
) -> Result<Option<String>, Fault> {
    if revision == Revision::default() {
        return Ok(None);
    }
    match site.web.store.read(repo, revision, path) {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(Fault::invalid(
                format!("`{path}` is not text"),
                "change it in a clone of the repository",
            )),
        },
        Err(StoreError::NoFile { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Browsers send a text area's lines with CR LF; files keep what they had.
fn with_line_ends(sent: &str, before: Option<&str>) -> String {
    let text = sent.replace("\r\n", "\n");
    match before {
        Some(before) if before.contains("\r\n") => text.replace('\n', "\r\n"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Place;
    use crate::web::board::tests::{repo, stage};
    use crate::web::console::pages::tests::page;

    fn editor(verdict: Option<Shown>) -> EditorPage {
        let path = FilePath::new("resources/clusters/a.yaml").expect("a path");
        EditorPage {
            repo: repo(),
            crumbs: crumbs(path.as_str()),
            path,
            base: Revision(4),
            is_new: false,
            mirrored: true,
            content: "\nname: </textarea><script>".into(),
            message: String::new(),
            verdict,
            refused: false,
            conflict: None,
        }
    }

    #[test]
    fn browsers_do_not_change_line_ends() {
        assert_eq!(with_line_ends("a\r\nb", Some("x\ny")), "a\nb");
        assert_eq!(with_line_ends("a\r\nb", Some("x\r\ny")), "a\r\nb");
        assert_eq!(with_line_ends("a\r\nb", None), "a\nb");
    }

    #[test]
    fn a_draft_comes_back_as_it_was() {
        let html = page("editor.html", editor(None));
        // A browser drops the first line end of a text area, so there is one more.
        let area = html.split("<textarea").nth(1).and_then(|rest| rest.split_once('>'));
        let (_, text) = area.expect("a text area");
        assert!(text.starts_with("\n\nname: &lt;/textarea&gt;"), "{text}");
        assert!(html.contains("Propose branch"), "{html}");
    }

    #[test]
    fn problems_are_shown_with_their_places() {
        let problem = |file: &str| {
            let file = FilePath::new(file).expect("a path");
            let place = Place { file, line: 7, column: 3 };
            Problem::new(place, "unknown-field", "no field `tiemout`").with_hint("did you mean")
        };
        let verdict = Verdict {
            revision: Revision(4),
            ok: false,
            problems: vec![problem("resources/clusters/a.yaml"), problem("values/beta.yaml")],
            findings: Vec::new(),
            stages: vec![stage("beta")],
        };
        let path = FilePath::new("resources/clusters/a.yaml").expect("a path");
        let shown = Shown::of(verdict, &path);
        assert_eq!((shown.here.len(), shown.elsewhere.len()), (1, 1));
        let html = page("editor.html", editor(Some(shown)));
        for part in [r#"data-line="7""#, r#"data-column="3""#, "/files/values/beta.yaml", "#L7"] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }
}
