//! The ABI versions that this kf runs.

use semver::{Comparator, Op, Prerelease, Version};

/// Every released `0.1.x`. A manifest, a registry and the custom section of a component are checked against
/// this constant.
pub const SUPPORTED: Comparator =
    Comparator { op: Op::Tilde, major: 0, minor: Some(1), patch: Some(0), pre: Prerelease::EMPTY };

/// Whether this kf runs components built for `abi`.
pub fn is_supported(abi: &Version) -> bool {
    abi.pre.is_empty() && SUPPORTED.matches(abi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_released_versions_in_range_are_supported() {
        let supported = |text: &str| is_supported(&Version::parse(text).unwrap());
        for version in ["0.1.0", "0.1.7"] {
            assert!(supported(version), "{version}");
        }
        for version in ["0.0.9", "0.2.0", "1.1.0", "0.1.1-rc.1"] {
            assert!(!supported(version), "{version}");
        }
    }
}
