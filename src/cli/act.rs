//! What people decide besides asking and voting: steering what is under way,
//! keeping promotions away, emergencies, and `why`.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::decide::{answer, id};
use super::output::Output;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Act {
    /// Take your own approval back
    #[command(after_help = "Examples:\n  convoy retract P-7")]
    Retract(OnPromotion),
    /// Bring back what was served before a promotion that is under way
    #[command(after_help = "Examples:\n  convoy abort P-7 --reason 'errors in checkout'")]
    Abort(OnPromotion),
    /// Stop a promotion at the step where it is
    #[command(after_help = "Examples:\n  convoy pause P-7 --reason 'looking at the graphs'")]
    Pause(OnPromotion),
    /// Let a promotion that is paused go on, or try one again that is stuck
    #[command(after_help = "Examples:\n  convoy resume P-7")]
    Resume(OnPromotion),
    /// Take a promotion to its next step, whatever is left of this one
    #[command(after_help = "Examples:\n  convoy advance P-7\n  convoy advance P-7 --to 50")]
    Advance(Advance),
    /// Say that you looked at what was skipped in an emergency
    #[command(after_help = "Examples:\n  convoy review P-7 --note 'seen, all well'")]
    Review(Review),
    /// Keep a stage at what it serves, or for one bundle
    #[command(
        after_help = "Examples:\n  convoy pin release --until 2h --reason 'load test'\n  convoy pin release b-7f3a90c1d2e4 --reason 'only this one'"
    )]
    Pin(Pin),
    /// Take off a stage's pin, and the hold that a rollback set
    #[command(after_help = "Examples:\n  convoy unpin release")]
    Unpin(OnStage),
    /// Keep a bundle out of a stage, or out of all
    #[command(
        after_help = "Examples:\n  convoy veto r41 --stage release --reason 'breaks checkout'"
    )]
    Veto(OnBundle),
    /// End the vetoes of a bundle
    #[command(after_help = "Examples:\n  convoy unveto r41 --stage release")]
    Unveto(OnBundle),
    /// Take a stage for yourself
    #[command(after_help = "Examples:\n  convoy lock canary --until 2h --reason 'debugging'")]
    Lock(OnStage),
    /// Give a stage back
    #[command(
        after_help = "Examples:\n  convoy unlock canary\n  convoy unlock canary --steal 'kim is away'"
    )]
    Unlock(Unlock),
    /// Keep every promotion out of a stage, or with `all` out of every stage
    #[command(
        after_help = "Examples:\n  convoy freeze release --until 2026-12-27T09:00:00+09:00 --reason 'year end'\n  convoy freeze all --reason 'an incident'"
    )]
    Freeze(OnStage),
    /// End a freeze
    #[command(after_help = "Examples:\n  convoy thaw release\n  convoy thaw all")]
    Thaw(OnStage),
    /// Skip gates in an emergency: loud, for an hour, and reviewed afterwards
    #[command(
        after_help = "Examples:\n  convoy breakglass r42 --to release --incident INC-7 --skip soak,approvals --reason 'the fix' --confirm release"
    )]
    Breakglass(Breakglass),
    /// Have cells of a bundle's matrix run again
    #[command(after_help = "Examples:\n  convoy retest r42 --stage canary --envoy 1.38.3")]
    Retest(OnBundle),
    /// Say what a stage or a promotion waits for, and who can clear it
    #[command(after_help = "Examples:\n  convoy why release\n  convoy why P-7")]
    Why(Why),
}

/// What every verb takes.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Do nothing; say what it would come to
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct OnPromotion {
    /// The promotion, as in P-7
    promotion: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Advance {
    /// The promotion, as in P-7
    promotion: String,
    /// To the first step that holds so many percent of the nodes
    #[arg(long, value_name = "PERCENT")]
    to: Option<u32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Review {
    /// The promotion, as in P-7
    promotion: String,
    /// What you found
    #[arg(long)]
    note: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct OnStage {
    /// The stage
    stage: String,
    /// Until when: a time, or how long (2h, 3d)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Pin {
    #[command(flatten)]
    on: OnStage,
    /// The only bundle that may come
    bundle: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Unlock {
    #[command(flatten)]
    on: OnStage,
    /// Why you take somebody else's lock off
    #[arg(long, value_name = "REASON")]
    steal: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct OnBundle {
    /// A bundle, a stage (what it serves), a commit, r<N> or latest
    bundle: String,
    /// In this stage only
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Of this Envoy version only, where cells run again
    #[arg(long, value_name = "VERSION")]
    envoy: Option<String>,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Breakglass {
    /// A bundle, a stage (what it serves), a commit, r<N> or latest
    bundle: String,
    /// The stage to bring it to
    #[arg(long = "to", value_name = "STAGE")]
    stage: String,
    /// The incident's id
    #[arg(long, value_name = "ID")]
    incident: String,
    /// The gates that are skipped, as `why` names them
    #[arg(long, value_delimiter = ',', value_name = "GATES")]
    skip: Vec<String>,
    /// Why
    #[arg(long)]
    reason: String,
    /// The stage's name once more
    #[arg(long, value_name = "STAGE", default_value = "")]
    confirm: String,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// A stage, or a promotion as in P-7
    what: String,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(act: &Act, output: &Output) -> Result<(), Failure> {
    match act {
        Act::Retract(args) => on_promotion("retract", args, output).await,
        Act::Abort(args) => on_promotion("abort", args, output).await,
        Act::Pause(args) => on_promotion("pause", args, output).await,
        Act::Resume(args) => on_promotion("resume", args, output).await,
        Act::Advance(args) => {
            let body = json!({ "to": args.to });
            promotion("advance", &args.promotion, body, (&args.common, output)).await
        }
        Act::Review(args) => {
            let body = json!({ "note": args.note });
            promotion("review", &args.promotion, body, (&args.common, output)).await
        }
        Act::Pin(args) => {
            let body = json!({ "bundle": args.bundle });
            on_stage("pin", &args.on, body, output).await
        }
        Act::Unpin(args) => on_stage("unpin", args, json!({}), output).await,
        Act::Lock(args) => on_stage("lock", args, json!({}), output).await,
        Act::Unlock(args) => {
            let body = json!({ "steal": args.steal });
            on_stage("unlock", &args.on, body, output).await
        }
        Act::Freeze(args) => on_stage("freeze", args, json!({}), output).await,
        Act::Thaw(args) => on_stage("thaw", args, json!({}), output).await,
        Act::Veto(args) => on_bundle("veto", args, output).await,
        Act::Unveto(args) => on_bundle("unveto", args, output).await,
        Act::Retest(args) => on_bundle("retest", args, output).await,
        Act::Breakglass(args) => breakglass(args, output).await,
        Act::Why(args) => why(args, output).await,
    }
}

async fn post(
    path: &str,
    mut body: Value,
    (common, output): (&Common, &Output),
) -> Result<(), Failure> {
    if common.dry_run {
        body["dry_run"] = json!(true);
    }
    answer(output, &common.server.post(path, &body).await?)
}

async fn on_promotion(verb: &str, args: &OnPromotion, output: &Output) -> Result<(), Failure> {
    let body = json!({ "reason": args.reason });
    promotion(verb, &args.promotion, body, (&args.common, output)).await
}

async fn promotion(
    verb: &str,
    name: &str,
    body: Value,
    with: (&Common, &Output),
) -> Result<(), Failure> {
    post(&format!("/promotions/{}/{verb}", id(name)), body, with).await
}

async fn on_stage(
    verb: &str,
    args: &OnStage,
    mut body: Value,
    output: &Output,
) -> Result<(), Failure> {
    let repo = args.common.server.repo(args.repo.as_deref()).await?;
    body["reason"] = json!(args.reason);
    body["until"] = json!(args.until);
    let all = args.stage == "all" && matches!(verb, "freeze" | "thaw");
    let path = match all {
        true => format!("/repos/{repo}/{verb}"),
        false => format!("/repos/{repo}/stages/{}/{verb}", segment(&args.stage)),
    };
    post(&path, body, (&args.common, output)).await
}

async fn on_bundle(verb: &str, args: &OnBundle, output: &Output) -> Result<(), Failure> {
    let repo = args.common.server.repo(args.repo.as_deref()).await?;
    let body = json!({ "reason": args.reason, "stage": args.stage, "envoy": args.envoy });
    let path = format!("/repos/{repo}/bundles/{}/{verb}", segment(&args.bundle));
    post(&path, body, (&args.common, output)).await
}

async fn breakglass(args: &Breakglass, output: &Output) -> Result<(), Failure> {
    let repo = args.common.server.repo(args.repo.as_deref()).await?;
    let body = json!({
        "bundle": args.bundle, "incident": args.incident, "skip": args.skip,
        "reason": args.reason, "typed": args.confirm,
    });
    let path = format!("/repos/{repo}/stages/{}/breakglass", segment(&args.stage));
    post(&path, body, (&args.common, output)).await
}

async fn why(args: &Why, output: &Output) -> Result<(), Failure> {
    let number = args.what.trim_start_matches(['P', 'p']).trim_start_matches('-');
    let is_promotion = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let path = match is_promotion {
        true => format!("/promotions/{}/why", id(&args.what)),
        false => {
            let repo = args.server.repo(args.repo.as_deref()).await?;
            format!("/repos/{repo}/stages/{}/why", segment(&args.what))
        }
    };
    let found = args.server.get(&path).await?;
    output.result(&found, || sentences(&found));
    Ok(())
}

fn sentences(found: &Value) -> String {
    let empty = Vec::new();
    let blockers = found["blockers"].as_array().unwrap_or(&empty);
    if blockers.is_empty() {
        return "it waits for nothing\n".into();
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let line = |blocker: &Value| {
        let of = match blocker["promotion"].as_str() {
            Some(promotion) => format!("{promotion}: "),
            None => String::new(),
        };
        let at = match blocker["at"].as_str() {
            Some(at) => format!(" (at {at})"),
            None => String::new(),
        };
        format!("{of}{}\n    clears: {}{at}\n", text(&blocker["what"]), text(&blocker["clears"]))
    };
    blockers.iter().map(line).collect()
}
