//! Checks one HTTP request to a port of a pod.
//!
//! A command sets method, path, body and some headers. A pod that trusts its ingress believes any header that names
//! a user, and every ingress has its own. So a command can send the headers in [`ALLOWED_HEADERS`] and those that its
//! manifest names and its user accepted. Headers that name a host, credentials, lengths or the connection are
//! reserved, and no manifest can name them: a wrong length would smuggle in a second request.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::api::{ApiError, ErrorCode, HttpMethod, PodRequest};
use crate::{text, url};

/// The largest body of a request or a response, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 20;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// The most headers that a manifest can name: consent shows all of them.
pub const MAX_NAMED_HEADERS: usize = 16;

/// The longest name of such a header.
const MAX_NAME_BYTES: usize = 64;

/// Headers that every command can send: content types, conditions, ranges and traces. None identifies the user.
const ALLOWED_HEADERS: [&str; 20] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "prefer",
    "range",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// Headers that only the host sets. Among them are those that override the method, with which a read could change
/// something in spite of the user's `--dry-run`.
const RESERVED_HEADERS: [&str; 31] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "kubeflow-groups",
    "kubeflow-userid",
    "origin",
    "referer",
    "remote-groups",
    "remote-user",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-amz-security-token",
    "x-api-key",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-rewrite-url",
    "x-access-token",
    "x-session-token",
    "x-vault-token",
];

/// Prefixes of further reserved headers: proxies use them to pass on who sent a request, and from where.
const RESERVED_PREFIXES: [&str; 19] = [
    "cf-access-",
    "impersonate-",
    "oidc-claim-",
    "proxy-",
    "sec-",
    "ssl-client-",
    "x-amzn-oidc-",
    "x-auth-",
    "x-client-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-original-",
    "x-real-",
    "x-remote-",
    "x-webauth-",
];

/// The name of a header that a manifest asks to send: lower case, and not reserved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PodHeader(String);

/// A name that no manifest can ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header `{}` {why}", text::excerpt(name))]
pub struct PodHeaderError {
    name: String,
    why: &'static str,
}

impl PodHeader {
    pub fn parse(name: &str) -> Result<Self, PodHeaderError> {
        let fail = |why| PodHeaderError { name: name.to_owned(), why };
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_name {
            return Err(fail("is not a valid name: at most 64 lower-case letters, digits and hyphens"));
        }
        if is_reserved(name) {
            return Err(fail("can never be granted: kf sets it itself, or pods treat it as a credential"));
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PodHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PodHeader {
    type Error = PodHeaderError;

    fn try_from(name: String) -> Result<Self, PodHeaderError> {
        Self::parse(&name)
    }
}

impl From<PodHeader> for String {
    fn from(header: PodHeader) -> Self {
        header.0
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED_HEADERS.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A checked request, without what the host adds.
#[derive(Debug)]
pub struct Checked {
    pub method: Method,
    pub path: PathAndQuery,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Checked {
    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// Checks everything that the command set. `named` are the headers that its manifest names.
pub fn check(request: &PodRequest, named: &BTreeSet<PodHeader>) -> Result<Checked, ApiError> {
    if request.port == 0 {
        return Err(ApiError::invalid("invalid port 0"));
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(ApiError::invalid(format!("the body is larger than {} MiB", MAX_BODY_BYTES >> 20)));
    }
    let method = match request.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    };
    let checked = Checked {
        method,
        path: url::page_path(&request.path)?,
        headers: headers(&request.headers, named)?,
        body: request.body.clone(),
    };
    // Some servers act on a body with any method, and `--dry-run` lets reads through.
    if checked.reads() && !checked.body.is_empty() {
        return Err(ApiError::invalid(format!("a {} request cannot have a body", checked.method)));
    }
    Ok(checked)
}

fn headers(given: &[(String, String)], named: &BTreeSet<PodHeader>) -> Result<HeaderMap, ApiError> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(ApiError::invalid("too many headers"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = HeaderName::try_from(name.as_str())
            .map_err(|_| ApiError::invalid(format!("invalid header name `{}`", text::excerpt(name))))?;
        // Some servers treat `_` as `-`.
        let normalized = parsed.as_str().replace('_', "-");
        if is_reserved(&normalized) {
            return Err(ApiError::invalid(format!("header {parsed} is reserved for kf")));
        }
        let name = parsed.as_str();
        if !ALLOWED_HEADERS.contains(&name) && !named.iter().any(|header| header.as_str() == name) {
            let message = format!("header {} is not granted", text::excerpt(name));
            return Err(ApiError::new(ErrorCode::Forbidden, message)
                .hint("add it to `[permissions] headers` in the manifest"));
        }
        let value = HeaderValue::try_from(value.as_str()).map_err(|_| {
            ApiError::invalid(format!("the value of header {parsed} contains control characters"))
        })?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::PodRef;

    fn request(path: &str, headers: &[(&str, &str)]) -> PodRequest {
        PodRequest {
            pod: PodRef { namespace: None, name: "web-0".into() },
            port: 8080,
            method: HttpMethod::Post,
            path: path.into(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            body: Bytes::from_static(b"body"),
            bearer: None,
        }
    }

    fn checked(request: &PodRequest) -> Result<Checked, ApiError> {
        check(request, &BTreeSet::new())
    }

    /// Headers in which proxies, ingresses and clouds pass on the user.
    const IDENTITIES: &[&str] = &[
        "remote-groups",
        "remote-email",
        "remote-name",
        "x-ms-client-principal-name",
        "x-ms-token-aad-id-token",
        "oidc_claim_email",
        "oidc-claim-sub",
        "x-goog-iap-jwt-assertion",
        "x-user",
        "x-user-id",
        "x-userid",
        "x-username",
        "x-email",
        "x-groups",
        "x-roles",
        "x-authenticated-user",
        "x-authenticated-groups",
        "x-token-subject",
        "x-jwt-assertion",
        "x-id-token",
        "x-access-token",
        "x-api-key",
        "api-key",
        "apikey",
        "x-ssl-client-cert",
        "ssl-client-verify",
        "x-tenant-id",
        "x-scope-orgid",
        "x-grafana-user",
        "x-jupyterhub-user",
        "mlflow-user",
        "tailscale-user-login",
        "x-pomerium-jwt-assertion",
        "x-vouch-user",
        "x-authentik-username",
        "x-consumer-username",
        "x-credential-identifier",
        "x-anonymous-consumer",
        "on-behalf-of",
        "x-on-behalf-of",
        "x-trusted-user",
        "baggage",
        "x-amz-cognito-identity",
        "x-custom",
        "true-client-ip",
        "client-ip",
        "x-cluster-client-ip",
        "fastly-client-ip",
    ];

    #[test]
    fn header_that_is_not_granted_is_refused() {
        for name in IDENTITIES {
            for name in [(*name).to_owned(), name.to_uppercase(), name.replace('-', "_")] {
                assert!(checked(&request("/", &[(&name, "alice")])).is_err(), "{name}");
            }
        }
        for name in ALLOWED_HEADERS {
            assert!(checked(&request("/", &[(name, "x")])).is_ok(), "{name}");
            assert!(!is_reserved(name), "{name}");
            let other = name.replace('-', "_");
            assert_eq!(checked(&request("/", &[(&other, "x")])).is_ok(), other == name, "{other}");
        }
    }

    #[test]
    fn granted_header_allows_no_other() {
        let named = BTreeSet::from([PodHeader::parse("inference-header-content-length").unwrap()]);
        let send = |name: &str| check(&request("/", &[(name, "10")]), &named);
        assert!(send("Inference-Header-Content-Length").is_ok());
        for other in ["inference_header_content_length", "inference-header", "x-user", "authorization"] {
            assert!(send(other).is_err(), "{other}");
        }
    }

    #[test]
    fn reserved_header_in_manifest_is_refused() {
        let reserved = RESERVED_HEADERS.into_iter().map(str::to_owned);
        let prefixed = RESERVED_PREFIXES.into_iter().map(|prefix| format!("{prefix}x"));
        for name in reserved.chain(prefixed) {
            let error = PodHeader::parse(&name).unwrap_err();
            assert!(error.to_string().contains("can never be granted"), "{error}");
        }
        for name in ["", "X-Case", "x_y", "x y", "x:y", "x\r\ny", "é", &"x".repeat(65)] {
            assert!(PodHeader::parse(name).is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<PodHeader>("\"host\"").is_err());
    }

    #[test]
    fn read_with_body_is_refused() {
        for method in [HttpMethod::Get, HttpMethod::Head] {
            let error = checked(&PodRequest { method, ..request("/", &[]) }).unwrap_err();
            assert!(error.message.ends_with("cannot have a body"), "{error}");
            assert!(checked(&PodRequest { method, body: Bytes::new(), ..request("/", &[]) }).is_ok());
        }
    }

    #[test]
    fn reserved_header_is_refused_in_any_spelling() {
        for name in [
            "Host",
            "AUTHORIZATION",
            "cookie",
            "Content-Length",
            "transfer-encoding",
            "Transfer_Encoding",
            "Connection",
            "upgrade",
            "Expect",
            "X-Forwarded-For",
            "x_forwarded_user",
            "Impersonate-User",
            "kubeflow-userid",
            "Kubeflow_UserID",
            "proxy-authorization",
            "Sec-WebSocket-Key",
            "te",
            "X-HTTP-Method-Override",
            "x_http_method",
            "X-WebAuth-User",
            "Remote-User",
            "X-Original-URL",
        ] {
            let error = checked(&request("/", &[(name, "1")])).unwrap_err();
            assert!(error.message.ends_with("is reserved for kf"), "{name}: {error}");
        }
        assert!(checked(&request("/", &[("content-type", "application/json"), ("accept", "*/*")])).is_ok());
    }

    #[test]
    fn request_smuggling_is_refused() {
        for (name, value) in [
            ("accept", "1\r\nhost: evil"),
            ("accept", "1\nhost: evil"),
            ("accept", "1\r"),
            ("accept", "a\0b"),
            ("x\r\nhost", "evil"),
            ("x: y", "1"),
            ("x ", "1"),
            ("", "1"),
        ] {
            assert!(checked(&request("/", &[(name, value)])).is_err(), "{name:?}: {value:?}");
        }
        for path in [
            "",
            "x",
            "http://evil/",
            "//evil/x",
            "/a b",
            "/a\r\nhost: evil",
            "/a\nb",
            "/x HTTP/1.1\r\n\r\nGET /",
            "/a#b",
            "/../x",
            "/a/./b",
            "/%2e%2e/x",
            "/a%2f..%2fb",
            "/a%0d%0ab",
            "/\\evil",
            "/é",
            "*",
        ] {
            assert!(checked(&request(path, &[])).is_err(), "{path:?}");
        }
        for path in ["/", "/a/b?c=d&e=%20f", "/a..b/...", "/apis/v2beta1/runs?filter=%7B%7D"] {
            assert!(checked(&request(path, &[])).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn request_over_a_limit_is_refused() {
        let mut large = request("/", &[]);
        large.body = vec![0; MAX_BODY_BYTES + 1].into();
        assert!(checked(&large).is_err());
        let many = vec![("accept", "1"); MAX_HEADERS + 1];
        assert!(checked(&request("/", &many)).is_err());
        assert!(checked(&request(&format!("/{}", "a".repeat(8 << 10)), &[])).is_err());
        assert!(checked(&PodRequest { port: 0, ..request("/", &[]) }).is_err());
    }

    proptest! {
        #[test]
        fn accepted_path_is_sent_unchanged(text in "/[ -~]{0,30}") {
            if let Ok(path) = url::page_path(&text) {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(!text.contains(['\r', '\n', ' ', '#']));
            }
        }
    }
}
