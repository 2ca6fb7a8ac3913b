//! Rendered output side against side: stages or bundles, resource by resource.

use axum::extract::State;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use crate::model::{RepoName, Stage};
use crate::web::Site;
use crate::web::api::no_pipeline;
use crate::web::auth::Caller;
use crate::web::board::BundleBrief;
use crate::web::compare::{self, Comparison};
use crate::web::error::Fault;
use crate::web::extract::{InRepo, Query};

/// How many bundles can be chosen from.
const CHOICES_MAX: usize = 30;

#[derive(Deserialize)]
pub(super) struct DiffQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    stage: String,
}

#[derive(Serialize)]
struct DiffPage {
    repo: RepoName,
    stages: Vec<Stage>,
    bundles: Vec<BundleBrief>,
    from: String,
    to: String,
    stage: String,
    comparison: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    comparison: Comparison,
    groups_shown: Vec<ShownGroup>,
    files_shown: Vec<ShownFile>,
}

#[derive(Serialize)]
struct ShownFile {
    path: String,
    /// `None` where it is no text, or too large.
    lines: Option<Vec<DiffLine>>,
}

#[derive(Serialize)]
struct ShownGroup {
    group: String,
    nodes: usize,
    changes: Vec<ShownChange>,
}

#[derive(Serialize)]
struct ShownChange {
    #[serde(flatten)]
    change: compare::Change,
    lines: Vec<DiffLine>,
}

/// One line of a unified diff, its sign kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DiffLine {
    kind: &'static str,
    text: String,
}

pub(super) async fn show(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    Query(query): Query<DiffQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let view = site.web.handle.view();
    let manifest = view.manifests.get(&repo).ok_or_else(|| no_pipeline(&repo))?;
    let mut bundles: Vec<_> = view.state.bundles.values().filter(|b| b.repo == repo).collect();
    bundles.sort_by_key(|bundle| std::cmp::Reverse(bundle.commit.revision));
    let comparison = match (query.from.as_str(), query.to.as_str()) {
        ("", _) | (_, "") => None,
        (from, to) => {
            let stage = Some(query.stage.as_str()).filter(|stage| !stage.is_empty());
            let stage = stage.map(Stage::new).transpose()?;
            let (from, to) = compare::sides(&view, &repo, from, to, stage.as_ref())?;
            Some(Shown::of(compare::compare(&site, &repo, from, to).await?))
        }
    };
    let page = DiffPage {
        stages: manifest.stages.iter().map(|spec| spec.name.clone()).collect(),
        bundles: bundles.into_iter().take(CHOICES_MAX).map(BundleBrief::of).collect(),
        from: query.from,
        to: query.to,
        stage: query.stage,
        comparison,
        repo,
    };
    site.pages.render("diff.html", Some(&caller), page)
}

impl Shown {
    fn of(mut comparison: Comparison) -> Self {
        let groups = std::mem::take(&mut comparison.groups);
        let shown = |change: compare::Change| ShownChange { lines: lines(&change.text), change };
        let groups_shown = groups.into_iter().map(|group| ShownGroup {
            group: group.group.to_string(),
            nodes: group.nodes,
            changes: group.changes.into_iter().map(shown).collect(),
        });
        let files = comparison.source.iter_mut().flat_map(|one| std::mem::take(&mut one.files));
        let files_shown = files.map(|file| ShownFile {
            path: file.path.to_string(),
            lines: file.text.as_deref().map(lines),
        });
        Self {
            groups_shown: groups_shown.collect(),
            files_shown: files_shown.collect(),
            comparison,
        }
    }
}

/// The lines of a unified diff by what they are.
pub(super) fn lines(text: &str) -> Vec<DiffLine> {
    let kind = |line: &str| match line.as_bytes().first() {
        Some(b'+') => "added",
        Some(b'-') => "removed",
        Some(b'@') => "hunk",
        _ => "same",
    };
    text.lines().map(|line| DiffLine { kind: kind(line), text: line.into() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeGroup;
    use crate::promote::DiffStat;
    use crate::snapshot::ResourceChange;
    use crate::web::board::tests::{repo, stage};
    use crate::web::console::pages::tests::page;

    #[test]
    fn lines_keep_their_signs() {
        let kinds: Vec<_> = lines("@@ -1 +1 @@\n-a\n+b\n c\n").iter().map(|l| l.kind).collect();
        assert_eq!(kinds, ["hunk", "removed", "added", "same"]);
    }

    #[test]
    fn a_difference_is_shown_per_resource() {
        let side = || compare::Side { stage: stage("beta"), bundle: None, as_served: false };
        let change = compare::Change {
            type_url: "t".into(),
            kind: "Cluster".into(),
            name: "pay<ments".into(),
            change: ResourceChange::Changed,
            sentences: vec!["cluster pay<ments: timeout: 1s → 3s".into()],
            impact: "makes the cluster anew".into(),
            disturbs: true,
            text: "-timeout: 1s\n+timeout: 3s\n".into(),
            place: None,
        };
        let DiffStat { added, removed, .. } = DiffStat::default();
        let comparison = Shown::of(Comparison {
            from: side(),
            to: side(),
            added,
            changed: 1,
            removed,
            cut: false,
            source: None,
            groups: vec![compare::GroupChanges {
                group: NodeGroup::default(),
                nodes: 3,
                changes: vec![change],
            }],
        });
        let html = page(
            "diff.html",
            DiffPage {
                repo: repo(),
                stages: vec![stage("beta")],
                bundles: Vec::new(),
                from: "beta".into(),
                to: "beta".into(),
                stage: String::new(),
                comparison: Some(comparison),
            },
        );
        for part in ["pay&lt;ments: timeout: 1s → 3s", "+timeout: 3s", "3 nodes", "anew"] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }
}
