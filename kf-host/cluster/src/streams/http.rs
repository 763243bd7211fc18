//! One HTTP/1.1 request to a port of a pod.
//!
//! A command says method, path, body and some headers. What names a host, credentials, a person,
//! lengths or the connection is the host's own to send: a pod that trusts its ingress believes
//! those headers, and a request that says one length and has another is two requests.

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kf_core::api::{ApiError, ErrorCode, HttpMethod, PodRequest, PodResponse};
use kf_core::{text, url};
use tokio::io::{AsyncRead, AsyncWrite};

/// The most a body may hold, either way, in bytes.
pub(crate) const MOST_BODY: usize = 16 << 20;

const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 16 << 10;

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
pub(crate) struct Checked {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
}

impl Checked {
    /// Whether it only looks.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// Checks everything a command chose.
pub(crate) fn check(request: &PodRequest) -> Result<Checked, ApiError> {
    if request.port == 0 {
        return Err(ApiError::invalid("0 is no port of a pod"));
    }
    if request.body.len() > MOST_BODY {
        return Err(ApiError::invalid(format!("the body is larger than {} MiB", MOST_BODY >> 20)));
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
    if given.len() > MOST_HEADERS || bytes > MOST_HEADER_BYTES {
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

/// Sends a request on a connection of its own and reads the whole answer.
pub(crate) async fn exchange(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    port: u16,
    checked: Checked,
    user_agent: &HeaderValue,
    authorization: Option<HeaderValue>,
) -> Result<PodResponse, ApiError> {
    let Checked { method, path, headers, body } = checked;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    let host =
        HeaderValue::try_from(format!("localhost:{port}")).map_err(|_| ApiError::invalid("no port"))?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, user_agent.clone());
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization);
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|error| unanswered(&error))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(|error| unanswered(&error))?;
        whole(response).await
    };
    // The connection moves the bytes; whoever waits for the answer drives it.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => return answered,
        _ended = connection => {}
    }
    answer.await
}

async fn whole(response: Response<Incoming>) -> Result<PodResponse, ApiError> {
    let (head, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| unanswered(&error))?.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > MOST_BODY {
            return Err(ApiError::new(
                ErrorCode::Budget,
                format!("the pod's answer is larger than {} MiB", MOST_BODY >> 20),
            ));
        }
        bytes.extend_from_slice(&data);
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Ok(PodResponse { status: head.status.as_u16(), headers: headers.collect(), body: bytes.freeze() })
}

fn unanswered(error: &hyper::Error) -> ApiError {
    ApiError::new(ErrorCode::Failed, format!("the pod does not answer in HTTP: {error}"))
}

#[cfg(test)]
mod tests {
    use kf_core::api::PodRef;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

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
        large.body = vec![0; MOST_BODY + 1].into();
        assert!(check(&large).is_err());
        let many = vec![("x-a", "1"); MOST_HEADERS + 1];
        assert!(check(&request("/", &many)).is_err());
        assert!(check(&request(&format!("/{}", "a".repeat(8 << 10)), &[])).is_err());
        assert!(check(&PodRequest { port: 0, ..request("/", &[]) }).is_err());
    }

    /// What a pod reads of a request, and what the caller reads of its answer.
    async fn exchanged(answer: &'static [u8]) -> (String, Result<PodResponse, ApiError>) {
        let (here, mut there) = tokio::io::duplex(1 << 16);
        let pod = tokio::spawn(async move {
            let mut bytes = vec![0; 4096];
            let mut length = 0;
            while !bytes[..length].ends_with(b"body") {
                length += there.read(&mut bytes[length..]).await.unwrap();
            }
            there.write_all(answer).await.unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        });
        let checked = check(&request("/a?b=c", &[("x-a", "1")])).unwrap();
        let agent = HeaderValue::from_static("kf/0 plugin/x");
        let bearer = HeaderValue::from_static("Bearer t");
        let answer = exchange(here, 8080, checked, &agent, Some(bearer)).await;
        (pod.await.unwrap(), answer)
    }

    #[tokio::test]
    async fn a_request_is_the_command_s_with_the_host_s_headers() {
        let (sent, answer) =
            exchanged(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 2\r\n\r\nhi").await;
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.lines().collect();
        assert_eq!(lines.remove(0), "POST /a?b=c HTTP/1.1");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "authorization: Bearer t",
                "content-length: 4",
                "host: localhost:8080",
                "user-agent: kf/0 plugin/x",
                "x-a: 1"
            ]
        );
        assert_eq!(body, "body");
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (302, &b"hi"[..]));
        assert!(answer.headers.contains(&("location".into(), "/x".into())));
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_or_no_http_is_an_error() {
        for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"[..], b"SSH-2.0-OpenSSH\r\n", b""] {
            assert!(exchanged(answer).await.1.is_err());
        }
        let (_, whole) = exchanged(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
        assert_eq!(&whole.unwrap().body[..], b"until the end");
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
