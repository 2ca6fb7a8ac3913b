//! A revision as callers name it: counted from the first or from the head.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use super::{IdError, Revision};

/// A revision as callers name it: 7 is the seventh, 0 the empty repository
/// before the first, -1 or `head` the newest, -2 the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(pub i64);

impl At {
    /// The newest.
    pub const HEAD: Self = Self(-1);

    /// The revision that is meant where `head` is the newest; `None`: it would
    /// be before the first. Whether a positive one exists is not checked.
    pub fn of(self, head: Revision) -> Option<Revision> {
        match u64::try_from(self.0) {
            Ok(counted) => Some(Revision(counted)),
            Err(_) => (head.0 + 1).checked_sub(self.0.unsigned_abs()).map(Revision),
        }
    }
}

impl Default for At {
    fn default() -> Self {
        Self::HEAD
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for At {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.eq_ignore_ascii_case("head") {
            return Ok(Self::HEAD);
        }
        text.parse().map(Self).map_err(|_| IdError {
            what: "revision",
            text: text.into(),
            rule: "a whole number, counted from 1, or -1 or `head` for the newest, -2 for the \
                   one before it",
        })
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Number(number)) => Ok(Self(number)),
            Ok(Written::Text(text)) => text.parse().map_err(de::Error::custom),
            Err(_) => Err(de::Error::custom("a revision is a whole number, or `head`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_revisions_count_from_the_head() {
        let head = Revision(3);
        for (text, expected) in [
            ("head", Some(3)),
            ("-1", Some(3)),
            ("-3", Some(1)),
            ("-4", Some(0)),
            ("-5", None),
            ("-9223372036854775808", None),
            ("0", Some(0)),
            ("7", Some(7)),
        ] {
            let at: At = text.parse().expect("a revision");
            assert_eq!(at.of(head), expected.map(Revision), "{text}");
        }
        assert_eq!(At::HEAD.of(Revision(0)), Some(Revision(0)));
        for bad in ["", "x", "1.5", "--1", "99999999999999999999"] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_body_may_carry_a_number_or_a_word() {
        assert_eq!(serde_json::from_str::<At>("-2").ok(), Some(At(-2)));
        assert_eq!(serde_json::from_str::<At>("\"head\"").ok(), Some(At::HEAD));
        assert!(serde_json::from_str::<At>("1.5").is_err());
    }
}
