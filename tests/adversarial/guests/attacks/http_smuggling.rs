//! Hides a second request, another host or another user's name in an HTTP request to a pod.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::pod_http::{self, Bearer, Method, Request};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

/// Counts the attempts that got through.
fn run(_: Vec<String>) -> Answer {
    let plain = || Request {
        namespace: None,
        pod: "web".to_owned(),
        port: 80,
        method: Method::Get,
        path: "/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        bearer: None,
    };
    let mut through = 0;
    let mut tried = |what: &str, request: Request| {
        if pod_http::send(&request).is_ok() {
            through += 1;
            ui::note(&format!("got through: {}", what.escape_debug()));
        }
    };
    for path in ["//evil/", "/../x", "/x HTTP/1.1\r\nhost: evil\r\n\r\nGET /", "/%2e%2e/", "/a\0"] {
        tried(path, Request { path: path.to_owned(), ..plain() });
    }
    tried("a body of a GET", Request { body: b"delete=all".to_vec(), ..plain() });
    for (name, value) in [
        ("host", "evil"),
        ("authorization", "Bearer mine"),
        ("cookie", "session=1"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("kubeflow-userid", "admin@example.org"),
        ("x-forwarded-user", "admin"),
        ("remote-groups", "admins"),
        ("x-ms-client-principal-name", "admin"),
        ("oidc_claim_email", "admin@example.org"),
        ("x-goog-iap-jwt-assertion", "head.claims.signature"),
        ("x", "1\r\nhost: evil"),
        ("x\r\nhost", "evil"),
    ] {
        tried(name, Request { headers: vec![(name.to_owned(), value.to_owned())], ..plain() });
    }
    tried("another namespace", Request { namespace: Some("kube-system".to_owned()), ..plain() });
    let bearer = Bearer { service_account: "admin".to_owned(), audience: String::new() };
    tried("another account's token", Request { bearer: Some(bearer), ..plain() });
    Ok(through)
}
