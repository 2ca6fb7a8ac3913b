//! The relay: a gRPC server that opens the same stream at another server, and
//! passes on what a fault leaves.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use convoy::tasks::Tasks;

use super::message::Question;
use super::{Fault, Wrong};

/// A relay at work, stopped on drop.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    tasks: Tasks,
}

impl Relay {
    /// Stands before the server at `upstream`.
    pub(crate) async fn start(upstream: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let streams = tasks.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let tasks = streams.clone();
            async move { Ok::<_, Infallible>(answer(upstream, fault, tasks, request).await) }
        });
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served =
            Server::builder().serve_with_incoming_shutdown(service, incoming, tasks.stopping());
        tasks.spawn("relay", async move { served.await.expect("the relay ends well") });
        Self { address, tasks }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn answer(
    upstream: SocketAddr,
    fault: Fault,
    tasks: Tasks,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let only = "/StreamAggregatedResources";
    if fault == Fault::OneTransport && !path.ends_with(only) {
        Status::unimplemented(path).into_http()
    } else if path.contains("/Delta") {
        relayed::<DeltaDiscoveryRequest>(upstream, path, fault, tasks, request).await
    } else if path.contains("/Stream") {
        relayed::<DiscoveryRequest>(upstream, path, fault, tasks, request).await
    } else {
        Status::unimplemented(path).into_http()
    }
}

async fn relayed<Q: Question>(
    upstream: SocketAddr,
    path: String,
    fault: Fault,
    tasks: Tasks,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let mut wrong = Some(Wrong::<Q>::new(fault));
    let open = tower::service_fn(move |request: Request<Streaming<Q>>| {
        let (sender, receiver) = mpsc::channel(64);
        let wrong = wrong.take().expect("a stream is opened once");
        let path = path.clone();
        tasks.spawn("relayed stream", relay(upstream, path, request.into_inner(), sender, wrong));
        std::future::ready(Ok::<_, Status>(Response::new(ReceiverStream::new(receiver))))
    });
    tonic::server::Grpc::new(ProstCodec::<Q::Reply, Q>::default()).streaming(open, request).await
}

async fn relay<Q: Question>(
    upstream: SocketAddr,
    path: String,
    mut client: Streaming<Q>,
    to_client: mpsc::Sender<Result<Q::Reply, Status>>,
    mut wrong: Wrong<Q>,
) {
    let endpoint = Endpoint::from_shared(format!("http://{upstream}")).unwrap();
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let (sender, receiver) = mpsc::channel::<Q>(64);
    let requests = Request::new(ReceiverStream::new(receiver));
    let codec = ProstCodec::<Q, Q::Reply>::default();
    let mut server = match grpc.streaming(requests, path.parse().unwrap(), codec).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return drop(to_client.send(Err(status)).await),
    };
    let mut to_server = Some(sender);
    loop {
        let out = tokio::select! {
            message = client.message(), if to_server.is_some() => match message {
                Ok(Some(message)) => wrong.request(message),
                Ok(None) => { to_server = None; continue }
                Err(status) => return drop(to_client.send(Err(status)).await),
            },
            message = server.message() => match message {
                Ok(Some(message)) => wrong.answer(message),
                Ok(None) => return,
                Err(status) => return drop(to_client.send(Err(status)).await),
            },
        };
        for message in out.up {
            if let Some(to_server) = &to_server {
                let _ = to_server.send(message).await;
            }
        }
        for message in out.down {
            if to_client.send(Ok(message)).await.is_err() {
                return;
            }
        }
    }
}
