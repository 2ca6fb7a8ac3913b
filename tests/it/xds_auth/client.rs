//! A client over TLS, as gRPC libraries make one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convoy::model::ResourceKind;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
pub(super) use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse as Response;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::harness::pki::{Issued, Pki};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to connect.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    ca: PathBuf,
    own: Option<Issued>,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(address: SocketAddr, pki: &Pki) -> Self {
        Self { address, ca: pki.ca(), own: None, token: None }
    }

    /// Comes with a certificate.
    pub(super) fn with(self, own: &Issued) -> Self {
        Self { own: Some(own.clone()), ..self }
    }

    /// Comes with a token.
    pub(super) fn token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Opens an aggregated stream.
    pub(super) async fn delta(&self) -> Result<Delta, Status> {
        let channel = self.channel().await.map_err(|error| Status::unknown(error.to_string()))?;
        self.delta_over(channel).await
    }

    /// Opens an aggregated stream over a connection that there is.
    pub(super) async fn delta_over(&self, channel: Channel) -> Result<Delta, Status> {
        let (requests, receiver) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        if let Some(token) = &self.token {
            let header = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", header);
        }
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.delta_aggregated_resources(request).await?.into_inner();
        Ok(Delta { requests, responses })
    }

    /// The certificate that the server shows to a new connection.
    pub(super) async fn server_certificate(&self) -> CertificateDer<'static> {
        self.try_server_certificate().await.expect("the handshake is done")
    }

    /// The same, where there may be nobody yet.
    pub(super) async fn try_server_certificate(&self) -> std::io::Result<CertificateDer<'static>> {
        let stream = connect(self.address, self.config()).await?;
        let shown = stream.get_ref().1.peer_certificates().expect("a server has one");
        Ok(shown[0].clone().into_owned())
    }

    /// Connects anew until the server shows such a certificate.
    pub(super) async fn wait_server_certificate(
        &self,
        holds: impl Fn(&CertificateDer<'static>) -> bool,
    ) {
        let shown = async { while !holds(&self.server_certificate().await) {} };
        timeout(PATIENCE, shown).await.expect("the server shows another certificate");
    }

    /// A connection.
    pub(super) async fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        let (address, config) = (self.address, self.config());
        let connector = tower::service_fn(move |_| {
            let config = config.clone();
            async move { connect(address, config).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://127.0.0.1").connect_with_connector(connector).await
    }

    fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        certificates(&self.ca).into_iter().for_each(|one| roots.add(one).expect("a CA"));
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_file(&own.key).expect("a key");
                builder.with_client_auth_cert(certificates(&own.cert), key).expect("a pair")
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

async fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::from(address.ip()), stream).await
}

pub(super) fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file).expect("the file can be read");
    read.map(|one| one.expect("a certificate")).collect()
}

/// A stream seen from the client.
pub(super) struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<Response>,
}

impl Delta {
    /// Subscribes to names; with a node in the first message.
    pub(super) async fn ask(&self, id: &str, stage: &str, kind: ResourceKind, names: &[&str]) {
        let value = Value { kind: Some(Kind::StringValue(stage.into())) };
        let metadata = Some(Struct { fields: [("stage".to_owned(), value)].into() });
        let node = Node { id: id.into(), metadata, ..Node::default() };
        let request = DeltaDiscoveryRequest {
            node: (!id.is_empty()).then_some(node),
            type_url: kind.type_url().to_string(),
            resource_names_subscribe: names.iter().map(|&name| name.into()).collect(),
            ..Default::default()
        };
        self.requests.send(request).await.expect("the stream is open");
    }

    pub(super) async fn ack(&self, response: &Response) {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..Default::default()
        };
        self.requests.send(request).await.expect("the stream is open");
    }

    pub(super) async fn next(&mut self) -> Result<Response, Status> {
        let next = timeout(PATIENCE, self.responses.message()).await.expect("an answer comes");
        next.map(|message| message.expect("the stream goes on"))
    }
}
