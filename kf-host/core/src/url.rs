//! URLs of requests: paths built only from names, and verified before they are used.
//!
//! [`path`] formats a target as a path of the API server. Then a parser, which follows the server's
//! own request router and shares no code with the formatting, decodes the path and compares it with
//! the target that was checked against the grant. If they differ, nothing is sent.

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::api::ApiError;
use crate::names::{Group, Namespace, ObjectName, Plural, Resource, Subresource, Version};
use crate::text;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A collection, an object or one of its subresources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub group: Group,
    pub version: Version,
    pub plural: Plural,
    /// Absent for cluster-scoped kinds and all namespaces.
    pub namespace: Option<Namespace>,
    pub name: Option<ObjectName>,
    pub subresource: Option<Subresource>,
}

impl Target {
    pub fn resource(&self) -> Resource {
        Resource { plural: self.plural.clone(), subresource: self.subresource.clone() }
    }
}

/// A path that the API server would route to something other than the checked target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path} does not match the checked target")]
pub struct PathMismatch {
    pub path: String,
}

/// The verified path of a target.
pub fn path(target: &Target) -> Result<String, PathMismatch> {
    let mut path = if target.group.is_core() {
        "/api".to_owned()
    } else {
        format!("/apis/{}", segment(target.group.as_str()))
    };
    push(&mut path, target.version.as_str());
    if let Some(namespace) = &target.namespace {
        push(&mut path, "namespaces");
        push(&mut path, namespace.as_str());
    }
    push(&mut path, target.plural.as_str());
    for last in
        [target.name.as_ref().map(ObjectName::as_str), target.subresource.as_ref().map(|s| s.as_str())]
            .into_iter()
            .flatten()
    {
        push(&mut path, last);
    }
    if matches_target(&path, target) { Ok(path) } else { Err(PathMismatch { path }) }
}

fn push(path: &mut String, text: &str) {
    path.push('/');
    path.push_str(&segment(text));
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A query with fixed keys and any values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    pub fn set(&mut self, key: &'static str, value: impl ToString) {
        self.0.push((key, value.to_string()));
    }

    /// The path with the query, encoded.
    pub fn append_to(&self, path: &str) -> String {
        let mut text = path.to_owned();
        for (at, (key, value)) in self.0.iter().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(key);
            text.push('=');
            text.push_str(&segment(value));
        }
        text
    }
}

/// The longest path of a page or a request to a pod, in bytes.
const MAX_PAGE_PATH_BYTES: usize = 8 << 10;

/// A path with a query that a guest chose, for a server in a pod: sent unchanged, or refused.
///
/// # Errors
///
/// It is too long, does not begin with `/`, contains characters that are not allowed, or is not normalized.
pub fn page_path(text: &str) -> Result<PathAndQuery, ApiError> {
    let bad = |why: &str| ApiError::invalid(format!("path `{}` {why}", text::excerpt(text)));
    if text.len() > MAX_PAGE_PATH_BYTES {
        return Err(bad("is too long"));
    }
    if !text.starts_with('/') {
        return Err(bad("does not begin with `/`"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>`{}|^".contains(&b)) {
        return Err(bad("contains characters that must be percent-encoded"));
    }
    let (before_query, _) = text.split_once('?').unwrap_or((text, ""));
    let has_traversal = before_query.split('/').any(|part| {
        let part = percent_decode_str(part).decode_utf8_lossy();
        part == "." || part == ".." || part.contains(['/', '\\', '\0', '\r', '\n'])
    });
    if has_traversal || text.starts_with("//") {
        return Err(bad("is not normalized"));
    }
    let path = PathAndQuery::try_from(text).map_err(|_| bad("is invalid"))?;
    if path.as_str() == text { Ok(path) } else { Err(bad("is invalid")) }
}

/// Parses a path as the API server's router does and compares every part.
fn matches_target(path: &str, target: &Target) -> bool {
    let Some(route) = route(path) else { return false };
    let equal = |found: &Option<String>, expected: Option<&str>| found.as_deref() == expected;
    route.group == target.group.as_str()
        && route.version == target.version.as_str()
        && route.plural == target.plural.as_str()
        && equal(&route.namespace, target.namespace.as_ref().map(Namespace::as_str))
        && equal(&route.name, target.name.as_ref().map(ObjectName::as_str))
        && equal(&route.subresource, target.subresource.as_ref().map(Subresource::as_str))
}

struct Route {
    group: String,
    version: String,
    namespace: Option<String>,
    plural: String,
    name: Option<String>,
    subresource: Option<String>,
}

fn route(path: &str) -> Option<Route> {
    if path.contains(['?', '#', '\\']) {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        let part = percent_decode_str(part).decode_utf8().ok()?.into_owned();
        if part.is_empty() || part == "." || part == ".." || part.contains('/') {
            return None;
        }
        parts.push(part);
    }
    let (group, version, rest) = match parts.as_slice() {
        [api, version, rest @ ..] if api == "api" => (String::new(), version.clone(), rest),
        [apis, group, version, rest @ ..] if apis == "apis" => (group.clone(), version.clone(), rest),
        _ => return None,
    };
    // The server treats these as old-style verbs before a resource.
    if rest.first().is_some_and(|first| first == "watch" || first == "proxy") {
        return None;
    }
    let (namespace, rest) = match rest {
        // `namespaces/x/status` is a subresource of the namespace, `namespaces/x/pods` is not.
        [first, _, third, ..] if first == "namespaces" && (third == "status" || third == "finalize") => {
            (None, rest)
        }
        [first, namespace, rest @ ..] if first == "namespaces" && !rest.is_empty() => {
            (Some(namespace.clone()), rest)
        }
        _ => (None, rest),
    };
    let (plural, rest) = rest.split_first()?;
    if rest.len() > 2 {
        return None;
    }
    let mut rest = rest.iter().cloned();
    Some(Route {
        group,
        version,
        namespace,
        plural: plural.clone(),
        name: rest.next(),
        subresource: rest.next(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(parts: [&str; 6]) -> Option<Target> {
        let [group, version, namespace, plural, name, subresource] = parts;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Target {
            group: Group::parse(group).ok()?,
            version: Version::parse(version).ok()?,
            plural: Plural::parse(plural).ok()?,
            namespace: some(namespace).map(Namespace::parse).transpose().ok()?,
            name: some(name).map(ObjectName::parse).transpose().ok()?,
            subresource: some(subresource).map(Subresource::parse).transpose().ok()?,
        })
    }

    #[test]
    fn target_is_formatted_as_api_server_path() {
        for (parts, expected) in [
            (["", "v1", "team-a", "pods", "web-0", "log"], "/api/v1/namespaces/team-a/pods/web-0/log"),
            (["", "v1", "", "namespaces", "team-a", ""], "/api/v1/namespaces/team-a"),
            (["", "v1", "", "namespaces", "team-a", "status"], "/api/v1/namespaces/team-a/status"),
            (
                ["rbac.authorization.k8s.io", "v1", "", "clusterroles", "system:node", ""],
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
            ),
            (["batch", "v1", "", "jobs", "", ""], "/apis/batch/v1/jobs"),
        ] {
            assert_eq!(path(&target(parts).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn target_that_server_would_misread_is_refused() {
        for parts in [
            // The server would read a resource `token` in the namespace `team-a`.
            ["", "v1", "", "namespaces", "team-a", "token"],
            ["", "v1", "team-a", "status", "", ""],
            ["", "v1", "", "watch", "", ""],
            ["", "v1", "", "proxy", "nodes", ""],
            // A subresource of nothing is an object.
            ["", "v1", "team-a", "pods", "", "log"],
        ] {
            assert!(path(&target(parts).unwrap()).is_err(), "{parts:?}");
        }
    }

    #[test]
    fn query_value_cannot_add_parameters() {
        let mut query = Query::default();
        query.set("labelSelector", "a=b&dryRun=");
        query.set("limit", 5);
        assert_eq!(query.append_to("/x"), "/x?labelSelector=a%3Db%26dryRun%3D&limit=5");
    }

    const PIECE: &str = "(\\PC{0,6}|[a-z%/.?#\\\\:]{0,10}|web-0|\\.\\.|namespaces|status|watch)";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn any_string_is_refused_or_parses_back(
            group in prop_oneof![Just(String::new()), Just("apps".into()), PIECE],
            version in prop_oneof![Just("v1".to_owned()), PIECE],
            namespace in PIECE,
            plural in prop_oneof![Just("pods".to_owned()), PIECE],
            name in PIECE,
            subresource in PIECE,
        ) {
            let parts = [&*group, &*version, &*namespace, &*plural, &*name, &*subresource];
            if let Some(target) = target(parts)
                && let Ok(path) = path(&target)
            {
                // Parsed with the URL parser of the client.
                let uri: http::Uri = path.parse().unwrap();
                prop_assert_eq!(uri.path(), &path);
                prop_assert!(uri.query().is_none());
                let back = route(uri.path()).unwrap();
                prop_assert_eq!(back.group, group);
                prop_assert_eq!(back.version, version);
                prop_assert_eq!(back.namespace.unwrap_or_default(), namespace);
                prop_assert_eq!(back.plural, plural);
                prop_assert_eq!(back.name.unwrap_or_default(), name);
                prop_assert_eq!(back.subresource.unwrap_or_default(), subresource);
            }
        }
    }
}
