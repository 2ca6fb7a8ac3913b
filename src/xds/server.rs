//! The thin gRPC server.
use std::future::Future;

use tokio::net::TcpListener;

use super::Hub;

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the xDS server ended")]
pub struct XdsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Serves xDS on `listener` until `shutdown`, then closes streams in order.
/// With `tokens`, a stream must carry one of them (hashed with SHA-256) as
/// `authorization: Bearer …`.
pub async fn serve(
    _listener: TcpListener,
    _hub: Hub,
    _tokens: Vec<crate::model::ContentHash>,
    _shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), XdsError> {
    todo!()
}
