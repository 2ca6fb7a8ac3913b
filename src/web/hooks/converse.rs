//! From a line that a person typed to an answer. Knows no HTTP.

mod diff;

use std::collections::BTreeMap;

use super::choose;
use super::desk::Desk;
use super::replies::Reply;
use crate::chat::{self, Ask, Audience, Line, Links, Message, NodeCount, SlashCommand};
use crate::model::{Actor, Person, PromotionId, RepoName, Stage, Via};
use crate::promote::{Refusal, RefusalKind};
use crate::reconcile::{Command, MirrorState, View};

use super::SlackHooks;

/// Answers one slash command. Only `help` is for people whom the
/// configuration does not know.
pub(super) async fn answer(desk: &dyn Desk, slack: &SlackHooks, command: &SlashCommand) -> Reply {
    let line = match chat::parse(&command.text) {
        Ok(line) => line,
        Err(refusal) => return to_caller(chat::refusal("Not understood", &refusal)),
    };
    if let Ask::Help(verb) = line.ask {
        return to_caller(chat::help(&command.command, verb));
    }
    let Some(person) = slack.people.find(&command.caller) else {
        return to_caller(chat::known_by_no_one(&command.caller));
    };
    let what = refused_as(&line.ask);
    let audience = if line.here { Audience::Channel } else { Audience::Caller };
    let talk = Talk { desk, slack, line: &line };
    match talk.run(person).await {
        Ok(message) => Reply { message, audience },
        // A refusal is nobody else's business.
        Err(refusal) => to_caller(chat::refusal(what, &refusal)),
    }
}

fn to_caller(message: Message) -> Reply {
    Reply { message, audience: Audience::Caller }
}

fn refused_as(ask: &Ask) -> &'static str {
    match ask {
        Ask::Promote { .. } => "Not promoted",
        Ask::Approve { .. } => "Not approved",
        Ask::Reject { .. } => "Not rejected",
        Ask::Cancel { .. } => "Not cancelled",
        Ask::Rollback { .. } => "Not rolled back",
        Ask::Adopt => "Not adopted",
        _ => "Not found",
    }
}

struct Talk<'a> {
    desk: &'a dyn Desk,
    slack: &'a SlackHooks,
    line: &'a Line,
}

impl Talk<'_> {
    async fn run(&self, person: &Person) -> Result<Message, Refusal> {
        let view = self.desk.view();
        match &self.line.ask {
            Ask::Help(verb) => Ok(chat::help("/convoy", *verb)),
            Ask::Status(stage) => self.status(&view, stage.as_ref()),
            Ask::Why(about) => self.why(&view, about),
            Ask::Diff { left, right } => self.diff(&view, left, right.as_deref()).await,
            _ => {
                let command = self.command(&view)?;
                let actor = Actor::person(person.clone(), Via::Slack);
                let receipt = self.desk.act(actor, command).await?;
                let links = self.links();
                let promotion = receipt.promotion.as_ref();
                Ok(chat::receipt(&receipt.message, promotion, receipt.already, links))
            }
        }
    }

    /// What the line asks the reconciler for.
    fn command(&self, view: &View) -> Result<Command, Refusal> {
        Ok(match self.line.ask.clone() {
            Ask::Promote { bundle, stage, reason } => {
                let repo = self.repo_with(view, &stage)?;
                Command::Promote { repo, stage, bundle, reason }
            }
            Ask::Rollback { stage, to, reason } => {
                let repo = self.repo_with(view, &stage)?;
                Command::Rollback { repo, stage, to, reason }
            }
            Ask::Approve { id, plan, note } => Command::Approve { id, plan, note },
            Ask::Reject { id, reason } => Command::Reject { id, reason },
            Ask::Cancel { id, reason } => Command::Cancel { id, reason },
            _ => Command::Adopt { repo: self.adopted(view)? },
        })
    }

    /// Adopting concerns mirrors: one without a pipeline is still one, and the
    /// only one that diverged needs no name.
    fn adopted(&self, view: &View) -> Result<RepoName, Refusal> {
        let diverged = |mirror: &MirrorState| matches!(mirror, MirrorState::Diverged { .. });
        let mut wanting = view.mirrors.iter().filter(|(_, mirror)| diverged(&mirror.state));
        match (&self.line.repo, wanting.next(), wanting.next()) {
            (None, Some((only, _)), None) => Ok(only.clone()),
            _ => self.repo(view, None),
        }
    }

    fn status(&self, view: &View, stage: Option<&Stage>) -> Result<Message, Refusal> {
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
        Ok(chat::board(&repo, manifest, stage, &view.state, &nodes, &notes, self.links()))
    }

    fn why(&self, view: &View, about: &str) -> Result<Message, Refusal> {
        let number = about.strip_prefix("P-").or(about.strip_prefix("p-"));
        if let Some(Ok(number)) = number.map(str::parse) {
            let id = PromotionId::numbered(number);
            let promotion = view.state.promotions.get(&id).ok_or_else(|| no_promotion(&id))?;
            return Ok(chat::why_promotion(promotion, self.links()));
        }
        let stage = Stage::new(about).map_err(|error| Refusal {
            kind: RefusalKind::Invalid,
            message: error.to_string(),
            hint: "name a stage, or a promotion as `P-12`".into(),
        })?;
        let repo = self.repo_with(view, &stage)?;
        Ok(chat::why_stage(&repo, &stage, &view.state, self.links()))
    }

    fn repo(&self, view: &View, stage: Option<&Stage>) -> Result<RepoName, Refusal> {
        choose::repo(view, self.line.repo.as_ref(), self.slack.default_repo.as_ref(), stage)
    }

    fn repo_with(&self, view: &View, stage: &Stage) -> Result<RepoName, Refusal> {
        let repo = self.repo(view, Some(stage))?;
        choose::stage(view, &repo, stage)?;
        Ok(repo)
    }

    fn links(&self) -> &Links {
        &self.slack.links
    }
}

fn no_promotion(id: &PromotionId) -> Refusal {
    Refusal {
        kind: RefusalKind::NotFound,
        message: format!("there is no promotion {id}"),
        hint: "`status` shows what waits".into(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::web::hooks::testing::{Counter, command, slack_hooks};

    async fn say(desk: &Counter, user: &str, text: &str) -> Reply {
        answer(desk, &slack_hooks(), &command(user, text)).await
    }

    #[tokio::test]
    async fn a_promotion_is_asked_for_in_the_persons_name() {
        let desk = Counter::new(Vec::new());
        let reply = say(&desk, "U1", "promote beta to canary --reason \"try it\"").await;
        assert_eq!(reply.audience, Audience::Caller);
        assert!(reply.message.text.contains(":white_check_mark:"), "{}", reply.message.text);
        let wanted = Command::Promote {
            repo: samples::repo(),
            stage: samples::stage("canary"),
            bundle: "beta".into(),
            reason: "try it".into(),
        };
        assert_eq!(desk.acts(), [(samples::person("kim"), wanted)]);
    }

    #[tokio::test]
    async fn strangers_get_help_and_nothing_else() {
        let desk = Counter::new(Vec::new());
        let table =
            ["promote beta to canary", "status", "approve P-1", "diff canary", "why canary"];
        for text in table {
            let reply = say(&desk, "U-stranger", text).await;
            assert!(reply.message.text.contains("is not a person"), "{text}");
        }
        assert!(say(&desk, "U-stranger", "help").await.message.text.contains("promote"));
        assert!(desk.acts().is_empty());
    }

    #[tokio::test]
    async fn refusals_are_shown_with_their_reason_and_to_the_caller_only() {
        let desk = Counter::new(Vec::new());
        desk.refuse("ann wrote this bundle and can't approve it");
        let reply = say(&desk, "U2", "approve P-142 abab --here").await;
        assert_eq!(reply.audience, Audience::Caller);
        assert!(reply.message.text.contains("*Not approved*: ann wrote this bundle"));
        let wrong = say(&desk, "U1", "promote beta to cannary").await;
        assert!(wrong.message.text.contains("did you mean `canary`"), "{}", wrong.message.text);
        let unknown = say(&desk, "U1", "frobnicate").await;
        assert!(unknown.message.text.contains("nothing was done"), "{}", unknown.message.text);
        assert_eq!(desk.acts().len(), 1);
    }

    #[tokio::test]
    async fn reads_show_the_board_and_what_waits() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let board = say(&desk, "U1", "status --here").await;
        assert_eq!(board.audience, Audience::Channel);
        assert!(board.message.text.contains("canary serves b-old"), "{}", board.message.text);
        for about in ["P-142", "p-142", "canary"] {
            let why = say(&desk, "U1", &format!("why {about}")).await;
            assert!(why.message.text.contains("1 of 2 cells passed"), "{}", why.message.text);
        }
        let nothing = say(&desk, "U1", "why P-7").await;
        assert!(nothing.message.text.contains("no promotion P-7"), "{}", nothing.message.text);
    }

    #[tokio::test]
    async fn diff_compares_stages_and_bundles() {
        let desk = Counter::new(Vec::new());
        for text in ["diff canary", "diff canary b-new", "diff b-old b-new"] {
            let said = say(&desk, "U1", text).await.message.text;
            assert!(said.contains("+0 ~1 −0 resources"), "{text}: {said}");
            assert!(said.contains("/r/mesh/config/diff?to=b-new&amp;from=b-old"), "{said}");
        }
        let empty = say(&desk, "U1", "diff canary beta").await.message.text;
        assert!(empty.contains("beta serves nothing so far"), "{empty}");
        let typo = say(&desk, "U1", "diff cannary").await.message.text;
        assert!(typo.contains("did you mean `canary`"), "{typo}");
    }
}
