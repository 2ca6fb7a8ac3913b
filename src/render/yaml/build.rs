//! From the parser's events to nodes, within the budgets.
//!
//! Keeps its own stack: an input can't make it recurse. Counts what each
//! anchor costs, so that an alias is paid for before it is expanded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::problems::{Budget, over_budget, syntax};
use super::{
    Data, Document, Entry, MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_SCALAR_BYTES, Node, Scalar, Span,
    YamlError,
};

/// The key whose value is merged into the mapping around it.
const MERGE: &str = "<<";

/// Below this size, comparing all keys is quicker than hashing them.
const SMALL_MAP: usize = 16;

/// Reads every document of `text`.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, Vec<YamlError>> {
    if text.len() > MAX_BYTES {
        return Err(vec![over_budget(Span { line: 1, column: 1 }, Budget::Bytes)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, place(&span.start)),
            Err(error) => Err(syntax(place(error.marker()), &error)),
        };
        if let Err(error) = step {
            builder.errors.push(error);
            break;
        }
    }
    if builder.errors.is_empty() { Ok(builder.documents) } else { Err(builder.errors) }
}

fn place(marker: &granit_parser::Marker) -> Span {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Span { line: number(marker.line()).max(1), column: number(marker.col()).saturating_add(1) }
}

/// What a subtree costs.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    /// Levels below the node itself.
    height: usize,
}

/// A list or mapping that is not closed yet.
struct Frame {
    span: Span,
    anchor: usize,
    cost: Cost,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<Key> },
}

struct Key {
    text: Arc<str>,
    span: Span,
    merge: bool,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Document>,
    errors: Vec<YamlError>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Node, Cost)>,
    /// Over all documents.
    total: Cost,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.plain(style, tag.as_deref(), span);
                let scalar = Scalar { text: text.as_ref().into(), plain };
                let cost = Cost { nodes: 1, bytes: text.len(), height: 0 };
                self.spend(cost, span)?;
                self.finished(Node { span, data: Data::Scalar(scalar) }, cost, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                self.open(span, anchor, Body::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                let body = Body::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.open(span, anchor, body)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, span: Span, anchor: usize, body: Body) -> Result<(), YamlError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(over_budget(span, Budget::Depth));
        }
        let cost = Cost { nodes: 1, ..Cost::default() };
        self.spend(cost, span)?;
        self.frames.push(Frame { span, anchor, cost, body });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(Frame { span, anchor, cost, body }) = self.frames.pop() else { return Ok(()) };
        let data = match body {
            Body::List(items) => Data::List(Arc::new(items)),
            Body::Map { mut entries, merges, .. } => {
                self.errors.extend(duplicates(&entries));
                for merge in merges {
                    Self::merge(&mut entries, &merge)?;
                }
                Data::Map(Arc::new(entries))
            }
        };
        let cost = Cost { height: cost.height + 1, ..cost };
        self.finished(Node { span, data }, cost, anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), YamlError> {
        let Some((node, cost)) = self.anchors.get(&anchor).cloned() else {
            return Err(YamlError {
                span,
                rule: "yaml-syntax",
                message: "an alias stands inside its own anchor".into(),
                hint: Some("move the alias out of the value that it repeats".into()),
            });
        };
        if self.frames.len() + cost.height > MAX_DEPTH {
            return Err(over_budget(span, Budget::Depth));
        }
        self.spend(cost, span)?;
        self.finished(node, cost, 0)
    }

    fn spend(&mut self, cost: Cost, span: Span) -> Result<(), YamlError> {
        self.total.nodes += cost.nodes;
        self.total.bytes += cost.bytes;
        if self.total.nodes > MAX_NODES {
            return Err(over_budget(span, Budget::Nodes));
        }
        if self.total.bytes > MAX_SCALAR_BYTES {
            return Err(over_budget(span, Budget::ScalarBytes));
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn finished(&mut self, node: Node, cost: Cost, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        let Some(frame) = self.frames.last_mut() else {
            if !node.is_null() {
                self.documents.push(Document { root: node });
            }
            return Ok(());
        };
        frame.cost.nodes += cost.nodes;
        frame.cost.bytes += cost.bytes;
        frame.cost.height = frame.cost.height.max(cost.height);
        match &mut frame.body {
            Body::List(items) => items.push(node),
            Body::Map { entries, merges, key } => match key.take() {
                None => *key = Some(as_key(node)?),
                Some(Key { merge: true, .. }) => merges.push(node),
                Some(Key { text, span, .. }) => {
                    entries.push(Entry { key: text, key_span: span, value: node });
                }
            },
        }
        Ok(())
    }

    /// Adds the entries that `entries` does not have. A merge of several
    /// mappings takes each key from the first that has it.
    fn merge(entries: &mut Vec<Entry>, source: &Node) -> Result<(), YamlError> {
        let sources = match &source.data {
            Data::List(items) => items.as_slice(),
            _ => std::slice::from_ref(source),
        };
        let mut keys: HashSet<Arc<str>> = entries.iter().map(|entry| entry.key.clone()).collect();
        for source in sources {
            let Some(merged) = source.entries() else {
                return Err(YamlError {
                    span: source.span,
                    rule: "yaml-syntax",
                    message: format!("`<<` merges mappings, not {}", source.describe()),
                    hint: Some("give it an alias of a mapping, or a list of such".into()),
                });
            };
            entries.extend(merged.iter().filter(|entry| keys.insert(entry.key.clone())).cloned());
        }
        Ok(())
    }

    /// Whether the core schema types the scalar, by its style and tag.
    fn plain(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> bool {
        match tag.map(|tag| (tag, tag.core_suffix())) {
            None => style == ScalarStyle::Plain,
            Some((_, Some("str"))) => false,
            Some((_, Some("int" | "float" | "bool" | "null"))) => true,
            Some((tag, _)) if is_non_specific(tag) => false,
            Some((tag, _)) => {
                self.refuse_tag(tag, span);
                false
            }
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag
            && !matches!(tag.core_suffix(), Some("map" | "seq"))
            && !is_non_specific(tag)
        {
            self.refuse_tag(tag, span);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, span: Span) {
        self.errors.push(YamlError {
            span,
            rule: "yaml-tag",
            message: format!("the tag `{}` has no meaning here", tag.original()),
            hint: Some("remove the tag".into()),
        });
    }
}

fn is_non_specific(tag: &Tag) -> bool {
    tag.original() == "!"
}

fn as_key(node: Node) -> Result<Key, YamlError> {
    let span = node.span;
    match node.data {
        Data::Scalar(Scalar { text, plain }) => {
            Ok(Key { merge: plain && &*text == MERGE, text, span })
        }
        Data::List(_) | Data::Map(_) => Err(YamlError {
            span,
            rule: "yaml-syntax",
            message: "a key must be a text, not a list or a mapping".into(),
            hint: Some("quote it if it begins with `{` or `[`".into()),
        }),
    }
}

fn duplicates(entries: &[Entry]) -> Vec<YamlError> {
    if entries.len() <= SMALL_MAP {
        let earlier =
            |index: usize| entries[..index].iter().find(|first| first.key == entries[index].key);
        return (0..entries.len())
            .filter_map(|index| earlier(index).map(|first| duplicate(&entries[index], first)))
            .collect();
    }
    let mut seen: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
    let mut found = Vec::new();
    for entry in entries {
        match seen.get(&*entry.key) {
            Some(first) => found.push(duplicate(entry, first)),
            None => drop(seen.insert(&entry.key, entry)),
        }
    }
    found
}

fn duplicate(second: &Entry, first: &Entry) -> YamlError {
    YamlError {
        span: second.key_span,
        rule: "duplicate-key",
        message: format!(
            "`{}` is written twice: in line {} and in line {}",
            second.key, first.key_span.line, second.key_span.line
        ),
        hint: Some("keep one of them".into()),
    }
}
