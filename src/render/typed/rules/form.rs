//! Well-known forms of text: header names and values, addresses, URIs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::render::yaml::shorten;
use crate::schema::WellKnown;

/// How `value` fails to have the form.
pub(super) fn breach(form: WellKnown, value: &str) -> Option<String> {
    let (fits, noun) = match form {
        WellKnown::Email => (is_email(value), "a mail address"),
        WellKnown::Hostname => (is_hostname(value), "a host name"),
        WellKnown::Ip => (value.parse::<IpAddr>().is_ok(), "an IP address"),
        WellKnown::Ipv4 => (value.parse::<Ipv4Addr>().is_ok(), "an IPv4 address"),
        WellKnown::Ipv6 => (value.parse::<Ipv6Addr>().is_ok(), "an IPv6 address"),
        WellKnown::Uri => (is_uri(value), "an absolute URI"),
        WellKnown::UriRef => (is_uri_text(value), "a URI"),
        WellKnown::Address => {
            (value.parse::<IpAddr>().is_ok() || is_hostname(value), "a host name or IP address")
        }
        WellKnown::Uuid => (is_uuid(value), "a UUID"),
        WellKnown::HeaderName => (is_header_name(value), "an HTTP header name"),
        WellKnown::HeaderValue => {
            (!value.chars().any(|c| c.is_ascii_control() && c != '\t'), "an HTTP header value")
        }
        WellKnown::HeaderLoose => {
            (!value.contains(['\0', '\n', '\r']), "a header text without NUL, CR and LF")
        }
    };
    (!fits).then(|| format!("must be {noun}, is \"{}\"", shorten(value)))
}

/// `:?[0-9a-zA-Z!#$%&'*+,-.^_|~`]+`, as protoc-gen-validate writes it.
fn is_header_name(value: &str) -> bool {
    let name = value.strip_prefix(':').unwrap_or(value);
    let ok = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+,-.^_|~`".contains(c);
    !name.is_empty() && name.chars().all(ok)
}

fn is_hostname(value: &str) -> bool {
    let name = value.strip_suffix('.').unwrap_or(value);
    let label_ok = |label: &str| {
        let ok = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(ok)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label_ok)
}

fn is_email(value: &str) -> bool {
    value.rsplit_once('@').is_some_and(|(local, host)| {
        (1..=64).contains(&local.len())
            && !local.contains(|c: char| c.is_whitespace() || c == '@')
            && is_hostname(host)
    })
}

fn is_uri(value: &str) -> bool {
    value.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && is_uri_text(value)
    })
}

fn is_uri_text(value: &str) -> bool {
    !value.contains(|c: char| c.is_ascii_control() || c == ' ' || "<>\"{}|\\^`".contains(c))
}

fn is_uuid(value: &str) -> bool {
    let parts: Vec<_> = value.split('-').collect();
    let hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_take_what_envoy_takes() {
        let check = |form, value: &str, fits: bool| {
            assert_eq!(breach(form, value).is_none(), fits, "{form:?} {value:?}");
        };
        check(WellKnown::HeaderName, ":authority", true);
        check(WellKnown::HeaderName, "x-a", true);
        check(WellKnown::HeaderName, "x a", false);
        check(WellKnown::HeaderName, "", false);
        check(WellKnown::HeaderValue, "a\tb é", true);
        check(WellKnown::HeaderValue, "a\nb", false);
        check(WellKnown::HeaderLoose, "x y", true);
        check(WellKnown::HeaderLoose, "x\ry", false);
        check(WellKnown::Hostname, "a.example.com", true);
        check(WellKnown::Hostname, "-a.example", false);
        check(WellKnown::Ip, "::1", true);
        check(WellKnown::Ipv4, "::1", false);
        check(WellKnown::Ipv6, "10.0.0.1", false);
        check(WellKnown::Address, "10.0.0.1", true);
        check(WellKnown::Address, "a b", false);
        check(WellKnown::Uri, "https://a/b?c", true);
        check(WellKnown::Uri, "/b", false);
        check(WellKnown::UriRef, "/b", true);
        check(WellKnown::Email, "a@example.com", true);
        check(WellKnown::Email, "example.com", false);
        check(WellKnown::Uuid, "123e4567-e89b-12d3-a456-426614174000", true);
        check(WellKnown::Uuid, "123e4567", false);
    }
}
