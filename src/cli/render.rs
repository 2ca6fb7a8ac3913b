//! `convoy render DIR --stage S`: what a stage's nodes would be served.

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::output::Output;
use super::validate::{assess_folder, errors, known};
use crate::model::{NodeGroup, Stage};
use crate::render::Renderer;
use crate::schema::Schema;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds convoy.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The stage
    #[arg(long)]
    stage: Stage,
    /// The node group
    #[arg(long, default_value = crate::model::EVERYONE)]
    group: NodeGroup,
}

#[derive(Debug, Serialize)]
struct Rendered {
    #[serde(rename = "type")]
    type_url: String,
    name: String,
    version: String,
    place: String,
    yaml: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let assessment = assess_folder(&args.dir)?;
    let errors = errors(&assessment);
    for error in &errors {
        output.error(error.trim_end());
    }
    if assessment.manifest.is_none() {
        return Err(Failure::silent(Failure::PROBLEMS));
    }
    let stage = known(&assessment, &args.stage)?;
    let groups: Vec<_> = stage.resources.groups.keys().map(ToString::to_string).collect();
    let resources = stage.resources.groups.get(&args.group).ok_or_else(|| {
        Failure::new(Failure::NOT_FOUND, format!("there is no node group `{}`", args.group))
            .with_hint(format!("the groups are {}", groups.join(", ")))
    })?;
    let renderer = Renderer::new(Schema::load());
    let rendered: Vec<Rendered> = resources
        .iter()
        .map(|resource| Rendered {
            type_url: resource.type_url.to_string(),
            name: resource.name.to_string(),
            version: resource.hash.short(),
            place: resource.place.to_string(),
            yaml: yaml(renderer.schema(), resource),
        })
        .collect();
    output.result(&rendered, || rendered.iter().map(document).collect());
    let others: Vec<_> = groups.iter().filter(|name| **name != args.group.as_str()).collect();
    if let [first, ..] = others.as_slice() {
        let message = format!("this is the group {}; for another: --group {first}", args.group);
        output.message(&message);
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(Failure::PROBLEMS)),
    }
}

fn yaml(schema: &Schema, resource: &crate::model::Resource) -> String {
    match schema.decode(&resource.type_url, &resource.body) {
        Ok(message) => schema.to_yaml(&message),
        Err(error) => format!("# {error}\n"),
    }
}

fn document(one: &Rendered) -> String {
    format!(
        "---\n# from {}, version {}\n\"@type\": {}\n{}",
        one.place, one.version, one.type_url, one.yaml
    )
}
