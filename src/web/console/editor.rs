//! The editor: a text, what is wrong with it in every stage, and saving it.
//! The draft lives in the form alone, so that no answer can lose it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::diffs::{DiffLine, lines};
use super::files::{Crumb, crumbs, parse};
use crate::access::Right;
use crate::content;
use crate::model::{Change, FilePath, Finding, Problem, RepoName, Revision, Stage};
use crate::store::StoreError;
use crate::web::Site;
use crate::web::api::revision_or_head;
use crate::web::auth::Caller;
use crate::web::edits::{self, ChangeIn, Edit, Proposed, Saved, Verdict};
use crate::web::error::Fault;
use crate::web::extract::{InRepo, Path, Posted, Query, encode_path, repo_name};

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
    /// Saving was refused because conflict markers are left in the text.
    markers: bool,
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

/// Somebody else changed the file meanwhile. What is in the editor then holds
/// both: nothing that was typed or committed is lost.
#[derive(Serialize)]
struct Conflict {
    base: Revision,
    head: Revision,
    /// Who changed the file last, in which revision.
    author: Option<String>,
    revision: Option<Revision>,
    how: How,
    /// From the version that was edited to theirs.
    theirs: Vec<DiffLine>,
}

/// What became of the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum How {
    /// Both changed other lines, and both are in it.
    Merged,
    /// Both changed the same lines, which are marked in it.
    Marked,
    /// The file was removed; the draft is as it was.
    Removed,
}

#[derive(Serialize)]
struct ProposedPage {
    repo: RepoName,
    path: FilePath,
    base: Revision,
    #[serde(flatten)]
    proposed: Proposed,
}

#[derive(Deserialize)]
pub(super) struct NewQuery {
    #[serde(default)]
    path: String,
}

/// Leads to the editor of a file that need not be there.
pub(super) async fn new(
    InRepo(repo): InRepo,
    Query(query): Query<NewQuery>,
) -> Result<Redirect, Fault> {
    let (repo, path) = (repo, FilePath::new(query.path.trim())?);
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
        return answer(&site, &posted.caller, StatusCode::OK, &page);
    }
    if with_conflict(&site, &mut page, before.as_deref())? {
        return conflicted(&site, &posted.caller, page).await;
    }
    page.markers = has_markers(&page.content) && !has_markers(before.as_deref().unwrap_or(""));
    if (hold || page.markers) && posted.form.anyway.is_none() {
        page.refused = hold;
        return answer(&site, &posted.caller, StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    save(&site, &posted, page, before.as_deref()).await
}

async fn save(
    site: &Site,
    posted: &Posted<EditForm>,
    mut page: EditorPage,
    before: Option<&str>,
) -> Result<Response, Fault> {
    let edit = Edit {
        repo: page.repo.clone(),
        base: page.base,
        changes: page.changes(),
        // What comes of a merge is looked at before it is committed.
        merge: false,
        message: page.message.clone(),
    };
    match edits::save(site, &posted.caller, posted.origin()?, edit).await {
        Ok(Saved::Committed { revision, .. }) => {
            let path = encode_path(page.path.as_str());
            let address = format!("/r/{}/files/{path}?revision={revision}", page.repo);
            Ok(Redirect::to(&address).into_response())
        }
        Ok(Saved::Proposed(proposed)) => {
            let EditorPage { repo, path, base, .. } = page;
            let page = ProposedPage { repo, path, base, proposed: *proposed };
            Ok(site.pages.render("proposed.html", Some(&posted.caller), page)?.into_response())
        }
        // Somebody was faster by a moment.
        Err(fault) => {
            if fault.conflict.is_some() && with_conflict(site, &mut page, before)? {
                return conflicted(site, &posted.caller, page).await;
            }
            Err(fault)
        }
    }
}

/// Shows what became of the draft, and what that would come to.
async fn conflicted(site: &Site, caller: &Caller, mut page: EditorPage) -> Result<Response, Fault> {
    let verdict = edits::verdict(site, &page.repo, Some(page.base), page.changes()).await?;
    page.verdict = Some(Shown::of(verdict, &page.path));
    answer(site, caller, StatusCode::CONFLICT, &page)
}

fn answer(
    site: &Site,
    caller: &Caller,
    status: StatusCode,
    page: &EditorPage,
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
            markers: false,
            conflict: None,
        }
    }

    fn changes(&self) -> Vec<ChangeIn> {
        let change = Change::Upsert(self.path.clone(), self.content.clone().into());
        vec![ChangeIn { change, expected: None }]
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

/// Where the file is not as it was in the revision that was edited: the page
/// gets both edits into its text, on top of the head. `false`: it is as it was.
fn with_conflict(site: &Site, page: &mut EditorPage, before: Option<&str>) -> Result<bool, Fault> {
    let store = &site.web.store;
    let head = store.head(&page.repo)?.revision;
    let theirs = text_at(site, &page.repo, head, &page.path)?;
    if theirs.as_deref() == before || theirs.as_ref() == Some(&page.content) {
        return Ok(false);
    }
    let (old, new) = (before.unwrap_or(""), theirs.as_deref().unwrap_or(""));
    let diff = content::text_diff(old, new);
    let (text, how) = match theirs.as_deref() {
        None => (page.content.clone(), How::Removed),
        Some(theirs) => match content::merge_three(old, theirs, &page.content) {
            Ok(merged) => (merged, How::Merged),
            Err(conflict) => (with_sides(&conflict.marked, head, page.base), How::Marked),
        },
    };
    let infos = store.history(&page.repo, Some(head), Some(&page.path), 1)?;
    page.conflict = Some(Conflict {
        base: page.base,
        head,
        author: infos.first().map(|info| info.author_name.clone()),
        revision: infos.first().map(|info| info.revision),
        how,
        theirs: lines(&diff),
    });
    (page.content, page.base, page.is_new) = (text, head, theirs.is_none());
    Ok(true)
}

/// Says at the markers which side is which.
fn with_sides(marked: &str, head: Revision, base: Revision) -> String {
    let side = |line: &str| match line.trim_end() {
        "<<<<<<< ours" => format!("<<<<<<< revision {head}\n"),
        "||||||| original" => format!("||||||| revision {base}\n"),
        ">>>>>>> theirs" => ">>>>>>> your draft\n".into(),
        _ => line.to_owned(),
    };
    marked.split_inclusive('\n').map(side).collect()
}

/// Whether a text holds all the markers of a conflict.
fn has_markers(text: &str) -> bool {
    let begins = |mark: &str| text.lines().any(|line| line.starts_with(mark));
    begins("<<<<<<< ") && begins("||||||| ") && begins(">>>>>>> ")
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
            markers: false,
            conflict: None,
        }
    }

    #[test]
    fn both_edits_are_in_the_text_after_a_conflict() {
        let marked = content::merge_three("a\n", "b\n", "c\n").expect_err("a conflict").marked;
        let text = with_sides(&marked, Revision(5), Revision(4));
        let expect =
            "<<<<<<< revision 5\nb\n||||||| revision 4\na\n=======\nc\n>>>>>>> your draft\n";
        assert_eq!(text, expect);
        assert!(has_markers(&text) && !has_markers("a: <<<<<<< b\n"));
        for (how, says) in [
            (How::Merged, "was merged with it"),
            (How::Marked, "same lines"),
            (How::Removed, "was removed"),
        ] {
            let conflict = Conflict {
                base: Revision(4),
                head: Revision(5),
                author: Some("Grace <Hopper>".into()),
                revision: Some(Revision(5)),
                how,
                theirs: Vec::new(),
            };
            let html = page("editor.html", EditorPage { conflict: Some(conflict), ..editor(None) });
            for part in [says, "Grace &lt;Hopper&gt;", r#"role="alert""#] {
                assert!(html.contains(part), "{part} is not in\n{html}");
            }
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
