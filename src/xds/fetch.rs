//! The `Fetch` methods of gRPC: one request, one answer. gRPC knows no
//! "unchanged", so the answer is always whole.

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;

use super::codec::MAX_REQUEST_BYTES;
use super::guard::Caller;
use super::method::Method;
use super::poll::{Poll, Polls};

/// Answers `request` to `method`, which `polls` knows the answer to.
pub(super) async fn answer(
    polls: &Polls,
    method: &Method,
    caller: &Caller,
    request: Request<Body>,
) -> Response<Body> {
    let once = tower::service_fn(|request: tonic::Request<DiscoveryRequest>| {
        let poll = Poll::read(method, request.into_inner());
        std::future::ready(match poll.and_then(|poll| polls.answer_always(&poll, caller)) {
            Ok(response) => Ok(tonic::Response::new(response)),
            Err(refusal) => Err(Status::from(refusal)),
        })
    });
    let codec = tonic_prost::ProstCodec::default();
    Grpc::new(codec).max_decoding_message_size(MAX_REQUEST_BYTES).unary(once, request).await
}
