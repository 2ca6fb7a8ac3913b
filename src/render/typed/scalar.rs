//! Scalars to field values, typed by the field and not by their look.
//!
//! Pure: gives a mistake as a phrase that goes behind the field's name.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};

use super::Mistake;
use crate::model::{did_you_mean, one_of};
use crate::render::yaml::{Core, Node, Scalar, shorten};

/// Enums up to this size are listed in full in a hint.
const SHORT_ENUM: usize = 10;

/// Reads a value that is not a message.
pub(super) fn read(kind: &Kind, node: &Node) -> Result<Value, Mistake> {
    let Some(scalar) = node.scalar() else {
        return Err(Mistake::wrong_type(format!(
            "must be {}, not {}",
            expectation(kind),
            node.describe()
        )));
    };
    match kind {
        Kind::Bool => boolean(scalar).map(Value::Bool),
        Kind::String => text(scalar).map(|text| Value::String(text.to_owned())),
        Kind::Bytes => bytes(scalar),
        Kind::Double => float(kind, scalar).map(Value::F64),
        Kind::Float => single_float(kind, scalar).map(Value::F32),
        Kind::Enum(descriptor) => enumeration(descriptor, scalar).map(Value::EnumNumber),
        _ => integer(kind, scalar),
    }
}

/// Reads the key of a map field.
pub(super) fn map_key(kind: &Kind, text: &str) -> Result<MapKey, Mistake> {
    let scalar = Scalar { text: text.into(), plain: true };
    let value = match kind {
        Kind::String => Value::String(text.to_owned()),
        Kind::Bool => boolean(&scalar).map(Value::Bool)?,
        kind => integer(kind, &scalar)?,
    };
    value.into_map_key().ok_or_else(|| Mistake::wrong_type("has a type that no key can have"))
}

fn expectation(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".into(),
        Kind::String => "a text".into(),
        Kind::Bytes => "base64".into(),
        Kind::Double | Kind::Float => "a number".into(),
        Kind::Enum(descriptor) => format!("a value of the enum {}", descriptor.name()),
        kind => {
            let (low, high) = limits(kind);
            format!("a whole number from {low} to {high}")
        }
    }
}

fn refuse(kind: &Kind, scalar: &Scalar) -> Mistake {
    Mistake::wrong_type(format!("must be {}, not {}", expectation(kind), scalar.describe()))
}

fn boolean(scalar: &Scalar) -> Result<bool, Mistake> {
    if let Core::Bool(value) = scalar.core() {
        return Ok(value);
    }
    let mistake = refuse(&Kind::Bool, scalar);
    let hint = match scalar.text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => "write true, without quotes",
        "no" | "off" | "n" | "false" => "write false, without quotes",
        _ => return Err(mistake),
    };
    Err(Mistake { hint: Some(hint.into()), ..mistake })
}

/// Envoy's own loader takes unquoted integers and booleans for what they look
/// like and refuses them for a text; any other unquoted scalar is its text.
fn text(scalar: &Scalar) -> Result<&str, Mistake> {
    match scalar.core() {
        Core::Text(text) => Ok(text),
        Core::Float(_) => Ok(&scalar.text),
        _ => Err(Mistake {
            hint: Some(format!("put it in quotes: \"{}\"", scalar.text)),
            ..refuse(&Kind::String, scalar)
        }),
    }
}

fn bytes(scalar: &Scalar) -> Result<Value, Mistake> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    // `+` and `-`, `/` and `_` stand for the same digit in the two alphabets.
    let standard: String = scalar
        .text
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD.decode(standard).map(|bytes| Value::Bytes(bytes.into())).map_err(|error| {
        let message = format!("must be base64: {}", error.to_string().trim_end_matches('.'));
        Mistake::hinted(
            "wrong-type",
            message,
            "use inline_string for plain text, where there is one",
        )
    })
}

fn float(kind: &Kind, scalar: &Scalar) -> Result<f64, Mistake> {
    let unquoted = Scalar { text: scalar.text.clone(), plain: true };
    #[expect(clippy::cast_precision_loss, reason = "a float field takes the nearest float")]
    match (unquoted.core(), &*scalar.text) {
        (Core::Int(value), _) => Ok(value as f64),
        (Core::Float(value), _) => Ok(value),
        (_, "NaN") => Ok(f64::NAN),
        (_, "Infinity") => Ok(f64::INFINITY),
        (_, "-Infinity") => Ok(f64::NEG_INFINITY),
        _ => Err(refuse(kind, scalar)),
    }
}

fn single_float(kind: &Kind, scalar: &Scalar) -> Result<f32, Mistake> {
    let value = float(kind, scalar)?;
    if value.is_finite() && value.abs() > f64::from(f32::MAX) {
        return Err(Mistake::wrong_type(format!(
            "is out of range: {value} does not fit in 32 bits"
        )));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    Ok(value as f32)
}

fn limits(kind: &Kind) -> (i128, i128) {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

fn integer(kind: &Kind, scalar: &Scalar) -> Result<Value, Mistake> {
    let unquoted = Scalar { text: scalar.text.clone(), plain: true };
    let value = match unquoted.core() {
        Core::Int(value) => value,
        Core::Float(value) => whole(value).ok_or_else(|| refuse(kind, scalar))?,
        _ => return Err(refuse(kind, scalar)),
    };
    fit(kind, value).ok_or_else(|| {
        let (low, high) = limits(kind);
        Mistake::wrong_type(format!("is out of range: {value} is not from {low} to {high}"))
    })
}

fn whole(value: f64) -> Option<i128> {
    /// Within this, every whole float converts exactly.
    const LIMIT: f64 = 1e30;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    (value.fract() == 0.0 && value.abs() < LIMIT).then_some(value as i128)
}

fn fit(kind: &Kind, value: i128) -> Option<Value> {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => value.try_into().ok().map(Value::I32),
        Kind::Uint32 | Kind::Fixed32 => value.try_into().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => value.try_into().ok().map(Value::U64),
        _ => value.try_into().ok().map(Value::I64),
    }
}

fn enumeration(descriptor: &EnumDescriptor, scalar: &Scalar) -> Result<i32, Mistake> {
    if let Some(value) = descriptor.get_value_by_name(&scalar.text) {
        return Ok(value.number());
    }
    if scalar.core() == Core::Null && descriptor.full_name() == "google.protobuf.NullValue" {
        return Ok(0);
    }
    // A number may stand for a value, in quotes too, if the value exists.
    let unquoted = Scalar { text: scalar.text.clone(), plain: true };
    if let Core::Int(number) = unquoted.core() {
        let known = i32::try_from(number).ok().and_then(|number| descriptor.get_value(number));
        if let Some(value) = known {
            return Ok(value.number());
        }
    }
    let message = format!("has no value `{}`", shorten(&scalar.text));
    let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
    let hint = did_you_mean(&scalar.text, &names).unwrap_or_else(|| {
        if names.len() <= SHORT_ENUM {
            format!("write {}", one_of(&names))
        } else {
            format!("see the values of {}", descriptor.full_name())
        }
    });
    Err(Mistake::hinted("bad-enum", message, hint))
}
