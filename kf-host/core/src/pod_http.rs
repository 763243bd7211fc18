//! One HTTP request to a port of a pod, checked.
//!
//! A command says method, path, body and some headers. What names a host, credentials, a person,
//! lengths or the connection is the host's own to send: a pod that trusts its ingress believes
//! those headers, and a request that says one length and has another is two requests.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::api::{ApiError, HttpMethod, PodRequest};
use crate::{text, url};

/// The most a body may hold, either way, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 20;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Headers that are the host's own. Among them are those by which a request that looks is taken for one
/// that changes something, which the user's `--dry-run` would not hear of.
const OWN: [&str; 25] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "kubeflow-userid",
    "kubeflow-groups",
    "remote-user",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-ms-client-principal",
    "x-rewrite-url",
];

/// So are those that begin like this: proxies use them to say who asks, and from where.
const OWN_BEGINNINGS: [&str; 15] = [
    "cf-access-",
    "impersonate-",
    "proxy-",
    "sec-",
    "ssl-client-",
    "x-amzn-oidc-",
    "x-auth-",
    "x-client-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-authenticated-",
    "x-original-",
    "x-real-",
    "x-remote-",
    "x-webauth-",
];

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

/// Checks everything a command chose.
pub fn check(request: &PodRequest) -> Result<Checked, ApiError> {
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
    Ok(Checked {
        method,
        path: url::page_path(&request.path)?,
        headers: headers(&request.headers)?,
        body: request.body.clone(),
    })
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, ApiError> {
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
        if OWN.contains(&meant.as_str()) || OWN_BEGINNINGS.iter().any(|begin| meant.starts_with(begin)) {
            return Err(ApiError::invalid(format!("the header {parsed} is kf's own to send")));
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
            let error = check(&request("/", &[(name, "1")])).unwrap_err();
            assert!(error.message.ends_with("is kf's own to send"), "{name}: {error}");
        }
        assert!(check(&request("/", &[("content-type", "application/json"), ("accept", "*/*")])).is_ok());
    }

    #[test]
    fn nothing_smuggles_a_second_request() {
        for (name, value) in [
            ("x", "1\r\nhost: evil"),
            ("x", "1\nhost: evil"),
            ("x", "1\r"),
            ("x", "a\0b"),
            ("x\r\nhost", "evil"),
            ("x: y", "1"),
            ("x ", "1"),
            ("", "1"),
        ] {
            assert!(check(&request("/", &[(name, value)])).is_err(), "{name:?}: {value:?}");
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
            assert!(check(&request(path, &[])).is_err(), "{path:?}");
        }
        for path in ["/", "/a/b?c=d&e=%20f", "/a..b/...", "/apis/v2beta1/runs?filter=%7B%7D"] {
            assert!(check(&request(path, &[])).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn sizes_have_their_limits() {
        let mut large = request("/", &[]);
        large.body = vec![0; MAX_BODY_BYTES + 1].into();
        assert!(check(&large).is_err());
        let many = vec![("x-a", "1"); MAX_HEADERS + 1];
        assert!(check(&request("/", &many)).is_err());
        assert!(check(&request(&format!("/{}", "a".repeat(8 << 10)), &[])).is_err());
        assert!(check(&PodRequest { port: 0, ..request("/", &[]) }).is_err());
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
