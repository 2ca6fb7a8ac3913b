//! The verb `diff`: which two sides are meant, and what each of them gives.

use globset::{Glob, GlobMatcher};

use super::look::Look;
use crate::chat::Message;
use crate::model::{NodeGroup, RepoName, Stage};
use crate::promote::{BundleRecord, Refusal, RefusalKind};
use crate::reconcile::View;
use crate::snapshot::Sides;
use crate::web::hooks::choose;
use crate::web::hooks::compare;

/// What of the difference is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits<'a> {
    /// Only in this stage.
    pub(super) stage: Option<&'a Stage>,
    /// Only resources of such names.
    pub(super) resource: Option<&'a str>,
}

impl Look<'_> {
    /// A stage and a bundle are compared as that stage would serve them; two
    /// stages by node group; two bundles in every stage.
    pub(super) async fn diff(
        &self,
        view: &View,
        left: &str,
        right: Option<&str>,
        limits: Limits<'_>,
    ) -> Result<Message, Refusal> {
        let only = limits.resource.map(pattern).transpose()?;
        let stage = Stage::new(left).ok();
        let repo = self.repo(view, stage.as_ref())?;
        let is_stage = |name: &str| {
            let manifest = view.manifests.get(&repo)?;
            manifest.stages.iter().map(|spec| &spec.name).find(|stage| stage.as_str() == name)
        };
        match (is_stage(left), right.map(|right| (right, is_stage(right)))) {
            (Some(from), Some((_, Some(to)))) => {
                self.two_stages(view, &repo, (from, to), only).await
            }
            (Some(stage), right) => {
                let bundle = match right {
                    Some((right, _)) => choose::bundle(view, &repo, right)?,
                    None => newest(view, &repo)?,
                };
                self.stage_and_bundle(view, &repo, (stage, bundle), only).await
            }
            (None, Some((right, _))) => {
                let (from, to) =
                    (choose::bundle(view, &repo, left)?, choose::bundle(view, &repo, right)?);
                self.two_bundles(&repo, (from, to), limits.stage, only).await
            }
            (None, None) => {
                let missing =
                    Stage::new(left).map(|stage| choose::stage(view, &repo, &stage).err());
                let hint = "write `diff STAGE`, `diff STAGE BUNDLE` or `diff BUNDLE BUNDLE`";
                Err(missing.ok().flatten().unwrap_or_else(|| Refusal {
                    kind: RefusalKind::Invalid,
                    message: format!("`{left}` alone can't be compared"),
                    hint: hint.into(),
                }))
            }
        }
    }

    async fn two_stages(
        &self,
        view: &View,
        repo: &RepoName,
        (from, to): (&Stage, &Stage),
        only: Option<GlobMatcher>,
    ) -> Result<Message, Refusal> {
        let (old, new) = (current(view, repo, from), current(view, repo, to));
        let (Some(old), Some(new)) = (old, new) else {
            let empty = if current(view, repo, from).is_none() { from } else { to };
            return Err(Refusal {
                kind: RefusalKind::NotFound,
                message: format!("{empty} serves nothing so far"),
                hint: "`status` shows what each stage serves".into(),
            });
        };
        let page = self.links().diff(repo, None, Some(from.as_str()), to.as_str());
        let (left, right) = (self.side(old, Some(from)).await?, self.side(new, Some(to)).await?);
        self.told(&format!("{from} → {to}"), (left, right), only, &page).await
    }

    async fn stage_and_bundle(
        &self,
        view: &View,
        repo: &RepoName,
        (stage, bundle): (&Stage, &BundleRecord),
        only: Option<GlobMatcher>,
    ) -> Result<Message, Refusal> {
        let old = current(view, repo, stage);
        let left = match old {
            Some(old) => self.side(old, Some(stage)).await?,
            None => Sides::new(),
        };
        let right = self.side(bundle, Some(stage)).await?;
        let page = self.links().diff(
            repo,
            Some(stage),
            old.map(|old| old.id.as_str()),
            bundle.id.as_str(),
        );
        let from = old.map_or("nothing".to_owned(), |old| old.id.to_string());
        let title = format!("{stage}: {from} → {}", bundle.id);
        self.told(&title, (left, right), only, &page).await
    }

    async fn two_bundles(
        &self,
        repo: &RepoName,
        (from, to): (&BundleRecord, &BundleRecord),
        stage: Option<&Stage>,
        only: Option<GlobMatcher>,
    ) -> Result<Message, Refusal> {
        let page = self.links().diff(repo, stage, Some(from.id.as_str()), to.id.as_str());
        let (left, right) = (self.side(from, stage).await?, self.side(to, stage).await?);
        let title = format!("{} → {}", from.id, to.id);
        self.told(&title, (left, right), only, &page).await
    }

    async fn told(
        &self,
        title: &str,
        sides: (Sides, Sides),
        only: Option<GlobMatcher>,
        page: &str,
    ) -> Result<Message, Refusal> {
        let summary = self.talk.desk.changes(sides, only).await?;
        Ok(compare::summary(title, &summary, page))
    }

    /// What `bundle` gives: in one stage by node group, or in all of them.
    async fn side(&self, bundle: &BundleRecord, stage: Option<&Stage>) -> Result<Sides, Refusal> {
        let bundle = self.talk.desk.bundle(&bundle.id).await?;
        let of_stage =
            bundle.snapshots.iter().filter(|((of, _), _)| stage.is_none_or(|stage| stage == of));
        let key = |of: &Stage, group: &NodeGroup| match stage {
            Some(_) => group.to_string(),
            None => format!("{of}, {group}"),
        };
        Ok(of_stage.map(|((of, group), snapshot)| (key(of, group), snapshot.clone())).collect())
    }
}

fn pattern(text: &str) -> Result<GlobMatcher, Refusal> {
    let read = Glob::new(text).map(|glob| glob.compile_matcher());
    read.map_err(|error| Refusal {
        kind: RefusalKind::Invalid,
        message: format!("`{text}` is no pattern: {}", error.kind()),
        hint: "write one as `pay*`".into(),
    })
}

fn current<'a>(view: &'a View, repo: &RepoName, stage: &Stage) -> Option<&'a BundleRecord> {
    view.state.bundles.get(&view.state.slot(repo, stage).current?)
}

fn newest<'a>(view: &'a View, repo: &RepoName) -> Result<&'a BundleRecord, Refusal> {
    view.state.newest_eligible(repo).ok_or_else(|| Refusal {
        kind: RefusalKind::NotFound,
        message: format!("{repo} has no bundle that could be promoted"),
        hint: "`why STAGE` shows what is wrong with the newest".into(),
    })
}
