//! TLS: certificates that are there, and are certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, Value};

use super::Refusals;
use crate::schema::fields::{field, inner, list, text, texts, variant};

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

/// How long a session ticket key is.
const TICKET_KEY_BYTES: usize = 80;

/// Checks what else a message of the package asks for.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix("envoy.extensions.transport_sockets.tls.v3.").unwrap_or_default() {
        "UpstreamTlsContext" => client(message, refusals),
        "CertificateValidationContext" => {
            bundle(message, "trusted_ca", refusals);
            pins(message, refusals);
        }
        "SubjectAltNameMatcher"
            if variant(message, "san_type").as_deref() == Some("OTHER_NAME")
                && text(message, "oid").is_empty() =>
        {
            let text = "`san_type: OTHER_NAME` needs `oid`";
            refusals.refuse("oid", "validation", text, "give the name's object identifier");
        }
        "SPIFFECertValidatorConfig" => {
            let bare = |domain: &DynamicMessage| field(domain, "trust_bundle").is_none();
            if field(message, "trust_bundles").is_none()
                && list(message, "trust_domains").iter().any(bare)
            {
                let text = "a trust domain needs a `trust_bundle`";
                refusals.refuse("trust_domains", "validation", text, "give its certificates");
            }
        }
        "TlsSessionTicketKeys" => {
            let keys = list(message, "keys");
            let wrong =
                |key: &DynamicMessage| inline(key).is_some_and(|key| key.len() != TICKET_KEY_BYTES);
            if keys.iter().any(wrong) {
                let text = format!("a session ticket key has {TICKET_KEY_BYTES} bytes");
                refusals.refuse("keys", "validation", text, "make it with `openssl rand 80`");
            }
        }
        "CommonTlsContext" => {
            // Each list becomes one text, where a byte says how long a name is.
            let names = texts(message, "alpn_protocols");
            let long = names.iter().flat_map(|names| names.split(',')).any(|name| name.len() > 255);
            if let Some(context) = inner(message, "validation_context") {
                trust(&context, refusals);
                validator(&context, refusals);
            }
            if long {
                let text = "a name in `alpn_protocols` is longer than 255 bytes";
                refusals.refuse("alpn_protocols", "validation", text, "shorten it");
            }
        }
        "TlsParameters" => algorithms(message, refusals),
        "SPIFFECertValidatorConfig.TrustDomain" => bundle(message, "trust_bundle", refusals),
        _ => {}
    }
}

fn client(context: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if text(context, "sni").contains('\0') {
        refusals.refuse("sni", "validation", "`sni` holds a zero byte", "remove it");
    }
    let common = inner(context, "common_tls_context");
    for name in ["tls_certificates", "tls_certificate_sds_secret_configs"] {
        if common.as_ref().is_some_and(|common| list(common, name).len() > 1) {
            let text = format!("a client has one TLS certificate, and `{name}` has more");
            refusals.refuse("common_tls_context", "validation", text, "keep one of them");
        }
    }
    let validates = [
        "validation_context",
        "validation_context_sds_secret_config",
        "combined_validation_context",
    ];
    let has = |name: &&str| common.as_ref().is_some_and(|common| field(common, name).is_some());
    let written = common.as_ref().and_then(|common| inner(common, "validation_context"));
    let trusts =
        written.is_none_or(|context| ROOTS.iter().any(|name| field(&context, name).is_some()));
    if field(context, "auto_sni_san_validation").is_some()
        && (!trusts || !validates.iter().any(has))
    {
        let text = "`auto_sni_san_validation` needs a validation context";
        let hint = "set common_tls_context: {validation_context: {trusted_ca: …}}";
        refusals.refuse("auto_sni_san_validation", "validation", text, hint);
    }
}

/// Who may have signed a certificate.
const ROOTS: [&str; 4] = [
    "trusted_ca",
    "ca_certificate_provider_instance",
    "system_root_certs",
    "custom_validator_config",
];

/// Certificates and keys that are known by their hash.
fn pins(context: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const HASH_BYTES: usize = 32;
    let is_hash = |text: &String| {
        let bare =
            if text.len() == 3 * HASH_BYTES - 1 { text.replace(':', "") } else { text.clone() };
        bare.len() == 2 * HASH_BYTES && bare.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_key = |text: &String| STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == HASH_BYTES);
    let hash = texts(context, "verify_certificate_hash").into_iter().find(|one| !is_hash(one));
    let key = texts(context, "verify_certificate_spki").into_iter().find(|one| !is_key(one));
    if let Some(hash) = hash {
        let text = format!("`{hash}` is no SHA-256 in hexadecimal");
        let hint = "take it of `openssl x509 -fingerprint -sha256`";
        refusals.refuse("verify_certificate_hash", "validation", text, hint);
    }
    if let Some(key) = key {
        let text = format!("`{key}` is no SHA-256 in base64");
        refusals.refuse("verify_certificate_spki", "validation", text, "encode its 32 bytes");
    }
}

/// What is checked of a certificate needs someone to have signed it.
fn trust(context: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if ROOTS.iter().any(|name| field(context, name).is_some()) {
        return;
    }
    let needy = [
        "match_typed_subject_alt_names",
        "match_subject_alt_names",
        "crl",
        "allow_expired_certificate",
    ];
    if let Some(name) = needy.into_iter().find(|name| field(context, name).is_some()) {
        let text = format!("`{name}` has no meaning without `trusted_ca`");
        let hint = "give `trusted_ca`, or remove it";
        refusals.refuse("validation_context", "validation", text, hint);
    }
}

/// Who Envoy has to check certificates in its stead.
const VALIDATORS: [&str; 3] = [
    "envoy.tls.cert_validator.default",
    "envoy.tls.cert_validator.spiffe",
    "envoy.tls.cert_validator.dynamic_modules",
];

/// Who checks certificates instead of Envoy is found by name.
fn validator(context: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let custom = inner(context, "custom_validator_config").map(|custom| text(&custom, "name"));
    if let Some(name) = custom.filter(|name| !VALIDATORS.contains(&&**name)) {
        let text = format!("Envoy has no certificate validator `{name}`");
        let hint = "name it envoy.tls.cert_validator.spiffe, or another that Envoy has";
        refusals.refuse("validation_context", "wrong-extension", text, hint);
    }
}

/// Certificates that are written in place.
fn bundle(message: &DynamicMessage, name: &'static str, refusals: &mut Refusals<'_>) {
    let Some(source) = inner(message, name) else { return };
    if inline(&source).is_some_and(|content| !is_pem(&content, "CERTIFICATE")) {
        let text = format!("`{name}` holds no CERTIFICATE in PEM");
        refusals.refuse(name, "bad-pem", text, "give the certificates of the authority");
    }
}

/// Names that BoringSSL does not know: those of TLS 1.3 are not chosen by name.
fn algorithms(params: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const CURVES: [&str; 13] = [
        "P-224",
        "P-256",
        "P-384",
        "P-521",
        "X25519",
        "x25519",
        "prime256v1",
        "secp224r1",
        "secp384r1",
        "secp521r1",
        "X25519MLKEM768",
        "X25519Kyber768Draft00",
        "MLKEM1024",
    ];
    const SCHEMES: [&str; 12] = [
        "rsa_pkcs1_md5_sha1",
        "rsa_pkcs1_sha1",
        "rsa_pkcs1_sha256",
        "rsa_pkcs1_sha384",
        "rsa_pkcs1_sha512",
        "ecdsa_sha1",
        "ecdsa_secp256r1_sha256",
        "ecdsa_secp384r1_sha384",
        "ecdsa_secp521r1_sha512",
        "rsa_pss_rsae_sha256",
        "rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha512",
    ];
    let named = |field: &str| -> Vec<String> {
        let given = texts(params, field);
        let parts = given.iter().flat_map(|one| one.split([':', '[', ']', '|', ' ']));
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let wrong = [
        ("cipher_suites", named("cipher_suites").into_iter().find(|name| !is_cipher(name))),
        ("ecdh_curves", named("ecdh_curves").into_iter().find(|name| !CURVES.contains(&&**name))),
        (
            "signature_algorithms",
            named("signature_algorithms")
                .into_iter()
                .find(|name| !SCHEMES.contains(&&**name) && name != "ed25519" && !is_scheme(name)),
        ),
    ];
    for (field, name) in wrong {
        if let Some(name) = name {
            let text = format!("Envoy's TLS library knows no `{name}`");
            refusals.refuse(field, "validation", text, "the field's page lists what it knows");
        }
    }
}

/// Whether a signature is named by its key and its hash.
fn is_scheme(name: &str) -> bool {
    name.split_once('+').is_some_and(|(key, hash)| {
        ["RSA", "RSA-PSS", "PSS", "ECDSA"].contains(&key)
            && ["SHA1", "SHA256", "SHA384", "SHA512"].contains(&hash)
    })
}

/// Whether a suite, or a group of suites, may have that name: by its parts, as
/// groups combine them.
fn is_cipher(name: &str) -> bool {
    const GROUPS: [&str; 8] =
        ["ALL", "DEFAULT", "HIGH", "FIPS", "SSLv3", "TLSv1", "TLSv1.2", "@STRENGTH"];
    const PARTS: [&str; 22] = [
        "ECDHE", "ECDSA", "RSA", "PSK", "AES128", "AES256", "AES", "GCM", "CBC", "SHA", "SHA1",
        "SHA256", "SHA384", "CHACHA20", "POLY1305", "AESGCM", "3DES", "DES", "CBC3", "DHE",
        "EECDH", "ECDH",
    ];
    let name = name.trim_start_matches(['!', '+', '-']);
    if let Some(standard) = name.strip_prefix("TLS_") {
        return standard.contains("_WITH_");
    }
    GROUPS.contains(&name)
        || name.split(['-', '+']).all(|part| {
            PARTS.contains(&part)
                || ["kRSA", "kECDHE", "kEECDH", "kPSK", "aRSA", "aECDSA", "aPSK"].contains(&part)
        })
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
pub(super) fn inline(source: &DynamicMessage) -> Option<Vec<u8>> {
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
