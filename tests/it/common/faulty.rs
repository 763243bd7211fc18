//! An API server of which parts fail, as a test says.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Home;
use super::requests::{self, Request, accept_websocket};

pub enum Answer {
    Json(u16, Value),
    /// With `Retry-After`.
    Busy(u16, u64),
    Text(u16, &'static str),
    /// A WebSocket of this protocol, over which a line comes and then nothing.
    Session(&'static str),
    /// An answer that begins with this and does not end.
    Open(&'static str),
}

impl Answer {
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
pub struct Faulty {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    pub fn serve(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        let url = requests::serve(move |stream| answer_all(stream, &answer, &log));
        Self { url, asked }
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        self.url.replace("http://", "")
    }

    /// A kubeconfig that names it, and nobody: without TLS no credentials would be sent.
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

    /// Method and path of what was asked so far, with the query where there is one.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

const JSON: &str = "content-type: application/json\r\n";

fn answer_all(
    stream: &TcpStream,
    answer: &dyn Fn(&Request) -> Answer,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = Request::read(&mut reader) {
        let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        log.lock().unwrap().push(format!("{} {}{query}", asked.method, asked.path));
        let mut writer = stream;
        match answer(&asked) {
            Answer::Json(code, body) => say(stream, code, JSON, &body.to_string())?,
            Answer::Text(code, body) => say(stream, code, "", body)?,
            Answer::Busy(code, after) => {
                let body =
                    json!({"kind": "Status", "status": "Failure", "code": code, "message": "too busy"});
                say(stream, code, &format!("{JSON}retry-after: {after}\r\n"), &body.to_string())?;
            }
            Answer::Session(protocol) => {
                accept_websocket(stream, asked.websocket_key().unwrap_or_default(), protocol)?;
                // One frame: binary, nine bytes, on stdout.
                writer.write_all(b"\x82\x09\x01started\n")?;
                return std::io::copy(&mut reader, &mut std::io::sink()).map(drop);
            }
            Answer::Open(begin) => {
                write!(writer, "HTTP/1.1 200 OK\r\n\r\n{begin}")?;
                return std::io::copy(&mut reader, &mut std::io::sink()).map(drop);
            }
        }
    }
    Ok(())
}

fn say(mut stream: &TcpStream, code: u16, headers: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {code} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

// ---- What a working server answers ----

/// Where the pods of the namespace are listed.
pub const PODS: &str = "/api/v1/namespaces/team-a/pods";

/// A pod that runs.
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

/// A page of a list, and where the next one is.
pub fn list(items: &[Value], token: &str) -> Answer {
    Answer::Json(200, json!({ "metadata": { "resourceVersion": "1", "continue": token }, "items": items }))
}

/// A namespace with one pod, `web`, in a cluster that serves no more than Kubernetes' own kinds.
pub fn honest(asked: &Request) -> Answer {
    match asked.path.as_str() {
        _ if asked.query.contains("watch=true") => Answer::Open(""),
        PODS => list(&[pod("web")], ""),
        path if path == format!("{PODS}/web") => Answer::Json(200, pod("web")),
        path if path.starts_with("/api/v1/namespaces/team-a/") && path.matches('/').count() == 5 => {
            list(&[], "")
        }
        path if path.ends_with("selfsubjectaccessreviews") => {
            Answer::Json(201, json!({ "status": { "allowed": true } }))
        }
        path if built_in(path) => list(&[], ""),
        _ => Answer::missing(),
    }
}

/// A list of one of Kubernetes' own kinds outside the core group.
fn built_in(path: &str) -> bool {
    ["/apis/apps/v1/namespaces/team-a/", "/apis/batch/v1/namespaces/team-a/"]
        .iter()
        .any(|start| path.strip_prefix(start).is_some_and(|rest| !rest.contains('/')))
}

/// The discovery documents of a group with one kind.
pub fn served(asked: &Request, group: &str, version: &str, kind: &str, plural: &str) -> Option<Answer> {
    if asked.path == format!("/apis/{group}") {
        return Some(Answer::Json(200, json!({ "versions": [{ "version": version }] })));
    }
    let resource = json!({ "name": plural, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": true,
                           "verbs": ["get", "list"] });
    (asked.path == format!("/apis/{group}/{version}"))
        .then(|| Answer::Json(200, json!({ "resources": [resource] })))
}
