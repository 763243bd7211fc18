//! The credentials that are sent to a server, and errors without any.

use kf_core::grants::{Access, Refusal, Verb, Want};
use kf_core::names::{Group, Namespace, Resource};

use super::*;

/// A server that only accepts this `Authorization` header.
fn serve_authorized(authority: &Authority, authorization: &'static str) -> String {
    let (certificate, key, _) = authority.sign(2100);
    let expected = format!("authorization: {authorization}\r\n");
    let address =
        serve_as(certificate, &key, move |head| if head.contains(&expected) { OK } else { UNAUTHORIZED });
    format!("https://{address}")
}

#[tokio::test]
async fn token_is_trimmed() {
    let authority = Authority::new();
    let server = serve_authorized(&authority, "Bearer t");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        fs_err::write(dir.path().join(name), content).unwrap();
        format!("tokenFile: {}", dir.path().join(name).display())
    };
    for user in [
        r#"token: "t\n""#.to_owned(),
        r#"token: " t\r\n""#.to_owned(),
        r#"auth-provider: {name: oidc, config: {id-token: "t\n"}}"#.to_owned(),
        file("newline", b"t\n"),
        file("crlf", b"t\r\n\r\n"),
    ] {
        connection(&server, Some(&authority), &user).get("/version").await.expect(&user);
    }
    for (user, words) in [
        (file("empty", b"\n"), "invalid `tokenFile` in the kubeconfig: the file contains no token"),
        (file("binary", b"a\xff"), "invalid `tokenFile` in the kubeconfig"),
        (file("two-lines", b"a\nhunter2"), "invalid `tokenFile` in the kubeconfig"),
        ("tokenFile: /nonexistent/hunter2".to_owned(), "invalid `tokenFile` in the kubeconfig"),
    ] {
        let error = connection(&server, Some(&authority), &user).get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
        assert!(error.message.contains(words) && !error.message.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn user_without_password_is_sent_as_by_kubectl() {
    let authority = Authority::new();
    let server = serve_authorized(&authority, "Basic YTo=");
    connection(&server, Some(&authority), "username: a").get("/version").await.unwrap();
}

/// The API server's answer to an anonymous request.
fn anonymous() -> &'static str {
    let body = serde_json::json!({
        "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "forbidden: User \"system:anonymous\" cannot get path \"/version\"",
    })
    .to_string();
    let length = body.len();
    format!("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").leak()
}

#[tokio::test]
async fn missing_credentials_are_reported() {
    let authority = Authority::new();
    for answer in [UNAUTHORIZED, anonymous()] {
        let server = format!("https://{}", serve(&authority, 2100, answer));
        for user in ["", "token: \"\"", "client-key-data: aGVsbG8=", "as: bob"] {
            let error = connection(&server, Some(&authority), user).get("/version").await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthenticated, "{user}: {error}");
            assert_eq!(error.message, "context `c` has no credentials", "{user}");
        }
    }
    let server = format!("https://{}", serve(&authority, 2100, anonymous()));
    let error = connection(&server, Some(&authority), "token: t").get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden, "{error}");
}

#[test]
fn refused_call_of_command_is_unauthenticated_only_without_credentials() {
    let access = Access {
        verb: Verb::List,
        group: Group::parse("").unwrap(),
        resource: Resource::parse("pods").unwrap(),
        namespace: Some(Namespace::parse("team-a").unwrap()),
        name: None,
        environment: Namespace::parse("team-a").unwrap(),
        want: Want::Plain,
    };
    let refused = |user: &str| {
        let rule = access.missing_rule();
        let refusal = Refusal { layer: kf_core::grants::Layer::Rbac, rule, user: Some(user.to_owned()) };
        ApiError {
            refusal: Some(Box::new(refusal)),
            ..ApiError::new(ErrorCode::Forbidden, "you are not allowed to")
        }
    };
    let server = "https://127.0.0.1:1";
    let explained = |user: &str, error| connection(server, None, user).explain_credentials(error).code;
    assert_eq!(explained("", refused("system:anonymous")), ErrorCode::Unauthenticated);
    assert_eq!(explained("", refused("vic")), ErrorCode::Forbidden);
    assert_eq!(explained("token: t", refused("system:anonymous")), ErrorCode::Forbidden);
    assert_eq!(explained("", ApiError::new(ErrorCode::NotFound, "pod not found")), ErrorCode::NotFound);
}

#[tokio::test]
async fn unauthorized_without_tls_reports_unsent_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(UNAUTHORIZED.as_bytes());
        }
    });
    let error = connection(&server, None, "token: t").get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert_eq!(error.message, format!("{server} does not use TLS: your credentials were not sent"));
}

/// As in kubectl: a file may contain a newer token.
#[tokio::test]
async fn token_file_precedes_token() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.sign(2100);
    let is_new = |head: &str| if head.contains("authorization: Bearer new\r\n") { OK } else { UNAUTHORIZED };
    let server = format!("https://{}", serve_as(certificate, &key, is_new));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs_err::write(&file, "new\n").unwrap();
    for user in
        [format!("tokenFile: {}, token: old", file.display()), "tokenFile: /nowhere, token: new".into()]
    {
        connection(&server, Some(&authority), &user).get("/version").await.unwrap();
    }
}
