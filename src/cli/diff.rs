//! `convoy diff`: what a stage's nodes would see change. Two folders are
//! compared here; anything else by the server.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::Output;
use super::validate::{assess_folder, counted, errors};
use crate::model::{NodeGroup, RepoName, SnapshotKey, Stage};
use crate::reconcile::Assessment;
use crate::schema::Schema;
use crate::snapshot::{self, Snapshot};

/// How many fields of one resource are told.
const FIELDS_SHOWN_MAX: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is there: a stage, served:STAGE, a bundle (also r<N>, a commit, latest), or a folder
    from: String,
    /// What would come, as above
    to: String,
    /// The stage that both are rendered for; folders need it
    #[arg(long)]
    stage: Option<Stage>,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let (from, to) = (Path::new(&args.from), Path::new(&args.to));
    for (one, other) in [(from, to), (to, from)] {
        no_folder(one, other)?;
    }
    let result = match from.is_dir() && to.is_dir() {
        true => folders(from, to, args.stage.as_ref(), output)?,
        false => remote(args).await?,
    };
    let resources = result["resources"].as_array().cloned().unwrap_or_default();
    let files = result["source"]["files"].as_array().cloned().unwrap_or_default();
    output.result(&result, || resources.iter().map(lines).chain(files.iter().map(file)).collect());
    match resources.is_empty() {
        true => {
            output.message("nothing differs");
            Ok(())
        }
        false => Err(Failure::silent(Failure::FAILED)),
    }
}

async fn remote(args: &Args) -> Result<Value, Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await.map_err(not_a_difference)?;
    let (from, to) = (segment(&args.from), segment(&args.to));
    let mut path = format!("/repos/{repo}/diff?from={from}&to={to}");
    if let Some(stage) = &args.stage {
        path.push_str(&format!("&stage={}", segment(stage.as_str())));
    }
    let answer = args.server.get(&path).await.map_err(not_a_difference)?;
    let mut resources = Vec::new();
    for group in answer["groups"].as_array().into_iter().flatten() {
        for change in group["changes"].as_array().into_iter().flatten() {
            let mut change = change.clone();
            change["group"] = group["group"].clone();
            resources.push(change);
        }
    }
    let (from, to, source) = (&answer["from"], &answer["to"], &answer["source"]);
    Ok(json!({ "from": from, "to": to, "resources": resources, "source": source }))
}

/// Exit code 1 means that something differs, and nothing else.
fn not_a_difference(failure: Failure) -> Failure {
    Failure { code: failure.code.max(Failure::USAGE), ..failure }
}

/// What looks like a folder, or stands beside one, and is none. The name of a
/// stage may be a folder's too.
fn no_folder(one: &Path, other: &Path) -> Result<(), Failure> {
    let shown = one.to_string_lossy();
    let looks_like_one = shown.contains('/') || shown.starts_with('.');
    let beside_one = other.is_dir() && other.join("convoy.yaml").is_file();
    if !one.is_dir() && (looks_like_one || beside_one) {
        return Err(Failure::new(Failure::NOT_FOUND, format!("`{shown}` is no folder"))
            .with_hint("compare two folders, or two of what the server knows"));
    }
    Ok(())
}

/// A folder without problems: what is left out for one would look removed.
fn whole(dir: &Path, output: &Output) -> Result<Assessment, Failure> {
    let assessment = assess_folder(dir)?;
    let errors = errors(&assessment);
    if errors.is_empty() {
        return Ok(assessment);
    }
    for error in &errors {
        output.error(error.trim_end());
    }
    let message = format!("`{}` has {}", dir.display(), counted(errors.len(), "problem"));
    Err(Failure::new(Failure::PROBLEMS, message))
}

fn folders(
    from: &Path,
    to: &Path,
    stage: Option<&Stage>,
    output: &Output,
) -> Result<Value, Failure> {
    let stage = stage.ok_or_else(|| {
        Failure::new(Failure::USAGE, "which stage?").with_hint("add --stage STAGE")
    })?;
    let schema = Schema::load();
    let (from, to) = (whole(from, output)?, whole(to, output)?);
    let groups = |one: &Assessment| -> Vec<NodeGroup> {
        let output = one.outputs.get(stage);
        output.iter().flat_map(|output| output.resources.groups.keys().cloned()).collect()
    };
    let mut all = groups(&from);
    all.extend(groups(&to));
    all.sort();
    all.dedup();
    if all.is_empty() {
        return Err(Failure::new(Failure::NOT_FOUND, format!("there is no stage `{stage}`")));
    }
    let mut resources = Vec::new();
    for group in &all {
        let (old, new) = (made(&from, stage, group), made(&to, stage, group));
        for one in snapshot::diff(&schema, old.as_deref(), new.as_deref()) {
            let mut value = serde_json::to_value(&one).unwrap_or_default();
            value["group"] = json!(group.as_str());
            value["sentences"] = json!(one.sentences(FIELDS_SHOWN_MAX));
            value["impact"] = json!(one.impact.to_string());
            resources.push(value);
        }
    }
    Ok(json!({ "stage": stage.as_str(), "resources": resources }))
}

fn made(assessment: &Assessment, stage: &Stage, group: &NodeGroup) -> Option<Arc<Snapshot>> {
    let resources = assessment.outputs.get(stage)?.resources.groups.get(group)?;
    let repo = RepoName::new("local/folder").ok()?;
    let key = SnapshotKey { repo, stage: stage.clone(), group: group.clone() };
    Some(Arc::new(snapshot::build(key, resources)))
}

fn file(one: &Value) -> String {
    let text = one["text"].as_str().unwrap_or("not text, or too large to show\n");
    format!("source {}\n{text}", one["path"].as_str().unwrap_or(""))
}

fn lines(one: &Value) -> String {
    let text = |key: &str| one[key].as_str().unwrap_or("").to_owned();
    let kind = text("type_url").rsplit('.').next().unwrap_or("").to_owned();
    let sentences = one["sentences"].as_array().into_iter().flatten();
    let sentences = sentences.filter_map(Value::as_str).map(|line| format!("  {line}\n"));
    format!(
        "{} {kind} {} (group {}): {}\n{}{}",
        text("change"),
        text("name"),
        text("group"),
        text("impact"),
        sentences.collect::<String>(),
        text("text")
    )
}
