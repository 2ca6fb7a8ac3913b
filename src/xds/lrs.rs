//! The load reporting service: nodes tell what their clusters carry, and the
//! hub sums it up. It steers nothing: the answer only asks for reports.

use std::pin::Pin;
use std::time::Duration;

use envoy_types::pb::envoy::service::load_stats::v3::load_reporting_service_server::{
    LoadReportingService, LoadReportingServiceServer,
};
use envoy_types::pb::envoy::service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse};
use envoy_types::pb::google::protobuf::Duration as Seconds;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::{Request, Response, Status, Streaming};
use tower::Service as _;

use super::guard::Caller;
use super::identity::identity;
use super::load::UnderWay;
use super::{Hub, Refusal};
use crate::model::NodeIdentity;

/// Its one method.
pub(super) const PATH: &str = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";
/// How often a node reports.
const INTERVAL_S: i64 = 10;
/// The largest report: some 10,000 clusters.
const MAX_REPORT_BYTES: usize = 16 << 20;
/// How long a stream may be silent: several intervals.
const SILENCE: Duration = Duration::from_secs(120);

/// Answers a call of [`PATH`] by somebody who was let in.
pub(super) async fn answer(
    hub: Hub,
    caller: Caller,
    stopping: watch::Receiver<bool>,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let service = LoadReportingServiceServer::new(Lrs { hub, caller, stopping });
    let answered = service.max_decoding_message_size(MAX_REPORT_BYTES).call(request).await;
    answered.unwrap_or_else(|never| match never {})
}

struct Lrs {
    hub: Hub,
    caller: Caller,
    stopping: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl LoadReportingService for Lrs {
    type StreamLoadStatsStream =
        Pin<Box<dyn Stream<Item = Result<LoadStatsResponse, Status>> + Send>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        let reporter = Reporter {
            hub: self.hub.clone(),
            caller: self.caller.clone(),
            incoming: request.into_inner(),
            stopping: self.stopping.clone(),
            node: None,
            under_way: UnderWay::default(),
        };
        let answers = unfold(Some(reporter), |reporter| async move {
            let mut reporter = reporter?;
            match reporter.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(reporter))),
                Ok(None) => None,
                Err(refusal) => Some((Err(refusal.into()), None)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// One stream of reports. What its node said to be under way goes with it.
struct Reporter {
    hub: Hub,
    caller: Caller,
    incoming: Streaming<LoadStatsRequest>,
    stopping: watch::Receiver<bool>,
    node: Option<NodeIdentity>,
    under_way: UnderWay,
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.hub.loads().take_back(&mut self.under_way);
    }
}

impl Reporter {
    /// The next answer, of which there is one, after the node's first words.
    async fn next(&mut self) -> Result<Option<LoadStatsResponse>, Refusal> {
        while let Some(report) = self.message().await? {
            let begins = self.node.is_none();
            if begins {
                let node = report.node.clone().and_then(identity).ok_or(Refusal::NoNode)?;
                self.caller.check(&node, None)?;
                tracing::debug!(node.id = %node.id, "load reports begin");
                self.node = Some(node);
            }
            self.take(&report);
            if begins {
                return Ok(Some(wanted()));
            }
        }
        Ok(None)
    }

    async fn message(&mut self) -> Result<Option<LoadStatsRequest>, Refusal> {
        let silent = Instant::now() + SILENCE;
        loop {
            let deadline = self.caller.deadline().map_or(silent, |end| end.min(silent));
            tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(Refusal::Stopping),
                message = self.incoming.message() => return Ok(message.unwrap_or_default()),
                () = self.caller.changed() => {}
                () = sleep_until(deadline) => {}
            }
            if Instant::now() >= silent {
                return Err(Refusal::Silent(SILENCE.as_secs()));
            }
            self.caller.renew()?;
            self.node.as_ref().map_or(Ok(()), |node| self.caller.check(node, None))?;
        }
    }

    fn take(&mut self, report: &LoadStatsRequest) {
        let key = self.node.as_ref().and_then(|node| self.hub.assign(node));
        let now = crate::telemetry::clock::now();
        let mut loads = self.hub.loads();
        loads.report(key.as_ref(), &report.cluster_stats, &mut self.under_way, now);
    }
}

/// What we ask for: everything, every ten seconds.
fn wanted() -> LoadStatsResponse {
    LoadStatsResponse {
        send_all_clusters: true,
        load_reporting_interval: Some(Seconds { seconds: INTERVAL_S, nanos: 0 }),
        ..LoadStatsResponse::default()
    }
}
