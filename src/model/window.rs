//! When a stage may be promoted to, as the manifest says it. Whether a window is
//! open at some moment is `promote`'s to know: it takes time zones.

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil;
use serde::{Deserialize, Serialize};

/// One rule about time. Any number may allow, any number may deny: a stage is
/// open inside one that allows (or where none does), and outside all that deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Which of both.
    pub effect: WindowEffect,
    /// When.
    pub span: Span,
    /// The IANA name of the time zone that it is meant in.
    pub zone: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a window does to promotions inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowEffect {
    /// They may begin.
    Allow,
    /// They may not.
    Deny,
}

/// Some time on the wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// On these days of every week.
    Weekly {
        /// The days on which it begins, 1 is Monday.
        days: BTreeSet<u8>,
        /// The minute of the day with which it begins.
        from: u16,
        /// The minute before which it ends, at most 1440; of the next day
        /// where that is not after `from`.
        to: u16,
    },
    /// Once.
    Dates {
        /// The first moment.
        from: civil::DateTime,
        /// The first moment after it.
        to: civil::DateTime,
    },
}

/// The days of the week as the manifest writes them, Monday first.
pub const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl fmt::Display for Window {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.span, self.zone)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekly { days, from, to } => {
                let clock = |minute: &u16| format!("{:02}:{:02}", minute / 60, minute % 60);
                let name = |day: &u8| WEEKDAYS.get(usize::from(*day) - 1).copied().unwrap_or("?");
                let days: Vec<_> = days.iter().filter(|day| **day > 0).map(name).collect();
                write!(f, "{} {}-{}", days.join(","), clock(from), clock(to))
            }
            Self::Dates { from, to } => {
                write!(f, "{}/{}", from.strftime("%FT%H:%M"), to.strftime("%FT%H:%M"))
            }
        }
    }
}
