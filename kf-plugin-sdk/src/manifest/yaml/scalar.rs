//! Resolves scalars as go-yaml v2 does (`resolve.go`), verified with kubectl 1.36.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::Tag;
use serde_json::{Number, Value};

use super::Dialect;
use crate::workloads::clip;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// Resolves a scalar by its tag or, without one, by its format.
pub(super) fn resolve(
    text: &str,
    is_plain: bool,
    tag: Option<&Tag>,
    dialect: Dialect,
) -> Result<Scalar, String> {
    let as_text = || Scalar::Text(text.to_owned());
    let Some(tag) = tag else {
        return Ok(if is_plain { implicit(text, dialect) } else { as_text() });
    };
    let name = tag.suffix_in_namespace(YAML_TAGS);
    let name = name.as_deref().unwrap_or_default();
    match (name, implicit(text, Dialect::Kubernetes)) {
        ("bool", found @ Scalar::Bool(_))
        | ("int", found @ Scalar::Int(_))
        | ("float", found @ (Scalar::Int(_) | Scalar::Float(_)))
        | ("null", found @ Scalar::Null) => Ok(found),
        ("timestamp", _) if is_timestamp(text) => Ok(as_text()),
        ("bool" | "int" | "float" | "null" | "timestamp", _) => {
            Err(format!("`{}` is not of type !!{name}", clip(text, 40)))
        }
        ("binary", _) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned())),
            Err(_) => Err("invalid base64 in a !!binary value".to_owned()),
        },
        _ => Ok(as_text()),
    }
}

/// Resolves a scalar without quotes or tag.
fn implicit(text: &str, dialect: Dialect) -> Scalar {
    let found = match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Scalar::Null),
        "true" | "True" | "TRUE" => Some(Scalar::Bool(true)),
        "false" | "False" | "FALSE" => Some(Scalar::Bool(false)),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::Kubernetes => {
            Some(Scalar::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::Kubernetes => {
            Some(Scalar::Bool(false))
        }
        ".nan" | ".NaN" | ".NAN" => Some(Scalar::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => Some(Scalar::Float(f64::NEG_INFINITY)),
        _ => match text.as_bytes().first() {
            Some(b'.') => float(text).map(Scalar::Float),
            Some(b'+' | b'-' | b'0'..=b'9') => number(&text.replace('_', "")),
            _ => None,
        },
    };
    found.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

fn number(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    match integer(digits) {
        Some(magnitude) => {
            let value =
                if negative { 0_i64.checked_sub_unsigned(magnitude) } else { magnitude.try_into().ok() };
            // The API server reads integers that do not fit into an i64 as floats.
            let wide = magnitude as f64;
            Some(value.map_or(Scalar::Float(if negative { -wide } else { wide }), Scalar::Int))
        }
        None if is_float(digits) => float(text).map(Scalar::Float),
        None => None,
    }
}

/// Parses like Go's `strconv.ParseUint` with base 0: the prefix selects the base, and a leading zero is octal.
fn integer(digits: &str) -> Option<u64> {
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', _, ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', _, ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // `from_str_radix` would accept a sign.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, base).ok())?
}

/// Returns whether it is a float without a sign: `5`, `5.`, `.5` or `1.5e-3`.
fn is_float(text: &str) -> bool {
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits =
        exponent.is_none_or(|exponent| is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    let is_mantissa = if whole.is_empty() {
        is_digits(fraction)
    } else {
        is_digits(whole) && (fraction.is_empty() || is_digits(fraction))
    };
    is_mantissa && exponent_fits
}

/// Parses a finite float; others are strings.
fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Returns whether it is a date, optionally with a time.
fn is_timestamp(text: &str) -> bool {
    let is_digits = |part: &str, max: usize| {
        (1..=max).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit())
    };
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (day, time) = rest.split_once(['T', 't', ' ']).map_or((rest, None), |(day, time)| (day, Some(time)));
    year.len() == 4
        && is_digits(year, 4)
        && is_digits(month, 2)
        && is_digits(day, 2)
        && time.is_none_or(|time| time.contains(':'))
}

impl Scalar {
    /// Converts it to JSON.
    pub(super) fn into_json(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => match whole(value) {
                Some(value) => value.into(),
                None => {
                    Number::from_f64(value).ok_or("infinity and NaN are not allowed in a manifest")?.into()
                }
            },
            Self::Text(text) => text.into(),
        })
    }
}

/// Returns a float without a fraction as an integer, as Go encodes it.
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (value.fract() == 0.0 && value.abs() < LIMIT).then_some(value as i64)
}
