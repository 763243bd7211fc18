//! Ports of a pod: port-forwards, and HTTP requests of the host.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use http::Method;
use http::header::HeaderValue;
use kf_core::api::{
    AccessQuestion, ApiError, Bearer, ErrorCode, Event, EventKind, PodRef, PodRequest, PodResponse,
    PortForward, PortPair,
};
use kf_core::grants::{Access, Layer, Refusal, Verb};
use kf_core::names::{Namespace, ObjectName, ResourceVersion};
use kf_core::pod_http::check;
use kf_core::request::{Place, Reference, Request, check_audience};
use kf_core::url::Query;
use serde_json::{Value, json};

use super::wire::Call;
use super::{Inner, watch};
use crate::audit::Detail;
use crate::connection::Channels;
use crate::streams::{Listening, bind, dial, http as pod_http, socket};

/// The lifetime of a requested token, in seconds: the minimum that the API server accepts.
const TOKEN_SECONDS: u32 = 600;

/// The maximum size of a token, in bytes: what servers accept in a header.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The maximum number of cached tokens.
const MAX_TOKENS: usize = 100;

/// How long a token is reused.
const TOKEN_REUSE: Duration = Duration::from_secs(300);

/// How long to wait for the reason of a broken connection.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

/// Tokens of service accounts. They are sent to the pod and nowhere else.
pub(super) type Tokens = tokio::sync::Mutex<TokenStore>;

#[derive(Default)]
pub(super) struct TokenStore {
    /// By namespace, account and audience.
    tokens: HashMap<(Namespace, ObjectName, String), (HeaderValue, Instant)>,
    /// The audiences of the API server itself, once known.
    api_server: Option<Vec<String>>,
}

impl Inner {
    pub(super) async fn port_forward(
        self: &Arc<Self>,
        pod: PodRef,
        ports: Vec<PortPair>,
    ) -> Result<PortForward, ApiError> {
        let detail = Detail::Ports(ports.iter().map(|pair| pair.remote).collect());
        let (call, place) = self.pod_call(&pod, "portforward", &Query::default(), detail).await?;
        self.no_dry_run("portforward", &place)?;
        let permit = self.meter.stream()?;
        self.check_forward_rights(&call).await?;
        let seen = self.running_pod(&place).await?;
        let listening: Listening = bind(&ports).await?;
        let pod_gone = wait_until_gone(Arc::clone(self), place.clone(), seen).boxed();
        let (inner, words) = (Arc::clone(self), place.words());
        let first = Arc::new(AtomicBool::new(true));
        let open = move |port: u16| {
            let (inner, mut call, first) = (Arc::clone(&inner), call.clone(), Arc::clone(&first));
            let opening = async move {
                let mut query = Query::default();
                query.set("ports", port);
                call.path_and_query = query.append_to(&call.path_and_query);
                call.about.detail = Some(Detail::Ports(vec![port]));
                // The client is a program of the user, so this does not use the command's budget.
                let upgraded =
                    inner.upgrade(&call, Channels::Any, first.swap(false, Ordering::Relaxed)).await?;
                Ok(socket(upgraded).await)
            };
            opening.boxed()
        };
        Ok(listening.serve(words, Arc::new(open), pod_gone, permit))
    }

    /// Checks RBAC in advance, as local ports are opened before any client connects.
    async fn check_forward_rights(&self, call: &Call) -> Result<(), ApiError> {
        let Some(access) = &call.access else { return Ok(()) };
        let question = |verb: Verb| AccessQuestion {
            verb: verb.to_string(),
            group: access.group.to_string(),
            resource: access.resource.to_string(),
            namespace: access.namespace.as_ref().map(ToString::to_string),
            name: access.name.as_ref().map(ToString::to_string),
        };
        let verbs = [Verb::Get, Verb::Create];
        let verdicts = self.reviews(verbs.map(question).to_vec()).await?;
        let denied = verbs.into_iter().zip(&verdicts).find(|(_, verdict)| !verdict.allowed);
        let Some((verb, _)) = denied else { return Ok(()) };
        let access = Access { verb, ..access.clone() };
        let user = self.identity().await.ok().map(|identity| identity.username);
        let rule = access.missing_rule();
        let message = format!("you are not allowed to {rule}");
        let refusal = Some(Box::new(Refusal { layer: Layer::Rbac, rule, user }));
        Err(ApiError { refusal, ..ApiError::new(ErrorCode::Forbidden, message) })
    }

    /// The pod, if the user is allowed to read it; an error if it does not exist or is not running.
    async fn running_pod(&self, place: &Place) -> Result<Option<PodVersion>, ApiError> {
        let pod = match self.get_pod(place).await {
            Ok(pod) => pod,
            Err(error) if error.code == ErrorCode::Forbidden => return Ok(None),
            Err(error) => return Err(error),
        };
        match ended_phase(&pod) {
            Some(why) => Err(ApiError::new(ErrorCode::Failed, format!("{} {why}", place.words()))),
            None if phase(&pod) != Some("Running") => {
                Err(ApiError::new(ErrorCode::Failed, format!("{} is not running yet", place.words())))
            }
            None => Ok(PodVersion::of(&pod)),
        }
    }

    /// Reads a pod as the host, not on behalf of the command.
    async fn get_pod(&self, place: &Place) -> Result<Value, ApiError> {
        let access = place.access(Verb::Get);
        let call = self.call(place, access, None, Method::GET, &place.object(), &Query::default())?;
        self.json(&call).await
    }

    pub(super) async fn pod_http(&self, request: PodRequest) -> Result<PodResponse, ApiError> {
        let checked = check(&request, &self.headers)?;
        let mut query = Query::default();
        query.set("ports", request.port);
        let detail = Detail::Http {
            port: request.port,
            method: checked.method.to_string(),
            path: checked.path.path().to_owned(),
        };
        let (call, place) = self.pod_call(&request.pod, "portforward", &query, detail).await?;
        if !checked.reads() {
            self.no_dry_run("a write request to a port", &place)?;
        }
        if request.bearer.is_some() {
            // The API server issues a token in a dry run as well.
            self.no_dry_run("a request with a token to a port", &place)?;
        }
        let _permit = self.meter.stream()?;
        let authorization = match &request.bearer {
            Some(bearer) => Some(self.token(bearer).await?),
            None => None,
        };
        self.meter.call()?;
        let socket = socket(self.upgrade(&call, Channels::Any, true).await?).await;
        let (io, carried) = dial(socket, request.port, place.words());
        let exchange = pod_http::exchange(io, request.port, checked, &self.user_agent, authorization.clone());
        let limit = self.connection.timeouts().answer;
        let Ok(answer) = tokio::time::timeout(limit, exchange).await else {
            carried.abort();
            return Err(ApiError::new(
                ErrorCode::TimedOut,
                format!(
                    "port {} of {} did not answer within {} s",
                    request.port,
                    place.words(),
                    limit.as_secs()
                ),
            ));
        };
        match (answer, carried) {
            (Ok(answer), carried) => {
                carried.abort();
                self.meter.bytes(answer.body.len())?;
                match authorization {
                    Some(token) if contains_token(&answer, &token) => Err(ApiError::new(
                        ErrorCode::Failed,
                        format!("{} returned the token it was sent", place.words()),
                    )),
                    _ => Ok(answer),
                }
            }
            // The reason why the connection broke is more useful than the HTTP error.
            (Err(error), mut carried) => match tokio::time::timeout(REASON_TIMEOUT, &mut carried).await {
                Ok(Ok(Err(why))) => Err(why),
                _ => {
                    carried.abort();
                    Err(error)
                }
            },
        }
    }

    /// A bearer token of a service account in the run's namespace, as a header value. The pod can be in another namespace,
    /// as a server that is shared by teams.
    async fn token(&self, bearer: &Bearer) -> Result<HeaderValue, ApiError> {
        let account = Reference::service_account(&bearer.service_account)?;
        check_audience(bearer)?;
        let account = self.place(account).await?;
        let request = Request::token(&account)?;
        let rule = self.check(&request)?;
        let Request { place, access, .. } = request;
        let Place { namespace: Some(namespace), name: Some(name), .. } = account else {
            return Err(ApiError::invalid("a token needs a service account of a namespace"));
        };
        let audience = &bearer.audience;
        let key = (namespace, name, audience.clone());
        let mut tokens = self.tokens.lock().await;
        if let Some((token, asked)) = tokens.tokens.get(&key)
            && asked.elapsed() < TOKEN_REUSE
        {
            return Ok(token.clone());
        }
        let own = match tokens.api_server.take() {
            Some(own) => own,
            None => self.own_audiences(&place, &access, rule).await?,
        };
        if tokens.api_server.insert(own).contains(audience) {
            let message = format!("a token for `{audience}` would be accepted by the API server itself");
            return Err(ApiError::invalid(message).hint("name the audience that the pod's server expects"));
        }
        let answer = self.request_token(&place, &access, rule, &[audience]).await?;
        let token = answer.pointer("/status/token").and_then(Value::as_str).unwrap_or_default();
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .ok()
            .filter(|_| !token.is_empty() && token.len() <= MAX_TOKEN_BYTES)
            .ok_or_else(|| ApiError::invalid("the API server returned an invalid token"))?;
        value.set_sensitive(true);
        if tokens.tokens.len() >= MAX_TOKENS {
            tokens.tokens.clear();
        }
        tokens.tokens.insert(key, (value.clone(), Instant::now()));
        Ok(value)
    }

    /// The audiences that the API server accepts itself, which can differ from its issuer. It returns them for a request
    /// without audiences; the token in that response is discarded.
    async fn own_audiences(
        &self,
        place: &Place,
        access: &Access,
        rule: usize,
    ) -> Result<Vec<String>, ApiError> {
        let answer = self.request_token(place, access, rule, &[]).await?;
        let named = answer.pointer("/spec/audiences").and_then(Value::as_array).into_iter().flatten();
        let named: Vec<String> = named.filter_map(Value::as_str).map(str::to_owned).collect();
        if named.is_empty() || named.iter().map(String::len).sum::<usize>() > MAX_TOKEN_BYTES {
            return Err(ApiError::new(
                ErrorCode::Unsupported,
                "the API server does not report its own audiences",
            ));
        }
        Ok(named)
    }

    async fn request_token(
        &self,
        place: &Place,
        access: &Access,
        rule: usize,
        audiences: &[&String],
    ) -> Result<Value, ApiError> {
        let (target, query) = (place.object(), Query::default());
        let mut call = self.call(place, access.clone(), Some(rule), Method::POST, &target, &query)?;
        call.content_type = Some("application/json");
        call.body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": TOKEN_SECONDS},
        })
        .to_string()
        .into_bytes();
        self.json(&call).await
    }
}

/// Whether a response contains the token that was sent.
fn contains_token(answer: &PodResponse, authorization: &HeaderValue) -> bool {
    let token = authorization.as_bytes();
    let token = token.strip_prefix(b"Bearer ").unwrap_or(token);
    let contains = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token);
    !token.is_empty()
        && (contains(&answer.body) || answer.headers.iter().any(|(_, value)| contains(value.as_bytes())))
}

/// The identity and version of a pod.
#[derive(Clone, Debug)]
struct PodVersion {
    uid: String,
    version: ResourceVersion,
}

impl PodVersion {
    fn of(pod: &Value) -> Option<Self> {
        let text = |field: &str| pod.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        Some(Self {
            uid: text("uid")?.to_owned(),
            version: ResourceVersion::parse(text("resourceVersion")?).ok()?,
        })
    }
}

fn phase(pod: &Value) -> Option<&str> {
    pod.pointer("/status/phase").and_then(Value::as_str)
}

/// The phrase for a pod that has ended.
fn ended_phase(pod: &Value) -> Option<&'static str> {
    match phase(pod) {
        Some("Succeeded") => Some("has ended"),
        Some("Failed") => Some("has failed"),
        _ => None,
    }
}

/// Waits until the pod is gone. Without the right to watch it, this never returns; the next connection then fails.
async fn wait_until_gone(inner: Arc<Inner>, place: Place, seen: Option<PodVersion>) -> ApiError {
    const RETRY_INTERVAL: Duration = Duration::from_secs(2);
    let ended = |text: &str| ApiError::new(ErrorCode::NotFound, format!("{} {text}", place.words()));
    let Some(mut seen) = seen else { return std::future::pending().await };
    let mut was_watched = false;
    loop {
        let mut events = match watch::watch_object(&inner, &place, seen.version.clone()).await {
            Ok(events) => {
                was_watched = true;
                events
            }
            Err(error) if error.code == ErrorCode::Forbidden && !was_watched => {
                return std::future::pending().await;
            }
            Err(_) => futures_util::stream::empty().boxed(),
        };
        while let Some(Ok(Event { kind, object })) = events.next().await {
            let same = PodVersion::of(&object).is_some_and(|now| now.uid == seen.uid);
            match ended_phase(&object) {
                _ if kind == EventKind::Deleted || !same => return ended("no longer exists"),
                Some(text) => return ended(text),
                None => {}
            }
        }
        match inner.get_pod(&place).await.map(|pod| (ended_phase(&pod), PodVersion::of(&pod))) {
            Ok((Some(text), _)) => return ended(text),
            Ok((None, Some(now))) if now.uid == seen.uid => seen = now,
            Ok(_) => return ended("no longer exists"),
            Err(error) if error.code == ErrorCode::NotFound => return ended("no longer exists"),
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_token_is_detected() {
        let answer = |body: &'static str, header: &str| PodResponse {
            status: 200,
            headers: vec![("x".into(), header.into())],
            body: bytes::Bytes::from_static(body.as_bytes()),
        };
        let token = HeaderValue::from_static("Bearer abc.def");
        assert!(contains_token(&answer("{\"authorization\": \"Bearer abc.def\"}", ""), &token));
        assert!(contains_token(&answer("", "abc.def"), &token));
        assert!(!contains_token(&answer("abc.de", "abc"), &token));
    }
}
