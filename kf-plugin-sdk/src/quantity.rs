//! Kubernetes quantities: `250m` of a CPU, `1536Mi` of memory, `2` GPUs.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A quantity of a resource, stored in thousandths of its unit.
///
/// ```
/// use kf_plugin_sdk::Quantity;
///
/// let memory: Quantity = "1536Mi".parse().unwrap();
/// assert_eq!(memory.bytes(), "1.5Gi");
/// let cpu: Quantity = "250m".parse().unwrap();
/// assert_eq!((cpu + cpu).cores(), "500m");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const SUFFIXES: [(&str, i128); 13] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("", 1),
];

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Returns the value in whole units, rounded up as Kubernetes does.
    pub fn value(self) -> i128 {
        rounded_up(self.0, 1000)
    }

    /// Returns whether it is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Formats it as CPU: `250m`, `2`, `1500m`.
    pub fn cores(self) -> String {
        if self.0 % 1000 == 0 { (self.0 / 1000).to_string() } else { format!("{}m", self.0) }
    }

    /// Formats it as memory: `1.5Gi`, `512Mi`, with at most one decimal place.
    pub fn bytes(self) -> String {
        let value = self.value();
        for (suffix, size) in [("Ti", 1_i128 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
            if value.abs() >= size {
                let tenths = value * 10 / size;
                return match (tenths / 10, tenths % 10) {
                    (whole, 0) => format!("{whole}{suffix}"),
                    (whole, rest) => format!("{whole}.{}{suffix}", rest.abs()),
                };
            }
        }
        value.to_string()
    }
}

/// An error from parsing a [`Quantity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseQuantityError(String);

impl fmt::Display for ParseQuantityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invalid quantity `{}`; use `500m`, `2` or `4Gi`", self.0)
    }
}

impl std::error::Error for ParseQuantityError {}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        let wrong = || ParseQuantityError(text.to_owned());
        parse(text).map(Self).ok_or_else(wrong)
    }
}

/// Parses to thousandths, rounding up.
fn parse(text: &str) -> Option<i128> {
    let exponent = text.split_once(['e', 'E']).filter(|(_, exponent)| exponent.ends_with(digit));
    if let Some((number, exponent)) = exponent {
        let exponent: i32 = exponent.parse().ok()?;
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        return if exponent < 0 {
            decimal(number, 1000).map(|value| rounded_up(value, power))
        } else {
            decimal(number, power.checked_mul(1000)?)
        };
    }
    if let Some(number) = text.strip_suffix('m') {
        return decimal(number, 1);
    }
    if let Some(number) = text.strip_suffix('u') {
        return decimal(number, 1).map(|value| rounded_up(value, 1_000));
    }
    if let Some(number) = text.strip_suffix('n') {
        return decimal(number, 1).map(|value| rounded_up(value, 1_000_000));
    }
    let (number, size) = SUFFIXES.iter().find_map(|(suffix, size)| {
        let number = text.strip_suffix(suffix)?;
        (number.ends_with(digit) || number.ends_with('.')).then_some((number, *size))
    })?;
    decimal(number, size.checked_mul(1000)?)
}

fn digit(letter: char) -> bool {
    letter.is_ascii_digit()
}

fn rounded_up(value: i128, parts: i128) -> i128 {
    value.div_euclid(parts) + i128::from(value.rem_euclid(parts) != 0)
}

/// Multiplies a decimal number by a factor, rounding up.
fn decimal(number: &str, factor: i128) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let product = whole.checked_mul(scale)?.checked_add(fraction)?.checked_mul(factor)?;
    let value = rounded_up(product, scale);
    Some(if negative { -value } else { value })
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// Serializes as a number with up to three decimal places.
impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(thousandths) if thousandths % 1000 == 0 => serializer.serialize_i64(thousandths / 1000),
            #[expect(clippy::cast_precision_loss, reason = "a fraction of a CPU")]
            Ok(thousandths) => serializer.serialize_f64(thousandths as f64 / 1000.0),
            Err(_) => serializer.serialize_str(&format!("{}m", self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i128> {
        text.parse::<Quantity>().ok().map(|quantity| quantity.0)
    }

    #[test]
    fn every_kubernetes_format_is_parsed() {
        for (text, thousandths) in [
            ("0", 0),
            ("250m", 250),
            ("1.5", 1500),
            ("2", 2000),
            ("100u", 1),
            ("12345678n", 13),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("128974848", 128_974_848_000),
            ("129e6", 129_000_000_000),
            ("1e3", 1_000_000),
            ("1500e-3", 1500),
            ("1Ei", 1_152_921_504_606_846_976_000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("123M", 123_000_000_000),
            (".5", 500),
            ("-2", -2000),
        ] {
            assert_eq!(read(text), Some(thousandths), "{text}");
        }
        for text in ["", "m", "Gi", "1.2.3", "1GiB", "x", "1 Gi", "1e", "--1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn quantities_are_formatted_with_suffixes() {
        let of = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!(of("1500m").cores(), "1500m");
        assert_eq!(of("3000m").cores(), "3");
        assert_eq!(of("10Gi").bytes(), "10Gi");
        assert_eq!(of("1536Mi").bytes(), "1.5Gi");
        assert_eq!(of("700").bytes(), "700");
        assert_eq!(serde_json::to_string(&of("250m")).unwrap(), "0.25");
        assert_eq!(serde_json::to_string(&of("1Ki")).unwrap(), "1024");
    }
}
