//! One HTTP/1.1 request to a port of a pod, on its own connection.

use bytes::BytesMut;
use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kf_core::api::{ApiError, ErrorCode, PodResponse};
use kf_core::pod_http::{Checked, MAX_BODY_BYTES};
use tokio::io::{AsyncRead, AsyncWrite};

/// Sends a request on its own connection and reads the whole response.
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
        HeaderValue::try_from(format!("localhost:{port}")).map_err(|_| ApiError::invalid("invalid port"))?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, user_agent.clone());
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization);
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|error| http_error(&error))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(|error| http_error(&error))?;
        read_response(response).await
    };
    // The connection must be polled while waiting for the response.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => return answered,
        _ended = connection => {}
    }
    answer.await
}

async fn read_response(response: Response<Incoming>) -> Result<PodResponse, ApiError> {
    let (head, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| http_error(&error))?.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > MAX_BODY_BYTES {
            return Err(ApiError::new(
                ErrorCode::Budget,
                format!("the pod's response is larger than {} MiB", MAX_BODY_BYTES >> 20),
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

fn http_error(error: &hyper::Error) -> ApiError {
    ApiError::new(ErrorCode::Failed, format!("invalid HTTP response from the pod: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use kf_core::api::{HttpMethod, PodRef, PodRequest};
    use kf_core::pod_http::check;
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

    /// The request as received by a pod, and its response as received by the caller.
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
        let checked = check(&request("/a?b=c", &[("accept", "1")]), &BTreeSet::new()).unwrap();
        let agent = HeaderValue::from_static("kf/0 plugin/x");
        let bearer = HeaderValue::from_static("Bearer t");
        let answer = exchange(here, 8080, checked, &agent, Some(bearer)).await;
        (pod.await.unwrap(), answer)
    }

    #[tokio::test]
    async fn request_has_headers_of_command_and_host() {
        let (sent, answer) =
            exchanged(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 2\r\n\r\nhi").await;
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.lines().collect();
        assert_eq!(lines.remove(0), "POST /a?b=c HTTP/1.1");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "accept: 1",
                "authorization: Bearer t",
                "content-length: 4",
                "host: localhost:8080",
                "user-agent: kf/0 plugin/x"
            ]
        );
        assert_eq!(body, "body");
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (302, &b"hi"[..]));
        assert!(answer.headers.contains(&("location".into(), "/x".into())));
    }

    #[tokio::test]
    async fn truncated_or_invalid_response_is_an_error() {
        for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"[..], b"SSH-2.0-OpenSSH\r\n", b""] {
            assert!(exchanged(answer).await.1.is_err());
        }
        let (_, whole) = exchanged(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
        assert_eq!(&whole.unwrap().body[..], b"until the end");
    }
}
