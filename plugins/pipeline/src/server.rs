//! The server of Kubeflow Pipelines, reached through a forwarded port.

use std::cell::Cell;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::is_ready;
use kf_plugin_sdk::{Access, HttpResponse, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

const GROUP: &str = "pipelines.kubeflow.org";
/// Whom a token is for that the server accepts.
const AUDIENCE: &str = "pipelines.kubeflow.org";
const API: &str = "/apis/v2beta1";
/// Objects a page is asked to hold.
const PAGE: u32 = 100;
/// What RFC 3986 leaves unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the server is.
#[derive(clap::Args, Describe)]
pub(crate) struct Place {
    /// The namespace of the pipelines' server
    #[arg(long, value_name = "NAMESPACE", default_value = "kubeflow", help_heading = "The server")]
    server_namespace: String,
    /// The labels of its pods
    #[arg(long, value_name = "SELECTOR", default_value = "app=ml-pipeline", help_heading = "The server")]
    server_selector: String,
    /// The port it answers on
    #[arg(long, value_name = "PORT", default_value_t = 8888, value_parser = clap::value_parser!(u16).range(1..), help_heading = "The server")]
    server_port: u16,
    /// Whose token it is shown, where it asks
    #[arg(long, value_name = "NAME", default_value = "default-editor", help_heading = "The server")]
    service_account: String,
}

impl Place {
    /// Whose token the server is shown.
    pub(crate) fn account(&self) -> &str {
        &self.service_account
    }
}

/// The server, as one of its pods.
pub(crate) struct Server {
    pub(crate) kf: Kf,
    pod: String,
    namespace: String,
    port: u16,
    account: String,
    /// Whether it serves several teams, and asks who calls.
    pub(crate) multi_user: bool,
    allowed: Cell<Option<(&'static str, &'static str)>>,
}

impl Server {
    /// Finds it and says hello.
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
        let health = server.answer(Method::Get, "/healthz", &[], None, false)?;
        server.multi_user = health.get("multi_user").and_then(Value::as_bool) == Some(true);
        Ok(server)
    }

    /// What is at a path.
    pub(crate) fn get(&self, resource: &'static str, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let verb = if query.is_empty() { "get" } else { "list" };
        self.check(verb, resource)?;
        self.answer(Method::Get, path, query, None, true)
    }

    /// Makes something new.
    pub(crate) fn create(&self, resource: &'static str, path: &str, body: &Value) -> Result<Value> {
        self.check("create", resource)?;
        self.answer(Method::Post, path, &[], Some(body), true)
    }

    /// The objects of a list, at most so many. `field` is where an answer holds them.
    pub(crate) fn list(
        &self,
        resource: &'static str,
        path: &str,
        field: &str,
        query: &[(&str, &str)],
        limit: usize,
    ) -> Result<Vec<Object>> {
        let namespace = self.kf.namespace();
        let page_size = usize::try_from(PAGE).map_or(limit, |page| limit.min(page)).to_string();
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut asked = query.to_vec();
            asked.extend([("page_size", page_size.as_str()), ("sort_by", "created_at desc")]);
            if self.multi_user {
                asked.push(("namespace", &namespace));
            }
            if !token.is_empty() {
                asked.push(("page_token", &token));
            }
            let page = self.get(resource, path, &asked)?;
            let items = page.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
            let is_empty = items.is_empty();
            found.extend(items.into_iter().map(Object::from));
            let next = page.get("next_page_token").and_then(Value::as_str).unwrap_or_default();
            // A server that promises more and sends nothing would be asked for ever.
            if next.is_empty() || is_empty || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
            token = next.to_owned();
        }
    }

    /// The server decides by its own look at the token. What kf adds: nobody does with the namespace's
    /// account what they may not do themselves.
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
        Err(Error::forbidden(format!(
            "your own rights do not let you {verb} {resource}.{GROUP} in {namespace}"
        ))
        .hint(format!("ask an owner of {namespace} for the role kubeflow-edit there")))
    }

    fn answer(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        as_somebody: bool,
    ) -> Result<Value> {
        let mut http = self.kf.pod_http(&self.pod, self.port).in_namespace(&self.namespace);
        http = http.header("accept", "application/json");
        if body.is_some() {
            http = http.header("content-type", "application/json");
        }
        if as_somebody && self.multi_user {
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
                Error::failed(format!("{} does not answer as the pipelines' API does", self.words()))
                    .hint("--server-port and --server-selector say which pod and port it is")
            });
        }
        let said = body.ok().and_then(|body| {
            let said = ["message", "error"].into_iter().find_map(|field| body.get(field)?.as_str())?;
            (!said.is_empty()).then(|| said.to_owned())
        });
        let said = said.unwrap_or_else(|| format!("status {}", answer.status));
        Err(self.refusal(answer.status, &said))
    }

    fn refusal(&self, status: u16, said: &str) -> Error {
        let namespace = self.kf.namespace();
        let account = &self.account;
        match status {
            401 => Error::forbidden(format!(
                "the pipelines' server does not accept {account} of {namespace}: {said}"
            ))
            .hint("--service-account names another account of the namespace"),
            403 => {
                Error::forbidden(format!("the pipelines' server refuses {account} of {namespace}: {said}"))
                    .hint(format!("ask an owner of {namespace} to give {account} the role kubeflow-edit"))
            }
            404 => Error::not_found(said.to_owned()),
            400 => Error::invalid(said.to_owned()),
            409 => Error::new(ErrorCode::Conflict, said.to_owned()),
            _ => Error::failed(format!("{} says: {said}", self.words())),
        }
    }

    fn words(&self) -> String {
        format!("pod {} in {}", self.pod, self.namespace)
    }
}

/// A pod of the server that is ready.
fn find(kf: &Kf, place: &Place) -> Result<String> {
    let Place { server_namespace: namespace, server_selector: selector, .. } = place;
    let pods = kf.api("Pod").in_namespace(namespace).labels(selector).list()?;
    if let Some(pod) = pods.iter().find(|pod| is_ready(pod)) {
        return Ok(pod.name().to_owned());
    }
    let there = if pods.is_empty() { "no pod" } else { "no pod that is ready" };
    Err(Error::not_found(format!("there is {there} of the pipelines' server in {namespace} ({selector})"))
        .hint("--server-namespace and --server-selector say where it is"))
}

/// A value as a part of a path or query.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}
