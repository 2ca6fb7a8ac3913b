//! `validate.rules` of one field, read from its descriptor into plain types.
//!
//! The rules are protoc-gen-validate's (`validate/validate.proto`), the ones
//! that Envoy enforces when it loads a message. Nothing is checked here:
//! `render::typed` holds values against them, with places.

mod read;

use std::cmp::Ordering;
use std::sync::OnceLock;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Value};
use regex::Regex;

/// The rules of one field.
#[derive(Debug, Default)]
pub(crate) struct FieldRules {
    /// The field must be set.
    pub(crate) required: bool,
    /// The field's own message is not validated.
    pub(crate) skip: bool,
    /// What the value must be like.
    pub(crate) kind: RuleKind,
}

/// What a value must be like, by its kind.
#[derive(Debug, Default)]
pub(crate) enum RuleKind {
    /// Anything.
    #[default]
    Free,
    /// A number, or a span or point of time in nanoseconds.
    Number(Range),
    /// A boolean with one allowed value.
    Bool(bool),
    /// A text.
    Text(Box<StringRules>),
    /// Bytes.
    Bytes(Box<BytesRules>),
    /// An enum value.
    Enum {
        /// Only numbers with a name are allowed.
        defined_only: bool,
        /// Limits on the number.
        range: Range,
    },
    /// A list.
    List {
        /// Its length.
        size: Size,
        /// No item twice.
        unique: bool,
        /// An empty list is always fine.
        ignore_empty: bool,
        /// What each item must be like.
        items: Option<Box<FieldRules>>,
    },
    /// A map.
    Map {
        /// Its number of entries.
        size: Size,
        /// An empty map is always fine.
        ignore_empty: bool,
        /// What each key must be like.
        keys: Option<Box<FieldRules>>,
        /// What each value must be like.
        values: Option<Box<FieldRules>>,
    },
    /// An `Any`.
    Any {
        /// The only type URLs allowed, where there are any.
        allowed: Vec<String>,
        /// The type URLs that are not allowed.
        denied: Vec<String>,
    },
}

/// A number that compares across integer widths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Any integer, or nanoseconds.
    Int(i128),
    /// Any float.
    Float(f64),
}

/// Limits on a number.
#[derive(Debug, Default)]
pub(crate) struct Range {
    /// The only value allowed.
    pub(crate) constant: Option<Number>,
    /// Exclusive upper limit.
    pub(crate) lt: Option<Number>,
    /// Inclusive upper limit.
    pub(crate) lte: Option<Number>,
    /// Exclusive lower limit.
    pub(crate) gt: Option<Number>,
    /// Inclusive lower limit.
    pub(crate) gte: Option<Number>,
    /// The only values allowed, where there are any.
    pub(crate) allowed: Vec<Number>,
    /// The values that are not allowed.
    pub(crate) denied: Vec<Number>,
    /// Zero is always fine.
    pub(crate) ignore_empty: bool,
}

/// Limits on a length.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Size {
    /// At least so many.
    pub(crate) min: Option<u64>,
    /// At most so many.
    pub(crate) max: Option<u64>,
}

/// Rules on a text.
#[derive(Debug, Default)]
pub(crate) struct StringRules {
    /// The only value allowed.
    pub(crate) constant: Option<String>,
    /// The length in characters.
    pub(crate) chars: Size,
    /// The length in bytes.
    pub(crate) bytes: Size,
    /// The expression that the whole text must match.
    pub(crate) pattern: Option<Pattern>,
    /// How the text must begin.
    pub(crate) prefix: Option<String>,
    /// How the text must end.
    pub(crate) suffix: Option<String>,
    /// What the text must contain.
    pub(crate) contains: Option<String>,
    /// What the text must not contain.
    pub(crate) not_contains: Option<String>,
    /// The only texts allowed, where there are any.
    pub(crate) allowed: Vec<String>,
    /// The texts that are not allowed.
    pub(crate) denied: Vec<String>,
    /// A well-known form.
    pub(crate) form: Option<WellKnown>,
    /// The empty text is always fine.
    pub(crate) ignore_empty: bool,
}

/// A well-known form of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WellKnown {
    /// A mail address.
    Email,
    /// A host name.
    Hostname,
    /// An IP address of any version.
    Ip,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An absolute URI.
    Uri,
    /// A URI, absolute or relative.
    UriRef,
    /// A host name or an IP address.
    Address,
    /// A UUID.
    Uuid,
    /// An HTTP header name.
    HeaderName,
    /// An HTTP header value.
    HeaderValue,
    /// A header name or value without NUL, CR and LF.
    HeaderLoose,
}

/// Rules on bytes.
#[derive(Debug, Default)]
pub(crate) struct BytesRules {
    /// The only value allowed.
    pub(crate) constant: Option<Bytes>,
    /// The length.
    pub(crate) size: Size,
    /// The expression that the bytes, as text, must match.
    pub(crate) pattern: Option<Pattern>,
    /// How the bytes must begin.
    pub(crate) prefix: Option<Bytes>,
    /// How the bytes must end.
    pub(crate) suffix: Option<Bytes>,
    /// What the bytes must contain.
    pub(crate) contains: Option<Bytes>,
    /// The only values allowed, where there are any.
    pub(crate) allowed: Vec<Bytes>,
    /// The values that are not allowed.
    pub(crate) denied: Vec<Bytes>,
    /// The lengths that an address may have, where it must be one.
    pub(crate) address: Option<WellKnown>,
    /// No bytes are always fine.
    pub(crate) ignore_empty: bool,
}

/// A regular expression, compiled when a value first meets it.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// The expression as Envoy's schema writes it.
    pub(crate) text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// Whether the whole of `value` matches. An expression that can't be
    /// compiled forbids nothing: the schema is at fault, not the author.
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.compiled
            .get_or_init(|| Regex::new(&format!(r"\A(?:{})\z", self.text)).ok())
            .as_ref()
            .is_none_or(|regex| regex.is_match(value))
    }
}

impl PartialOrd for Number {
    #[expect(clippy::cast_precision_loss, reason = "mixed comparison only happens near zero")]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.partial_cmp(b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Float(b)) => (*a as f64).partial_cmp(b),
            (Self::Float(a), Self::Int(b)) => a.partial_cmp(&(*b as f64)),
        }
    }
}

impl Number {
    /// The number in a scalar, a `Duration` or a `Timestamp`.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::I32(v) | Value::EnumNumber(v) => Self::Int(i128::from(*v)),
            Value::I64(v) => Self::Int(i128::from(*v)),
            Value::U32(v) => Self::Int(i128::from(*v)),
            Value::U64(v) => Self::Int(i128::from(*v)),
            Value::F32(v) => Self::Float(f64::from(*v)),
            Value::F64(v) => Self::Float(*v),
            Value::Message(time) => Self::Int(nanoseconds(time)?),
            _ => return None,
        })
    }

    /// Whether the number is zero.
    pub(crate) fn is_zero(self) -> bool {
        self == Self::Int(0) || self == Self::Float(0.0)
    }
}

fn nanoseconds(time: &DynamicMessage) -> Option<i128> {
    let seconds = time.get_field_by_name("seconds")?.as_i64()?;
    let nanos = time.get_field_by_name("nanos")?.as_i32()?;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}
