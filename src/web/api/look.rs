//! Reading the board: bundles, promotions, differences, and who one is.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::config::Role;
use crate::model::{BundleId, Person, PromotionId, RepoName, Stage};
use crate::promote::{BundleRecord, Promotion};
use crate::smoke::Evidence;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::board::{self, BundleBrief, Pipeline, PromotionCard, Square};
use crate::web::compare::{self, Comparison};
use crate::web::error::Fault;
use crate::web::extract::{Answer, InRepo, Path, Query};

/// The most bundles or promotions in one answer.
pub(crate) const LISTED_MAX: usize = 200;

#[derive(Serialize)]
pub(super) struct Who {
    name: String,
    role: Role,
    person: Option<Person>,
}

pub(super) async fn whoami(caller: Caller) -> Answer<Who> {
    let Caller { name, role, person, .. } = caller;
    Answer(Who { name, role, person })
}

pub(super) async fn board(
    State(site): State<Site>,
    InRepo(repo): InRepo,
) -> Result<Answer<Pipeline>, Fault> {
    let view = site.web.handle.view();
    let manifest = view.manifests.get(&repo).ok_or_else(|| no_pipeline(&repo))?;
    Ok(Answer(board::pipeline(&view, &repo, manifest, clock::now())))
}

/// The repository has no pipeline.
pub(crate) fn no_pipeline(repo: &RepoName) -> Fault {
    Fault::not_found(
        format!("`{repo}` has no pipeline"),
        "commit a convoy.yaml without problems to its branch",
    )
}

#[derive(Serialize)]
pub(super) struct Bundles {
    bundles: Vec<BundleBrief>,
}

pub(super) async fn bundles(
    State(site): State<Site>,
    InRepo(repo): InRepo,
) -> Result<Answer<Bundles>, Fault> {
    let view = site.web.handle.view();
    let mut of_repo: Vec<_> = view.state.bundles.values().filter(|b| b.repo == repo).collect();
    of_repo.sort_by_key(|bundle| std::cmp::Reverse(bundle.commit.revision));
    let bundles = of_repo.into_iter().take(LISTED_MAX).map(BundleBrief::of).collect();
    Ok(Answer(Bundles { bundles }))
}

#[derive(Serialize)]
pub(super) struct WholeBundle {
    bundle: BundleRecord,
    /// Every cell that is asked for, also those without a result.
    squares: Vec<Square>,
}

pub(super) async fn bundle(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Answer<WholeBundle>, Fault> {
    let (id, view) = (BundleId::new(&id)?, site.web.handle.view());
    let bundle = view.state.bundles.get(&id).filter(|one| caller.reads_all(&site, &one.repo));
    let bundle = bundle.ok_or_else(|| no_bundle(&id))?;
    let squares = board::all_squares(&view, bundle);
    Ok(Answer(WholeBundle { bundle: bundle.clone(), squares }))
}

/// What is kept of one of a bundle's smoke runs.
pub(super) async fn evidence(
    State(site): State<Site>,
    Path((id, hash)): Path<(String, String)>,
    caller: Caller,
) -> Result<Answer<Evidence>, Fault> {
    Ok(Answer(kept(&site, &caller, &id, &hash)?))
}

/// The same, for who may read the bundle's repository.
pub(crate) fn kept(site: &Site, caller: &Caller, id: &str, hash: &str) -> Result<Evidence, Fault> {
    let (id, view) = (BundleId::new(id)?, site.web.handle.view());
    let bundle = view.state.bundles.get(&id).filter(|one| caller.reads_all(site, &one.repo));
    let bundle = bundle.ok_or_else(|| no_bundle(&id))?;
    let mut known = bundle.matrix.iter().filter_map(|result| result.proof.evidence);
    let found = known.find(|one| one.to_string() == hash);
    found.and_then(|hash| site.web.handle.evidence(hash)).ok_or_else(|| {
        Fault::not_found(
            format!("there is no evidence `{hash}` of bundle `{id}`"),
            "only so much is kept, the oldest goes first; `retest` makes new evidence",
        )
    })
}

/// No such bundle.
pub(crate) fn no_bundle(id: &BundleId) -> Fault {
    Fault::not_found(format!("no bundle `{id}` is known"), "the board shows the bundles")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffQuery {
    from: String,
    to: String,
    stage: Option<Stage>,
}

pub(super) async fn diff(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    Query(query): Query<DiffQuery>,
) -> Result<Answer<Comparison>, Fault> {
    let view = site.web.handle.view();
    let sides = compare::sides(&view, &repo, &query.from, &query.to, query.stage.as_ref())?;
    Ok(Answer(compare::compare(&site, &repo, sides.0, sides.1).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromotionsQuery {
    repo: Option<RepoName>,
    stage: Option<Stage>,
}

#[derive(Serialize)]
pub(super) struct Promotions {
    promotions: Vec<Promotion>,
}

pub(super) async fn promotions(
    State(site): State<Site>,
    Query(query): Query<PromotionsQuery>,
    caller: Caller,
) -> Answer<Promotions> {
    let view = site.web.handle.view();
    let wanted = |promotion: &&Promotion| {
        query.repo.as_ref().is_none_or(|repo| repo == &promotion.repo)
            && query.stage.as_ref().is_none_or(|stage| stage == &promotion.stage)
            && caller.reads_all(&site, &promotion.repo)
    };
    let mut found: Vec<_> = view.state.promotions.values().filter(wanted).collect();
    found.sort_by_key(|promotion| std::cmp::Reverse(promotion.id.number()));
    let promotions = found.into_iter().take(LISTED_MAX).cloned().collect();
    Answer(Promotions { promotions })
}

#[derive(Serialize)]
pub(super) struct OnePromotion {
    promotion: Promotion,
    card: PromotionCard,
}

pub(super) async fn promotion(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Answer<OnePromotion>, Fault> {
    let (id, view) = (PromotionId::new(&id)?, site.web.handle.view());
    let found = view.state.promotions.get(&id);
    let found = found.filter(|promotion| caller.reads_all(&site, &promotion.repo));
    let promotion = found.ok_or_else(|| no_promotion(&id))?;
    let card = PromotionCard::of(&view, promotion);
    Ok(Answer(OnePromotion { promotion: promotion.clone(), card }))
}

/// No such promotion.
pub(crate) fn no_promotion(id: &PromotionId) -> Fault {
    Fault::not_found(format!("no promotion `{id}` is known"), "the board shows those under way")
}
