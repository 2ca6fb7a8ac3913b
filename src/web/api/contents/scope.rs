//! The repository that a request is about, and how far its caller's right to
//! read reaches in it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::access::{Missing, Reach, Right};
use crate::govern::Registry;
use crate::model::{At, FilePath, RepoName, Revision};
use crate::web::Site;
use crate::web::api::repos::counted;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::repo_name;

/// Which repository, and what of it may be read.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) repo: RepoName,
    pub(super) reach: Reach,
    /// Who asks, and who could grant it, for refusals.
    who: String,
    registry: Arc<Registry>,
}

/// A [`Scope`] and the file in it that the address names.
#[derive(Debug)]
pub(super) struct FileScope {
    pub(super) scope: Scope,
    pub(super) path: FilePath,
}

impl FromRequestParts<Site> for Scope {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Fault> {
        let params = params(parts, site).await?;
        Self::of(parts, site, &params)
    }
}

impl FromRequestParts<Site> for FileScope {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Fault> {
        let params = params(parts, site).await?;
        let scope = Scope::of(parts, site, &params)?;
        let path = FilePath::new(named(&params, "path"))?;
        scope.check(&path)?;
        Ok(Self { scope, path })
    }
}

async fn params(parts: &mut Parts, site: &Site) -> Result<RawPathParams, Fault> {
    let params = RawPathParams::from_request_parts(parts, site).await;
    params.map_err(|error| Fault::invalid(error.body_text(), "check the address"))
}

fn named<'a>(params: &'a RawPathParams, name: &str) -> &'a str {
    params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

impl Scope {
    fn of(parts: &Parts, site: &Site, params: &RawPathParams) -> Result<Self, Fault> {
        let repo = repo_name(named(params, "project"), named(params, "repo"))?;
        let caller = parts.extensions.get::<Caller>().ok_or_else(Fault::unauthenticated)?;
        Self::in_repo(site, caller, repo)
    }

    /// What a caller may read of a repository.
    fn in_repo(site: &Site, caller: &Caller, repo: RepoName) -> Result<Self, Fault> {
        let reach = caller.reach(site, Right::Read, &repo);
        if reach == Reach::Nothing {
            return Err(Fault::no_repository(&repo));
        }
        let registry = site.web.govern.registry();
        Ok(Self { repo, reach, who: caller.name.clone(), registry })
    }

    /// Whether a path may be read.
    pub(super) fn check(&self, path: &FilePath) -> Result<(), Fault> {
        if self.reach.covers(path) {
            return Ok(());
        }
        let place = format!("{}:/{path}", self.repo);
        let missing = Missing { who: self.who.clone(), right: Right::Read, place };
        Err(Fault::missing(&self.registry, self.repo.project(), &missing))
    }

    /// The revision that is named; without one the head.
    pub(super) fn revision(&self, site: &Site, at: Option<At>) -> Result<Revision, Fault> {
        counted(site, &self.repo, at.unwrap_or(At::HEAD))
    }
}
