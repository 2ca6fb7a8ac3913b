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
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct End {
    /// The promotion, as in P-7
    promotion: String,
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
    let body = json!({ "stage": args.stage, "bundle": args.bundle, "reason": args.reason });
    answer(output, &args.server.post(&format!("/repos/{repo}/promotions"), &body).await?)
}

pub(super) async fn approve(args: &Approve, output: &Output) -> Result<(), Failure> {
    let mut body = json!({ "note": args.note });
    if let Some(plan) = &args.plan {
        body["plan"] = json!(plan);
    }
    let path = format!("/promotions/{}/approve", id(&args.promotion));
    answer(output, &args.server.post(&path, &body).await?)
}

pub(super) async fn end(verb: &str, args: &End, output: &Output) -> Result<(), Failure> {
    let path = format!("/promotions/{}/{verb}", id(&args.promotion));
    answer(output, &args.server.post(&path, &json!({ "reason": args.reason })).await?)
}

pub(super) async fn rollback(args: &Rollback, output: &Output) -> Result<(), Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await?;
    let mut body = json!({ "reason": args.reason });
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
fn id(text: &str) -> String {
    let number = text.trim_start_matches(['P', 'p']).trim_start_matches('-');
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("P-{number}") } else { segment(text) }
}

fn answer(output: &Output, receipt: &Value) -> Result<(), Failure> {
    output.result(receipt, || {
        let already = if receipt["already"] == true { " (nothing changed)" } else { "" };
        format!("{}{already}\n", receipt["message"].as_str().unwrap_or("done"))
    });
    Ok(())
}
