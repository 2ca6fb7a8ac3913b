//! Who may open a stream: bearer tokens, known by their hashes only.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};

use crate::model::ContentHash;

/// The hashes of every token that is good.
#[derive(Debug)]
pub(super) struct Tokens(Vec<ContentHash>);

impl Tokens {
    pub(super) fn new(hashes: Vec<ContentHash>) -> Self {
        Self(hashes)
    }

    /// Whether a request with these headers may go on. Without any token
    /// configured, every one may. Each hash is compared, in constant time.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = header.and_then(|header| header.split_once(' ')) else {
            return false;
        };
        let given = ContentHash::of(token.trim().as_bytes());
        let equal = |good: &ContentHash| good.0.as_slice().ct_eq(&given.0);
        let any = self.0.iter().map(equal).fold(Choice::from(0), |any, one| any | one);
        scheme.eq_ignore_ascii_case("bearer") && bool::from(any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>, expected: bool) {
        let tokens = Tokens::new(vec![ContentHash::of(b"one"), ContentHash::of(b"two")]);
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        assert_eq!(tokens.allow(&headers), expected, "{header:?}");
    }

    #[test]
    fn only_a_known_bearer_token_is_let_in() {
        check(Some("Bearer one"), true);
        check(Some("bearer two"), true);
        check(Some("Bearer three"), false);
        check(Some("Basic one"), false);
        check(Some("Bearer"), false);
        check(Some("Bearer "), false);
        check(None, false);
    }

    #[test]
    fn without_tokens_everybody_is_let_in() {
        assert!(Tokens::new(vec![]).allow(&HeaderMap::new()));
    }
}
