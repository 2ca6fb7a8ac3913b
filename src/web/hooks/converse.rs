//! From a line that a person typed to an answer. Knows no HTTP.
//!
//! ```text
//! read ────────────────────────────▶ answered
//! at once: approve, reject, abort …▶ done
//! anything else that changes ──────▶ rehearsed ─▶ preview ─(yes)─▶ done
//! breakglass ──────────────────────▶ form
//! ```

mod diff;
mod look;
mod own;

use super::acts::{self, Intent};
use super::previews::Act;
use super::replies::Reply;
use super::talk::Talk;
use super::{choose, fill};
use crate::chat::{self, Able, Ask, Audience, Line, Message, Runs, Urgent, VerbSpec};
use crate::model::{Actor, PromotionId};
use crate::promote::{Gate, Refusal};
use crate::reconcile::{Command, Receipt};

/// What a command is called where the person used none.
pub(super) const COMMAND: &str = "/convoy";

/// Answers one line.
pub(super) async fn answer(talk: &Talk<'_>, text: &str) -> Reply {
    let line = match chat::parse(text, &talk.clock()) {
        Ok(line) => line,
        Err(refusal) => {
            return Reply::to_caller(chat::refusal("Not understood", &refusal, talk.trace));
        }
    };
    if let Ask::Help(verb) = line.ask {
        return Reply::to_caller(help(talk, verb));
    }
    let spec = line.verb().spec();
    let done = match spec.runs {
        Runs::Read => look::answer(talk, &line).await,
        _ => match talk.actor(spec) {
            Ok(actor) => change(talk, &line, spec, actor).await,
            Err(_) if spec.verb == chat::Verb::Link => own::link(talk),
            Err(message) => return Reply::to_caller(*message),
        },
    };
    match done {
        Ok(Some(message)) if line.here && spec.runs != Runs::Preview => {
            Reply::Say { message, audience: Audience::Channel }
        }
        Ok(Some(message)) => Reply::to_caller(message),
        Ok(None) => Reply::Nothing,
        // A refusal is nobody else's business.
        Err(refusal) => Reply::to_caller(talk.refused(spec, &refusal)),
    }
}

fn help(talk: &Talk<'_>, verb: Option<chat::Verb>) -> Message {
    let (person, stages) = (talk.person(), talk.stages());
    let able = Able { person: person.as_ref(), role: talk.role(), stages: &stages };
    chat::help(talk.command, verb, &able)
}

async fn change(
    talk: &Talk<'_>,
    line: &Line,
    spec: &VerbSpec,
    actor: Actor,
) -> Result<Option<Message>, Refusal> {
    match &line.ask {
        Ask::Link => return own::link(talk),
        Ask::Subscribe { stage, events } => {
            return own::subscribe(talk, line, &actor, stage, Some(events)).await;
        }
        Ask::Unsubscribe(stage) => {
            return own::subscribe(talk, line, &actor, stage, None).await;
        }
        Ask::Breakglass { .. } => return breakglass(talk, line, actor).await,
        Ask::Approve { id, plan: None, .. } => return unseen(talk, spec, id).await.map(Some),
        _ => {}
    }
    let view = talk.desk.view();
    let intent = acts::intent(talk, line, &view)?;
    if spec.runs == Runs::AtOnce {
        let receipt = talk.desk.act(actor, intent.command).await?;
        return Ok(Some(told(talk, &receipt)));
    }
    preview(talk, line, intent, actor).await.map(Some)
}

/// A yes names its plan: without one it would be for whatever the plan is by
/// now. What that is, is shown.
async fn unseen(talk: &Talk<'_>, spec: &VerbSpec, id: &PromotionId) -> Result<Message, Refusal> {
    let view = talk.desk.view();
    let promotion = choose::promotion(&view, id)?;
    let refused = talk.refused(spec, &acts::unnamed_plan(promotion));
    let changes = match promotion.status.is_waiting() {
        true => talk.changes(promotion).await,
        false => Vec::new(),
    };
    Ok(refused.with(&changes))
}

fn told(talk: &Talk<'_>, receipt: &Receipt) -> Message {
    let promotion = receipt.promotion.as_ref();
    chat::receipt(&receipt.message, promotion, receipt.already, &talk.slack.links)
}

/// Shows what would come of it. What would be refused is refused now, in the
/// same words.
async fn preview(
    talk: &Talk<'_>,
    line: &Line,
    intent: Intent,
    actor: Actor,
) -> Result<Message, Refusal> {
    let Intent { command, mut preview, tells } = intent;
    let rehearsed = talk.desk.rehearse(actor, command.clone()).await?;
    let warnings = rehearsed.allowed.warnings.iter();
    preview.lines.extend(warnings.map(|text| format!(":warning: {}", chat::clean(text, 300))));
    preview.lines.extend(consequences(&rehearsed.receipt, talk));
    if let Some(promotion) = &rehearsed.receipt.promotion {
        preview.changes = talk.changes(promotion).await;
    }
    if matches!(line.ask, Ask::Promote { dry_run: true, .. }) {
        return Ok(chat::preview(&preview, None));
    }
    let act = Act { verb: line.verb(), command, tells };
    let now = talk.clock().now;
    let token = talk.slack.previews.keep(talk.caller.key(), act, now).ok_or_else(|| {
        let message = "the system gives no random numbers";
        Refusal::new(crate::promote::RefusalKind::Unavailable, message, "use the console")
    })?;
    Ok(chat::preview(&preview, Some(&token)))
}

/// What follows from it, as far as the decision itself says.
fn consequences(rehearsed: &Receipt, talk: &Talk<'_>) -> Vec<String> {
    let Some(promotion) = &rehearsed.promotion else {
        return match rehearsed.message.is_empty() {
            true => Vec::new(),
            false => vec![chat::clean(&rehearsed.message, 300)],
        };
    };
    let (plan, repo, stage) = (&promotion.plan, &promotion.repo, &promotion.stage);
    let from = plan.from.as_ref().map(|bundle| bundle.as_str());
    let page = talk.slack.links.diff(repo, Some(stage), from, plan.to.as_str());
    let stat = plan.diff;
    let mut lines = vec![format!(
        "`{}` → `{}`: +{} ~{} −{} resources · <{}|View diff>",
        from.unwrap_or("nothing"),
        plan.to,
        stat.added,
        stat.changed,
        stat.removed,
        page.replace('&', "&amp;")
    )];
    let closed = promotion.gates.iter().filter(|gate| !gate.open);
    lines.extend(closed.map(|gate| format!(":hourglass_flowing_sand: {}", waits(gate))));
    if rehearsed.already {
        lines.push("It was asked for before; nothing would change".into());
    }
    lines
}

fn waits(gate: &Gate) -> String {
    format!("{}: {}", gate.kind.word(), chat::clean(&gate.detail, 300))
}

/// Opens the form; what would be passed over is listed in it.
async fn breakglass(
    talk: &Talk<'_>,
    line: &Line,
    actor: Actor,
) -> Result<Option<Message>, Refusal> {
    let Ask::Breakglass { bundle, stage, incident, reason } = &line.ask else { return Ok(None) };
    let view = talk.desk.view();
    let default = talk.slack.default_repo.as_ref();
    let repo = choose::repo(&view, line.repo.as_ref(), default, Some(stage))?;
    choose::stage(&view, &repo, stage)?;
    let bundle = choose::source(&view, &repo, bundle)?;
    let request = Command::Promote {
        repo: repo.clone(),
        stage: stage.clone(),
        bundle: bundle.to_string(),
        reason: reason.clone(),
    };
    let rehearsed = talk.desk.rehearse(actor, request).await?;
    let gates = rehearsed.receipt.promotion.map(|promotion| promotion.gates).unwrap_or_default();
    let closed: Vec<_> = gates.into_iter().filter(|gate| !gate.open).collect();
    let (repo, bundle, closed) = (&repo, &bundle, closed.as_slice());
    let urgent = Urgent { repo, stage, bundle, incident, reason, closed };
    let form = chat::breakglass_form(&urgent, talk.channel);
    let instead = "use the slash command, or the console's page of the stage";
    fill::open(talk, &form, instead).await.map(|()| None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::web::hooks::SlackHooks;
    use crate::web::hooks::testing::{Counter, caller, slack_hooks, talk};

    /// What is said, and whether the channel sees it.
    async fn said(desk: &Counter, slack: &SlackHooks, user: &str, text: &str) -> (Message, bool) {
        let caller = caller(user);
        match answer(&talk(desk, slack, &caller), text).await {
            Reply::Say { message, audience } => (message, audience == Audience::Channel),
            other => panic!("{text}: {other:?}"),
        }
    }

    async fn say(desk: &Counter, user: &str, text: &str) -> String {
        said(desk, &slack_hooks(), user, text).await.0.text
    }

    #[tokio::test]
    async fn a_request_is_shown_first_and_done_by_nobody_before_its_yes() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let line = "promote b-new to canary --reason \"try it\"";
        let (shown, public) = said(&desk, &slack_hooks(), "U1", &format!("{line} --here")).await;
        assert!(!public, "a preview is for its caller alone");
        assert!(shown.text.contains("*Not done yet*"), "{}", shown.text);
        assert!(shown.text.contains("1 of 2 cells passed"), "{}", shown.text);
        let change = "cluster pay: connect_timeout: 1s → 3s\n      makes the cluster anew";
        assert!(shown.text.contains(change), "{}", shown.text);
        assert!(shown.answer(Audience::Caller).to_string().contains("\"confirm\""));
        let dry = said(&desk, &slack_hooks(), "U1", &format!("{line} --dry-run")).await.0;
        assert!(!dry.answer(Audience::Caller).to_string().contains("\"button\""));
        assert!(desk.acts().is_empty());
    }

    #[tokio::test]
    async fn the_safe_direction_is_taken_at_once() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        for text in ["reject P-142 too slow", "approve P-142 abab ok"] {
            let said = say(&desk, "U1", text).await;
            assert!(said.contains(":white_check_mark:"), "{said}");
        }
        assert_eq!(desk.acts().len(), 2);
        let preview = say(&desk, "U1", "cancel P-142").await;
        assert!(preview.contains("*Not done yet*"), "{preview}");
        assert_eq!(desk.acts().len(), 2);
    }

    #[tokio::test]
    async fn a_yes_by_text_must_name_its_plan() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let said = say(&desk, "U1", "approve P-142 looks good").await;
        assert!(said.contains("`approve P-142 abababababab`"), "{said}");
        assert!(said.contains("cluster pay: connect_timeout: 1s → 3s"), "{said}");
        assert!(desk.acts().is_empty());
    }

    #[tokio::test]
    async fn strangers_may_look_and_nothing_else() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let changes = ["promote beta to canary", "approve P-142 abab", "cancel P-142", "thaw all"];
        for text in changes {
            let said = say(&desk, "U-stranger", text).await;
            assert!(said.contains("is not a person"), "{text}: {said}");
        }
        for text in ["promote beta to canary", "approve P-142 abab"] {
            let said = say(&desk, "U3", text).await;
            assert!(said.contains("the role of rea does not allow"), "{text}: {said}");
        }
        assert!(say(&desk, "U-stranger", "status").await.contains("canary serves b-old"));
        assert!(say(&desk, "U-stranger", "whoami").await.contains("linked to nobody"));
        let help = say(&desk, "U-stranger", "help").await;
        assert!(help.contains("`status") && !help.contains("`promote"), "{help}");
        let link = say(&desk, "U-stranger", "link").await;
        assert!(link.contains("https://convoy.example.com/slack/link?token="), "{link}");
        assert!(desk.acts().is_empty());
    }

    #[tokio::test]
    async fn refusals_are_shown_with_their_reason_and_to_the_caller_only() {
        let desk = Counter::new(Vec::new());
        desk.refuse("ann wrote this bundle and can't approve it");
        let slack = slack_hooks();
        let (reply, public) = said(&desk, &slack, "U2", "approve P-142 abab --here").await;
        assert!(!public);
        assert!(reply.text.contains("*Not approved*: ann wrote this bundle"), "{}", reply.text);
        assert!(reply.text.contains("[t-123456]"), "{}", reply.text);
        let wrong = say(&desk, "U1", "promote beta to cannary").await;
        assert!(wrong.contains("did you mean `canary`"), "{wrong}");
        let unknown = say(&desk, "U1", "frobnicate").await;
        assert!(unknown.contains("nothing was done"), "{unknown}");
        assert_eq!(desk.acts().len(), 1);
    }

    #[tokio::test]
    async fn reads_show_the_board_and_what_waits() {
        let desk = Counter::new(vec![samples::promotion(142, "canary")]);
        let (board, public) = said(&desk, &slack_hooks(), "U1", "status --here").await;
        assert!(public);
        assert!(board.text.contains("canary serves b-old"), "{}", board.text);
        for about in ["P-142", "p-142", "canary"] {
            let why = say(&desk, "U1", &format!("why {about}")).await;
            assert!(why.contains("1 of 2 cells passed"), "{why}");
        }
        let table = [
            ("why P-7", "no promotion P-7"),
            ("list promotions canary", "P-142"),
            ("list bundles", "b-new"),
            ("show P-142", "P-142"),
            ("show b-new", "canary"),
            ("status b-new", "canary"),
            ("checks b-new", "not run so far"),
            ("history canary", "none so far"),
            ("audit P-142", "asked for it"),
            ("audit P-142 --json", "\"P-142\""),
        ];
        for (text, part) in table {
            let said = say(&desk, "U1", text).await;
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[tokio::test]
    async fn a_channel_hears_of_what_it_subscribes_to() {
        let desk = Counter::new(Vec::new());
        let said = say(&desk, "U1", "subscribe canary failed,ended").await;
        assert!(said.contains("hears of canary of mesh/config: ended, failed"), "{said}");
        let again = say(&desk, "U1", "unsubscribe canary").await;
        assert!(again.contains("hears no more"), "{again}");
        let wrong = say(&desk, "U1", "subscribe nowhere").await;
        assert!(wrong.contains("no stage `nowhere`"), "{wrong}");
    }

    #[tokio::test]
    async fn diff_compares_stages_and_bundles() {
        let desk = Counter::new(Vec::new());
        for text in ["diff canary", "diff canary b-new", "diff b-old b-new"] {
            let said = say(&desk, "U1", text).await;
            assert!(said.contains("+0 ~1 −0 resources"), "{text}: {said}");
            assert!(said.contains("/r/mesh/config/diff?to=b-new&amp;from=b-old"), "{said}");
            assert!(said.contains("cluster pay: connect_timeout: 1s → 3s"), "{said}");
            assert!(said.contains("makes the cluster anew"), "{said}");
            assert!(said.contains("3 connected nodes take it"), "{said}");
        }
        let only = say(&desk, "U1", "diff b-old b-new --resource \"sam*\"").await;
        assert!(only.contains("no difference"), "{only}");
        let empty = say(&desk, "U1", "diff canary beta").await;
        assert!(empty.contains("beta serves nothing so far"), "{empty}");
        let typo = say(&desk, "U1", "diff cannary").await;
        assert!(typo.contains("did you mean `canary`"), "{typo}");
    }
}
