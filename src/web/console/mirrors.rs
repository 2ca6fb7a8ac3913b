//! Mirrors: which way each goes, how it is doing, and a button that runs it.

use axum::extract::State;
use axum::response::{Html, Redirect};
use serde::{Deserialize, Serialize};

use crate::govern::MirrorDirection;
use crate::mirroring::Outcome;
use crate::web::Site;
use crate::web::api::mirrors::{MirrorCard, cards};
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Path, Posted};

#[derive(Serialize)]
struct MirrorsPage {
    mirrors: Vec<Row>,
}

/// A mirror, and whether the caller may run it.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    card: MirrorCard,
    inward: bool,
    /// `ok`, `failing`, `running`, `off` or `new`.
    word: &'static str,
    may_run: bool,
}

impl Row {
    fn of(card: MirrorCard, may_run: bool) -> Self {
        let inward = card.mirror.direction == MirrorDirection::RemoteToLocal;
        let word = word(&card);
        Self { card, inward, word, may_run }
    }
}

fn word(card: &MirrorCard) -> &'static str {
    let state = card.state.as_ref();
    let last = state.and_then(|state| state.last.as_ref()).map(|run| &run.outcome);
    match (state, last) {
        (Some(state), _) if state.running => "running",
        (_, Some(Outcome::Failed { .. })) => "failing",
        _ if !card.mirror.enabled => "off",
        (_, Some(_)) => "ok",
        _ => "new",
    }
}

pub(super) async fn show(State(site): State<Site>, caller: Caller) -> Result<Html<String>, Fault> {
    let registry = site.web.govern.registry();
    let who = caller.principal();
    let row = |card: MirrorCard| {
        let may_run = registry.policy.owns(&who, &card.project);
        Row::of(card, may_run)
    };
    let mirrors = cards(&site, &caller).into_iter().map(row).collect();
    site.pages.render("mirrors.html", Some(&caller), MirrorsPage { mirrors })
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn run(
    State(site): State<Site>,
    Path((project, id)): Path<(String, String)>,
    _posted: Posted<Nothing>,
) -> Result<Redirect, Fault> {
    let run = site.web.mirroring.run(&project, &id).await;
    let missing = || {
        Fault::not_found(format!("there is no mirror `{id}` in `{project}`"), "look at /mirrors")
    };
    run.map(|_| Redirect::to("/mirrors")).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::govern::{MirrorDocument, Stamp};
    use crate::mirroring::{MirrorState, Run};
    use crate::model::RepoName;
    use crate::web::console::pages::tests::page;

    fn card(outcome: Option<Outcome>) -> MirrorCard {
        let at = Timestamp::UNIX_EPOCH;
        let mirror = MirrorDocument {
            id: "up".into(),
            local: RepoName::new("mesh/config").unwrap(),
            local_folder: String::new(),
            direction: MirrorDirection::RemoteToLocal,
            url: "https://git.example.com/<conf>.git".into(),
            branch: "main".into(),
            remote_folder: "deploy".into(),
            ignore: "*.tmp".into(),
            credential: Some("ghe".into()),
            every_s: Some(60),
            schedule: None,
            enabled: true,
            created: Stamp { by: "ann".into(), at },
        };
        let last = outcome.map(|outcome| Run {
            began: at,
            ended: at,
            outcome,
            skipped: vec!["ln".into()],
        });
        let state = MirrorState {
            project: "mesh".into(),
            id: "up".into(),
            running: false,
            last,
            failures: 2,
            failing_since: Some(at),
            in_step_at: None,
            known_since: at,
            next_at: Some(at),
        };
        MirrorCard { project: "mesh".into(), mirror, state: Some(state) }
    }

    #[test]
    fn a_failing_mirror_says_why_and_can_be_run() {
        let failed = card(Some(Outcome::Failed { error: "it is <down>".into() }));
        let html = page("mirrors.html", MirrorsPage { mirrors: vec![Row::of(failed, true)] });
        for part in ["it is &lt;down&gt;", "FAILING", "/mirrors/mesh/up/run", "&lt;conf&gt;"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let mirrors = vec![Row::of(card(Some(Outcome::UpToDate)), false)];
        let html = page("mirrors.html", MirrorsPage { mirrors });
        assert!(html.contains("IN STEP") && !html.contains("/run"), "{html}");
        let html = page("mirrors.html", MirrorsPage { mirrors: vec![Row::of(card(None), false)] });
        assert!(html.contains("NOT RUN YET"), "{html}");
    }

    #[test]
    fn no_mirror_is_explained() {
        let html = page("mirrors.html", MirrorsPage { mirrors: Vec::new() });
        assert!(html.contains("convoy mirror set"), "{html}");
    }
}
