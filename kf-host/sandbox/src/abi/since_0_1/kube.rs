//! The interface `kube`: converts the guest's types to those of the cluster API, and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use kf_core::api::{self, ApiError, ErrorCode, KubeApi};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::wit::kube::{self, Host, HostWatch};
use super::{WitError, parse_body};
use crate::limits::{MAX_ANSWERS_BYTES, MAX_QUESTIONS, STREAM_BYTES, STREAM_EVENTS};
use crate::poll::{Pollable, Pump, Weight};
use crate::state::State;

/// The buffer for a watch's events, in bytes. It holds at least one event.
const WATCH_BYTES: usize = 64 * STREAM_BYTES;

pub struct Watch {
    pump: Pump<Event>,
    _permit: Arc<()>,
}

struct Event {
    kind: kube::EventKind,
    object: String,
}

impl Weight for Event {
    fn weight(&self) -> usize {
        self.object.len()
    }
}

impl From<api::Event> for Event {
    fn from(event: api::Event) -> Self {
        let kind = match event.kind {
            api::EventKind::Added => kube::EventKind::Added,
            api::EventKind::Modified => kube::EventKind::Modified,
            api::EventKind::Deleted => kube::EventKind::Deleted,
        };
        Self { kind, object: event.object.to_string() }
    }
}

type Answer<T> = Result<std::result::Result<T, WitError>>;
type Answers<T> = Result<Vec<std::result::Result<T, WitError>>>;

/// How many requests of one call are sent concurrently.
const MAX_CONCURRENT: usize = 16;

/// The memory that an answer takes, in bytes.
trait Size {
    fn size(&self) -> usize;
}

impl Size for String {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Size for kube::Page {
    fn size(&self) -> usize {
        self.items.iter().map(|item| item.len() + size_of::<String>()).sum()
    }
}

impl State {
    /// One call to the cluster.
    pub(super) async fn ask<T, F>(&mut self, call: impl FnOnce(Arc<dyn KubeApi>) -> F) -> Answer<T>
    where
        F: Future<Output = std::result::Result<T, ApiError>>,
    {
        self.call()?;
        let answer = match self.cluster() {
            Ok(cluster) => call(cluster).await,
            Err(error) => Err(error),
        };
        Ok(answer.map_err(|error| self.return_error(error)))
    }
}

impl State {
    /// Several concurrent calls to the cluster; each counts as one.
    async fn ask_many<Q, T: Size, F>(
        &mut self,
        questions: Vec<Q>,
        call: impl Fn(Arc<dyn KubeApi>, Q) -> F,
    ) -> Answers<T>
    where
        F: Future<Output = std::result::Result<T, ApiError>>,
    {
        for _ in &questions {
            self.call()?;
        }
        if questions.len() > MAX_QUESTIONS {
            let error = ApiError::invalid(format!("more than {MAX_QUESTIONS} requests in one call"));
            return Ok(questions.iter().map(|_| Err(self.return_error(error.clone()))).collect());
        }
        let cluster = match self.cluster() {
            Ok(cluster) => cluster,
            Err(error) => {
                return Ok(questions.iter().map(|_| Err(self.return_error(error.clone()))).collect());
            }
        };
        let answered = AtomicUsize::new(0);
        let (call, answered) = (&call, &answered);
        let asked = questions.into_iter().map(|question| {
            let asked = call(Arc::clone(&cluster), question);
            async move {
                let answer = asked.await?;
                let size = answer.size();
                if answered.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= MAX_ANSWERS_BYTES {
                    return Ok(answer);
                }
                answered.fetch_sub(size, Ordering::Relaxed);
                let limit = MAX_ANSWERS_BYTES >> 20;
                let message = format!("the answers to one call are larger than {limit} MiB in total");
                Err(ApiError::new(ErrorCode::Budget, message).hint("request fewer at once"))
            }
        });
        let answers: Vec<_> = stream::iter(asked).buffered(MAX_CONCURRENT).collect().await;
        Ok(answers.into_iter().map(|answer| answer.map_err(|error| self.return_error(error))).collect())
    }
}

impl Host for State {
    async fn get(&mut self, object: kube::ObjectRef) -> Answer<String> {
        let object = object.into();
        self.ask(async move |cluster: Arc<dyn KubeApi>| Ok(cluster.get(object).await?.to_string())).await
    }

    async fn list(
        &mut self,
        what: kube::Selection,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Answer<kube::Page> {
        let what = what.into();
        self.ask(async move |cluster: Arc<dyn KubeApi>| Ok(cluster.list(what, limit, token).await?.into()))
            .await
    }

    async fn get_many(&mut self, objects: Vec<kube::ObjectRef>) -> Answers<String> {
        self.ask_many(
            objects,
            |cluster, object| async move { Ok(cluster.get(object.into()).await?.to_string()) },
        )
        .await
    }

    async fn list_many(&mut self, what: Vec<kube::Selection>, limit: Option<u32>) -> Answers<kube::Page> {
        self.ask_many(what, |cluster, what| async move {
            Ok(cluster.list(what.into(), limit, None).await?.into())
        })
        .await
    }

    async fn create(
        &mut self,
        object: kube::ObjectRef,
        body: String,
        options: kube::WriteOptions,
    ) -> Answer<String> {
        let body = match parse_body("the object", &body) {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let (object, options) = (object.into(), options.into());
        self.ask(async move |cluster: Arc<dyn KubeApi>| {
            Ok(cluster.create(object, body, options).await?.to_string())
        })
        .await
    }

    async fn apply(
        &mut self,
        object: kube::ObjectRef,
        body: String,
        options: kube::WriteOptions,
    ) -> Answer<String> {
        let body = match parse_body("the object", &body) {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let (object, options) = (object.into(), options.into());
        self.ask(async move |cluster: Arc<dyn KubeApi>| {
            Ok(cluster.apply(object, body, options).await?.to_string())
        })
        .await
    }

    async fn patch(
        &mut self,
        object: kube::ObjectRef,
        kind: kube::PatchKind,
        body: String,
        options: kube::WriteOptions,
    ) -> Answer<String> {
        let body = match parse_body("the patch", &body) {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let kind = match kind {
            kube::PatchKind::Merge => api::PatchKind::Merge,
            kube::PatchKind::Json => api::PatchKind::Json,
            kube::PatchKind::Strategic => api::PatchKind::Strategic,
        };
        let (object, options) = (object.into(), options.into());
        self.ask(async move |cluster: Arc<dyn KubeApi>| {
            Ok(cluster.patch(object, kind, body, options).await?.to_string())
        })
        .await
    }

    async fn delete(&mut self, object: kube::ObjectRef, options: kube::DeleteOptions) -> Answer<()> {
        let propagation = match options.propagation {
            kube::Propagation::Background => api::Propagation::Background,
            kube::Propagation::Foreground => api::Propagation::Foreground,
            kube::Propagation::Orphan => api::Propagation::Orphan,
        };
        let options = api::DeleteOptions {
            dry_run: options.dry_run,
            propagation,
            grace_period_seconds: options.grace_period_seconds,
            uid: options.uid,
        };
        let object = object.into();
        self.ask(async move |cluster: Arc<dyn KubeApi>| cluster.delete(object, options).await).await
    }

    async fn open_watch(&mut self, what: kube::Selection, version: String) -> Answer<Resource<Watch>> {
        let permit = match self.stream_permit() {
            Ok(permit) => permit,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        let what = what.into();
        let stream =
            self.ask(async move |cluster: Arc<dyn KubeApi>| cluster.watch(what, version).await).await?;
        match stream {
            Ok(stream) => {
                let events = stream.map_ok(Event::from);
                let pump = Pump::new(events, Arc::clone(&self.room), WATCH_BYTES, STREAM_EVENTS);
                Ok(Ok(self.push(Watch { pump, _permit: permit })?))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn can_i(&mut self, questions: Vec<kube::Access>) -> Answer<Vec<kube::Verdict>> {
        let questions = questions
            .into_iter()
            .map(|question| api::AccessQuestion {
                verb: question.verb,
                group: question.group,
                resource: question.resource,
                namespace: question.namespace,
                name: question.name,
            })
            .collect();
        let verdicts: Result<std::result::Result<Vec<kube::Verdict>, _>> = self
            .ask(async move |cluster: Arc<dyn KubeApi>| {
                let verdicts = cluster.can_i(questions).await?.into_iter();
                Ok(verdicts.map(|v| kube::Verdict { allowed: v.allowed, reason: v.reason }).collect())
            })
            .await;
        if matches!(&verdicts, Ok(Ok(verdicts)) if verdicts.iter().any(|verdict| !verdict.allowed)) {
            self.host_errors.record_code(ErrorCode::Forbidden);
        }
        verdicts
    }

    async fn whoami(&mut self) -> Answer<kube::Identity> {
        self.ask(async move |cluster: Arc<dyn KubeApi>| {
            let identity = cluster.whoami().await?;
            Ok(kube::Identity {
                username: identity.username,
                uid: identity.uid,
                groups: identity.groups,
                expires: identity.expires,
            })
        })
        .await
    }

    async fn discover(&mut self, group: String) -> Answer<Vec<kube::ServedKind>> {
        self.ask(async move |cluster: Arc<dyn KubeApi>| {
            let kinds = cluster.discover(group).await?.into_iter();
            let kinds = kinds.map(|kind| kube::ServedKind {
                group: kind.group,
                version: kind.version,
                kind: kind.kind,
                plural: kind.plural,
                namespaced: kind.namespaced,
                verbs: kind.verbs,
                short_names: kind.short_names,
            });
            Ok(kinds.collect())
        })
        .await
    }
}

impl HostWatch for State {
    async fn next(&mut self, this: Resource<Watch>) -> Answer<Vec<kube::Event>> {
        self.call()?;
        let watch = self.table.get_mut(&this)?;
        match watch.pump.next().await {
            Ok(events) => {
                let events =
                    events.into_iter().map(|event| kube::Event { kind: event.kind, object: event.object });
                Ok(Ok(events.collect()))
            }
            Err(error) => Ok(Err(self.return_error(error))),
        }
    }

    async fn subscribe(&mut self, this: Resource<Watch>) -> Result<Resource<Pollable>> {
        self.call()?;
        let readiness = self.table.get(&this)?.pump.readiness();
        self.push(Pollable(readiness))
    }

    async fn drop(&mut self, this: Resource<Watch>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl From<kube::Kind> for api::Kind {
    fn from(kind: kube::Kind) -> Self {
        Self { group: kind.group, version: kind.version, kind: kind.kind }
    }
}

impl From<kube::ObjectRef> for api::ObjectRef {
    fn from(object: kube::ObjectRef) -> Self {
        Self {
            kind: object.kind.into(),
            namespace: object.namespace,
            name: object.name,
            subresource: object.subresource,
        }
    }
}

impl From<api::Page> for kube::Page {
    fn from(page: api::Page) -> Self {
        Self {
            items: page.items.into_iter().map(String::from).collect(),
            continue_token: page.continue_token,
            resource_version: page.resource_version,
        }
    }
}

impl From<kube::Selection> for api::Selection {
    fn from(what: kube::Selection) -> Self {
        Self {
            kind: what.kind.into(),
            reach: match what.reach {
                kube::Reach::Namespaced => api::Reach::Namespaced,
                kube::Reach::AllNamespaces => api::Reach::AllNamespaces,
            },
            namespace: what.namespace,
            label_selector: what.label_selector,
            field_selector: what.field_selector,
        }
    }
}

impl From<kube::WriteOptions> for api::WriteOptions {
    fn from(options: kube::WriteOptions) -> Self {
        Self { dry_run: options.dry_run, force: options.force }
    }
}
