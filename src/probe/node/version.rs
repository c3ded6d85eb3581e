//! Versions as kubelets report them.

use std::fmt;

/// A kubelet's version: `v1.33.4`, `v1.33.4+k3s1`, `v1.34.0-rc.1`, `v1.31.7-eks-abc1234`.
///
/// Compared are major, minor and patch, as numbers. A pre-release (`-alpha`, `-beta`, `-rc`) is older than its release. Any other
/// suffix is a vendor's and counts for nothing: `v1.31.7-eks-abc1234` is v1.31.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    /// False sorts before true.
    released: bool,
}

impl Version {
    /// Reads a version. The `v` and the patch may be left out; a patch left out is 0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = text.find(['-', '+']).map_or((text, ""), |at| text.split_at(at));
        let mut parts = numbers.split('.').map(number);
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self { major, minor, patch, released: !is_pre_release(suffix) })
    }

    /// Whether it is older than the release of the same number.
    pub(super) fn is_pre_release(self) -> bool {
        !self.released
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_pre_release(suffix: &str) -> bool {
    let Some(suffix) = suffix.strip_prefix('-') else { return false };
    let rest = ["alpha", "beta", "rc"].iter().find_map(|word| suffix.strip_prefix(word));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_compare_by_number_then_by_release() {
        let ascending = ["v1.9.11", "1.31", "v1.31.7-eks-abc1234", "v1.33.4-alpha.1.12+0123abc", "v1.33.4", "v1.34.0-rc.1", "v1.34.0"];
        let versions: Vec<_> = ascending.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        for (same, release) in
            [("v1.33.4+k3s1", "v1.33.4"), ("1.33", "v1.33.0"), ("v1.30.1-gke.1156000", "1.30.1"), ("v1.30.1-rcx", "v1.30.1")]
        {
            assert_eq!(Version::parse(same), Version::parse(release), "{same}");
        }
        for pre in ["v1.34.0-rc.1", "v1.34.0-rc1+k3s1", "v1.34.0-beta.0", "v1.34.0-alpha"] {
            assert!(Version::parse(pre).unwrap().is_pre_release(), "{pre}");
        }
        assert_eq!(Version::parse("1.33").unwrap().to_string(), "v1.33.0");
    }

    #[test]
    fn what_is_no_version_is_not_read() {
        for text in
            ["", "v", "1", "v1", "v1.", "v1.x", "v1.33.", "v1.33.4.5", "vv1.33.4", "v+1.33.4", "v99999999999.1.1", "latest", "v1.3 3.4"]
        {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}|v?[0-9.+-]{0,12}") {
            let _ = Version::parse(&text);
        }
    }
}
