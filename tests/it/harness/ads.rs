//! A second ADS server, state of the world only, so that smoke runs are tested
//! without trusting our own.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use convoy::model::{ResourceKind, ResourceName, TypeUrl};
use convoy::smoke::{Listeners, Listening};
use convoy::snapshot::Snapshot;
use convoy::tasks::Tasks;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Opens a server for each snapshot, and counts them.
#[derive(Debug, Default)]
pub(crate) struct TestAds {
    /// How many were opened.
    pub(crate) opened: AtomicUsize,
}

impl Listeners for TestAds {
    fn listen(
        &self,
        snapshot: Arc<Snapshot>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Box<dyn Listening>>> + Send + '_>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let tasks = Tasks::default();
            let refusals = Arc::default();
            let ads = Ads { snapshot, refusals: Arc::clone(&refusals), tasks: tasks.clone() };
            let server = tonic::transport::Server::builder()
                .add_service(AggregatedDiscoveryServiceServer::new(ads))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tasks.spawn("test-ads", async move { server.await.expect("the test server serves") });
            Ok(Box::new(Serving { address, refusals, tasks }) as Box<dyn Listening>)
        })
    }
}

type Refusals = Arc<Mutex<Vec<(String, String)>>>;

struct Serving {
    address: SocketAddr,
    refusals: Refusals,
    tasks: Tasks,
}

impl Listening for Serving {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn refusals(&self) -> Vec<(String, String)> {
        self.refusals.lock().unwrap().clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

#[derive(Clone)]
struct Ads {
    snapshot: Arc<Snapshot>,
    refusals: Refusals,
    tasks: Tasks,
}

impl Ads {
    /// The answer to a request, where it asks for something new.
    fn answer(
        &self,
        request: DiscoveryRequest,
        asked: &mut HashMap<String, Vec<String>>,
    ) -> Option<DiscoveryResponse> {
        if let Some(error) = request.error_detail {
            self.refusals.lock().unwrap().push((request.type_url, error.message));
            return None;
        }
        let before = asked.insert(request.type_url.clone(), request.resource_names.clone());
        if before.as_ref() == Some(&request.resource_names) {
            return None;
        }
        let url = TypeUrl(request.type_url.as_str().into());
        let is_wildcard =
            matches!(url.kind(), Some(ResourceKind::Clusters | ResourceKind::Listeners));
        let resources = self.resources(&url, (!is_wildcard).then_some(&request.resource_names));
        (is_wildcard || !resources.is_empty()).then(|| DiscoveryResponse {
            version_info: "1".into(),
            resources,
            nonce: format!("n-{}", asked.values().map(Vec::len).sum::<usize>()),
            type_url: request.type_url,
            ..Default::default()
        })
    }

    fn resources(&self, url: &TypeUrl, names: Option<&Vec<String>>) -> Vec<Any> {
        let Some(of_type) = self.snapshot.types.get(url) else { return Vec::new() };
        let wanted = |name: &ResourceName| {
            names.is_none_or(|names| names.iter().any(|wanted| **wanted == *name.0))
        };
        let served = of_type.resources.iter().filter(|(name, _)| wanted(name));
        served.map(|(_, served)| Any::decode(served.any.clone()).unwrap()).collect()
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        let (ads, mut requests) = (self.clone(), request.into_inner());
        self.tasks.spawn("test-ads-stream", async move {
            let mut asked = HashMap::new();
            while let Ok(Some(request)) = requests.message().await {
                if let Some(answer) = ads.answer(request, &mut asked)
                    && sender.send(Ok(answer)).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn delta_aggregated_resources(
        &self,
        _request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }
}
