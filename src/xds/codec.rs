//! Bytes on the stream: requests are decoded by prost, responses are put
//! together from bytes that were encoded when the snapshot was built.
//!
//! A protobuf message is the concatenation of its fields in any order, so a
//! response is its shared resources followed by a short tail of its own.

use std::marker::PhantomData;

use bytes::BufMut;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::session::{Outgoing, Protocol};
use crate::snapshot::wire::{entry_len, field_len, put_entry, put_field};

/// What we call ourselves in `control_plane.identifier`.
pub(super) const IDENTIFIER: &[u8] = b"convoy";

/// The field numbers that differ between `DiscoveryResponse` and
/// `DeltaDiscoveryResponse`; the others are equal.
struct Numbers {
    control_plane: u32,
}

const VERSION: u32 = 1;
const RESOURCES: u32 = 2;
const TYPE_URL: u32 = 4;
const NONCE: u32 = 5;
const REMOVED: u32 = 6;
const CONTROL_PLANE_IDENTIFIER: u32 = 1;

impl Outgoing {
    /// How many bytes [`Outgoing::put`] writes.
    pub(super) fn encoded_len(&self) -> usize {
        let resources = self.resources.iter().map(|one| match self.protocol {
            Protocol::Sotw => field_len(RESOURCES, one.any.len()),
            Protocol::Delta => entry_len(one),
        });
        let removed = self.removed.iter().map(|name| field_len(REMOVED, name.0.len()));
        let tail = field_len(VERSION, self.version.len())
            + field_len(TYPE_URL, self.type_url.0.len())
            + field_len(NONCE, self.nonce.len());
        let inner = field_len(CONTROL_PLANE_IDENTIFIER, IDENTIFIER.len());
        let introduction = field_len(self.numbers().control_plane, inner);
        resources.sum::<usize>()
            + removed.sum::<usize>()
            + tail
            + if self.introduces { introduction } else { 0 }
    }

    /// Writes the response.
    pub(super) fn put(&self, to: &mut impl BufMut) {
        for one in &self.resources {
            match self.protocol {
                Protocol::Sotw => put_field(RESOURCES, &one.any, to),
                Protocol::Delta => put_entry(one, to),
            }
        }
        put_field(VERSION, self.version.as_bytes(), to);
        put_field(TYPE_URL, self.type_url.0.as_bytes(), to);
        put_field(NONCE, self.nonce.as_bytes(), to);
        self.removed.iter().for_each(|name| put_field(REMOVED, name.0.as_bytes(), to));
        if self.introduces {
            let mut inner = Vec::with_capacity(IDENTIFIER.len() + 2);
            put_field(CONTROL_PLANE_IDENTIFIER, IDENTIFIER, &mut inner);
            put_field(self.numbers().control_plane, &inner, to);
        }
    }

    fn numbers(&self) -> Numbers {
        match self.protocol {
            Protocol::Sotw => Numbers { control_plane: 6 },
            Protocol::Delta => Numbers { control_plane: 7 },
        }
    }
}

/// Requests of type `R` in, ready bytes out.
#[derive(Debug)]
pub(super) struct XdsCodec<R>(PhantomData<fn() -> R>);

impl<R> Default for XdsCodec<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R: Message + Default + 'static> Codec for XdsCodec<R> {
    type Encode = Outgoing;
    type Decode = R;
    type Encoder = XdsEncoder;
    type Decoder = XdsDecoder<R>;

    fn encoder(&mut self) -> XdsEncoder {
        XdsEncoder
    }

    fn decoder(&mut self) -> XdsDecoder<R> {
        XdsDecoder(PhantomData)
    }
}

/// Writes responses.
#[derive(Debug)]
pub(super) struct XdsEncoder;

impl Encoder for XdsEncoder {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(item.encoded_len());
        item.put(to);
        Ok(())
    }
}

/// Reads requests.
#[derive(Debug)]
pub(super) struct XdsDecoder<R>(PhantomData<fn() -> R>);

impl<R: Message + Default + 'static> Decoder for XdsDecoder<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        let malformed = |error| Status::invalid_argument(format!("malformed request: {error}"));
        R::decode(from).map(Some).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };

    use super::*;
    use crate::model::{ResourceKind, ResourceName};
    use crate::snapshot::testing::{cluster, key};

    fn outgoing(protocol: Protocol) -> Outgoing {
        let clusters = ResourceKind::Clusters.type_url();
        let snapshot = crate::snapshot::build(key("beta"), &[cluster("a", 1), cluster("b", 1)]);
        Outgoing {
            protocol,
            version: "v".into(),
            nonce: "n".into(),
            resources: snapshot.types[&clusters].resources.values().cloned().collect(),
            type_url: clusters,
            removed: Vec::new(),
            introduces: true,
        }
    }

    fn bytes(outgoing: &Outgoing) -> Vec<u8> {
        let mut bytes = Vec::new();
        outgoing.put(&mut bytes);
        assert_eq!(bytes.len(), outgoing.encoded_len());
        bytes
    }

    #[test]
    fn a_sotw_response_reads_back_field_by_field() {
        let outgoing = outgoing(Protocol::Sotw);
        let read = DiscoveryResponse::decode(bytes(&outgoing).as_slice()).unwrap();
        assert_eq!((read.version_info.as_str(), read.nonce.as_str()), ("v", "n"));
        assert_eq!(read.type_url, *outgoing.type_url.0);
        assert_eq!(read.control_plane.unwrap().identifier, "convoy");
        let bodies: Vec<_> = read.resources.iter().map(|any| any.value.clone()).collect();
        assert_eq!(bodies, outgoing.resources.iter().map(|r| r.body()).collect::<Vec<_>>());
    }

    #[test]
    fn a_delta_response_reads_back_field_by_field() {
        let gone = ResourceName("gone".into());
        let outgoing =
            Outgoing { removed: vec![gone], introduces: false, ..outgoing(Protocol::Delta) };
        let read = DeltaDiscoveryResponse::decode(bytes(&outgoing).as_slice()).unwrap();
        assert_eq!((read.system_version_info.as_str(), read.nonce.as_str()), ("v", "n"));
        assert_eq!(read.removed_resources, ["gone"]);
        assert_eq!(read.control_plane, None);
        let names: Vec<_> = read.resources.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read.resources[0].version, *outgoing.resources[0].version);
    }
}
