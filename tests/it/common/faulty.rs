//! An API server whose responses a test chooses, to make parts of it fail.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Home;
use super::requests::{self, Request, accept_websocket};

pub enum Response {
    Json(u16, Value),
    /// With `Retry-After`.
    Busy(u16, u64),
    Text(u16, &'static str),
    /// A WebSocket of this protocol that sends one line and then nothing.
    Session(&'static str),
    /// A response that begins with this and never ends.
    Open(&'static str),
}

impl Response {
    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::Json(
            code,
            json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
        )
    }

    pub fn missing() -> Self {
        Self::status(404, "NotFound", "the server could not find the requested resource")
    }
}

/// A running server.
pub struct FaultyServer {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FaultyServer {
    pub fn serve(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&requests);
        let url = requests::serve(move |stream| answer_all(stream, &answer, &log));
        Self { url, requests }
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        self.url.replace("http://", "")
    }

    /// A kubeconfig for it without credentials: without TLS none would be sent.
    pub fn kubeconfig(&self, home: &Home) -> String {
        let file = home.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: lab
clusters: [{{name: lab, cluster: {{server: '{}'}}}}]
users: [{{name: nobody, user: {{}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: nobody, namespace: team-a}}}}]
",
            self.url
        );
        fs_err::write(&file, text).unwrap();
        file.display().to_string()
    }

    /// The requests so far: method, path and query.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

const JSON: &str = "content-type: application/json\r\n";

fn answer_all(
    stream: &TcpStream,
    answer: &dyn Fn(&Request) -> Response,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        log.lock().unwrap().push(format!("{} {}{query}", request.method, request.path));
        let mut writer = stream;
        match answer(&request) {
            Response::Json(code, body) => respond(stream, code, JSON, &body.to_string())?,
            Response::Text(code, body) => respond(stream, code, "", body)?,
            Response::Busy(code, after) => {
                let body =
                    json!({"kind": "Status", "status": "Failure", "code": code, "message": "too busy"});
                respond(stream, code, &format!("{JSON}retry-after: {after}\r\n"), &body.to_string())?;
            }
            Response::Session(protocol) => {
                accept_websocket(stream, request.websocket_key().unwrap_or_default(), protocol)?;
                // One frame: binary, nine bytes, on stdout.
                writer.write_all(b"\x82\x09\x01started\n")?;
                return std::io::copy(&mut reader, &mut std::io::sink()).map(drop);
            }
            Response::Open(begin) => {
                write!(writer, "HTTP/1.1 200 OK\r\n\r\n{begin}")?;
                return std::io::copy(&mut reader, &mut std::io::sink()).map(drop);
            }
        }
    }
    Ok(())
}

fn respond(mut stream: &TcpStream, code: u16, headers: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {code} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

// ---- The responses of a working server ----

/// The path of the namespace's pods.
pub const PODS: &str = "/api/v1/namespaces/team-a/pods";

/// A running pod.
pub fn pod(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "team-a", "uid": name, "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T12:00:00Z",
        },
        "spec": { "containers": [{ "name": "main" }] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" }],
            "containerStatuses": [{ "name": "main", "restartCount": 0, "state": { "running": {} } }],
        },
    })
}

/// A page of a list, with its `continue` token.
pub fn list(items: &[Value], token: &str) -> Response {
    Response::Json(200, json!({ "metadata": { "resourceVersion": "1", "continue": token }, "items": items }))
}

/// A namespace with one pod, `web`, in a cluster that serves only Kubernetes' own kinds.
pub fn healthy(request: &Request) -> Response {
    match request.path.as_str() {
        _ if request.query.contains("watch=true") => Response::Open(""),
        PODS => list(&[pod("web")], ""),
        path if path == format!("{PODS}/web") => Response::Json(200, pod("web")),
        path if path.starts_with("/api/v1/namespaces/team-a/") && path.matches('/').count() == 5 => {
            list(&[], "")
        }
        path if path.ends_with("selfsubjectaccessreviews") => {
            Response::Json(201, json!({ "status": { "allowed": true } }))
        }
        path if built_in(path) => list(&[], ""),
        _ => Response::missing(),
    }
}

/// Whether the path lists a Kubernetes kind outside the core group.
fn built_in(path: &str) -> bool {
    ["/apis/apps/v1/namespaces/team-a/", "/apis/batch/v1/namespaces/team-a/"]
        .iter()
        .any(|start| path.strip_prefix(start).is_some_and(|rest| !rest.contains('/')))
}

/// The discovery documents of a group with one kind.
pub fn served(request: &Request, group: &str, version: &str, kind: &str, plural: &str) -> Option<Response> {
    if request.path == format!("/apis/{group}") {
        return Some(Response::Json(200, json!({ "versions": [{ "version": version }] })));
    }
    let resource = json!({ "name": plural, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": true,
                           "verbs": ["get", "list"] });
    (request.path == format!("/apis/{group}/{version}"))
        .then(|| Response::Json(200, json!({ "resources": [resource] })))
}
