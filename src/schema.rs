//! Envoy's vocabulary: the descriptor pool, and the one canonical encoding.
//!
//! Knows every message that Envoy knows, from the descriptor set that
//! `build.rs` compiles. Reads no YAML and finds no mistakes (`render::typed`
//! does); everybody who holds encoded resources reads and prints them here, and
//! everybody who reads YAML takes the words for what is none from here.

mod encode;
pub(crate) mod fields;
mod json;
mod mistake;
mod releases;
mod rules;
mod shape;
mod yaml;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, MessageDescriptor};

use crate::model::TypeUrl;

pub(crate) use mistake::{DEPTH_MAX, mistake, position, unreadable};
pub(crate) use releases::Releases;
pub use releases::Targets;
pub(crate) use rules::{
    BytesRules, FieldRules, Number, Range, RuleKind, Size, StringRules, WellKnown,
};
pub(crate) use shape::Shape;

/// The descriptor set that `build.rs` made.
static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.fds"));

/// Every message type that Envoy knows. Loaded once, shared by reference.
#[derive(Clone)]
pub struct Schema {
    pool: Arc<DescriptorPool>,
    /// Where releases of Envoy differ from it.
    releases: Arc<Releases>,
    /// What the descriptors' options say, read once per message type.
    shapes: Arc<RwLock<HashMap<String, Arc<Shape>>>>,
}

/// Why bytes are not the message they are said to be.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The pool has no such type.
    #[error("no message type `{0}` is known")]
    UnknownType(String),
    /// The bytes are not a message of that type.
    #[error("malformed {type_name}")]
    Malformed {
        /// The message's full name.
        type_name: String,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// It can't be written as JSON.
    #[error("a {type_name} has no JSON form: {detail}")]
    NoJson {
        /// The message's full name.
        type_name: String,
        /// What stands in the way, such as a nested type that is not known.
        detail: String,
    },
}

impl Schema {
    /// Loads the pool that was built into the program.
    #[expect(clippy::expect_used, reason = "the set is part of the program; a test decodes it")]
    pub fn load() -> Self {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("the embedded descriptors are valid");
        let releases = Releases::load(&pool);
        Self { pool: Arc::new(pool), releases: Arc::new(releases), shapes: Arc::default() }
    }

    /// The Envoys named `versions`, for [`crate::render`] to hold resources
    /// against what they know.
    pub fn targets(&self, versions: &[String]) -> Targets {
        self.releases.targets(versions)
    }

    /// Where releases of Envoy differ from the pool.
    pub(crate) fn releases(&self) -> &Releases {
        &self.releases
    }

    /// The pool itself.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The message type behind a type URL (any prefix before the last `/`).
    pub fn message(&self, type_url: &str) -> Option<MessageDescriptor> {
        let name = type_url.rsplit('/').next().unwrap_or(type_url);
        self.pool.get_message_by_name(name)
    }

    /// The files that define `services`, each behind what it imports, as an
    /// encoded `FileDescriptorSet`. A service that is not known adds nothing.
    pub fn files_of(&self, services: &[String]) -> Bytes {
        let mut files: Vec<FileDescriptor> = Vec::new();
        for service in services {
            let service = self.pool.get_service_by_name(service);
            service.into_iter().for_each(|one| gather(one.parent_file(), &mut files));
        }
        let mut set = BytesMut::new();
        for file in files {
            let one = file.encode_to_vec();
            prost::encoding::bytes::encode(FILE, &one, &mut set);
        }
        set.freeze()
    }

    /// Decodes a message of type `type_url`.
    ///
    /// # Errors
    /// The type is unknown or the bytes are malformed.
    pub fn decode(&self, type_url: &TypeUrl, body: &[u8]) -> Result<DynamicMessage, SchemaError> {
        let descriptor = self
            .message(&type_url.0)
            .ok_or_else(|| SchemaError::UnknownType(type_url.message().to_owned()))?;
        DynamicMessage::decode(descriptor, body).map_err(|source| SchemaError::Malformed {
            type_name: type_url.message().to_owned(),
            source,
        })
    }

    /// The canonical bytes of `message`: fields by number, map entries by key,
    /// nested `Any`s decoded, sorted and encoded again, unknown fields last.
    /// Equal messages give equal bytes in every process.
    pub fn encode(&self, message: &DynamicMessage) -> Bytes {
        encode::canonical(&self.pool, message).into()
    }

    /// The canonical bytes of a message whose nested `Any`s already hold
    /// canonical bytes: equal to [`Self::encode`], without opening them again.
    pub(crate) fn encode_outer(&self, message: &DynamicMessage) -> Bytes {
        encode::outer(message).into()
    }

    /// The message as YAML in protobuf's JSON form with proto field names,
    /// `@type` inside every `Any`, for people to read and to diff. Fields that
    /// Envoy's schema marks as sensitive are masked by a hash, so that a
    /// change of a secret shows and the secret does not.
    pub fn to_yaml(&self, message: &DynamicMessage) -> String {
        yaml::print(self, message)
    }

    /// The same as a value, for whoever compares field by field.
    pub fn to_value(&self, message: &DynamicMessage) -> serde_yaml::Value {
        yaml::value(self, message)
    }

    /// The message `body` as proto3 JSON, the way an `Any` that holds it is
    /// written: `@type` first, then its fields by their proto names. Nothing is
    /// masked.
    ///
    /// # Errors
    /// Its type, or one nested in it, is unknown, or the bytes are malformed.
    pub fn to_json(&self, type_url: &TypeUrl, body: &[u8]) -> Result<String, SchemaError> {
        json::print(self, type_url, body)
    }

    /// What the descriptor's options say about `message`.
    pub(crate) fn shape(&self, message: &MessageDescriptor) -> Arc<Shape> {
        let known = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = known.get(message.full_name()) {
            return shape.clone();
        }
        drop(known);
        let shape = Arc::new(Shape::of(message, &self.releases));
        let mut known = self.shapes.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(message.full_name().to_owned()).or_insert(shape).clone()
    }
}

/// The field of a `FileDescriptorSet` that holds a file.
const FILE: u32 = 1;

/// Adds what `file` imports, then the file.
fn gather(file: FileDescriptor, files: &mut Vec<FileDescriptor>) {
    if !files.contains(&file) {
        file.dependencies().for_each(|one| gather(one, files));
        files.push(file);
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("messages", &self.pool.all_messages().len()).finish()
    }
}

#[cfg(test)]
mod tests;
