//! One bundle: where it comes from, what is wrong with it, its matrix.

use axum::extract::State;
use axum::response::Html;
use serde::Serialize;

use crate::model::{BundleId, Finding, Problem, RepoName, Stage};
use crate::promote::BundleStatus;
use crate::reconcile::Progress;
use crate::smoke::Evidence;
use crate::web::Site;
use crate::web::api::{kept, no_bundle};
use crate::web::auth::Caller;
use crate::web::board::{self, BundleBrief, Square};
use crate::web::error::Fault;
use crate::web::extract::Path;

/// As much of one file of evidence as a page shows.
const SHOWN_CHARS: usize = 100_000;

#[derive(Serialize)]
struct BundlePage {
    repo: RepoName,
    bundle: BundleBrief,
    message: String,
    authors: Vec<String>,
    problems: Vec<Problem>,
    findings: Vec<Finding>,
    rows: Vec<MatrixRow>,
    /// How far the matrix is, until it is complete.
    progress: Option<Progress>,
    /// The stages that serve it now.
    live: Vec<Stage>,
}

/// The squares of one stage.
#[derive(Serialize)]
pub(super) struct MatrixRow {
    stage: Stage,
    squares: Vec<Square>,
}

pub(super) async fn show(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let (id, view) = (BundleId::new(&id)?, site.web.handle.view());
    let found = view.state.bundles.get(&id);
    let found = found.filter(|bundle| caller.reads_all(&site, &bundle.repo));
    let bundle = found.ok_or_else(|| no_bundle(&id))?;
    let stages = bundle.manifest.stages.iter().map(|spec| &spec.name);
    let rows = stages.clone().map(|stage| MatrixRow {
        stage: stage.clone(),
        squares: board::squares(&view, bundle, stage),
    });
    let live = stages
        .clone()
        .filter(|stage| view.state.slot(&bundle.repo, stage).current.as_ref() == Some(&bundle.id));
    let page = BundlePage {
        repo: bundle.repo.clone(),
        bundle: BundleBrief::of(bundle),
        message: bundle.commit.message.clone(),
        authors: bundle.authors.iter().map(ToString::to_string).collect(),
        problems: bundle.problems.clone(),
        findings: bundle.findings.clone(),
        progress: (bundle.status == BundleStatus::Checking).then(|| view.progress(&bundle.id)),
        rows: rows.filter(|row| !row.squares.is_empty()).collect(),
        live: live.cloned().collect(),
    };
    site.pages.render("bundle.html", Some(&caller), page)
}

#[derive(Serialize)]
struct EvidencePage {
    bundle: String,
    hash: String,
    evidence: Evidence,
}

/// What a smoke run left; long files are cut, the API has all of them.
pub(super) async fn evidence(
    State(site): State<Site>,
    Path((bundle, hash)): Path<(String, String)>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let mut evidence = kept(&site, &caller, &bundle, &hash)?;
    for text in evidence.groups.values_mut().flat_map(|files| files.values_mut()) {
        if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
            text.truncate(end);
            text.push('…');
        }
    }
    site.pages.render("evidence.html", Some(&caller), EvidencePage { bundle, hash, evidence })
}
