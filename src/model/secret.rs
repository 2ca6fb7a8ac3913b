//! A secret or token that never shows itself in a log.

use std::fmt;
use std::sync::Arc;

/// A key, password or token. Printing it shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the secret, without the line break that a file often ends in.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// The secret itself: for signing, for headers, for what asks for it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none. An empty key would let everybody sign.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_when_printed() {
        let secret = Secret::new("xoxb-1234\n");
        assert_eq!(secret.expose(), "xoxb-1234");
        assert!(!format!("{secret:?}").contains("1234"));
    }
}
