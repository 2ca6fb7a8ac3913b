//! `validate.rules` of one field, read from its descriptor into plain types.
//!
//! The rules are protoc-gen-validate's (`validate/validate.proto`), the ones
//! that Envoy enforces when it loads a message. Nothing is checked here:
//! `render::typed` holds values against them, with places.

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

impl FieldRules {
    /// Reads a `validate.FieldRules` message.
    pub(super) fn read(rules: &DynamicMessage) -> Self {
        let mut read = Self::default();
        for (field, value) in rules.fields() {
            let Some(body) = value.as_message() else { continue };
            let body = Body(body);
            read.required |= body.flag("required");
            match field.name() {
                "message" => read.skip = body.flag("skip"),
                name => read.kind = body.kind(name),
            }
        }
        read
    }
}

/// One of the rule messages, read field by field by name.
struct Body<'a>(&'a DynamicMessage);

impl Body<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let set = self.0.has_field_by_name(name);
        set.then(|| self.0.get_field_by_name(name).map(std::borrow::Cow::into_owned)).flatten()
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().map(str::to_owned)
    }

    fn bytes(&self, name: &str) -> Option<Bytes> {
        self.get(name)?.as_bytes().cloned()
    }

    fn number(&self, name: &str) -> Option<Number> {
        Number::of(&self.get(name)?)
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let list = self.get(name);
        list.iter().flat_map(|v| v.as_list().unwrap_or_default()).filter_map(read).collect()
    }

    fn size(&self, exact: &str, min: &str, max: &str) -> Size {
        let limit = |name| self.get(name).and_then(|value| value.as_u64());
        Size { min: limit(exact).or(limit(min)), max: limit(exact).or(limit(max)) }
    }

    fn nested(&self, name: &str) -> Option<Box<FieldRules>> {
        Some(Box::new(FieldRules::read(self.get(name)?.as_message()?)))
    }

    fn kind(&self, name: &str) -> RuleKind {
        match name {
            "bool" => match self.get("const") {
                Some(Value::Bool(allowed)) => RuleKind::Bool(allowed),
                _ => RuleKind::Free,
            },
            "string" => RuleKind::Text(Box::new(self.string())),
            "bytes" => RuleKind::Bytes(Box::new(self.byte_string())),
            "enum" => {
                RuleKind::Enum { defined_only: self.flag("defined_only"), range: self.range() }
            }
            "repeated" => RuleKind::List {
                size: self.size("", "min_items", "max_items"),
                unique: self.flag("unique"),
                ignore_empty: self.flag("ignore_empty"),
                items: self.nested("items"),
            },
            "map" => RuleKind::Map {
                size: self.size("", "min_pairs", "max_pairs"),
                ignore_empty: self.flag("ignore_empty"),
                keys: self.nested("keys"),
                values: self.nested("values"),
            },
            "any" => RuleKind::Any {
                allowed: self.list("in", |v| v.as_str().map(str::to_owned)),
                denied: self.list("not_in", |v| v.as_str().map(str::to_owned)),
            },
            _ => RuleKind::Number(self.range()),
        }
    }

    fn range(&self) -> Range {
        Range {
            constant: self.number("const"),
            lt: self.number("lt"),
            lte: self.number("lte"),
            gt: self.number("gt"),
            gte: self.number("gte"),
            allowed: self.list("in", Number::of),
            denied: self.list("not_in", Number::of),
            ignore_empty: self.flag("ignore_empty"),
        }
    }

    fn string(&self) -> StringRules {
        StringRules {
            constant: self.text("const"),
            chars: self.size("len", "min_len", "max_len"),
            bytes: self.size("len_bytes", "min_bytes", "max_bytes"),
            pattern: self.text("pattern").map(Pattern::new),
            prefix: self.text("prefix"),
            suffix: self.text("suffix"),
            contains: self.text("contains"),
            not_contains: self.text("not_contains"),
            allowed: self.list("in", |v| v.as_str().map(str::to_owned)),
            denied: self.list("not_in", |v| v.as_str().map(str::to_owned)),
            form: self.form(),
            ignore_empty: self.flag("ignore_empty"),
        }
    }

    fn byte_string(&self) -> BytesRules {
        let forms = [("ip", WellKnown::Ip), ("ipv4", WellKnown::Ipv4), ("ipv6", WellKnown::Ipv6)];
        BytesRules {
            constant: self.bytes("const"),
            size: self.size("len", "min_len", "max_len"),
            pattern: self.text("pattern").map(Pattern::new),
            prefix: self.bytes("prefix"),
            suffix: self.bytes("suffix"),
            contains: self.bytes("contains"),
            allowed: self.list("in", |v| v.as_bytes().cloned()),
            denied: self.list("not_in", |v| v.as_bytes().cloned()),
            address: forms.into_iter().find(|(name, _)| self.flag(name)).map(|(_, form)| form),
            ignore_empty: self.flag("ignore_empty"),
        }
    }

    fn form(&self) -> Option<WellKnown> {
        const FORMS: [(&str, WellKnown); 9] = [
            ("email", WellKnown::Email),
            ("hostname", WellKnown::Hostname),
            ("ip", WellKnown::Ip),
            ("ipv4", WellKnown::Ipv4),
            ("ipv6", WellKnown::Ipv6),
            ("uri", WellKnown::Uri),
            ("uri_ref", WellKnown::UriRef),
            ("address", WellKnown::Address),
            ("uuid", WellKnown::Uuid),
        ];
        let strict = !matches!(self.get("strict"), Some(Value::Bool(false)));
        match self.get("well_known_regex").and_then(|value| value.as_enum_number()) {
            Some(1) if strict => Some(WellKnown::HeaderName),
            Some(2) if strict => Some(WellKnown::HeaderValue),
            Some(1 | 2) => Some(WellKnown::HeaderLoose),
            _ => FORMS.into_iter().find(|(name, _)| self.flag(name)).map(|(_, form)| form),
        }
    }
}
