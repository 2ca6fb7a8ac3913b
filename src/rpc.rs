//! Get, list, commit and watch over gRPC: `proto/convoy/v1`, with reflection
//! and health, beside xDS on its port. Thin: it parses, checks rights, asks
//! `store`, and shapes the answer; the rules are those of the HTTP API.
//!
//! Reflection and health speak of the services of xDS too. They answer everybody: they say what the API is and that
//! it is up, nothing of what is kept. Called by `app`, which hands [`routes`]
//! to the xDS server.

mod commit;
mod messages;
mod read;
mod status;
mod watch;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;

use crate::govern::Govern;
use crate::model::{Person, RepoName};
use crate::reconcile::Handle;
use crate::schema::Schema;
use crate::store::Store;
use crate::xds::{self, Hub};

use proto::repositories_server::{Repositories, RepositoriesServer};

/// The messages and the service as `build.rs` made them.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::disallowed_methods,
    clippy::allow_attributes_without_reason,
    reason = "generated; the documentation is in the .proto file"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/convoy.v1.rs"));
}

/// What reflection answers from.
static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/convoy.fds"));

/// What is served beside xDS.
const OWN_SERVICES: [&str; 4] = [
    "convoy.v1.Repositories",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The largest request: as much as the JSON API takes with files.
const REQUEST_BYTES_MAX: usize = 8 << 20;
/// The largest answer: a list of all files that a repository may hold.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Streams that may be open at once.
const STREAMS_MAX: usize = 256;
/// Calls that read much and may run at once.
const HEAVY_MAX: usize = 4;

/// What the service needs; cheap to clone.
#[derive(Clone)]
pub struct Rpc {
    /// The repositories.
    pub store: Store,
    /// Who there is and what they may do.
    pub govern: Govern,
    /// The reconciler: told of commits, and tells when the program ends.
    pub handle: Handle,
    /// The name and mail address that a person's commits carry.
    pub authors: Arc<BTreeMap<Person, (String, String)>>,
    /// Repositories that follow an upstream: they take no commits.
    pub mirrored: Arc<BTreeSet<RepoName>>,
    /// Whether everybody is an administrator, in development mode.
    pub open: bool,
    /// Envoy's messages, which reflection shows the services of xDS by.
    pub schema: Schema,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc").field("open", &self.open).finish_non_exhaustive()
    }
}

/// The service, its reflection and its health.
///
/// # Errors
/// The descriptor set can't be read, which a test rules out.
pub async fn routes(
    rpc: Rpc,
    hub: Hub,
) -> Result<Routes, Box<dyn std::error::Error + Send + Sync + 'static>> {
    let served = xds::services();
    let envoy = rpc.schema.files_of(&served);
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(&envoy)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        // Envoy's files define more services than are served.
        let names = served.iter().map(String::as_str).chain(OWN_SERVICES);
        names.fold(builder, |builder, name| builder.with_service_name(name))
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    let asked = rpc.clone();
    let service = RepositoriesServer::new(Service {
        rpc,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        heavy: Arc::new(Semaphore::new(HEAVY_MAX)),
    })
    .max_decoding_message_size(REQUEST_BYTES_MAX)
    .max_encoding_message_size(ANSWER_BYTES_MAX);
    let may_look = move |metadata: &MetadataMap| who::may_look(&asked, metadata);
    health.set_serving::<RepositoriesServer<Service>>().await;
    for name in &served {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
    Ok(Routes::new(service)
        .add_service(xds::client_status(hub, Arc::new(may_look)))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// The service at work.
struct Service {
    rpc: Rpc,
    streams: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
}

impl Service {
    /// Runs what may read much where it may block, a few at a time.
    async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let permit = self.heavy.clone().acquire_owned().await;
        let _permit = permit.map_err(|_| status::stopping())?;
        let store = self.rpc.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| status::internal(&error))?
    }
}

#[tonic::async_trait]
impl Repositories for Service {
    type WatchStream = watch::Stream;

    async fn get(
        &self,
        request: Request<proto::GetRequest>,
    ) -> Result<Response<proto::GetResponse>, Status> {
        read::get(self, request).await.map(Response::new)
    }

    async fn list(
        &self,
        request: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        read::list(self, request).await.map(Response::new)
    }

    async fn commit(
        &self,
        request: Request<proto::CommitRequest>,
    ) -> Result<Response<proto::CommitResponse>, Status> {
        commit::commit(self, request).await.map(Response::new)
    }

    async fn watch(
        &self,
        request: Request<proto::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        watch::watch(self, request).map(Response::new)
    }

    async fn history(
        &self,
        request: Request<proto::HistoryRequest>,
    ) -> Result<Response<proto::HistoryResponse>, Status> {
        read::history(self, request).await.map(Response::new)
    }
}
