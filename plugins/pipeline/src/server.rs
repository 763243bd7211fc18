//! A client for the server of Kubeflow Pipelines, through a forwarded port.

use std::cell::Cell;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::is_ready;
use kf_plugin_sdk::{Access, HttpResponse, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

const GROUP: &str = "pipelines.kubeflow.org";
/// The audience of the tokens that the server accepts.
const AUDIENCE: &str = "pipelines.kubeflow.org";
const API: &str = "/apis/v2beta1";
/// The size of a page of a list.
const PAGE_SIZE: u32 = 100;
/// All characters except those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the server is.
#[derive(clap::Args, Describe)]
pub(crate) struct Place {
    /// The namespace of the Pipelines server
    #[arg(long, value_name = "NAMESPACE", default_value = "kubeflow", help_heading = "Server")]
    server_namespace: String,
    /// The label selector of its pods
    #[arg(long, value_name = "SELECTOR", default_value = "app=ml-pipeline", help_heading = "Server")]
    server_selector: String,
    /// The port of its API
    #[arg(long, value_name = "PORT", default_value_t = 8888, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Server")]
    server_port: u16,
    /// The service account to authenticate as in multi-user mode
    #[arg(long, value_name = "NAME", default_value = "default-editor", help_heading = "Server")]
    service_account: String,
}

impl Place {
    /// The service account whose token authenticates requests.
    pub(crate) fn account(&self) -> &str {
        &self.service_account
    }
}

/// The server, reached through one of its pods.
pub(crate) struct Server {
    pub(crate) kf: Kf,
    pod: String,
    namespace: String,
    port: u16,
    account: String,
    /// Whether it is in multi-user mode and authenticates requests.
    pub(crate) multi_user: bool,
    allowed: Cell<Option<(&'static str, &'static str)>>,
}

impl Server {
    /// Finds a pod of the server and reads its mode.
    pub(crate) fn open(kf: &Kf, place: &Place) -> Result<Self> {
        let mut server = Self {
            kf: kf.clone(),
            pod: find(kf, place)?,
            namespace: place.server_namespace.clone(),
            port: place.server_port,
            account: place.service_account.clone(),
            multi_user: false,
            allowed: Cell::new(None),
        };
        let health = server.send(Method::Get, "/healthz", &[], None, false)?;
        server.multi_user = health.get("multi_user").and_then(Value::as_bool) == Some(true);
        Ok(server)
    }

    /// Sends a GET request.
    pub(crate) fn get(&self, resource: &'static str, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let verb = if query.is_empty() { "get" } else { "list" };
        self.check(verb, resource)?;
        self.send(Method::Get, path, query, None, true)
    }

    /// Sends a POST request.
    pub(crate) fn create(&self, resource: &'static str, path: &str, body: &Value) -> Result<Value> {
        self.check("create", resource)?;
        self.send(Method::Post, path, &[], Some(body), true)
    }

    /// Lists up to `limit` objects. `field` is their field in a response.
    pub(crate) fn list(
        &self,
        resource: &'static str,
        path: &str,
        field: &str,
        query: &[(&str, &str)],
        limit: usize,
    ) -> Result<Vec<Object>> {
        let namespace = self.kf.namespace();
        let page_size = usize::try_from(PAGE_SIZE).map_or(limit, |page| limit.min(page)).to_string();
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut parameters = query.to_vec();
            parameters.extend([("page_size", page_size.as_str()), ("sort_by", "created_at desc")]);
            if self.multi_user {
                parameters.push(("namespace", &namespace));
            }
            if !token.is_empty() {
                parameters.push(("page_token", &token));
            }
            let page = self.get(resource, path, &parameters)?;
            let items = page.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
            let is_empty = items.is_empty();
            found.extend(items.into_iter().map(Object::from));
            let next = page.get("next_page_token").and_then(Value::as_str).unwrap_or_default();
            // An empty page ends the list, even if the server sends a token for more.
            if next.is_empty() || is_empty || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
            token = next.to_owned();
        }
    }

    /// The server authorizes the service account. This checks that the user has the same permission.
    fn check(&self, verb: &'static str, resource: &'static str) -> Result<()> {
        if !self.multi_user || self.allowed.get() == Some((verb, resource)) {
            return Ok(());
        }
        let verdicts = self.kf.can_i(&[Access::new(verb, GROUP, resource)])?;
        if verdicts.iter().all(|verdict| verdict.allowed) {
            self.allowed.set(Some((verb, resource)));
            return Ok(());
        }
        let namespace = self.kf.namespace();
        Err(Error::forbidden(format!("you are not allowed to {verb} {resource}.{GROUP} in {namespace}"))
            .hint(format!("ask an owner of {namespace} for the role kubeflow-edit")))
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        authenticated: bool,
    ) -> Result<Value> {
        let mut http = self.kf.pod_http(&self.pod, self.port).in_namespace(&self.namespace);
        http = http.header("accept", "application/json");
        if body.is_some() {
            http = http.header("content-type", "application/json");
        }
        if authenticated && self.multi_user {
            http = http.bearer(&self.account, AUDIENCE);
        }
        let mut target = format!("{API}{path}");
        for (index, (name, value)) in query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(&format!("{name}={}", encoded(value)));
        }
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        self.read(&http.send(method, &target, body)?)
    }

    fn read(&self, answer: &HttpResponse) -> Result<Value> {
        let body = serde_json::from_slice::<Value>(&answer.body);
        if (200..300).contains(&answer.status) {
            return body.map_err(|_| {
                Error::failed(format!("{} does not answer like the Pipelines API", self.description()))
                    .hint("set its pod and port with --server-selector and --server-port")
            });
        }
        let message = body.ok().and_then(|body| {
            let message = ["message", "error"].into_iter().find_map(|field| body.get(field)?.as_str())?;
            (!message.is_empty()).then(|| message.to_owned())
        });
        let message = message.unwrap_or_else(|| format!("status {}", answer.status));
        Err(self.refusal(answer.status, &message))
    }

    fn refusal(&self, status: u16, message: &str) -> Error {
        let namespace = self.kf.namespace();
        let account = &self.account;
        match status {
            401 => Error::forbidden(format!(
                "the Pipelines server does not accept service account {account} of {namespace}: {message}"
            ))
            .hint("set another one with --service-account"),
            403 => Error::forbidden(format!(
                "the Pipelines server refuses service account {account} of {namespace}: {message}"
            ))
            .hint(format!("ask an owner of {namespace} to give {account} the role kubeflow-edit")),
            404 => Error::not_found(message.to_owned()),
            400 => Error::invalid(message.to_owned()),
            409 => Error::new(ErrorCode::Conflict, message.to_owned()),
            _ => Error::failed(format!("{}: {message}", self.description())),
        }
    }

    fn description(&self) -> String {
        format!("pod {} in {}", self.pod, self.namespace)
    }
}

/// A ready pod of the server.
fn find(kf: &Kf, place: &Place) -> Result<String> {
    let Place { server_namespace: namespace, server_selector: selector, .. } = place;
    let pods = kf.api("Pod").in_namespace(namespace).labels(selector).list()?;
    if let Some(pod) = pods.iter().find(|pod| is_ready(pod)) {
        return Ok(pod.name().to_owned());
    }
    let missing = if pods.is_empty() { "no pod" } else { "no ready pod" };
    Err(Error::not_found(format!("{missing} of the Pipelines server in {namespace} ({selector})"))
        .hint("set its namespace and labels with --server-namespace and --server-selector"))
}

/// Encodes a value for a path or query.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}
