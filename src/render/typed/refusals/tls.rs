//! TLS: certificates that are there, and are certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, Value};

use super::Refusals;
use crate::schema::fields::{field, inner, list};

/// A certificate needs its chain and its key, both in PEM.
pub(super) fn certificate(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if field(message, "pkcs12").is_some() || field(message, "private_key_provider").is_some() {
        return;
    }
    for (name, label) in [("certificate_chain", "CERTIFICATE"), ("private_key", "PRIVATE KEY")] {
        let Some(source) = inner(message, name) else {
            let text = format!("a TLS certificate needs `{name}`");
            refusals.refuse(name, "no-certificate", text, "give chain and key");
            continue;
        };
        if let Some(content) = inline(&source)
            && !is_pem(&content, label)
        {
            let text = format!("`{name}` holds no {label} in PEM");
            let hint = "inline_bytes is base64 of the PEM text; inline_string is the text itself";
            refusals.refuse(name, "bad-pem", text, hint);
        }
    }
}

/// A server needs a certificate, from one kind of source.
pub(super) fn server(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(common) = inner(message, "common_tls_context") else {
        return refuse_none(refusals);
    };
    let written = !list(&common, "tls_certificates").is_empty();
    let discovered = !list(&common, "tls_certificate_sds_secret_configs").is_empty();
    let others = [
        "tls_certificate_provider_instance",
        "tls_certificate_certificate_provider",
        "tls_certificate_certificate_provider_instance",
        "custom_tls_certificate_selector",
        "custom_handshaker",
    ];
    if written && discovered {
        let text = "`tls_certificates` can't stand beside `tls_certificate_sds_secret_configs`";
        refusals.refuse("common_tls_context", "oneof", text, "keep one of them");
    }
    if !written && !discovered && others.iter().all(|name| field(&common, name).is_none()) {
        refuse_none(refusals);
    }
}

fn refuse_none(refusals: &mut Refusals<'_>) {
    let text = "a server needs a TLS certificate, and has none";
    let hint = "give `tls_certificates` or `tls_certificate_sds_secret_configs`";
    refusals.refuse("common_tls_context", "no-certificate", text, hint);
}

/// A secret is something.
pub(super) fn secret(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let kinds = ["tls_certificate", "session_ticket_keys", "validation_context", "generic_secret"];
    if kinds.iter().all(|name| field(message, name).is_none()) {
        let text =
            format!("a secret needs one of {}", kinds.map(|kind| format!("`{kind}`")).join(", "));
        refusals.refuse("name", "oneof", text, "give its content");
    }
}

/// What a data source holds itself; `None` where it only says where.
fn inline(source: &DynamicMessage) -> Option<Vec<u8>> {
    let text = field(source, "inline_string");
    let bytes = field(source, "inline_bytes");
    match (text.as_deref(), bytes.as_deref()) {
        (Some(Value::String(text)), _) => Some(text.clone().into_bytes()),
        (_, Some(Value::Bytes(bytes))) => Some(bytes.to_vec()),
        _ => None,
    }
}

/// Whether there is a block whose label ends with `label`, of base64.
fn is_pem(content: &[u8], label: &str) -> bool {
    let text = String::from_utf8_lossy(content);
    text.split("-----BEGIN ").skip(1).any(|block| {
        let Some((begin, rest)) = block.split_once("-----") else { return false };
        let Some((body, _)) = rest.split_once(&format!("-----END {begin}-----")) else {
            return false;
        };
        // Older keys have headers, which end with an empty line.
        let body = body.rsplit_once("\n\n").map_or(body, |(_, body)| body);
        let body: String = body.split_whitespace().collect();
        begin.ends_with(label) && STANDARD.decode(body).is_ok_and(|der| !der.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_has_its_label_and_base64() {
        let pem = |label: &str, body: &str| {
            format!("# x\n-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
        };
        assert!(is_pem(&pem("CERTIFICATE", "aGVs\nbG8="), "CERTIFICATE"));
        assert!(is_pem(&pem("RSA PRIVATE KEY", "aGVsbG8="), "PRIVATE KEY"));
        assert!(!is_pem(&pem("CERTIFICATE", "aGVsbG8="), "PRIVATE KEY"));
        assert!(!is_pem(&pem("CERTIFICATE", "!!"), "CERTIFICATE"));
        assert!(!is_pem(b"key-data", "PRIVATE KEY"));
    }
}
