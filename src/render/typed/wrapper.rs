//! Envoy's `Resource` around a message: how long clients keep it, and the
//! other names it is found under.
//!
//! The same form that Envoy reads from files. Its `version` means nothing to
//! Convoy, which makes its own versions.

use std::time::Duration;

use prost_reflect::DynamicMessage;

use super::document::TYPE_PREFIX;
use super::message::At;
use super::{Mistake, Reader};
use crate::model::{Resource, ResourceName, Wrapping};
use crate::render::yaml::Node;

/// The wrapper's type.
const WRAPPER: &str = "envoy.service.discovery.v3.Resource";
/// What may be said in it.
const KEYS: [&str; 6] = ["@type", "name", "version", "ttl", "aliases", "resource"];
/// The shortest time to live. Clients are told again within half of it, each
/// of them, so that less would be a flood.
const TTL_MIN: Duration = Duration::from_secs(1);
/// The most other names of one resource.
const MAX_ALIASES: usize = 1_000;

/// Whether `node` is a wrapper.
pub(super) fn is_wrapper(node: &Node) -> bool {
    let declared = node.get("@type").and_then(Node::as_str);
    declared.and_then(|declared| declared.strip_prefix(TYPE_PREFIX)) == Some(WRAPPER)
}

impl Reader<'_> {
    /// Reads a wrapper and the resource in it.
    pub(super) fn wrapper(&mut self, node: &Node, found: &mut Vec<Resource>) {
        let before = self.mistakes;
        self.wrapper_keys(node);
        let wrapping = Wrapping { ttl: self.ttl(node), aliases: self.aliases(node) };
        let Some(inner) = node.get("resource") else {
            let message = "the wrapper has no `resource`";
            let hint = "write the message that it wraps under `resource`, with its `@type`";
            return self.mistake(node.span, Mistake::hinted("missing-field", message, hint));
        };
        if is_wrapper(inner) {
            let message = "a wrapper can't hold a wrapper";
            let hint = "write the message itself under `resource`";
            return self.mistake(inner.span, Mistake::hinted("wrong-type", message, hint));
        }
        let mut read = Vec::new();
        self.resource(inner, &mut read);
        for one in read {
            self.wrapper_name(node, &one);
            let Resource { type_url, name, body, place, .. } = one;
            let mut wrapping = wrapping.clone();
            wrapping.aliases.retain(|alias| *alias != name);
            if self.mistakes == before {
                found.push(Resource::wrapped(type_url, name, body, wrapping, place));
            }
        }
    }

    fn wrapper_keys(&mut self, node: &Node) {
        for entry in node.entries().unwrap_or_default() {
            if !KEYS.contains(&&*entry.key) {
                let message = format!("`{}` of a wrapper is not served", entry.key);
                let hint = "leave it out: name, ttl, aliases and resource are";
                self.mistake(entry.key_span, Mistake::hinted("unknown-field", message, hint));
            }
        }
    }

    /// Envoy takes the wrapper's name for the resource's.
    fn wrapper_name(&mut self, node: &Node, inner: &Resource) {
        let Some(entry) = node.entry("name").filter(|entry| !entry.value.is_null()) else { return };
        match entry.value.as_str() {
            Some("") => {}
            Some(name) if *name == *inner.name.0 => {}
            Some(name) => {
                let message = format!(
                    "the wrapper is named `{name}`, and the resource in it `{}`",
                    inner.name
                );
                let hint = "give both the same name, or leave the wrapper's out";
                self.mistake(entry.value.span, Mistake::hinted("wrong-name", message, hint));
            }
            None => {
                let message = format!("`name` must be a text, not {}", entry.value.describe());
                self.mistake(entry.value.span, Mistake::wrong_type(message));
            }
        }
    }

    fn ttl(&mut self, node: &Node) -> Option<Duration> {
        let given = node.get("ttl").filter(|given| !given.is_null())?;
        let descriptor = self.schema.message("google.protobuf.Duration")?;
        let before = self.mistakes;
        let read = duration(&self.message("ttl", &descriptor, given, At::ROOT));
        if self.mistakes > before {
            return None;
        }
        if read.is_none_or(|ttl| ttl < TTL_MIN) {
            let message = "`ttl` must be one second at least";
            let hint = "every client is told again within half of it: 30s is short already";
            self.mistake(given.span, Mistake::hinted("bad-ttl", message, hint));
        }
        read
    }

    fn aliases(&mut self, node: &Node) -> Vec<ResourceName> {
        let Some(given) = node.get("aliases").filter(|given| !given.is_null()) else {
            return Vec::new();
        };
        let Some(items) = given.items().filter(|items| items.len() <= MAX_ALIASES) else {
            let message = format!(
                "`aliases` must be a list of {MAX_ALIASES} names at most, not {}",
                given.describe()
            );
            self.mistake(given.span, Mistake::wrong_type(message));
            return Vec::new();
        };
        let mut aliases = Vec::new();
        for item in items {
            match item.as_str().filter(|alias| !alias.is_empty() && *alias != "*") {
                Some(alias) => aliases.push(ResourceName(alias.into())),
                None => {
                    let message = format!("an alias must be a name, not {}", item.describe());
                    self.mistake(item.span, Mistake::wrong_type(message));
                }
            }
        }
        aliases.sort_unstable();
        aliases.dedup();
        aliases
    }
}

/// A `google.protobuf.Duration` that is no less than nothing.
fn duration(message: &DynamicMessage) -> Option<Duration> {
    let seconds = message.get_field_by_number(1)?.as_i64()?;
    let nanos = message.get_field_by_number(2)?.as_i32()?;
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?))
}
