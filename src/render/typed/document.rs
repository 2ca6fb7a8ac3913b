//! From documents to resources: which nodes are resources, of which type,
//! with which name.

use prost_reflect::{DynamicMessage, MessageDescriptor};

use super::message::At;
use super::wrapper::is_wrapper;
use super::{Mistake, Reader};
use crate::model::{Resource, ResourceName, TypeUrl};
use crate::render::yaml::{Data, Node};

/// The keys of Envoy's file form (a `DiscoveryResponse`) beside `resources`.
/// They mean nothing to Convoy, which makes its own versions.
const FILE_FORM: [&str; 10] = [
    "@type",
    "version_info",
    "versionInfo",
    "type_url",
    "typeUrl",
    "nonce",
    "canary",
    "control_plane",
    "controlPlane",
    "resources",
];

/// The only prefix that Envoy resolves types under.
pub(super) const TYPE_PREFIX: &str = "type.googleapis.com/";

impl Reader<'_> {
    /// Reads one document: a resource, a list of them, or Envoy's file form.
    pub(super) fn document(&mut self, root: &Node, found: &mut Vec<Resource>) {
        match (&root.data, root.entry("resources")) {
            (Data::List(items), _) => self.all(items, found),
            (Data::Map(_), Some(entry)) => {
                self.file_form_keys(root);
                match entry.value.items() {
                    Some(items) => self.all(items, found),
                    None if entry.value.is_null() => {}
                    None => {
                        let message =
                            format!("`resources` must be a list, not {}", entry.value.describe());
                        self.mistake(entry.value.span, Mistake::wrong_type(message));
                    }
                }
            }
            (Data::Map(_), None) => self.resource(root, found),
            (Data::Scalar(_), _) => {
                let message = format!("a resource must be a mapping, not {}", root.describe());
                self.mistake(root.span, Mistake::wrong_type(message));
            }
        }
    }

    fn all(&mut self, items: &[Node], found: &mut Vec<Resource>) {
        for item in items {
            if self.is_full() {
                return;
            }
            self.resource(item, found);
        }
    }

    fn file_form_keys(&mut self, root: &Node) {
        for entry in root.entries().unwrap_or_default() {
            if !FILE_FORM.contains(&&*entry.key) {
                let message = format!("`{}` can't stand beside `resources`", entry.key);
                let hint = "move it into the resource that it belongs to";
                self.mistake(entry.key_span, Mistake::hinted("unknown-field", message, hint));
            }
        }
    }

    pub(super) fn resource(&mut self, node: &Node, found: &mut Vec<Resource>) {
        if node.entries().is_none() {
            let message = format!("a resource must be a mapping, not {}", node.describe());
            return self.mistake(node.span, Mistake::wrong_type(message));
        }
        if is_wrapper(node) {
            return self.wrapper(node, found);
        }
        let Some(descriptor) = self.type_of(node) else { return };
        let before = self.mistakes;
        let message = self.message(descriptor.name(), &descriptor, node, At::ROOT.with_type_key());
        if self.mistakes == before {
            self.refused_resource(&message, node);
        }
        let name = self.name(&descriptor, &message, node);
        if let Some(name) = name.filter(|_| self.mistakes == before) {
            let type_url = TypeUrl(format!("{TYPE_PREFIX}{}", descriptor.full_name()).into());
            let body = self.schema.encode_outer(&message);
            let place = self.file.place(node.span.line, node.span.column);
            found.push(Resource::new(type_url, name, body, place));
        }
    }

    fn type_of(&mut self, node: &Node) -> Option<MessageDescriptor> {
        if node.get("@type").is_some() {
            return self.declared_type(node);
        }
        let Some(kind) = self.file.kind else {
            let message = "the resource has no `@type`, and the folder does not tell its type";
            let hint = "begin it with `\"@type\": type.googleapis.com/…`, or move the file to \
                        resources/<kind>/";
            self.mistake(node.span, Mistake::hinted("unknown-type", message, hint));
            return None;
        };
        self.schema.message(kind.message())
    }

    /// The resource's name, from the field that its type keeps it in.
    fn name(
        &mut self,
        descriptor: &MessageDescriptor,
        message: &DynamicMessage,
        node: &Node,
    ) -> Option<ResourceName> {
        let kind = TypeUrl(format!("{TYPE_PREFIX}{}", descriptor.full_name()).into()).kind();
        let field = kind.map_or("name", |kind| kind.name_field());
        let Some(field) = descriptor.get_field_by_name(field) else {
            let message =
                format!("`{}` has no name, so no Envoy can ask for it", descriptor.name());
            let hint = "give the type of a resource: Listener, Cluster, Secret …";
            self.mistake(node.span, Mistake::hinted("unknown-type", message, hint));
            return None;
        };
        let value = message.get_field(&field);
        let name = value.as_str().unwrap_or_default();
        if !name.is_empty() {
            return Some(ResourceName(name.into()));
        }
        let entry = node.entry(field.name()).or_else(|| node.entry(field.json_name()));
        // A name of the wrong type has been reported as such.
        if entry.is_none_or(|entry| entry.value.is_null() || entry.value.as_str() == Some("")) {
            let message = format!("the {} has no `{}`", descriptor.name(), field.name());
            let hint = "Envoy asks for resources by name: give it one that is unique in its type";
            let span = entry.map_or(node.span, |entry| entry.value.span);
            self.mistake(span, Mistake::hinted("missing-name", message, hint));
        }
        None
    }
}
