//! Bytes on the stream, both ways, in gRPC's framing.
//!
//! A protobuf message is the concatenation of its fields in any order, so a
//! response is a short head of its own followed by resources that were encoded
//! once and are shared by every stream. tonic's codec would copy them into a
//! buffer per stream, and keep the buffer; here a frame is handed to the
//! connection as it is. Requests are decoded by prost.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::service::discovery::v3::{ResourceError, ResourceName as ProtoName};
use envoy_types::pb::google::rpc::Status;
use http_body_util::BodyExt as _;
use prost::Message;
use tonic::Code;
use tonic::body::Body;

use super::Refusal;
use super::session::{Outgoing, Protocol};
use crate::model::ResourceName;
use crate::snapshot::wire::{field_len, put_field};

/// The largest request: the initial versions of some 500,000 resources.
pub(super) const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Resources up to this size are copied behind their head: one frame of the
/// connection costs more than the copy.
const SMALL: usize = 4 << 10;
/// gRPC's prefix of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What we call ourselves in `control_plane.identifier`.
pub(super) const IDENTIFIER: &[u8] = b"convoy";

const VERSION: u32 = 1;
const TYPE_URL: u32 = 4;
const NONCE: u32 = 5;
const REMOVED: u32 = 6;
const CONTROL_PLANE_IDENTIFIER: u32 = 1;
/// In a state-of-the-world response; an incremental one needs none.
const ERRORS: u32 = 7;

/// A response in gRPC's framing: the stream's own bytes, then shared ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) head: Bytes,
    /// Empty where the resources are in the head.
    pub(super) shared: Bytes,
}

impl Frame {
    /// The message's own length, without the prefix.
    pub(super) fn message_len(&self) -> usize {
        self.head.len() + self.shared.len() - PREFIX
    }
}

impl Outgoing {
    /// The response as it goes over the stream.
    pub(super) fn frame(&self) -> Frame {
        let resources = match self.protocol {
            Protocol::Sotw => self.resources.anys(),
            Protocol::Delta => self.resources.entries(),
        };
        let own = self.own_len();
        let small = resources.len() <= SMALL;
        let copied = if small { resources.len() } else { 0 };
        let mut head = BytesMut::with_capacity(PREFIX + own + copied);
        head.put_u8(0);
        // No snapshot comes near 4 GiB: its source is bounded far below.
        head.put_u32(u32::try_from(own + resources.len()).unwrap_or(u32::MAX));
        self.put_own(&mut head);
        if small {
            head.put_slice(resources);
        }
        let shared = if small { Bytes::new() } else { resources.clone() };
        Frame { head: head.freeze(), shared }
    }

    /// How many bytes [`Outgoing::put_own`] writes.
    fn own_len(&self) -> usize {
        let removed = self.removed.iter().map(|name| field_len(REMOVED, name.0.len()));
        let inner = field_len(CONTROL_PLANE_IDENTIFIER, IDENTIFIER.len());
        let introduction = field_len(self.control_plane(), inner);
        field_len(VERSION, self.version.len())
            + field_len(TYPE_URL, self.type_url.0.len())
            + field_len(NONCE, self.nonce.len())
            + removed.sum::<usize>()
            + self.missing.iter().map(|name| field_len(ERRORS, missing(name).len())).sum::<usize>()
            + if self.introduces { introduction } else { 0 }
    }

    /// Writes everything but the resources.
    fn put_own(&self, to: &mut impl BufMut) {
        put_field(VERSION, self.version.as_bytes(), to);
        put_field(TYPE_URL, self.type_url.0.as_bytes(), to);
        put_field(NONCE, self.nonce.as_bytes(), to);
        self.removed.iter().for_each(|name| put_field(REMOVED, name.0.as_bytes(), to));
        self.missing.iter().for_each(|name| put_field(ERRORS, &missing(name), to));
        if self.introduces {
            let mut inner = Vec::with_capacity(IDENTIFIER.len() + 2);
            put_field(CONTROL_PLANE_IDENTIFIER, IDENTIFIER, &mut inner);
            put_field(self.control_plane(), &inner, to);
        }
    }

    /// The number of the one field that `DiscoveryResponse` and
    /// `DeltaDiscoveryResponse` have in different places.
    fn control_plane(&self) -> u32 {
        match self.protocol {
            Protocol::Sotw => 6,
            Protocol::Delta => 7,
        }
    }
}

/// The error that there is no resource of this name.
fn missing(name: &ResourceName) -> Vec<u8> {
    let error = ResourceError {
        resource_name: Some(ProtoName { name: name.to_string(), ..ProtoName::default() }),
        error_detail: Some(Status {
            code: Code::NotFound.into(),
            message: "nothing of this name is served to this node".into(),
            ..Status::default()
        }),
    };
    error.encode_to_vec()
}

/// The requests of a stream, read from its body.
pub(super) struct Requests<R> {
    body: Body,
    /// What came and is no whole message yet.
    rest: BytesMut,
    of: PhantomData<fn() -> R>,
}

impl<R: Message + Default> Requests<R> {
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: BytesMut::new(), of: PhantomData }
    }

    /// The next request; `None` at the end, and where the connection breaks.
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<R>, Refusal> {
        loop {
            if let Some(request) = self.take()? {
                return Ok(Some(request));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(error = %error.message(), "a stream broke");
                    return Ok(None);
                }
                None => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Result<Option<R>, Refusal> {
        let Some(prefix) = self.rest.first_chunk::<PREFIX>() else { return Ok(None) };
        let [compressed, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if compressed != 0 {
            return Err(Refusal::Compressed);
        }
        if length > MAX_REQUEST_BYTES {
            return Err(Refusal::TooLarge { length, limit: MAX_REQUEST_BYTES });
        }
        if self.rest.len() < PREFIX + length {
            return Ok(None);
        }
        self.rest.advance(PREFIX);
        let request = R::decode(&self.rest[..length]);
        self.rest.advance(length);
        if self.rest.is_empty() {
            // A stream at rest holds no buffer.
            self.rest = BytesMut::new();
        }
        request.map(Some).map_err(|error| Refusal::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    };
    use http_body_util::StreamBody;
    use hyper::body::Frame as Piece;

    use super::*;
    use crate::model::ResourceKind;
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
            missing: Vec::new(),
            introduces: true,
        }
    }

    fn bytes(outgoing: &Outgoing) -> Vec<u8> {
        let frame = outgoing.frame();
        let bytes = [frame.head.as_ref(), frame.shared.as_ref()].concat();
        let (prefix, message) = bytes.split_at(PREFIX);
        assert_eq!(frame.message_len(), message.len());
        assert_eq!(prefix[0], 0);
        assert_eq!(prefix[1..], u32::try_from(message.len()).unwrap().to_be_bytes());
        message.to_vec()
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
    fn what_is_missing_reads_back_as_errors() {
        let missing = ["x", "y"].map(|name| ResourceName(name.into())).to_vec();
        let outgoing = Outgoing { missing, ..outgoing(Protocol::Sotw) };
        let read = DiscoveryResponse::decode(bytes(&outgoing).as_slice()).unwrap();
        assert_eq!((read.nonce.as_str(), read.resources.len()), ("n", 2));
        let error = |one: &ResourceError| {
            let name = one.resource_name.as_ref().map(|name| name.name.clone());
            (name.unwrap(), one.error_detail.as_ref().unwrap().code)
        };
        let errors: Vec<_> = read.resource_errors.iter().map(error).collect();
        assert_eq!(errors, [("x".to_owned(), 5), ("y".to_owned(), 5)]);
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

    #[test]
    fn large_resources_are_shared_and_small_ones_copied() {
        let small = outgoing(Protocol::Delta);
        assert_eq!(small.frame().shared, Bytes::new());
        let clusters: Vec<_> = (0..500).map(|n| cluster(&format!("c{n}"), 1)).collect();
        let snapshot = crate::snapshot::build(key("beta"), &clusters);
        let large = Outgoing { resources: snapshot.types[&small.type_url].all(), ..small };
        let again = large.clone().frame().shared;
        assert_eq!(large.frame().shared.as_ptr(), again.as_ptr());
        let read = DeltaDiscoveryResponse::decode(bytes(&large).as_slice()).unwrap();
        assert_eq!((read.resources.len(), read.nonce.as_str()), (500, "n"));
    }

    /// What is read from a body that comes in these pieces.
    async fn requests(pieces: Vec<Vec<u8>>) -> Result<Vec<DiscoveryRequest>, Refusal> {
        let pieces =
            pieces.into_iter().map(|piece| Ok::<_, Infallible>(Piece::data(Bytes::from(piece))));
        let body = Body::new(StreamBody::new(futures_util::stream::iter(pieces)));
        let (mut requests, mut read) = (Requests::new(body), Vec::new());
        while let Some(request) = requests.next().await? {
            read.push(request);
        }
        Ok(read)
    }

    fn framed(version: &str) -> Vec<u8> {
        let request = DiscoveryRequest { version_info: version.into(), ..Default::default() };
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], length.as_slice(), &message].concat()
    }

    #[tokio::test]
    async fn requests_are_read_however_they_are_cut() {
        let whole = [framed("1"), framed(""), framed("three")].concat();
        for size in 1..whole.len() {
            let read = requests(whole.chunks(size).map(<[u8]>::to_vec).collect()).await.unwrap();
            let versions: Vec<_> = read.iter().map(|one| one.version_info.as_str()).collect();
            assert_eq!(versions, ["1", "", "three"], "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn requests_that_can_not_be_read_are_refused() {
        let refused = async |piece: &[u8]| requests(vec![piece.to_vec()]).await.unwrap_err();
        assert_eq!(refused(&[1, 0, 0, 0, 0]).await, Refusal::Compressed);
        let limit = MAX_REQUEST_BYTES;
        let large = Refusal::TooLarge { length: u32::MAX as usize, limit };
        assert_eq!(refused(&[0, 255, 255, 255, 255]).await, large);
        assert!(matches!(refused(&[0, 0, 0, 0, 1, 255]).await, Refusal::Malformed(_)));
    }
}
