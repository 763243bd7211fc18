//! What is sent to a server, and what is said where nothing is.

use kf_core::grants::{Access, Refusal, Verb, Want};
use kf_core::names::{Group, Namespace, Resource};

use super::*;

/// Answers only who has this in the `Authorization` header.
fn serve_those_with(authority: &Authority, authorization: &'static str) -> String {
    let (certificate, key, _) = authority.sign(2100);
    let expected = format!("authorization: {authorization}\r\n");
    let address =
        serve_as(certificate, &key, move |head| if head.contains(&expected) { OK } else { NOT_YOU });
    format!("https://{address}")
}

#[tokio::test]
async fn token_loses_the_end_of_its_line() {
    let authority = Authority::new();
    let server = serve_those_with(&authority, "Bearer t");
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
        (file("empty", b"\n"), "`tokenFile` cannot be used: the file holds no token"),
        (file("binary", b"a\xff"), "`tokenFile` cannot be used"),
        (file("two-lines", b"a\nhunter2"), "`tokenFile` cannot be used"),
        ("tokenFile: /nonexistent/hunter2".to_owned(), "`tokenFile` cannot be used"),
    ] {
        let error = connection(&server, Some(&authority), &user).get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
        assert!(error.message.contains(words) && !error.message.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn user_without_password_is_sent_as_kubectl_does() {
    let authority = Authority::new();
    let server = serve_those_with(&authority, "Basic YTo=");
    connection(&server, Some(&authority), "username: a").get("/version").await.unwrap();
}

/// The API server's answer to somebody who said nothing of themselves.
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
async fn user_without_credentials_is_told_so() {
    let authority = Authority::new();
    for answer in [NOT_YOU, anonymous()] {
        let server = format!("https://{}", serve(&authority, 2100, answer));
        for user in ["", "token: \"\"", "client-key-data: aGVsbG8=", "as: bob"] {
            let error = connection(&server, Some(&authority), user).get("/version").await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthenticated, "{user}: {error}");
            assert_eq!(error.message, "the context `c` names no credentials", "{user}");
        }
    }
    let server = format!("https://{}", serve(&authority, 2100, anonymous()));
    let error = connection(&server, Some(&authority), "token: t").get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden, "{error}");
}

#[test]
fn refusal_of_a_command_s_call_is_about_missing_credentials_only_without_any() {
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
        ApiError { refusal: Some(Box::new(refusal)), ..ApiError::new(ErrorCode::Forbidden, "you may not") }
    };
    let server = "https://127.0.0.1:1";
    let sharpened = |user: &str, error| connection(server, None, user).sharpened(error).code;
    assert_eq!(sharpened("", refused("system:anonymous")), ErrorCode::Unauthenticated);
    assert_eq!(sharpened("", refused("vic")), ErrorCode::Forbidden);
    assert_eq!(sharpened("token: t", refused("system:anonymous")), ErrorCode::Forbidden);
    assert_eq!(sharpened("", ApiError::new(ErrorCode::NotFound, "there is no pod")), ErrorCode::NotFound);
}

#[tokio::test]
async fn server_without_tls_that_asks_who_it_is_says_that_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(NOT_YOU.as_bytes());
        }
    });
    let error = connection(&server, None, "token: t").get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert_eq!(error.message, format!("{server} has no TLS, so your credentials are not sent to it"));
}

/// As with kubectl: a file may hold a newer one.
#[tokio::test]
async fn token_of_a_file_comes_before_another() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.sign(2100);
    let is_new = |head: &str| if head.contains("authorization: Bearer new\r\n") { OK } else { NOT_YOU };
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
