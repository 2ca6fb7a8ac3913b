//! One answer for one question: JSON over HTTP, and gRPC's unary methods.

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use serde_json::{Value, json};
use tonic::Code;

use super::super::answer::Answer;
use super::super::bench::Bench;
use super::super::item::cluster;
use super::super::rule::{Rule, Stop, ensure, fail};
use super::super::transport::{FETCH, method, rest_path};
use super::Done;
use crate::model::ResourceKind as Kind;

const CDS: Kind = Kind::Clusters;
const CLUSTERS: &str = "/v3/discovery:clusters";
/// What a server answers that has no such path, or takes no JSON there.
const WITHOUT_REST: [u16; 4] = [404, 405, 415, 501];
const REST: &str = "xDS REST and gRPC protocol, REST-JSON polling subscriptions";

pub(super) static RULES: &[Rule] = &[
    Rule::new("fetch.rest", FETCH, "clusters are had as JSON by POST", REST, |b| Box::pin(rest(b))),
    Rule::new("fetch.rest-every-type", FETCH, "every type has its REST path", REST, |b| {
        Box::pin(rest_every_type(b))
    }),
    Rule::new("fetch.rest-names", FETCH, "only the names asked for are given", REST, |b| {
        Box::pin(rest_names(b))
    }),
    Rule::new(
        "fetch.rest-camel-case",
        FETCH,
        "a request in lowerCamelCase is understood",
        "protobuf, JSON mapping: parsers accept both names of a field",
        |b| Box::pin(rest_camel_case(b)),
    ),
    Rule::new(
        "fetch.rest-unchanged",
        FETCH,
        "the present version is answered with 304 Not Modified",
        "go-control-plane; Envoy takes it for no update",
        |b| Box::pin(rest_unchanged(b)),
    )
    .practice(),
    Rule::new("fetch.rest-changed", FETCH, "another content is answered anew", REST, |b| {
        Box::pin(rest_changed(b))
    })
    .driven(),
    Rule::new("fetch.rest-unknown-path", FETCH, "an unknown path is 404", REST, |b| {
        Box::pin(rest_unknown_path(b))
    }),
    Rule::new("fetch.rest-bad-json", FETCH, "a body that is no JSON is 400", REST, |b| {
        Box::pin(rest_bad_json(b))
    }),
    Rule::new(
        "fetch.grpc",
        FETCH,
        "the unary methods answer as the streams do",
        "the Fetch methods of the discovery services",
        |b| Box::pin(grpc(b)),
    ),
];

/// A client for HTTP, and what the server's addresses begin with.
async fn http(bench: &Bench) -> Result<(reqwest::Client, String), Stop> {
    let target = &bench.target;
    let none = |error: &dyn std::fmt::Display| Stop::Skip(format!("no HTTP client: {error}"));
    let client = reqwest::Client::builder().timeout(bench.patience());
    let Some(tls) = &target.tls else {
        let client = client.build().map_err(|error| none(&error))?;
        return Ok((client, format!("http://{}", target.address)));
    };
    let found = tokio::net::lookup_host(&target.address).await;
    let at = found.map_err(|error| none(&error))?.next();
    let at = at.ok_or_else(|| none(&"the server's name has no address"))?;
    let client = client.tls_backend_preconfigured(tls.for_http()).resolve(&tls.name(), at);
    let client = client.build().map_err(|error| none(&error))?;
    Ok((client, format!("https://{}:{}", tls.name(), at.port())))
}

/// Posts `body` to a server that has REST; gives the status and the JSON that
/// came. One that has none breaks no rule about it.
async fn post(bench: &Bench, path: &str, body: String) -> Result<(u16, Value), Stop> {
    let (status, _) = send(bench, CLUSTERS, question(bench, &[], "")).await?;
    match WITHOUT_REST.contains(&status) {
        true => Err(Stop::Skip(format!("the server has no REST: {CLUSTERS} is {status}"))),
        false => send(bench, path, body).await,
    }
}

async fn send(bench: &Bench, path: &str, body: String) -> Result<(u16, Value), Stop> {
    let (client, base) = http(bench).await?;
    let url = format!("{base}{path}");
    let mut request = client.post(url).header("content-type", "application/json");
    if let Some(token) = &bench.target.token {
        request = request.bearer_auth(token.expose());
    }
    if let Some(authority) = &bench.target.authority {
        request = request.header("host", authority);
    }
    bench.exchange.note(format!("→ POST {path} {body}"));
    let answer = request.body(body).send().await.map_err(|error| {
        match error.is_connect() || error.is_timeout() {
            true => fail(format!("no answer over HTTP: {error}")),
            false => Stop::Skip("the server has no REST: it speaks no HTTP/1.1".into()),
        }
    })?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(|error| fail(format!("the answer broke: {error}")))?;
    let short: String = text.chars().take(300).collect();
    bench.exchange.note(format!("← {status} {short}"));
    Ok((status, serde_json::from_str(&text).unwrap_or_default()))
}

fn question(bench: &Bench, names: &[&str], version: &str) -> String {
    let node = bench.identity();
    let node = json!({
        "id": node.id,
        "cluster": node.cluster,
        "metadata": bench.target.node.metadata,
    });
    json!({ "node": node, "resource_names": names, "version_info": version }).to_string()
}

async fn clusters(bench: &Bench, version: &str) -> Result<(u16, Value), Stop> {
    post(bench, CLUSTERS, question(bench, &[], version)).await
}

/// A field under either of its names.
fn field<'a>(value: &'a Value, snake: &str, camel: &str) -> &'a Value {
    if value[snake].is_null() { &value[camel] } else { &value[snake] }
}

/// The names of the resources in an answer, sorted.
fn given(answer: &Value, key: (&str, &str)) -> Vec<String> {
    let resources = answer["resources"].as_array().into_iter().flatten();
    let name = |one: &Value| field(one, key.0, key.1).as_str().map(str::to_owned);
    let mut names: Vec<_> = resources.filter_map(name).collect();
    names.sort();
    names
}

async fn rest(bench: &Bench) -> Done {
    let (status, answer) = clusters(bench, "").await?;
    ensure(status == 200, || format!("the status is {status}"))?;
    let names = given(&answer, ("name", "name"));
    ensure(names == bench.all(CDS), || format!("{names:?} came"))?;
    let typed = answer["resources"]
        .as_array()
        .is_some_and(|all| all.iter().all(|one| one["@type"].as_str() == Some(&*CDS.type_url().0)));
    ensure(typed, || "the resources have no @type".into())?;
    let version = field(&answer, "version_info", "versionInfo").as_str();
    ensure(version.is_some_and(|version| !version.is_empty()), || "no version_info".into())
}

async fn rest_every_type(bench: &Bench) -> Done {
    for path in Kind::ALL.into_iter().filter_map(rest_path) {
        let (status, _) = post(bench, path, question(bench, &[], "")).await?;
        ensure(status == 200 || status == 304, || format!("{path}: the status is {status}"))?;
    }
    Ok(())
}

async fn rest_names(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 2)?;
    let body = question(bench, &[&names[0]], "");
    let (status, answer) = post(bench, "/v3/discovery:endpoints", body).await?;
    ensure(status == 200, || format!("the status is {status}"))?;
    let given = given(&answer, ("cluster_name", "clusterName"));
    ensure(given == names[..1], || format!("{given:?} came"))
}

async fn rest_camel_case(bench: &Bench) -> Done {
    let names = bench.some(Kind::Endpoints, 2)?;
    let node = json!({
        "id": bench.identity().id,
        "cluster": bench.target.node.cluster,
        "metadata": bench.target.node.metadata,
    });
    let body =
        json!({ "node": node, "resourceNames": [names[0]], "typeUrl": Kind::Endpoints.type_url() });
    let (status, answer) = post(bench, "/v3/discovery:endpoints", body.to_string()).await?;
    ensure(status == 200, || format!("the status is {status}"))?;
    let given = given(&answer, ("cluster_name", "clusterName"));
    ensure(given == names[..1], || format!("{given:?} came"))
}

/// The version that the first answer tells.
async fn version(bench: &Bench) -> Result<String, Stop> {
    let (status, answer) = clusters(bench, "").await?;
    let version = field(&answer, "version_info", "versionInfo").as_str().map(str::to_owned);
    version.ok_or_else(|| fail(format!("the status is {status}, without a version_info")))
}

async fn rest_unchanged(bench: &Bench) -> Done {
    let version = version(bench).await?;
    let (status, _) = clusters(bench, &version).await?;
    ensure(status == 304, || format!("the status is {status}"))
}

async fn rest_changed(bench: &Bench) -> Done {
    bench.hold(&[cluster("a", 1)]).await?;
    let old = version(bench).await?;
    bench.hold(&[cluster("a", 2)]).await?;
    let (status, answer) = clusters(bench, &old).await?;
    let new = field(&answer, "version_info", "versionInfo").as_str();
    ensure(status == 200 && new.is_some_and(|new| new != old), || {
        format!("the status is {status}, the version {new:?} after {old:?}")
    })
}

async fn rest_unknown_path(bench: &Bench) -> Done {
    let (status, _) = post(bench, "/v3/discovery:guesses", question(bench, &[], "")).await?;
    ensure(status == 404, || format!("the status is {status}"))
}

async fn rest_bad_json(bench: &Bench) -> Done {
    let (status, _) = post(bench, CLUSTERS, "{\"node\": ".into()).await?;
    ensure(status == 400, || format!("the status is {status}"))
}

async fn grpc(bench: &Bench) -> Done {
    let path = method(CDS, "Fetch");
    let request = DiscoveryRequest { node: Some(bench.identity()), ..Default::default() };
    let answer = bench.client().await?;
    let answer = answer.unary::<_, DiscoveryResponse>(&path, request).await;
    let answer = answer.map_err(|status| match status.code() {
        Code::Unimplemented => Stop::Skip(format!("the server has no {path}")),
        code => fail(format!("{code:?}: {}", status.message())),
    })?;
    super::super::say::exactly(&Answer::from(answer), &bench.all(CDS))
}
