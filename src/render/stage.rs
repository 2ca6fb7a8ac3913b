//! Renders the files of one stage, each as often as its groups differ.
//!
//! A file for all groups is rendered once and shared, unless a group has
//! values of its own or a template asks for `group`: then that group gets a
//! rendering of its own. Sharing is never visible in the result.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::layout::{self, Found, Holds};
use super::memo::{self, Memo, Parts, Rendering};
use super::rendered::{Origin, RenderedFile};
use super::template::{Engine, Source, Sources};
use super::typed::Decoded;
use super::values::Values;
use super::{document, inventory};
use crate::model::{
    ContentHash, FilePath, Manifest, NodeGroup, Place, Problem, ResourceKind, SourceTree, Stage,
};

/// Types the documents of a rendered file.
pub(crate) type Decode<'d> = &'d dyn Fn(&RenderedFile) -> Decoded;

/// What the files of one stage rendered to.
#[derive(Debug, Default)]
pub(crate) struct Renderings {
    /// Each file's renderings.
    pub(crate) parts: Vec<Parts>,
    /// Mistakes that concern this stage and lie in no rendered file.
    pub(crate) problems: Vec<Problem>,
    /// Mistakes that concern every stage.
    pub(crate) everywhere: Vec<Problem>,
    /// The kinds of which some may be missing, for a mistake.
    pub(crate) incomplete: BTreeSet<ResourceKind>,
}

/// The words by which a template reaches others.
const LOADING: [&str; 4] = ["extends", "from", "import", "include"];

/// The rules by which the layout leaves a file of resources out.
const UNPLACED: [&str; 2] = ["unknown-group", "unknown-kind"];

/// Renders every file of `tree` for `stage`.
pub(crate) fn render(
    memo: &Memo,
    decode: Decode<'_>,
    tree: &SourceTree,
    manifest: &Manifest,
    stage: &Stage,
) -> Renderings {
    let (found, everywhere) = layout::find(tree, manifest);
    let values = Values::read(tree, manifest, stage);
    let run = Run::new(memo, decode, tree, manifest, stage, &values);
    let mut incomplete = BTreeSet::new();
    if everywhere.iter().any(|problem| UNPLACED.contains(&problem.rule.as_str())) {
        incomplete.extend(ResourceKind::ALL);
    }
    let mut parts = Vec::with_capacity(found.len());
    let (key, mut now) = (run.hash(), memo::Run::with_capacity(found.len()));
    let before = memo.last_run(key);
    let mut before = memo::Beside::new(&before);
    for (file, content) in found.iter().filter_map(|f| Some((f, tree.files.get(f.path)?))) {
        let known = before.get(file.path, content).cloned();
        let made = known.unwrap_or_else(|| run.file(file, content).into());
        if made.iter().any(|(rendering, _)| !rendering.is_whole()) {
            incomplete.extend(file.holds.kinds());
        }
        now.put(file.path, content, made.clone());
        parts.push(made);
    }
    memo.keep_run(key, now);
    Renderings { parts, problems: values.problems, everywhere, incomplete }
}

/// What is the same for all files of the stage.
struct Run<'r> {
    memo: &'r Memo,
    decode: Decode<'r>,
    sources: Sources,
    templates_ask_for_group: bool,
    /// Values that can't be read would make every use of them a mistake too.
    values_are_whole: bool,
    /// The stage's Envoys: what a resource is depends on what they know.
    envoys: String,
    shared: Inputs,
    groups: Vec<(NodeGroup, Inputs)>,
    differ: Vec<NodeGroup>,
}

/// A set of values, ready to run templates with.
struct Inputs {
    engine: Engine,
    hash: ContentHash,
}

impl<'r> Run<'r> {
    fn new(
        memo: &'r Memo,
        decode: Decode<'r>,
        tree: &SourceTree,
        manifest: &Manifest,
        stage: &Stage,
        values: &Values,
    ) -> Self {
        let sources = Sources::of(tree);
        let inputs = |group: Option<&NodeGroup>| {
            let (context, hash) = values.context(manifest, stage, group);
            Inputs { engine: Engine::new(&sources, context), hash }
        };
        let names = || manifest.groups.iter().map(|rule| rule.name.clone());
        Self {
            memo,
            decode,
            templates_ask_for_group: sources.mention("group"),
            values_are_whole: values.problems.is_empty(),
            envoys: manifest
                .stage(stage)
                .map(|spec| spec.envoy_versions.join(" "))
                .unwrap_or_default(),
            shared: inputs(None),
            groups: names().map(|name| (name.clone(), inputs(Some(&name)))).collect(),
            differ: names().filter(|name| values.differ_for(name)).collect(),
            sources,
        }
    }

    /// Everything beside a file's path and content that its rendering may
    /// depend on.
    fn hash(&self) -> ContentHash {
        let inputs = std::iter::once(("", &self.shared));
        let groups = self.groups.iter().map(|(name, inputs)| (name.as_str(), inputs));
        let inputs = inputs.chain(groups).flat_map(|(name, inputs)| {
            let differs = self.differ.iter().any(|group| group.as_str() == name);
            [name.as_bytes(), &inputs.hash.0, if differs { b"own" } else { b"" }]
        });
        let whole: &[u8] = &[u8::from(self.values_are_whole)];
        let templates = self.sources.hash();
        ContentHash::of_parts(inputs.chain([whole, &templates.0, self.envoys.as_bytes()]))
    }

    fn file(&self, file: &Found<'_>, content: &[u8]) -> Vec<(Arc<Rendering>, Vec<NodeGroup>)> {
        let groups: Vec<NodeGroup> = match &file.group {
            Some(group) => vec![group.clone()],
            None => self.groups.iter().map(|(name, _)| name.clone()).collect(),
        };
        let text = match text(file.path, content) {
            Ok(text) => text,
            Err(problem) => return vec![(Arc::new(stopped(problem)), groups)],
        };
        let source = Source::scan(text);
        if !source.is_template() {
            return vec![(self.rendering(file, text, file.group.as_ref(), None), groups)];
        }
        let loads = source.mentions(&LOADING);
        let asks = source.mentions(&["group"]) || (loads && self.templates_ask_for_group);
        let own = |group: &NodeGroup| file.group.is_some() || asks || self.differ.contains(group);
        let (own, shared): (Vec<_>, Vec<_>) = groups.into_iter().partition(own);
        let mut parts = Vec::new();
        if !shared.is_empty() {
            let inputs = Some((&self.shared, loads));
            parts.push((self.rendering(file, text, None, inputs), shared));
        }
        for group in own {
            let inputs = self.groups.iter().find(|(name, _)| *name == group);
            let inputs = inputs.map(|(_, inputs)| (inputs, loads));
            parts.push((self.rendering(file, text, Some(&group), inputs), vec![group]));
        }
        parts
    }

    /// The rendering of one file, remembered by all that goes into it.
    fn rendering(
        &self,
        file: &Found<'_>,
        text: &str,
        group: Option<&NodeGroup>,
        inputs: Option<(&Inputs, bool)>,
    ) -> Arc<Rendering> {
        let templates = match inputs {
            Some((_, true)) => self.sources.hash().0,
            _ => [0; 32],
        };
        let key = ContentHash::of_parts([
            file.path.as_str().as_bytes(),
            text.as_bytes(),
            group.map_or("", NodeGroup::as_str).as_bytes(),
            &inputs.map_or([0; 32], |(inputs, _)| inputs.hash.0),
            &templates,
            &[u8::from(self.values_are_whole)],
            self.envoys.as_bytes(),
        ]);
        self.memo.get(key, || self.make(file, text, group, inputs.map(|(inputs, _)| inputs)))
    }

    fn make(
        &self,
        file: &Found<'_>,
        text: &str,
        group: Option<&NodeGroup>,
        inputs: Option<&Inputs>,
    ) -> Rendering {
        let run = match inputs {
            Some(inputs) => inputs.engine.run(file.path, text),
            None => Ok((text.to_owned(), Origin::Same)),
        };
        let (text, origin) = match run {
            Ok(made) => made,
            Err(problem) if !self.values_are_whole && problem.rule == "undefined-variable" => {
                return Rendering { problems: Vec::new(), ..stopped(problem) };
            }
            Err(problem) => return stopped(problem),
        };
        let kind = match file.holds {
            Holds::Resources(kind) => kind,
            Holds::Inventory => None,
        };
        let source = file.path.clone();
        let mut rendered = RenderedFile { source, group: group.cloned(), kind, text, origin };
        let mut problems = Vec::new();
        if file.holds == Holds::Inventory {
            (rendered, problems) = inventory::endpoints(&rendered);
        }
        let decoded = (self.decode)(&rendered);
        problems.extend(decoded.problems);
        Rendering {
            file: Some(Arc::new(rendered)),
            resources: decoded.resources.into_iter().map(Arc::new).collect(),
            problems,
            warnings: decoded.warnings,
        }
    }
}

fn stopped(problem: Problem) -> Rendering {
    let problems = vec![problem];
    Rendering { file: None, resources: Vec::new(), problems, warnings: Vec::new() }
}

fn text<'c>(path: &FilePath, content: &'c [u8]) -> Result<&'c str, Problem> {
    let place = |line| Place { file: path.clone(), line, column: 0 };
    document::fits(path, content, document::BYTES_MAX)?;
    std::str::from_utf8(content).map_err(|error| {
        let before = &content[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let place = place(u32::try_from(line).unwrap_or(0));
        Problem::new(place, "not-utf-8", "the file is not UTF-8 text")
    })
}
