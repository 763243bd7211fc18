//! The parts of an API server that can refuse a request: discovery, RBAC, and which objects exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// The audience of the server's own tokens.
pub(crate) const AUDIENCE: &str = "https://kubernetes.default.svc";

/// The response to a WebSocket that passed all checks.
pub(crate) const NO_WEBSOCKETS: &str = "no WebSockets here";

/// Group, version, kind, plural, namespaced: kinds that it may serve in addition to the built-in ones.
pub(crate) const CUSTOM: [(&str, &str, &str, &str, bool); 4] = [
    ("kubeflow.org", "v1", "Notebook", "notebooks", true),
    ("kubeflow.org", "v1beta1", "Notebook", "notebooks", true),
    ("kubeflow.org", "v1beta1", "Workspace", "workspaces", true),
    ("trainer.kubeflow.org", "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes", false),
];

/// Group, plural, namespace and name.
type Key = (String, String, String, String);

pub(crate) struct Server {
    served: Vec<usize>,
    /// The UID, and the phase of a pod.
    objects: BTreeMap<Key, (String, String)>,
    denied: Vec<(&'static str, &'static str, &'static str)>,
}

/// A request, as parsed by the router and the authorizer.
struct Asked {
    verb: &'static str,
    key: Key,
    subresource: String,
}

type Answer = (StatusCode, Value);

pub(crate) fn service(
    server: Arc<Server>,
) -> impl tower::Service<
    Request<Body>,
    Response = Response<Body>,
    Error = kube::Error,
    Future = impl Future<Output = Result<Response<Body>, kube::Error>> + Send,
> + Send
+ Clone
+ 'static {
    service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&server);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = server.answer(&head, &body);
            let answer = Body::from(answer.to_string().into_bytes());
            Ok(Response::builder().status(code).body(answer).unwrap())
        }
    })
}

fn refuse(code: StatusCode, message: &str) -> Answer {
    let reason = if message == "exists" { "AlreadyExists" } else { "" };
    (
        code,
        json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message}),
    )
}

impl Server {
    pub(crate) fn new(
        served: &[usize],
        objects: &[Value],
        denied: &[(&'static str, &'static str, &'static str)],
    ) -> Self {
        let stored = |(at, object): (usize, &Value)| {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
            let plural = format!("{}s", text("/kind").to_lowercase());
            let key =
                (group.into(), plural, text("/metadata/namespace").into(), text("/metadata/name").into());
            (key, (format!("uid-{}", at + 1), text("/status/phase").to_owned()))
        };
        let objects = objects.iter().enumerate().map(stored).collect();
        Self { served: served.to_vec(), objects, denied: denied.to_vec() }
    }

    fn denies(&self, verb: &str, group: &str, resource: &str) -> bool {
        self.denied.iter().any(|(v, g, r)| (*v == "*" || *v == verb) && *g == group && *r == resource)
    }

    fn answer(&self, head: &http::request::Parts, body: &Value) -> Answer {
        let path: Vec<String> = head.uri.path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["api", "v1"] => (StatusCode::OK, json!({"resources": []})),
            ["apis", group] => self.versions(group),
            ["apis", group, version] => self.kinds(group, version),
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => {
                let text = |field: &str| {
                    body.pointer(&format!("/spec/resourceAttributes/{field}"))
                        .and_then(Value::as_str)
                        .unwrap()
                };
                let resource = match text("subresource") {
                    "" => text("resource").to_owned(),
                    subresource => format!("{}/{subresource}", text("resource")),
                };
                let allowed = !self.denies(text("verb"), text("group"), &resource);
                (StatusCode::CREATED, json!({"status": {"allowed": allowed}}))
            }
            ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => {
                (StatusCode::CREATED, json!({"status": {"userInfo": {"username": "alice"}}}))
            }
            ["api", _, rest @ ..] => self.object(head, body, "", rest),
            ["apis", group, _, rest @ ..] => self.object(head, body, group, rest),
            _ => refuse(StatusCode::NOT_FOUND, "no such path"),
        }
    }

    fn custom(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str, bool)> {
        self.served.iter().map(|at| CUSTOM[*at])
    }

    fn versions(&self, group: &str) -> Answer {
        let of_group = self.custom().filter(|(of, ..)| *of == group);
        let versions: Vec<_> = of_group.map(|(_, version, ..)| json!({"version": version})).collect();
        match versions.first() {
            Some(first) => (StatusCode::OK, json!({"preferredVersion": first, "versions": versions})),
            None => refuse(StatusCode::NOT_FOUND, "no such group"),
        }
    }

    fn kinds(&self, group: &str, version: &str) -> Answer {
        let resources: Vec<_> = self
            .custom()
            .filter(|(of, v, ..)| *of == group && *v == version)
            .map(|(_, _, kind, plural, namespaced)| {
                json!({"name": plural, "singularName": kind.to_lowercase(), "kind": kind,
                       "namespaced": namespaced, "verbs": ["get"]})
            })
            .collect();
        match resources.is_empty() {
            true => refuse(StatusCode::NOT_FOUND, "no such version"),
            false => (StatusCode::OK, json!({"resources": resources})),
        }
    }

    fn object(&self, head: &http::request::Parts, body: &Value, group: &str, path: &[&str]) -> Answer {
        let (namespace, path) = match path {
            ["namespaces", _, "status" | "finalize"] | ["namespaces"] | ["namespaces", _] => ("", path),
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", path),
        };
        let at = |index: usize| path.get(index).copied().unwrap_or_default().to_owned();
        let query = query(head.uri.query().unwrap_or_default());
        let verb = match head.method {
            Method::GET if query.contains_key("watch") => "watch",
            Method::GET if path.len() == 1 => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => return refuse(StatusCode::METHOD_NOT_ALLOWED, "no such verb"),
        };
        let key = (group.to_owned(), at(0), namespace.to_owned(), at(1));
        let asked = Asked { verb, key, subresource: at(2) };
        match self.authorize(&asked) {
            Some(refusal) => refusal,
            None => self.serve(&asked, head, body, &query),
        }
    }

    /// The 403 of RBAC, if it denies the request. A stream requires two verbs.
    fn authorize(&self, asked: &Asked) -> Option<Answer> {
        let (group, plural, ..) = &asked.key;
        let resource = match asked.subresource.as_str() {
            "" => plural.clone(),
            subresource => format!("{plural}/{subresource}"),
        };
        let streams = matches!(asked.subresource.as_str(), "exec" | "attach" | "portforward");
        let verbs = if streams { vec!["get", "create"] } else { vec![asked.verb] };
        let denied = verbs.into_iter().find(|verb| self.denies(verb, group, &resource))?;
        let message = format!("User \"alice\" cannot {denied} resource \"{resource}\"");
        Some(refuse(StatusCode::FORBIDDEN, &message))
    }

    fn serve(
        &self,
        asked: &Asked,
        head: &http::request::Parts,
        body: &Value,
        query: &BTreeMap<String, String>,
    ) -> Answer {
        let found = self.objects.get(&asked.key);
        let absent = || refuse(StatusCode::NOT_FOUND, "not found");
        let (group, plural, ..) = &asked.key;
        match (asked.verb, asked.subresource.as_str()) {
            ("list" | "watch", _) => listed(group, plural, query),
            ("create", "token") => {
                let token = json!({"spec": {"audiences": [AUDIENCE]}, "status": {"token": "abc.def"}});
                (StatusCode::CREATED, token)
            }
            ("create", _) => {
                let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap().to_owned();
                let (group, plural, namespace, _) = asked.key.clone();
                match self.objects.contains_key(&(group, plural, namespace, name)) {
                    true => refuse(StatusCode::CONFLICT, "exists"),
                    false => (StatusCode::CREATED, body.clone()),
                }
            }
            ("patch", subresource) => {
                let kind = head.headers.get(header::CONTENT_TYPE).unwrap().to_str().unwrap();
                let built_in = !group.contains('.');
                match kind {
                    "application/apply-patch+yaml" if found.is_none() => {
                        let create =
                            Asked { verb: "create", key: asked.key.clone(), subresource: String::new() };
                        self.authorize(&create).unwrap_or((StatusCode::CREATED, body.clone()))
                    }
                    "application/strategic-merge-patch+json" if !built_in => {
                        refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no strategic patch")
                    }
                    _ if found.is_none() => absent(),
                    _ => (StatusCode::OK, json!({"subresource": subresource})),
                }
            }
            ("delete", _) => {
                let Some((uid, _)) = found else { return absent() };
                match body.pointer("/preconditions/uid").and_then(Value::as_str) {
                    Some(expected) if expected != uid => refuse(StatusCode::CONFLICT, "another uid"),
                    _ => (StatusCode::OK, json!({})),
                }
            }
            (_, "exec" | "attach" | "portforward") if found.is_some() => {
                refuse(StatusCode::IM_A_TEAPOT, NO_WEBSOCKETS)
            }
            (_, "log") if found.is_some() => match query.get("container").map(String::as_str) {
                None | Some("main") => (StatusCode::OK, json!("epoch 1")),
                Some(_) => refuse(StatusCode::BAD_REQUEST, "no such container"),
            },
            (_, "") => found.map_or_else(absent, |(uid, phase)| {
                let metadata = json!({"uid": uid, "resourceVersion": "1"});
                (StatusCode::OK, json!({"metadata": metadata, "status": {"phase": phase}}))
            }),
            _ => absent(),
        }
    }
}

/// The 400 of a selector or a token, or an empty list.
fn listed(group: &str, plural: &str, query: &BTreeMap<String, String>) -> Answer {
    let fields = query.get("fieldSelector").map(String::as_str).unwrap_or_default();
    let known = |path: &str| {
        matches!(
            (group, plural, path),
            (_, _, "metadata.name" | "metadata.namespace")
                | ("", "pods" | "namespaces", "status.phase")
                | ("", "secrets", "type")
        )
    };
    let mut paths =
        fields.split(',').filter(|text| !text.is_empty()).filter_map(|text| text.split(['!', '=']).next());
    let number = |key: &str| query.get(key).is_none_or(|text| text.parse::<u64>().is_ok());
    if !paths.all(known) || !number("continue") || !number("resourceVersion") {
        return refuse(StatusCode::BAD_REQUEST, "no such field, token or version");
    }
    (StatusCode::OK, json!({"items": [], "metadata": {"resourceVersion": "9"}}))
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), decoded(value))).collect()
}
