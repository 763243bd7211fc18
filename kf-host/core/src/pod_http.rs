//! One HTTP request to a port of a pod, checked.
//!
//! A command says method, path, body and some headers. A pod that trusts its ingress believes whatever header names
//! a person, and every ingress has its own. So a command may send the headers of [`PLAIN`] and those that its
//! manifest names and its user accepted. Those that name a host, credentials, lengths or the connection are the
//! host's own, and no manifest can name them: a request that says one length and has another is two requests.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::api::{ApiError, ErrorCode, HttpMethod, PodRequest};
use crate::{text, url};

/// The most a body may hold, either way, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 20;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// The most headers a manifest may name: all of them stand in the consent text.
pub const MAX_NAMED_HEADERS: usize = 16;

/// The longest name of one of them.
const MAX_NAME_BYTES: usize = 64;

/// Headers that every command may send: what is sent and wanted, conditions, ranges and traces. None says who asks.
const PLAIN: [&str; 20] = [
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

/// Headers that are the host's own. Among them are those by which a request that looks is taken for one
/// that changes something, which the user's `--dry-run` would not hear of.
const OWN: [&str; 31] = [
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

/// So are those that begin like this: proxies use them to say who asks, and from where.
const OWN_BEGINNINGS: [&str; 19] = [
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

/// The name of a header that a manifest asks to send: lower case, and none of the host's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PodHeader(String);

/// A name that no manifest may ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header `{}` {why}", text::excerpt(name))]
pub struct PodHeaderError {
    name: String,
    why: &'static str,
}

impl PodHeader {
    pub fn parse(name: &str) -> Result<Self, PodHeaderError> {
        let fail = |why| PodHeaderError { name: name.to_owned(), why };
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_name {
            return Err(fail("is not one of at most 64 lower-case letters, digits and hyphens"));
        }
        if is_own(name) {
            return Err(fail(
                "can never be granted: kf sets it itself, or a pod would take it for a credential",
            ));
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

fn is_own(name: &str) -> bool {
    OWN.contains(&name) || OWN_BEGINNINGS.iter().any(|begin| name.starts_with(begin))
}

/// What a command asks for, checked; without what the host adds.
#[derive(Debug)]
pub struct Checked {
    pub method: Method,
    pub path: PathAndQuery,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Checked {
    /// Whether it only looks.
    pub fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// Checks everything a command chose. `named` are the headers it may send beside the plain ones.
pub fn check(request: &PodRequest, named: &BTreeSet<PodHeader>) -> Result<Checked, ApiError> {
    if request.port == 0 {
        return Err(ApiError::invalid("0 is no port of a pod"));
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
    // Some servers do what a body says whatever the method, and `--dry-run` lets reads through.
    if checked.reads() && !checked.body.is_empty() {
        return Err(ApiError::invalid(format!("a {} request takes no body", checked.method)));
    }
    Ok(checked)
}

fn headers(given: &[(String, String)], named: &BTreeSet<PodHeader>) -> Result<HeaderMap, ApiError> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(ApiError::invalid("there are too many headers"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = HeaderName::try_from(name.as_str())
            .map_err(|_| ApiError::invalid(format!("`{}` is no name of a header", text::excerpt(name))))?;
        // Some servers take `_` for `-`, and so the next one for this one.
        let meant = parsed.as_str().replace('_', "-");
        if is_own(&meant) {
            return Err(ApiError::invalid(format!("the header {parsed} is kf's own to send")));
        }
        let name = parsed.as_str();
        if !PLAIN.contains(&name) && !named.iter().any(|header| header.as_str() == name) {
            let message = format!("the header {} is not granted", text::excerpt(name));
            return Err(ApiError::new(ErrorCode::Forbidden, message)
                .hint("the manifest has to name it in `[permissions] headers`"));
        }
        let value = HeaderValue::try_from(value.as_str()).map_err(|_| {
            ApiError::invalid(format!("the value of the header {parsed} holds control characters"))
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

    /// Headers by which proxies, ingresses and clouds tell servers who asks.
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
    fn a_header_that_nobody_granted_is_refused() {
        for name in IDENTITIES {
            for name in [(*name).to_owned(), name.to_uppercase(), name.replace('-', "_")] {
                assert!(checked(&request("/", &[(&name, "alice")])).is_err(), "{name}");
            }
        }
        for name in PLAIN {
            assert!(checked(&request("/", &[(name, "x")])).is_ok(), "{name}");
            assert!(!is_own(name), "{name}");
            let other = name.replace('-', "_");
            assert_eq!(checked(&request("/", &[(&other, "x")])).is_ok(), other == name, "{other}");
        }
    }

    #[test]
    fn a_manifest_grants_a_header_and_no_other() {
        let named = BTreeSet::from([PodHeader::parse("inference-header-content-length").unwrap()]);
        let send = |name: &str| check(&request("/", &[(name, "10")]), &named);
        assert!(send("Inference-Header-Content-Length").is_ok());
        for other in ["inference_header_content_length", "inference-header", "x-user", "authorization"] {
            assert!(send(other).is_err(), "{other}");
        }
    }

    #[test]
    fn no_manifest_can_name_what_is_the_host_s_own() {
        let own = OWN.into_iter().map(str::to_owned);
        let begun = OWN_BEGINNINGS.into_iter().map(|begin| format!("{begin}x"));
        for name in own.chain(begun) {
            let error = PodHeader::parse(&name).unwrap_err();
            assert!(error.to_string().contains("can never be granted"), "{error}");
        }
        for name in ["", "X-Case", "x_y", "x y", "x:y", "x\r\ny", "é", &"x".repeat(65)] {
            assert!(PodHeader::parse(name).is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<PodHeader>("\"host\"").is_err());
    }

    #[test]
    fn a_read_takes_no_body() {
        for method in [HttpMethod::Get, HttpMethod::Head] {
            let error = checked(&PodRequest { method, ..request("/", &[]) }).unwrap_err();
            assert!(error.message.ends_with("takes no body"), "{error}");
            assert!(checked(&PodRequest { method, body: Bytes::new(), ..request("/", &[]) }).is_ok());
        }
    }

    #[test]
    fn what_is_the_host_s_own_is_refused_in_any_spelling() {
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
            assert!(error.message.ends_with("is kf's own to send"), "{name}: {error}");
        }
        assert!(checked(&request("/", &[("content-type", "application/json"), ("accept", "*/*")])).is_ok());
    }

    #[test]
    fn nothing_smuggles_a_second_request() {
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
    fn sizes_have_their_limits() {
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
        fn a_path_that_is_taken_is_sent_as_it_is(text in "/[ -~]{0,30}") {
            if let Ok(path) = url::page_path(&text) {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(!text.contains(['\r', '\n', ' ', '#']));
            }
        }
    }
}
