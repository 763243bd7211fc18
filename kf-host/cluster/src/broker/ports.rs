//! Ports of a pod: forwarded to this machine, or asked over HTTP by the host.

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

/// How long a token asked for on a command's behalf is good, in seconds; the least the API server gives.
const TOKEN_SECONDS: u32 = 600;

/// The longest token that is sent, in bytes: what servers take of a header.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The most tokens that are kept for later calls.
const MAX_TOKENS: usize = 100;

/// How long it is used again.
const TOKEN_REUSE: Duration = Duration::from_secs(300);

/// How long a connection that broke may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Tokens of service accounts; they never leave the host but to the pod.
pub(super) type Tokens = tokio::sync::Mutex<TokenStore>;

#[derive(Default)]
pub(super) struct TokenStore {
    /// By namespace, account and audience.
    given: HashMap<(Namespace, ObjectName, String), (HeaderValue, Instant)>,
    /// The audiences of the API server itself, once they are known.
    own: Option<Vec<String>>,
}

impl Inner {
    pub(super) async fn port_forward(
        self: &Arc<Self>,
        pod: PodRef,
        ports: Vec<PortPair>,
    ) -> Result<PortForward, ApiError> {
        let detail = Detail::Ports(ports.iter().map(|pair| pair.remote).collect());
        let (call, place) = self.door(&pod, "portforward", &Query::default(), detail).await?;
        self.no_dry_run("portforward", &place)?;
        let permit = self.meter.stream()?;
        self.may_forward(&call).await?;
        let seen = self.running(&place).await?;
        let listening: Listening = bind(&ports).await?;
        let gone = gone(Arc::clone(self), place.clone(), seen).boxed();
        let (inner, words) = (Arc::clone(self), place.words());
        let first = Arc::new(AtomicBool::new(true));
        let open = move |port: u16| {
            let (inner, mut call, first) = (Arc::clone(&inner), call.clone(), Arc::clone(&first));
            let opening = async move {
                let mut query = Query::default();
                query.set("ports", port);
                call.path_and_query = query.append_to(&call.path_and_query);
                call.about.detail = Some(Detail::Ports(vec![port]));
                // Whoever connects is a program of the user's, so the command's calls are not spent.
                let upgraded =
                    inner.upgrade(&call, Channels::Any, first.swap(false, Ordering::Relaxed)).await?;
                Ok(socket(upgraded).await)
            };
            opening.boxed()
        };
        Ok(listening.serve(words, Arc::new(open), gone, permit))
    }

    /// The ports are opened before anybody connects, so what RBAC says is asked beforehand.
    async fn may_forward(&self, call: &Call) -> Result<(), ApiError> {
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
        let message = format!("you may not {rule}");
        let refusal = Some(Box::new(Refusal { layer: Layer::Rbac, rule, user }));
        Err(ApiError { refusal, ..ApiError::new(ErrorCode::Forbidden, message) })
    }

    /// The pod, if the user may see it; an error if it is not there or does not run.
    async fn running(&self, place: &Place) -> Result<Option<Seen>, ApiError> {
        let pod = match self.look(place).await {
            Ok(pod) => pod,
            Err(error) if error.code == ErrorCode::Forbidden => return Ok(None),
            Err(error) => return Err(error),
        };
        match over(&pod) {
            Some(why) => Err(ApiError::new(ErrorCode::Failed, format!("{} {why}", place.words()))),
            None if phase(&pod) != Some("Running") => {
                Err(ApiError::new(ErrorCode::Failed, format!("{} is not running yet", place.words())))
            }
            None => Ok(Seen::of(&pod)),
        }
    }

    /// The host's own look at a pod.
    async fn look(&self, place: &Place) -> Result<Value, ApiError> {
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
        let (call, place) = self.door(&request.pod, "portforward", &query, detail).await?;
        if !checked.reads() {
            self.no_dry_run("a request that changes something in a port", &place)?;
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
                    Some(token) if repeats(&answer, &token) => Err(ApiError::new(
                        ErrorCode::Failed,
                        format!("{} sends back the token it was sent", place.words()),
                    )),
                    _ => Ok(answer),
                }
            }
            // Why the connection broke says more than that it did.
            (Err(error), mut carried) => match tokio::time::timeout(LAST_WORDS, &mut carried).await {
                Ok(Ok(Err(why))) => Err(why),
                _ => {
                    carried.abort();
                    Err(error)
                }
            },
        }
    }

    /// A bearer token of a service account of the run's namespace, as the value of a header. The pod may
    /// be in another: a server that many teams share asks who calls.
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
        if let Some((token, asked)) = tokens.given.get(&key)
            && asked.elapsed() < TOKEN_REUSE
        {
            return Ok(token.clone());
        }
        let own = match tokens.own.take() {
            Some(own) => own,
            None => self.own_audiences(&place, &access, rule).await?,
        };
        if tokens.own.insert(own).contains(audience) {
            let message = format!("a token for `{audience}` would open the API server itself");
            return Err(ApiError::invalid(message).hint("name the audience that the pod's server expects"));
        }
        let answer = self.request_token(&place, &access, rule, &[audience]).await?;
        let token = answer.pointer("/status/token").and_then(Value::as_str).unwrap_or_default();
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .ok()
            .filter(|_| !token.is_empty() && token.len() <= MAX_TOKEN_BYTES)
            .ok_or_else(|| ApiError::invalid("the API server's token cannot be sent"))?;
        value.set_sensitive(true);
        if tokens.given.len() >= MAX_TOKENS {
            tokens.given.clear();
        }
        tokens.given.insert(key, (value.clone(), Instant::now()));
        Ok(value)
    }

    /// The audiences whose tokens open the API server, which may be others than its issuer. It names them
    /// where it is asked for none, and the token that comes along is dropped.
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
                "the API server does not say which audiences are its own",
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

/// Whether an answer holds the token that was sent.
fn repeats(answer: &PodResponse, authorization: &HeaderValue) -> bool {
    let token = authorization.as_bytes();
    let token = token.strip_prefix(b"Bearer ").unwrap_or(token);
    let holds = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token);
    !token.is_empty()
        && (holds(&answer.body) || answer.headers.iter().any(|(_, value)| holds(value.as_bytes())))
}

/// A pod as it was when its ports were opened.
#[derive(Clone, Debug)]
struct Seen {
    uid: String,
    version: ResourceVersion,
}

impl Seen {
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

/// Why nothing runs in a pod any more.
fn over(pod: &Value) -> Option<&'static str> {
    match phase(pod) {
        Some("Succeeded") => Some("has ended"),
        Some("Failed") => Some("has failed"),
        _ => None,
    }
}

/// Waits until the pod is gone. Without the right to watch it, for ever: the next connection will tell.
async fn gone(inner: Arc<Inner>, place: Place, seen: Option<Seen>) -> ApiError {
    const BETWEEN: Duration = Duration::from_secs(2);
    let why = |words: &str| ApiError::new(ErrorCode::NotFound, format!("{} {words}", place.words()));
    let Some(mut seen) = seen else { return std::future::pending().await };
    let mut was_watched = false;
    loop {
        let mut events = match watch::one(&inner, &place, seen.version.clone()).await {
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
            let same = Seen::of(&object).is_some_and(|now| now.uid == seen.uid);
            match over(&object) {
                _ if kind == EventKind::Deleted || !same => return why("is gone"),
                Some(words) => return why(words),
                None => {}
            }
        }
        match inner.look(&place).await.map(|pod| (over(&pod), Seen::of(&pod))) {
            Ok((Some(words), _)) => return why(words),
            Ok((None, Some(now))) if now.uid == seen.uid => seen = now,
            Ok(_) => return why("is gone"),
            Err(error) if error.code == ErrorCode::NotFound => return why("is gone"),
            Err(_) => {}
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_comes_back_is_seen() {
        let answer = |body: &'static str, header: &str| PodResponse {
            status: 200,
            headers: vec![("x".into(), header.into())],
            body: bytes::Bytes::from_static(body.as_bytes()),
        };
        let token = HeaderValue::from_static("Bearer abc.def");
        assert!(repeats(&answer("{\"authorization\": \"Bearer abc.def\"}", ""), &token));
        assert!(repeats(&answer("", "abc.def"), &token));
        assert!(!repeats(&answer("abc.de", "abc"), &token));
    }
}
