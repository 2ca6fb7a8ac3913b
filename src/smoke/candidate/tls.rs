//! Certificates of the run in place of those that aren't here.
//!
//! A listener may read its certificate from a file or have it from another
//! server; neither is there in a smoke run, so it gets one of the run's. What
//! is written in the configuration itself stays, and is judged. Authorities
//! that clients are verified with come to trust the run's own besides, so
//! that a check can show a certificate that is taken.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::edit::{child, children, renew, set, text, walk_all};
use crate::schema::Schema;

/// The run's certificates, as PEM.
#[derive(Debug, Clone, Copy)]
pub(in crate::smoke) struct Papers<'a> {
    /// Of the authority.
    pub(in crate::smoke) authority: &'a str,
    /// Of a server.
    pub(in crate::smoke) cert: &'a str,
    /// The server's key.
    pub(in crate::smoke) key: &'a str,
}

const DOWNSTREAM: [&str; 2] = [
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport",
];

/// Makes the listeners' TLS work here. `served` names the secrets that the
/// snapshot holds.
pub(super) fn equip(
    schema: &Schema,
    listener: &mut DynamicMessage,
    served: &BTreeSet<String>,
    papers: Papers<'_>,
) {
    walk_all(schema, listener, &mut |message| {
        if !DOWNSTREAM.contains(&message.descriptor().full_name()) {
            return false;
        }
        if is_elsewhere(message, "session_ticket_keys_sds_secret_config", served) {
            message.clear_field_by_name("session_ticket_keys_sds_secret_config");
        }
        if child(message, "session_ticket_keys")
            .is_some_and(|keys| children(keys, "keys").any(|key| !is_inline(key)))
        {
            message.clear_field_by_name("session_ticket_keys");
        }
        let Some(context) = child(message, "common_tls_context") else { return false };
        certificates(context, served, papers);
        validation(context, served, papers);
        true
    });
}

/// The same for a secret of the snapshot.
pub(super) fn equip_secret(secret: &mut DynamicMessage, papers: Papers<'_>) {
    if let Some(certificate) = child(secret, "tls_certificate") {
        replace_if_absent(certificate, papers);
    }
    if let Some(context) = child(secret, "validation_context") {
        trust(context, papers);
    }
}

fn certificates(context: &mut DynamicMessage, served: &BTreeSet<String>, papers: Papers<'_>) {
    for certificate in children(context, "tls_certificates") {
        replace_if_absent(certificate, papers);
    }
    let field = "tls_certificate_sds_secret_configs";
    let configs = context.get_field_by_name(field).map(std::borrow::Cow::into_owned);
    let Some(Value::List(configs)) = configs else { return };
    let all = configs.len();
    let here: Vec<Value> = configs.into_iter().filter(|one| is_served(one, served)).collect();
    if here.len() == all {
        return;
    }
    // Envoy takes either these or inline ones, not both.
    if here.is_empty() {
        context.clear_field_by_name(field);
        add_certificate(context, papers);
    } else {
        set(context, field, Value::List(here));
    }
}

fn add_certificate(context: &mut DynamicMessage, papers: Papers<'_>) {
    let descriptor = context.descriptor().get_field_by_name("tls_certificates");
    let kind = descriptor.as_ref().map(prost_reflect::FieldDescriptor::kind);
    let Some(kind) = kind.as_ref().and_then(|kind| kind.as_message()) else { return };
    let mut certificate = DynamicMessage::new(kind.clone());
    fill(&mut certificate, papers);
    let mut all = match context.get_field_by_name("tls_certificates").map(|v| v.into_owned()) {
        Some(Value::List(list)) => list,
        _ => Vec::new(),
    };
    all.push(Value::Message(certificate));
    set(context, "tls_certificates", Value::List(all));
}

fn replace_if_absent(certificate: &mut DynamicMessage, papers: Papers<'_>) {
    let absent = |certificate: &mut DynamicMessage, field: &str| {
        child(certificate, field).is_some_and(|source| !is_inline(source))
    };
    let parts = ["certificate_chain", "private_key", "pkcs12"];
    if !parts.iter().any(|part| absent(certificate, part)) {
        return;
    }
    for field in [
        "certificate_chain",
        "private_key",
        "pkcs12",
        "password",
        "private_key_provider",
        "watched_directory",
        "ocsp_staple",
        "signed_certificate_timestamp",
    ] {
        certificate.clear_field_by_name(field);
    }
    fill(certificate, papers);
}

fn fill(certificate: &mut DynamicMessage, papers: Papers<'_>) {
    for (field, pem) in [("certificate_chain", papers.cert), ("private_key", papers.key)] {
        if let Some(source) = renew(certificate, field) {
            set(source, "inline_string", Value::String(pem.into()));
        }
    }
}

fn validation(context: &mut DynamicMessage, served: &BTreeSet<String>, papers: Papers<'_>) {
    if let Some(own) = child(context, "validation_context") {
        trust(own, papers);
    }
    if is_elsewhere(context, "validation_context_sds_secret_config", served) {
        if let Some(own) = renew(context, "validation_context") {
            trust_only(own, papers);
        }
        return;
    }
    let Some(combined) = child(context, "combined_validation_context") else { return };
    if let Some(own) = child(combined, "default_validation_context") {
        trust(own, papers);
    }
    if !is_elsewhere(combined, "validation_context_sds_secret_config", served) {
        return;
    }
    let own = child(combined, "default_validation_context").map(|own| own.clone());
    let fresh = renew(context, "validation_context");
    if let Some(fresh) = fresh {
        if let Some(own) = own {
            *fresh = own;
        }
        trust_only(fresh, papers);
    }
}

/// Lets the run's authority in beside those that are there. A context that
/// trusts no authority verifies in another way, which stays.
fn trust(context: &mut DynamicMessage, papers: Papers<'_>) {
    // It would have to list the run's authority too.
    context.clear_field_by_name("crl");
    context.clear_field_by_name("watched_directory");
    let Some(source) = child(context, "trusted_ca") else { return };
    if !is_inline(source) {
        trust_only(context, papers);
        return;
    }
    let joined = |there: &str| format!("{}\n{}", there.trim_end(), papers.authority);
    let bytes = source.get_field_by_name("inline_bytes").and_then(|b| b.as_bytes().cloned());
    if source.has_field_by_name("inline_string") {
        let there = text(source, "inline_string");
        set(source, "inline_string", Value::String(joined(&there)));
    } else if let Some(bytes) = bytes {
        let joined = joined(&String::from_utf8_lossy(&bytes));
        set(source, "inline_bytes", Value::Bytes(Bytes::from(joined)));
    }
}

fn trust_only(context: &mut DynamicMessage, papers: Papers<'_>) {
    if let Some(source) = renew(context, "trusted_ca") {
        set(source, "inline_string", Value::String(papers.authority.into()));
    }
}

/// Whether a `DataSource` holds its data itself.
fn is_inline(source: &DynamicMessage) -> bool {
    source.has_field_by_name("inline_string") || source.has_field_by_name("inline_bytes")
}

/// Whether the secret in `field` comes from neither the snapshot nor our
/// listener.
fn is_elsewhere(message: &DynamicMessage, field: &str, served: &BTreeSet<String>) -> bool {
    message.has_field_by_name(field)
        && message.get_field_by_name(field).is_some_and(|config| !is_served(&config, served))
}

fn is_served(config: &Value, served: &BTreeSet<String>) -> bool {
    let Some(config) = config.as_message() else { return false };
    let by_ads = config.get_field_by_name("sds_config").is_some_and(|source| {
        source.as_message().is_some_and(|source| source.has_field_by_name("ads"))
    });
    // One that our own listener should have and hasn't is a mistake to find.
    by_ads || (!config.has_field_by_name("sds_config") && served.contains(&text(config, "name")))
}

/// Every text of a secret but certificates, which are no secret.
pub(super) fn secret_texts(secret: &DynamicMessage) -> Vec<String> {
    let mut texts = Vec::new();
    for (field, value) in secret.fields() {
        if !matches!(field.name(), "name" | "certificate_chain" | "validation_context") {
            gather(value, &mut texts);
        }
    }
    texts
}

fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Bytes(bytes) => texts.push(String::from_utf8_lossy(bytes).into_owned()),
        Value::Message(message) => texts.extend(secret_texts(message)),
        Value::List(list) => list.iter().for_each(|inner| gather(inner, texts)),
        Value::Map(map) => map.values().for_each(|inner| gather(inner, texts)),
        _ => {}
    }
}
