//! Tests the broker with a server that returns canned responses and records all requests.

mod mutated;
mod reading;
mod sessions;
mod traces;
mod watching;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use kf_core::api::{ErrorCode, Kind, ObjectRef, Reach, Selection};
use kf_core::grants::{Ceiling, Consent, RuleSet, RunFlags};
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

/// A request as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

/// The body of a response, which may end with an error.
type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// Returns the responses in order and records the requests.
#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) sent: Arc<Mutex<Vec<Sent>>>,
    answers: Arc<Mutex<VecDeque<Response<Answer>>>>,
}

impl Server {
    pub(super) fn answer(&self, code: u16, body: &Value) {
        self.raw(code, body.to_string().into_bytes());
    }

    pub(super) fn raw(&self, code: u16, body: Vec<u8>) {
        self.push(Response::builder().status(code), [Ok(body)]);
    }

    /// The connection breaks after this body.
    pub(super) fn broken(&self, code: u16, body: Vec<u8>) {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        self.push(Response::builder().status(code), [Ok(body), Err(reset)]);
    }

    /// The connection opens, stays silent, and breaks after a while.
    pub(super) fn silent(&self) {
        let silence = stream::once(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        });
        let body = StreamBody::new(silence).boxed_unsync();
        self.answers.lock().unwrap().push_back(Response::new(body));
    }

    /// The body starts with this and never continues.
    pub(super) fn stuck(&self, code: u16, body: Vec<u8>) {
        let begin = stream::iter([Ok(Frame::data(Bytes::from(body)))]);
        let body = StreamBody::new(begin.chain(stream::pending())).boxed_unsync();
        self.answers.lock().unwrap().push_back(Response::builder().status(code).body(body).unwrap());
    }

    pub(super) fn with_header(&self, code: u16, name: &str, value: &str, body: &Value) {
        let body = body.to_string().into_bytes();
        self.push(Response::builder().status(code).header(name, value), [Ok(body)]);
    }

    fn push<const N: usize>(&self, head: response::Builder, parts: [io::Result<Vec<u8>>; N]) {
        let frames = parts.map(|part| part.map(|bytes| Frame::data(Bytes::from(bytes))));
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        self.answers.lock().unwrap().push_back(head.body(body).unwrap());
    }

    fn connection(&self) -> Arc<Connection> {
        let (sent, answers) = (Arc::clone(&self.sent), Arc::clone(&self.answers));
        let service = service_fn(move |request: Request<Body>| {
            let (sent, answers) = (Arc::clone(&sent), Arc::clone(&answers));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                sent.lock().unwrap().push(Sent {
                    method: head.method.to_string(),
                    uri: head.uri.to_string(),
                    headers: head
                        .headers
                        .iter()
                        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                        .collect(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                let answer = answers.lock().unwrap().pop_front();
                answer.ok_or_else(|| kube::Error::Service("no more answers".into()))
            }
        });
        Arc::new(Connection::from_client(kube::Client::new(service, "default"), "https://lab"))
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|s| format!("{} {}", s.method, s.uri)).collect()
    }

    pub(super) fn last(&self) -> Sent {
        self.sent.lock().unwrap().last().unwrap().clone()
    }

    pub(super) fn config(&self, rules: &[Value]) -> BrokerConfig {
        let rules = RuleSet::parse(rules).unwrap();
        let digest = "5f1c0000aaaa".to_owned();
        BrokerConfig {
            connection: self.connection(),
            grants: Grants {
                component: digest.clone(),
                manifest: rules.clone(),
                ceiling: Ceiling::Registry(rules.clone()),
                consent: Some(Consent { component: digest.clone(), rules }),
                environment: None,
                run: RunFlags::default(),
            },
            namespace: Namespace::parse("team-a").unwrap(),
            command: Command { name: "train".into(), version: "1.4.0".into(), digest },
            headers: BTreeSet::new(),
            dry_run: false,
            budgets: Budgets::default(),
            audit: None,
        }
    }

    pub(super) fn broker(&self, rules: &[Value]) -> Broker {
        Broker::new(self.config(rules)).unwrap()
    }
}

pub(super) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

pub(super) fn object(group: &str, kind: &str, name: &str) -> ObjectRef {
    ObjectRef { kind: kind_of(group, kind), namespace: None, name: name.into(), subresource: None }
}

pub(super) fn kind_of(group: &str, kind: &str) -> Kind {
    Kind { group: group.into(), version: None, kind: kind.into() }
}

pub(super) fn all(group: &str, kind: &str) -> Selection {
    Selection {
        kind: kind_of(group, kind),
        reach: Reach::Namespaced,
        namespace: None,
        label_selector: None,
        field_selector: None,
    }
}

pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}
