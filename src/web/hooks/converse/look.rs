//! The verbs that only look.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chat::{self, Ask, Line, Links, Message, NodeCount, Things};
use crate::model::{RepoName, Stage};
use crate::promote::{BundleRecord, Promotion, Refusal, RefusalKind};
use crate::reconcile::{MirrorState, View};
use crate::web::hooks::choose;
use crate::web::hooks::talk::Talk;

/// Answers a line that changes nothing.
pub(super) async fn answer(talk: &Talk<'_>, line: &Line) -> Result<Option<Message>, Refusal> {
    let look = Look { talk, line };
    let view = talk.desk.view();
    let message = match &line.ask {
        Ask::Whoami => chat::whoami(&talk.caller.user, talk.person().as_ref(), talk.role()),
        Ask::Status(about) => look.status(&view, about.as_deref())?,
        Ask::Why(about) => look.why(&view, about)?,
        Ask::List { things, stage } => look.list(&view, *things, stage.as_ref())?,
        Ask::Show(about) => look.show(&view, about)?,
        Ask::Diff { left, right, stage, resource } => {
            let limits =
                super::diff::Limits { stage: stage.as_ref(), resource: resource.as_deref() };
            look.diff(&view, left, right.as_deref(), limits).await?
        }
        Ask::Checks { bundle, envoy } => {
            let repo = look.repo(&view, None)?;
            let bundle = choose::bundle(&view, &repo, bundle)?;
            look.or_json(&bundle.matrix, || chat::checks(bundle, envoy.as_deref()))
        }
        Ask::History(stage) => {
            let repo = look.repo_with(&view, stage)?;
            chat::history(&repo, stage, &view.state, look.links())
        }
        Ask::Audit(id) => {
            let promotion = choose::promotion(&view, id)?;
            look.or_json(promotion, || chat::audit(promotion, look.links()))
        }
        _ => return Ok(None),
    };
    Ok(Some(message))
}

pub(super) struct Look<'a> {
    pub(super) talk: &'a Talk<'a>,
    line: &'a Line,
}

impl Look<'_> {
    pub(super) fn repo(&self, view: &View, stage: Option<&Stage>) -> Result<RepoName, Refusal> {
        let default = self.talk.slack.default_repo.as_ref();
        choose::repo(view, self.line.repo.as_ref(), default, stage)
    }

    fn repo_with(&self, view: &View, stage: &Stage) -> Result<RepoName, Refusal> {
        let repo = self.repo(view, Some(stage))?;
        choose::stage(view, &repo, stage)?;
        Ok(repo)
    }

    pub(super) fn links(&self) -> &Links {
        &self.talk.slack.links
    }

    /// The record itself, where it was asked for.
    fn or_json(&self, record: &impl Serialize, message: impl FnOnce() -> Message) -> Message {
        if self.line.json { chat::json(record) } else { message() }
    }

    fn status(&self, view: &View, about: Option<&str>) -> Result<Message, Refusal> {
        if let Some(text) = about
            && !is_stage(view, text)
            && let Some(bundle) = self.bundle(view, text)
        {
            return Ok(self.or_json(bundle, || chat::bundle_page(bundle, &view.state)));
        }
        let stage = about.map(stage_named).transpose()?;
        self.board(view, stage.as_ref())
    }

    /// A bundle of any repository that the line may mean.
    fn bundle<'a>(&self, view: &'a View, text: &str) -> Option<&'a BundleRecord> {
        let repo = self.repo(view, None).ok()?;
        choose::bundle(view, &repo, text).ok()
    }

    fn board(&self, view: &View, stage: Option<&Stage>) -> Result<Message, Refusal> {
        let repo = self.repo(view, stage)?;
        let manifest = match stage {
            Some(stage) => choose::stage(view, &repo, stage)?,
            None => choose::manifest(view, &repo)?,
        };
        let of_repo = view.fleet.iter().filter(|((of, _), _)| of == &repo);
        let nodes: BTreeMap<_, _> = of_repo
            .map(|((_, stage), fleet)| {
                let (nodes, acked, nacked) = (fleet.nodes, fleet.acked, fleet.nacked);
                (stage.clone(), NodeCount { nodes, acked, nacked })
            })
            .collect();
        let notes = notes(view, &repo);
        let slots: Vec<_> = manifest
            .stages
            .iter()
            .map(|spec| view.state.slot(&repo, &spec.name))
            .filter(|slot| stage.is_none_or(|stage| stage == &slot.stage))
            .collect();
        let state = &view.state;
        let board = || chat::board(&repo, manifest, stage, state, &nodes, &notes, self.links());
        Ok(self.or_json(&slots, board))
    }

    fn why(&self, view: &View, about: &str) -> Result<Message, Refusal> {
        if let Some(promotion) = promotion(view, about)? {
            return Ok(self.or_json(promotion, || chat::why_promotion(promotion, self.links())));
        }
        let stage = stage_named(about)?;
        let repo = self.repo_with(view, &stage)?;
        Ok(chat::why_stage(&repo, &stage, &view.state, self.links()))
    }

    fn list(&self, view: &View, things: Things, stage: Option<&Stage>) -> Result<Message, Refusal> {
        let repo = match stage {
            Some(stage) => self.repo_with(view, stage)?,
            None => self.repo(view, None)?,
        };
        Ok(match things {
            Things::Bundles => chat::bundles(&repo, stage, &view.state),
            Things::Promotions => chat::promotions(&repo, stage, &view.state, self.links()),
        })
    }

    fn show(&self, view: &View, about: &str) -> Result<Message, Refusal> {
        if let Some(promotion) = promotion(view, about)? {
            let page = || chat::promotion_page(promotion, &view.state, self.links());
            return Ok(self.or_json(promotion, page));
        }
        let repo = self.repo(view, None)?;
        let bundle = choose::bundle(view, &repo, about)?;
        Ok(self.or_json(bundle, || chat::bundle_page(bundle, &view.state)))
    }
}

fn is_stage(view: &View, text: &str) -> bool {
    let mut stages = view.manifests.values().flat_map(|manifest| &manifest.stages);
    stages.any(|spec| spec.name.as_str() == text)
}

/// The promotion that a text names; `None` where it does not look like one.
fn promotion<'a>(view: &'a View, text: &str) -> Result<Option<&'a Promotion>, Refusal> {
    let id = chat::promotion_id(text).filter(|_| !is_stage(view, text));
    id.map(|id| choose::promotion(view, &id)).transpose()
}

fn stage_named(text: &str) -> Result<Stage, Refusal> {
    Stage::new(text).map_err(|error| Refusal {
        kind: RefusalKind::Invalid,
        message: error.to_string(),
        hint: "name a stage, or a promotion as `P-12`".into(),
    })
}

/// What people should know of a repository's upstream.
fn notes(view: &View, repo: &RepoName) -> Vec<String> {
    let note = match view.mirrors.get(repo).map(|mirror| &mirror.state) {
        Some(MirrorState::Failing { error, .. }) => {
            format!("the upstream can't be fetched: {error}")
        }
        Some(MirrorState::Diverged { .. }) => {
            "the upstream's branch was rewritten; `adopt` takes it as it is now".into()
        }
        _ => return Vec::new(),
    };
    vec![note]
}
