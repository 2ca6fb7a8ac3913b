//! A snapshot at rest: one `DeltaDiscoveryResponse`, readable by any protobuf
//! tool. Also the few lines of protobuf that serving shares with storing.
//!
//! Written by hand over `prost::encoding`, because generated messages would
//! copy every body into a vector of its own, once per stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint,
    encoded_len_varint, key_len, skip_field,
};

use super::{Served, Snapshot};
use crate::model::{ResourceName, SnapshotKey, TypeUrl, Wrapping};

/// Why stored bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("the stored snapshot of {key} is damaged: {detail}")]
pub struct WireError {
    /// Whose.
    pub key: String,
    /// What is wrong with it.
    pub detail: String,
}

// Field numbers of envoy.service.discovery.v3.DeltaDiscoveryResponse,
// its Resource, and google.protobuf.Any.
const RESPONSE_VERSION: u32 = 1;
const RESPONSE_RESOURCES: u32 = 2;
const RESOURCE_VERSION: u32 = 1;
const RESOURCE_BODY: u32 = 2;
const RESOURCE_NAME: u32 = 3;
const RESOURCE_ALIASES: u32 = 4;
const RESOURCE_TTL: u32 = 6;
const ANY_TYPE_URL: u32 = 1;
const ANY_VALUE: u32 = 2;

/// The type URL of a `Resource`.
const RESOURCE_TYPE: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

impl Snapshot {
    /// The snapshot's stored form; equal snapshots give equal bytes.
    pub fn to_bytes(&self) -> Bytes {
        let version = self.version.to_string();
        let resources = || self.types.values().flat_map(|one| one.resources.values());
        let len = field_len(RESPONSE_VERSION, version.len())
            + resources().map(|one| entry_len(one)).sum::<usize>();
        let mut bytes = BytesMut::with_capacity(len);
        put_field(RESPONSE_VERSION, version.as_bytes(), &mut bytes);
        resources().for_each(|one| put_entry(one, &mut bytes));
        bytes.freeze()
    }

    /// The part of the stored form that is no resource.
    pub(super) fn version_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        put_field(RESPONSE_VERSION, self.version.to_string().as_bytes(), &mut bytes);
        bytes.freeze()
    }

    /// Reads the stored form back, hashing every resource anew. The bodies are
    /// slices of `bytes`, not copies.
    ///
    /// # Errors
    /// The bytes are no such message, or a content does not fit its version.
    pub fn from_bytes(key: SnapshotKey, bytes: &Bytes) -> Result<Self, WireError> {
        let damaged = |detail: String| WireError { key: key.to_string(), detail };
        let stored = read(bytes).map_err(damaged)?;
        let snapshot = Self::of(key.clone(), stored.types);
        if snapshot.version.to_string() != stored.version {
            return Err(damaged(format!(
                "its contents hash to {}, not to the stored {}",
                snapshot.version, stored.version
            )));
        }
        Ok(snapshot)
    }
}

struct Stored {
    version: String,
    types: BTreeMap<TypeUrl, BTreeMap<ResourceName, Arc<Served>>>,
}

fn read(bytes: &Bytes) -> Result<Stored, String> {
    let mut stored = Stored { version: String::new(), types: BTreeMap::new() };
    for field in Fields::of(bytes) {
        match field? {
            (RESPONSE_VERSION, version) => stored.version = text(version)?,
            (RESPONSE_RESOURCES, entry) => {
                let (type_url, served) = read_entry(&entry)?;
                let same_type = stored.types.entry(type_url.clone()).or_default();
                let name = served.name.clone();
                if same_type.insert(name.clone(), Arc::new(served)).is_some() {
                    return Err(format!("{} `{name}` is there twice", type_url.message()));
                }
            }
            _ => {}
        }
    }
    Ok(stored)
}

fn read_entry(entry: &Bytes) -> Result<(TypeUrl, Served), String> {
    let (mut name, mut version, mut any) = (String::new(), String::new(), Bytes::new());
    let mut wrapping = Wrapping::default();
    for field in Fields::of(entry) {
        match field? {
            (RESOURCE_NAME, value) => name = text(value)?,
            (RESOURCE_VERSION, value) => version = text(value)?,
            (RESOURCE_BODY, value) => any = value,
            (RESOURCE_ALIASES, value) => {
                wrapping.aliases.push(ResourceName(text(value)?.into()));
            }
            (RESOURCE_TTL, value) => wrapping.ttl = Some(Ttl::read(value)?),
            _ => {}
        }
    }
    let (type_url, body) = split_any(&any)?;
    let type_url = TypeUrl(text(type_url)?.into());
    let hash = wrapping.hash(&body);
    if hash.short() != version {
        return Err(format!("{} `{name}` does not fit its version {version}", type_url.message()));
    }
    let name = ResourceName(name.into());
    let served = Served::wrapped(&type_url, name, any, &body, wrapping, hash);
    Ok((type_url, served))
}

fn text(bytes: Bytes) -> Result<String, String> {
    String::from_utf8(bytes.into()).map_err(|_| "a text in it is not UTF-8".into())
}

/// The type URL and the message of an encoded `Any`.
pub(super) fn split_any(any: &Bytes) -> Result<(Bytes, Bytes), String> {
    let (mut type_url, mut body) = (Bytes::new(), Bytes::new());
    for field in Fields::of(any) {
        match field? {
            (ANY_TYPE_URL, value) => type_url = value,
            (ANY_VALUE, value) => body = value,
            _ => {}
        }
    }
    Ok((type_url, body))
}

/// How many bytes [`put_any`] writes.
pub(super) fn any_len(type_url: &TypeUrl, body: &[u8]) -> usize {
    field_len(ANY_TYPE_URL, type_url.0.len()) + field_len(ANY_VALUE, body.len())
}

/// Writes an `Any`.
pub(super) fn put_any(type_url: &TypeUrl, body: &[u8], to: &mut impl BufMut) {
    put_field(ANY_TYPE_URL, type_url.0.as_bytes(), to);
    put_field(ANY_VALUE, body, to);
}

/// How many bytes [`put_entry`] writes.
pub fn entry_len(served: &Served) -> usize {
    field_len(RESPONSE_RESOURCES, resource_len(served))
}

/// Writes `served` as one entry of `DeltaDiscoveryResponse.resources`.
pub fn put_entry(served: &Served, to: &mut impl BufMut) {
    encode_key(RESPONSE_RESOURCES, WireType::LengthDelimited, to);
    encode_varint(resource_len(served) as u64, to);
    put_resource(served, to);
}

/// `served` as an `Any` that holds a `Resource`: how a time to live reaches a
/// state-of-the-world client.
pub fn wrap(served: &Served) -> Bytes {
    let mut resource = BytesMut::with_capacity(resource_len(served));
    put_resource(served, &mut resource);
    let len = field_len(ANY_TYPE_URL, RESOURCE_TYPE.len()) + field_len(ANY_VALUE, resource.len());
    let mut any = BytesMut::with_capacity(len);
    put_field(ANY_TYPE_URL, RESOURCE_TYPE.as_bytes(), &mut any);
    put_field(ANY_VALUE, &resource, &mut any);
    any.freeze()
}

/// Writes a `Resource`. One that has no body says that the resource stands as
/// it is, or that there is none.
fn put_resource(served: &Served, to: &mut impl BufMut) {
    put_field(RESOURCE_VERSION, served.version.as_bytes(), to);
    if !served.any.is_empty() {
        put_field(RESOURCE_BODY, &served.any, to);
    }
    put_field(RESOURCE_NAME, served.name.0.as_bytes(), to);
    for alias in &served.wrapping.aliases {
        put_field(RESOURCE_ALIASES, alias.0.as_bytes(), to);
    }
    if let Some(ttl) = served.wrapping.ttl {
        put_field(RESOURCE_TTL, &Ttl::from(ttl).encode_to_vec(), to);
    }
}

/// How many bytes [`put_any_field`] writes.
pub(super) fn any_field_len(served: &Served) -> usize {
    field_len(RESPONSE_RESOURCES, served.any.len())
}

/// Writes `served` as one entry of `DiscoveryResponse.resources`, whose number
/// is the same.
pub(super) fn put_any_field(served: &Served, to: &mut impl BufMut) {
    put_field(RESPONSE_RESOURCES, &served.any, to);
}

fn resource_len(served: &Served) -> usize {
    let body = (!served.any.is_empty()).then(|| field_len(RESOURCE_BODY, served.any.len()));
    let aliases = served.wrapping.aliases.iter();
    let aliases = aliases.map(|alias| field_len(RESOURCE_ALIASES, alias.0.len()));
    let ttl = served.wrapping.ttl.map(|ttl| field_len(RESOURCE_TTL, Ttl::from(ttl).encoded_len()));
    field_len(RESOURCE_VERSION, served.version.len())
        + body.unwrap_or_default()
        + field_len(RESOURCE_NAME, served.name.0.len())
        + aliases.sum::<usize>()
        + ttl.unwrap_or_default()
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Ttl {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl From<Duration> for Ttl {
    fn from(ttl: Duration) -> Self {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        Self { seconds, nanos: i32::try_from(ttl.subsec_nanos()).unwrap_or_default() }
    }
}

impl Ttl {
    fn read(bytes: Bytes) -> Result<Duration, String> {
        let Self { seconds, nanos } = Self::decode(bytes).map_err(malformed)?;
        match (u64::try_from(seconds), u32::try_from(nanos)) {
            (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
            _ => Err("a time to live in it is no duration".into()),
        }
    }
}

/// How many bytes [`put_field`] writes for `len` bytes of content.
pub fn field_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64) + len
}

/// Writes one length-delimited field.
pub fn put_field(number: u32, content: &[u8], to: &mut impl BufMut) {
    encode_key(number, WireType::LengthDelimited, to);
    encode_varint(content.len() as u64, to);
    to.put_slice(content);
}

fn malformed(error: prost::DecodeError) -> String {
    error.to_string()
}

/// The length-delimited fields of a message, as slices of it. Fields of other
/// wire types are skipped.
struct Fields {
    rest: Bytes,
}

impl Fields {
    fn of(message: &Bytes) -> Self {
        Self { rest: message.clone() }
    }

    fn read(&mut self) -> Result<Option<(u32, Bytes)>, String> {
        while self.rest.has_remaining() {
            let (number, wire_type) = decode_key(&mut self.rest).map_err(malformed)?;
            if wire_type != WireType::LengthDelimited {
                skip_field(wire_type, number, &mut self.rest, DecodeContext::default())
                    .map_err(malformed)?;
                continue;
            }
            let len = decode_varint(&mut self.rest).map_err(malformed)?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if len > self.rest.remaining() {
                return Err("a field is longer than the message".into());
            }
            return Ok(Some((number, self.rest.split_to(len))));
        }
        Ok(None)
    }
}

impl Iterator for Fields {
    type Item = Result<(u32, Bytes), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.read().transpose();
        if matches!(field, Some(Err(_))) {
            self.rest.clear();
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, Resource as ProtoResource,
    };
    use envoy_types::pb::google::protobuf::Any as ProtoAny;

    use super::*;
    use crate::model::{Resource, ResourceKind};
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key, resource};

    fn sample() -> Snapshot {
        let route = resource(ResourceKind::Routes, "r", b"route");
        build(key("beta"), &[cluster("b", 2), route, cluster("a", 1), wrapped()])
    }

    fn wrapped() -> Arc<Resource> {
        let plain = resource(ResourceKind::Runtime, "w", b"layer");
        let Resource { type_url, name, body, place, .. } = Resource::clone(&plain);
        let aliases = vec![ResourceName("x".into()), ResourceName("y".into())];
        let wrapping = Wrapping { ttl: Some(Duration::from_millis(2500)), aliases };
        Arc::new(Resource::wrapped(type_url, name, body, wrapping, place))
    }

    #[test]
    fn a_wrapped_resource_reads_back_from_both_forms() {
        let snapshot = build(key("beta"), &[wrapped()]);
        let of_type = &snapshot.types[&ResourceKind::Runtime.type_url()];
        let served = &of_type.resources[&ResourceName("w".into())];
        let mut entry = Vec::new();
        put_entry(served, &mut entry);
        assert_eq!(entry.len(), entry_len(served));
        let delta = DeltaDiscoveryResponse::decode(entry.as_slice()).unwrap().resources.remove(0);
        let any = ProtoAny::decode(wrap(served)).unwrap();
        assert_eq!(any.type_url, RESOURCE_TYPE);
        assert_eq!(ProtoResource::decode(any.value.as_slice()).unwrap(), delta);
        assert_eq!(delta.aliases, ["x", "y"]);
        assert_eq!(delta.ttl.map(|ttl| (ttl.seconds, ttl.nanos)), Some((2, 500_000_000)));
        let bodiless = Served { any: Bytes::new(), ..Served::clone(served) };
        let any = ProtoAny::decode(wrap(&bodiless)).unwrap();
        let heartbeat = ProtoResource::decode(any.value.as_slice()).unwrap();
        assert_eq!(heartbeat, ProtoResource { resource: None, ..delta });
    }

    #[test]
    fn the_stored_form_reads_back_the_same() {
        let snapshot = sample();
        let bytes = snapshot.to_bytes();
        assert_eq!(Snapshot::from_bytes(key("beta"), &bytes).unwrap(), snapshot);
        assert_eq!(bytes, snapshot.to_bytes());
        let empty = build(key("beta"), &[]);
        assert_eq!(Snapshot::from_bytes(key("beta"), &empty.to_bytes()).unwrap(), empty);
    }

    #[test]
    fn any_protobuf_tool_reads_the_stored_form() {
        let snapshot = sample();
        let read = DeltaDiscoveryResponse::decode(snapshot.to_bytes()).unwrap();
        assert_eq!(read.system_version_info, snapshot.version.to_string());
        let names: Vec<_> = read.resources.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "r", "w"]);
        assert_eq!(read.encode_to_vec(), snapshot.to_bytes());
    }

    #[test]
    fn bodies_are_slices_of_the_stored_bytes() {
        let bytes = sample().to_bytes();
        let read = Snapshot::from_bytes(key("beta"), &bytes).unwrap();
        let within = bytes.as_ptr_range();
        for served in read.types.values().flat_map(|one| one.resources.values()) {
            assert!(within.contains(&served.any.as_ptr()));
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let bytes = sample().to_bytes();
        for at in 0..bytes.len() {
            let mut broken = bytes.to_vec();
            broken[at] ^= 0x41;
            let read = Snapshot::from_bytes(key("beta"), &broken.into());
            assert!(read.is_err(), "byte {at} was changed unnoticed");
        }
        let cut = bytes.slice(..bytes.len() - 1);
        let error = Snapshot::from_bytes(key("beta"), &cut).unwrap_err();
        assert!(error.to_string().starts_with("the stored snapshot of mesh/config:beta:default"));
    }
}
