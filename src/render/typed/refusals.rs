//! What Envoy refuses though the message's own rules allow it: the checks that
//! its code makes when it takes a resource, beyond `validate.rules`.
//!
//! Each was seen on real Envoys; `ci/verdict` holds them against these, and
//! `ci/verdict.toml` lists what is left out and why. A check is about one
//! message with what is inside it, never about other resources. Called for
//! each message that has no other mistake, so places are those of its fields.

mod access;
mod cluster;
mod endpoint;
mod extension;
mod filter;
mod format;
mod header;
mod health;
mod listener;
mod manager;
mod pair;
mod regex;
mod route;
mod single;
mod source;
mod template;
mod tls;
mod tree;

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};

use super::message::Given;
use super::{Mistake, Reader};
use crate::render::yaml::{Node, Span};
use crate::schema::fields::{self, field};
use crate::schema::{Number, Schema, Targets};

/// The longest time that Envoy counts: in nanoseconds, it still fits 64 bits.
const DURATION_MAX_S: i64 = 9_223_372_035;

/// Collects what is wrong with one message.
struct Refusals<'a> {
    schema: &'a Schema,
    targets: &'a Targets,
    /// Whether the message stands in what a service is sent over HTTP.
    to_service: bool,
    found: Vec<(&'static str, Mistake)>,
}

impl Refusals<'_> {
    /// Notes that Envoy refuses the message for its field `field`.
    fn refuse(
        &mut self,
        field: &'static str,
        rule: &'static str,
        message: impl Into<String>,
        hint: &str,
    ) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.found.push((field, Mistake::new(rule, message, hint)));
    }

    /// The first of the stage's Envoys that is older than `version`.
    fn older_than(&self, version: &str) -> Option<String> {
        let releases = self.schema.releases();
        let older = self.targets.iter().find(|(release, _)| releases.is_before(*release, version));
        older.map(|(_, names)| names.to_owned())
    }

    /// Whether one of the stage's Envoys, or any where none is named, is of
    /// `version` or newer.
    fn newer_than(&self, version: &str) -> bool {
        let releases = self.schema.releases();
        let newer = |(release, _)| !releases.is_before(release, version);
        self.targets.is_empty() || self.targets.iter().any(newer)
    }
}

/// The length of the `Duration` in `field`, where it is set.
fn nanos(message: &DynamicMessage, name: &str) -> Option<i128> {
    let Some(Value::Message(duration)) = field(message, name).map(Cow::into_owned) else {
        return None;
    };
    match Number::of(&Value::Message(duration))? {
        Number::Int(nanos) => Some(nanos),
        Number::Float(_) => None,
    }
}

impl<'a> Reader<'a> {
    /// Reports what Envoy would refuse about a message that is fine so far.
    pub(super) fn refusals(&mut self, message: &DynamicMessage, node: &Node, given: &[Given<'_>]) {
        let mut refusals = self.refusing();
        check(message, &mut refusals);
        for (field, mistake) in refusals.found {
            self.mistake(place(message, field, node, given), mistake);
        }
        for (span, mistake) in times(message, given) {
            self.mistake(span, mistake);
        }
    }

    fn refusing(&self) -> Refusals<'a> {
        let (schema, targets) = (self.schema, self.targets);
        Refusals { schema, targets, to_service: self.to_service, found: Vec::new() }
    }

    /// Reports what Envoy would refuse about a whole resource, as against the
    /// same message inside another.
    pub(super) fn refused_resource(&mut self, message: &DynamicMessage, node: &Node) {
        let mut refusals = self.refusing();
        if message.descriptor().full_name() == "envoy.config.endpoint.v3.ClusterLoadAssignment" {
            endpoint::only_addresses(message, "endpoints", "come by EDS", &mut refusals);
        }
        if message.descriptor().full_name() == "envoy.config.core.v3.TypedExtensionConfig" {
            extension::discovered(message, &mut refusals);
        }
        for (field, mistake) in refusals.found {
            let span = node.entry(field).map_or(node.span, |entry| entry.value.span);
            self.mistake(span, mistake);
        }
    }
}

fn place(message: &DynamicMessage, field: &str, node: &Node, given: &[Given<'_>]) -> Span {
    let number = message.descriptor().get_field_by_name(field).map(|field| field.number());
    let given = given.iter().find(|given| Some(given.number) == number);
    given.map_or(node.span, |given| given.entry.value.span)
}

fn check(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let descriptor = message.descriptor();
    extension::check(message, refusals);
    pair::check(descriptor.full_name(), message, refusals);
    header::check(message, refusals);
    cluster::balance::policy(descriptor.full_name(), message, refusals);
    match descriptor.full_name() {
        "envoy.type.matcher.v3.RegexMatcher" | "xds.type.matcher.v3.RegexMatcher" => {
            regex::matcher(message, refusals);
        }
        "envoy.config.core.v3.HeaderValueOption" => format::header(message, refusals),
        "envoy.config.core.v3.SubstitutionFormatString" => format::formatted(message, refusals),
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => format::file(message, refusals),
        "envoy.config.core.v3.SocketAddress" => endpoint::socket(message, refusals),
        "envoy.config.endpoint.v3.LocalityLbEndpoints" => endpoint::locality(message, refusals),
        "envoy.config.core.v3.CidrRange" | "xds.core.v3.CidrRange" => {
            endpoint::range(message, refusals);
        }
        "envoy.config.core.v3.Pipe" => endpoint::pipe(message, refusals),
        "envoy.config.core.v3.BindConfig" => endpoint::binding(message, refusals),
        "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy" => {
            endpoint::drops(message, refusals);
        }
        "envoy.config.cluster.v3.Cluster.RefreshRate" | "envoy.config.cluster.v3.RefreshRate" => {
            intervals(message, refusals);
        }
        "envoy.config.core.v3.BackoffStrategy" => intervals(message, refusals),
        "envoy.config.core.v3.HealthCheck.Payload" => health::payload(message, refusals),
        "envoy.config.core.v3.HealthCheck.HttpHealthCheck" => health::http(message, refusals),
        "envoy.type.tracing.v3.CustomTag" => {
            format::refuse(&fields::text(message, "value"), "value", true, refusals);
        }
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig" => {
            format::telemetry(message, refusals);
        }
        "envoy.service.runtime.v3.Runtime" => runtime(message, refusals),
        "envoy.config.cluster.v3.Cluster" => cluster::check(message, refusals),
        "envoy.config.listener.v3.Listener" => listener::check(message, refusals),
        "envoy.config.listener.v3.FilterChain" => filter::network_chain(message, refusals),
        filter::MANAGER => {
            filter::http_chain(message, refusals);
            manager::check(filter::MANAGER, message, refusals);
            format::tracing(message, refusals);
        }
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" => {
            filter::upstream_chain(message, refusals);
            for filter in fields::list(message, "http_filters") {
                extension::expect(&filter, "envoy.filters.http.upstream", "http_filters", refusals);
            }
        }
        "envoy.extensions.transport_sockets.tls.v3.Secret" => tls::secret(message, refusals),
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate" => {
            tls::certificate(message, refusals);
        }
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" => {
            tls::server(message, refusals);
        }
        "envoy.config.cluster.v3.Cluster.TransportSocketMatch" => {
            needs(message, "transport_socket", refusals);
        }
        "envoy.extensions.filters.network.http_connection_manager.v3.Rds" => {
            needs(message, "config_source", refusals);
        }
        name => {
            route::check(name, message, refusals);
            source::check(name, message, refusals);
            tls::check(name, message, refusals);
            manager::check(name, message, refusals);
            access::check(name, message, refusals);
            filter::check(name, message, refusals);
            single::check(name, message, refusals);
        }
    }
}

/// A field that Envoy's code asks for, though its rules don't.
fn needs(message: &DynamicMessage, name: &'static str, refusals: &mut Refusals<'_>) {
    if field(message, name).is_none() {
        refusals.refuse(name, "validation", format!("`{name}` must be set"), "");
    }
}

/// A runtime layer holds scalars, fractions and layers.
fn runtime(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let layer = fields::inner(message, "layer");
    let entries = layer.map(|layer| fields::map(&layer, "fields")).unwrap_or_default();
    let list = entries.iter().find(|(_, value)| field(value, "list_value").is_some());
    if let Some((key, _)) = list {
        let text = format!("the runtime entry `{key}` is a list");
        refusals.refuse("layer", "validation", text, "runtime holds scalars, fractions and maps");
    }
}

/// The longest interval is at least the first.
fn intervals(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let base = nanos(message, "base_interval");
    if nanos(message, "max_interval").zip(base).is_some_and(|(max, base)| max < base) {
        let text = "`max_interval` must be at least `base_interval`";
        refusals.refuse("max_interval", "validation", text, "raise it");
    }
}

/// The times that Envoy can't count, each at its place.
fn times(message: &DynamicMessage, given: &[Given<'_>]) -> Vec<(Span, Mistake)> {
    let wrong = given.iter().filter_map(|given| {
        let field = message.descriptor().get_field(given.number)?;
        let Kind::Message(kind) = field.kind() else { return None };
        if field.is_list() || kind.full_name() != "google.protobuf.Duration" {
            return None;
        }
        let value = message.get_field(&field);
        let part = |name: &str| value.as_message()?.get_field_by_name(name).map(|v| v.into_owned());
        let seconds = part("seconds").as_ref().and_then(Value::as_i64).unwrap_or(0);
        let nanos = part("nanos").as_ref().and_then(Value::as_i32).unwrap_or(0);
        let wish = match seconds {
            _ if seconds < 0 || nanos < 0 => "must not be negative".to_owned(),
            _ if seconds > DURATION_MAX_S => format!("must be at most {DURATION_MAX_S}s"),
            _ => return None,
        };
        let text = format!("`{}` {wish}: Envoy refuses such a time", field.name());
        Some((given.entry.value.span, Mistake::new("bad-duration", text, None)))
    });
    wrong.collect()
}
