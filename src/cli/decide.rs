//! `convoy promote|approve|reject|cancel|rollback|adopt`: what people decide.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// A bundle, a stage (what it serves), a commit, r<N> or latest
    bundle: String,
    /// The stage to bring it to
    #[arg(long = "to", value_name = "STAGE")]
    stage: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// Not before: a time, or how long from now (2h, 3d)
    #[arg(long, value_name = "TIME")]
    after: Option<String>,
    /// Do nothing; say what it would come to
    #[arg(long)]
    dry_run: bool,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Approve {
    /// The promotion, as in P-7
    promotion: String,
    /// The beginning of the plan's digest that you looked at
    #[arg(long)]
    plan: Option<String>,
    /// What you want to add
    #[arg(long, default_value = "")]
    note: String,
    /// Do nothing; say what it would come to
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct End {
    /// The promotion, as in P-7
    promotion: String,
    /// Do nothing; say what it would come to
    #[arg(long)]
    dry_run: bool,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// The stage
    stage: String,
    /// To what; without it, to what succeeded before
    #[arg(long, value_name = "BUNDLE")]
    to: Option<String>,
    /// Why
    #[arg(long)]
    reason: String,
    /// Do nothing; say what it would come to
    #[arg(long)]
    dry_run: bool,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Adopt {
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn promote(args: &Promote, output: &Output) -> Result<(), Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await?;
    let mut body = json!({ "stage": args.stage, "bundle": args.bundle, "reason": args.reason });
    if let Some(after) = &args.after {
        body["after"] = json!(after);
    }
    body["dry_run"] = json!(args.dry_run);
    answer(output, &args.server.post(&format!("/repos/{repo}/promotions"), &body).await?)
}

pub(super) async fn approve(args: &Approve, output: &Output) -> Result<(), Failure> {
    let mut body = json!({ "note": args.note, "dry_run": args.dry_run });
    if let Some(plan) = &args.plan {
        body["plan"] = json!(plan);
    }
    let path = format!("/promotions/{}/approve", id(&args.promotion));
    answer(output, &args.server.post(&path, &body).await?)
}

pub(super) async fn end(verb: &str, args: &End, output: &Output) -> Result<(), Failure> {
    let path = format!("/promotions/{}/{verb}", id(&args.promotion));
    let body = json!({ "reason": args.reason, "dry_run": args.dry_run });
    answer(output, &args.server.post(&path, &body).await?)
}

pub(super) async fn rollback(args: &Rollback, output: &Output) -> Result<(), Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await?;
    let mut body = json!({ "reason": args.reason, "dry_run": args.dry_run });
    if let Some(to) = &args.to {
        body["to"] = json!(to);
    }
    let path = format!("/repos/{repo}/stages/{}/rollback", segment(&args.stage));
    answer(output, &args.server.post(&path, &body).await?)
}

pub(super) async fn adopt(args: &Adopt, output: &Output) -> Result<(), Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await?;
    answer(output, &args.server.post(&format!("/repos/{repo}/adopt"), &json!({})).await?)
}

/// `7`, `p-7` and `P-7` are the same promotion.
pub(super) fn id(text: &str) -> String {
    let number = text.trim_start_matches(['P', 'p']).trim_start_matches('-');
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("P-{number}") } else { segment(text) }
}

pub(super) fn answer(output: &Output, receipt: &Value) -> Result<(), Failure> {
    output.result(receipt, || {
        let already = if receipt["already"] == true { " (nothing changed)" } else { "" };
        let warnings = receipt["dry_run"]["warnings"].as_array().cloned().unwrap_or_default();
        let warnings = warnings.iter().filter_map(|line| line.as_str());
        let warnings: String = warnings.map(|line| format!("  note: {line}\n")).collect();
        let would = if receipt["dry_run"].is_object() { "would be: " } else { "" };
        let message = receipt["message"].as_str().unwrap_or("done");
        format!("{would}{message}{already}\n{warnings}")
    });
    Ok(())
}
