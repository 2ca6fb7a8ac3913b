//! What operators expect beside xDS on the same port.

use envoy_types::pb::envoy::service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse};
use futures_util::StreamExt as _;
use futures_util::stream::{once, pending};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::super::bench::Bench;
use super::super::rule::{Rule, Stop, ensure, fail};
use super::super::transport::BESIDE;
use super::super::wait::Wait;
use super::Done;

const SERVING: i32 = 1;

pub(super) static RULES: &[Rule] = &[
    Rule::new(
        "beside.health",
        BESIDE,
        "the server says that it is SERVING",
        "gRPC health checking protocol",
        |b| Box::pin(health(b)),
    )
    .practice(),
    Rule::new(
        "beside.reflection",
        BESIDE,
        "reflection lists the discovery services",
        "gRPC server reflection",
        |b| Box::pin(reflection(b)),
    )
    .practice(),
    Rule::new(
        "beside.load-reports",
        BESIDE,
        "a client that reports load is told how often to report",
        "lrs.proto, LoadStatsResponse.load_reporting_interval",
        |b| Box::pin(load_reports(b)),
    ),
];

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheck {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

async fn health(bench: &Bench) -> Done {
    let client = bench.client().await?;
    let path = "/grpc.health.v1.Health/Check";
    let answer = client.unary::<_, Health>(path, HealthCheck::default());
    let answer = Wait::of(bench.patience()).until(answer).await;
    bench.exchange.note(format!("{path}: {answer:?}"));
    let answer = answer.ok_or_else(|| fail("no answer came"))?;
    let status = answer.map_err(|status| refused(&status))?.status;
    ensure(status == SERVING, || format!("the status is {status}"))
}

/// No xDS server has to have what stands beside xDS.
fn refused(status: &Status) -> Stop {
    match status.code() {
        Code::Unimplemented => Stop::Skip("the server has no such service".into()),
        code => fail(format!("{code:?}: {}", status.message())),
    }
}

async fn reflection(bench: &Bench) -> Done {
    let services = services(bench).await?;
    bench.exchange.note(format!("{services:?}"));
    let wanted = "envoy.service.discovery.v3.AggregatedDiscoveryService";
    ensure(services.iter().any(|name| name == wanted), || format!("{wanted} is not listed"))
}

async fn services(bench: &Bench) -> Result<Vec<String>, Stop> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answer: ServerReflectionResponse = first_of(bench, path, request).await?;
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|one| one.name).collect())
        }
        _ => Err(fail("the answer is no list of services")),
    }
}

/// The first answer of a server that takes reports of load.
async fn load_reports(bench: &Bench) -> Done {
    let path = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";
    let first = LoadStatsRequest { node: Some(bench.identity()), ..Default::default() };
    let answer: LoadStatsResponse = first_of(bench, path, first).await?;
    bench.exchange.note(format!("{path}: {answer:?}"));
    let told = answer.load_reporting_interval.is_some_and(|one| one.seconds > 0 || one.nanos > 0);
    ensure(told, || "the answer has no load_reporting_interval".into())
}

/// The first message of the stream at `path`, which is opened with `question`.
async fn first_of<Q, A>(bench: &Bench, path: &str, question: Q) -> Result<A, Stop>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let requests = once(async { question }).chain(pending()).boxed();
    let client = bench.client().await?;
    let answer = async {
        let mut stream = client.stream::<Q, A>(path, requests).await?;
        stream.message().await
    };
    let answer = Wait::of(bench.patience()).until(answer).await;
    let answer = answer.ok_or_else(|| fail("no answer came"))?.map_err(|one| refused(&one))?;
    answer.ok_or_else(|| fail("the stream ended without an answer"))
}
