//! Tells our own pages' requests from those that other sites make a browser
//! send. Applies to callers that a browser identifies by itself (a cookie, or
//! open development mode); a bearer token can't be sent by accident.

use axum::http::{HeaderMap, HeaderName, Uri, header};
use subtle::ConstantTimeEq as _;

/// Where scripts put the session's token.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-convoy-csrf");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a changing request comes from our own pages. Without any header
/// that tells, it counts as ours only if no cookie vouches for it (`strict`
/// is false): browsers always send one of the two.
pub(crate) fn is_same_origin(headers: &HeaderMap, base_url: &str, strict: bool) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(FETCH_SITE);
    let origin = text(header::ORIGIN);
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match origin {
        Some(origin) => is_ours(origin, text(header::HOST), base_url),
        None => site.is_some() || !strict,
    }
}

/// Compares in constant time.
pub(crate) fn matches(expected: &str, sent: &str) -> bool {
    !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(sent.as_bytes()))
}

/// The configured address counts, and loopback under the name it was called
/// by. Any other `Host` does not: it may be a name somebody pointed at us.
fn is_ours(origin: &str, host: Option<&str>, base_url: &str) -> bool {
    if origin.eq_ignore_ascii_case(base_url.trim_end_matches('/')) {
        return true;
    }
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let (Some(authority), Some(host)) = (uri.authority(), host) else { return false };
    let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&authority.host());
    loopback && authority.as_str().eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(sent: &[(&'static str, &'static str)], strict: bool) -> bool {
        let headers = sent
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_same_origin(&headers.collect(), "https://convoy.example.com", strict)
    }

    #[test]
    fn other_sites_are_refused() {
        let host = ("host", "convoy.example.com");
        for sent in [
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "http://convoy.example.com")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site")],
            vec![host, ("sec-fetch-site", "none")],
            vec![host, ("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            vec![("host", "rebound.example"), ("origin", "http://rebound.example")],
            vec![("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:2")],
        ] {
            assert!(!check(&sent, true), "{sent:?}");
            assert!(!check(&sent, false), "{sent:?}");
        }
    }

    #[test]
    fn our_own_pages_pass() {
        for sent in [
            vec![("host", "convoy.example.com"), ("origin", "https://convoy.example.com")],
            vec![("host", "convoy.example.com"), ("sec-fetch-site", "same-origin")],
            vec![("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            vec![("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")],
        ] {
            assert!(check(&sent, true), "{sent:?}");
        }
    }

    #[test]
    fn a_silent_client_passes_only_without_a_cookie() {
        assert!(check(&[("host", "127.0.0.1")], false));
        assert!(!check(&[("host", "127.0.0.1")], true));
    }

    #[test]
    fn an_empty_token_matches_nothing() {
        assert!(!matches("", "") && !matches("ab", "") && !matches("ab", "abc"));
        assert!(matches("ab", "ab"));
    }
}
