//! Sizes in bytes, formatted for people.

use std::fmt;

/// A size in powers of 1024, for limits: `16 MiB`. A size that is not a whole number of a unit uses
/// the next smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binary(pub u64);

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1 << 20) == 0 => write!(f, "{} MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => write!(f, "{} KiB", n >> 10),
            n => write!(f, "{n} bytes"),
        }
    }
}

/// A size in powers of 1000, for downloads: `1.9 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal(pub u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ 0..1_000_000 => write!(f, "{} kB", n.div_ceil(1000)),
            n => write!(f, "{}.{} MB", n / 1_000_000, n % 1_000_000 / 100_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_formatted_with_units() {
        let binary: Vec<String> = [0, 1, 1024, 1025, 16 << 20].map(|n| Binary(n).to_string()).into();
        assert_eq!(binary, ["0 bytes", "1 bytes", "1 KiB", "1025 bytes", "16 MiB"]);
        let decimal: Vec<String> =
            [0, 1, 999_999, 1_000_000, 1_949_999].map(|n| Decimal(n).to_string()).into();
        assert_eq!(decimal, ["0 kB", "1 kB", "1000 kB", "1.0 MB", "1.9 MB"]);
    }
}
