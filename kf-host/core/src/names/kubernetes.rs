//! Names as Kubernetes spells them.
//!
//! Every string that a command passes to the host becomes one of these types first. Paths and
//! queries are built only from them, so no string of a guest can add a path segment, a query or a
//! fragment to a URL: the client library would send `web-0/exec?stdin=true` unchanged.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Check, NameError};

name_type!(
    /// A namespace: an RFC 1123 label.
    Namespace, "namespace", label
);
name_type!(
    /// The name of an object.
    ///
    /// Most kinds require an RFC 1123 subdomain, some (RBAC's) allow nearly anything. This type
    /// accepts what is safe in a path: printable ASCII without spaces and `/ % ? # \`, but
    /// neither `.` nor `..`. The API server applies the rule of the kind.
    ObjectName, "object name", object_name
);
name_type!(
    /// An API group: empty for the core group, else an RFC 1123 subdomain.
    Group, "API group", group
);
name_type!(
    /// An API version: `v1`, `v1beta1`.
    Version, "API version", version
);
name_type!(
    /// A kind: `TrainJob`.
    KindName, "kind", kind_name
);
name_type!(
    /// The plural of a resource: `trainjobs`.
    Plural, "resource", label
);
name_type!(
    /// A subresource: `log`, `status`.
    Subresource, "subresource", label
);
name_type!(
    /// A container of a pod: an RFC 1123 label.
    ContainerName, "container", label
);
name_type!(
    /// A resource version, opaque to clients.
    ResourceVersion, "resource version", |text| token(text, 128)
);
name_type!(
    /// The start of the next page of a list, opaque to clients.
    ContinueToken, "continue token", |text| token(text, 8192)
);
name_type!(
    /// The UID of an object.
    Uid, "uid", |text| token(text, 128)
);

impl Group {
    /// The group of pods, secrets and namespaces, which is the empty string.
    pub fn core() -> Self {
        Self(String::new())
    }

    pub fn is_core(&self) -> bool {
        self.0.is_empty()
    }

    /// A constant, which needs no parsing.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

impl Plural {
    /// A constant, which needs no parsing.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

/// A resource as RBAC writes it: a plural, with the subresource after a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource {
    pub plural: Plural,
    pub subresource: Option<Subresource>,
}

impl Resource {
    /// Parses `pods` or `pods/log`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            None => Ok(Self { plural: Plural::parse(text)?, subresource: None }),
            Some((plural, sub)) => {
                Ok(Self { plural: Plural::parse(plural)?, subresource: Some(Subresource::parse(sub)?) })
            }
        }
    }

    pub fn is(&self, text: &str) -> bool {
        match &self.subresource {
            None => self.plural.as_str() == text,
            Some(sub) => text.split_once('/') == Some((self.plural.as_str(), sub.as_str())),
        }
    }
}

impl TryFrom<String> for Resource {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.to_string()
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subresource {
            None => write!(f, "{}", self.plural),
            Some(sub) => write!(f, "{}/{sub}", self.plural),
        }
    }
}

fn label(text: &str) -> Check {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > 63 {
        return Err("longer than 63 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("only lower-case letters, digits and `-`");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("must not begin or end with `-`");
    }
    Ok(())
}

fn subdomain(text: &str) -> Check {
    if text.len() > 253 {
        return Err("longer than 253 characters");
    }
    if text.split('.').any(|part| label(part).is_err()) {
        return Err("not a domain name of lower-case letters, digits, `-` and `.`");
    }
    Ok(())
}

fn group(text: &str) -> Check {
    if text.is_empty() { Ok(()) } else { subdomain(text) }
}

fn version(text: &str) -> Check {
    label(text)?;
    if text.starts_with('v') && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        Ok(())
    } else {
        Err("not of the form `v1` or `v1beta1`")
    }
}

fn kind_name(text: &str) -> Check {
    let mut bytes = text.bytes();
    let first = bytes.next().ok_or("must not be empty")?;
    if text.len() > 63 {
        return Err("longer than 63 characters");
    }
    if first.is_ascii_alphabetic() && bytes.all(|b| b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("only letters and digits, a letter first")
    }
}

fn object_name(text: &str) -> Check {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > 253 {
        return Err("longer than 253 characters");
    }
    if matches!(text, "." | "..") {
        return Err("`.` and `..` are not allowed");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !b"/%?#\\".contains(&b)) {
        return Err("only printable ASCII, no spaces and none of `/ % ? # \\`");
    }
    Ok(())
}

fn token(text: &str, max_len: usize) -> Check {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > max_len {
        return Err("too long");
    }
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+/=:".contains(&b)) {
        Ok(())
    } else {
        Err("contains characters that no server uses")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn path_traversal_is_not_a_name() {
        for hostile in [
            "",
            ".",
            "..",
            "web-0/exec?command=sh&stdin=true",
            "../../kube-system/secrets/x",
            "web-0#frag",
            "%2e%2e",
            "a\\b",
            "a b",
            "a\0b",
            "a\nb",
            "naïve",
        ] {
            assert!(ObjectName::parse(hostile).is_err(), "{hostile:?}");
            assert!(Namespace::parse(hostile).is_err(), "{hostile:?}");
            assert!(Plural::parse(hostile).is_err(), "{hostile:?}");
            assert!(Subresource::parse(hostile).is_err(), "{hostile:?}");
            assert!(Version::parse(hostile).is_err(), "{hostile:?}");
            assert!(KindName::parse(hostile).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn role_name_with_colons_is_valid() {
        assert!(ObjectName::parse("system:controller:job-controller").is_ok());
    }

    #[test]
    fn error_has_the_value_and_the_reason() {
        let error = Namespace::parse("Team-A").unwrap_err();
        assert_eq!(error.to_string(), "invalid namespace `Team-A`: only lower-case letters, digits and `-`");
        let error = Namespace::parse("a\u{1b}[31m").unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'));
    }

    #[test]
    fn resource_has_at_most_one_subresource() {
        assert!(Resource::parse("pods/log").unwrap().is("pods/log"));
        assert!(!Resource::parse("pods").unwrap().is("pods/log"));
        for bad in ["pods/", "/log", "pods/log/x", "pods/*", "*", "*/log"] {
            assert!(Resource::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn name_equals_the_text_it_was_parsed_from(text in "\\PC{0,70}") {
            if let Ok(name) = ObjectName::parse(text.as_str()) {
                prop_assert_eq!(name.as_str(), text.as_str());
                prop_assert!(!text.contains(['/', '%', '?', '#', '\\', '\0', ' ']));
            }
            if let Ok(label) = Namespace::parse(text.as_str()) {
                prop_assert!(ObjectName::parse(label.as_str()).is_ok());
            }
        }
    }
}
