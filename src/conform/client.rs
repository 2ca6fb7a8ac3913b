//! One connection to the server under test, and calls on it.

use futures_util::Stream;
use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::rule::{Stop, fail};
use super::target::Target;

/// The largest answer: whatever a server sends, within what memory can hold.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    channel: Channel,
    token: Option<crate::model::Secret>,
}

impl Client {
    /// Connects; each stream has a connection of its own, as Envoys have.
    pub(super) async fn connect(target: &Target) -> Result<Self, Stop> {
        let unreachable = |error: &dyn std::fmt::Display| {
            fail(format!("no connection to {}: {error}", target.address))
        };
        let origin = target.origin().parse::<Uri>().map_err(|error| unreachable(&error))?;
        let endpoint = Endpoint::from_shared(format!("http://{}", target.address))
            .map_err(|error| unreachable(&error))?
            .origin(origin)
            .connect_timeout(target.patience);
        let channel = match target.tls.clone() {
            None => endpoint.connect().await,
            Some(tls) => {
                let address = target.address.clone();
                let connect = move |_| tls.clone().connect(address.clone());
                endpoint.connect_with_connector(tower::service_fn(connect)).await
            }
        };
        let channel = channel.map_err(|error| unreachable(&error))?;
        Ok(Self { channel, token: target.token.clone() })
    }

    /// Opens a stream at `path`.
    pub(super) async fn stream<Q, A>(
        &self,
        path: &str,
        requests: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = parse(path)?;
        let mut grpc = self.ready().await?;
        let request = self.authorized(Request::new(requests))?;
        let answers = grpc.streaming(request, path, ProstCodec::<Q, A>::default()).await?;
        Ok(answers.into_inner())
    }

    /// Asks once at `path`.
    pub(super) async fn unary<Q, A>(&self, path: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = parse(path)?;
        let mut grpc = self.ready().await?;
        let request = self.authorized(Request::new(request))?;
        let answer = grpc.unary(request, path, ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
            .max_encoding_message_size(MAX_ANSWER_BYTES);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc)
    }

    fn authorized<T>(&self, mut request: Request<T>) -> Result<Request<T>, Status> {
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.expose()).parse();
            let value = value.map_err(|_| Status::internal("the token is no header value"))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

fn parse(path: &str) -> Result<PathAndQuery, Status> {
    path.parse().map_err(|_| Status::internal(format!("`{path}` is no path")))
}
