//! What a token looks like: `convoy_`, 40 random letters and digits, and six
//! more that check them. Scanners find it in what was published by mistake,
//! and a check without any list tells a real one from an example.

use crate::model::Secret;

/// What every token begins with.
pub const PREFIX: &str = "convoy_";
/// Random characters: 62^40 is more than 2^238.
const RANDOM_CHARS: usize = 40;
/// 62^6 is more than 2^32.
const CHECK_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// Makes a token's secret.
///
/// # Errors
/// The system gives no random numbers.
pub fn mint() -> Result<Secret, NoRandom> {
    let mut body = String::with_capacity(RANDOM_CHARS);
    while body.len() < RANDOM_CHARS {
        let mut bytes = [0; 64];
        let provider = rustls::crypto::ring::default_provider();
        provider.secure_random.fill(&mut bytes).map_err(|_| NoRandom)?;
        // What would make some characters likelier than others is left out.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| usize::from(byte % 62));
        body.extend(fair.map(|at| char::from(ALPHABET[at])).take(RANDOM_CHARS - body.len()));
    }
    Ok(Secret::new(&format!("{PREFIX}{body}{}", check_of(&body))))
}

/// Whether a text is a token of ours, by its form and check.
pub fn is_token(text: &str) -> bool {
    let Some(body) = text.strip_prefix(PREFIX) else { return false };
    let plain = body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain
        && body.len() == RANDOM_CHARS + CHECK_CHARS
        && check_of(&body[..RANDOM_CHARS]) == body[RANDOM_CHARS..]
}

/// The CRC-32 of the random part, in six digits of base 62.
fn check_of(body: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    let mut left = crc.sum() as usize;
    let mut digits = [b'0'; CHECK_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[left % 62];
        left /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_checks_itself() {
        let token = mint().unwrap();
        let text = token.expose();
        assert!(text.len() == 53 && is_token(text), "{text}");
        let other = if text.ends_with('0') { "1" } else { "0" };
        assert!(!is_token(&format!("{}{other}", &text[..52])));
        assert!(!is_token(&text[..52]) && !is_token(&text[7..]) && !is_token(""));
        assert!(!is_token(&format!("convoy_{}", "ä".repeat(23))));
    }

    #[test]
    fn the_check_is_the_one_that_scanners_compute() {
        // crc32("123456789") is 0xcbf43926.
        assert_eq!(check_of("123456789"), "3jZRME");
    }

    #[test]
    fn no_two_tokens_are_alike() {
        assert_ne!(mint().unwrap(), mint().unwrap());
    }
}
