//! The verbs: from a guest's words to calls.

use async_trait::async_trait;
use http::Method;
use kf_core::api::{
    AccessQuestion, ApiError, ByteStream, DeleteOptions, EventStream, Identity, KubeApi, LogOptions,
    ObjectRef, Page, PatchKind, PodRef, PodRequest, PodResponse, PortForward, PortPair, Selection,
    ServedKind, Session, SessionOptions, Verdict, WriteOptions,
};
use kf_core::grants::{Access, Verb};
use kf_core::kinds::Served;
use kf_core::names::{ContinueToken, Group};
use kf_core::request::{Place, Reference, Request, Selectors};
use kf_core::url::{Query, Target, path};
use serde_json::Value;

use super::redact::{Sight, clean};
use super::wire::{About, Call};
use super::{Broker, Inner};
use crate::connection::Words;

impl Inner {
    /// Finds the resource that serves the kind, and the place of the reference.
    pub(super) async fn place(&self, reference: Reference) -> Result<Place, ApiError> {
        let (version, kind) = (reference.version.as_ref(), &reference.kind);
        let served = self.discovery.resolve(self, &reference.group, version, kind).await?;
        let served = served.ok_or_else(|| reference.not_served())?;
        Ok(reference.place(served, &self.namespace))
    }

    /// What a guest sees of the objects, by the grant to read them.
    pub(super) fn sight(&self, place: &Place, read: &Access) -> Sight {
        if place.hides_data(&self.grants, read) { Sight::WithoutData } else { Sight::Whole }
    }

    /// How much of the server's words about an object reach the command: as much as it sees of the object.
    pub(super) fn words(&self, place: &Place) -> Words {
        match self.shown(place) {
            Sight::Whole => Words::All,
            Sight::WithoutData => Words::Reason,
            Sight::Identity if place.is_secret() => Words::Reason,
            Sight::Identity => Words::Fields,
        }
    }

    /// What the grant shows of the object, by whichever verb.
    pub(super) fn shown(&self, place: &Place) -> Sight {
        match place.is_shown(&self.grants) {
            false => Sight::Identity,
            true if place.is_secret_without_data(&self.grants) => Sight::WithoutData,
            true => Sight::Whole,
        }
    }

    pub(super) fn call(
        &self,
        place: &Place,
        access: Access,
        rule: Option<usize>,
        method: Method,
        target: &Target,
        query: &Query,
    ) -> Result<Call, ApiError> {
        Ok(Call {
            about: About { name: target.name.as_ref().map(ToString::to_string), ..About::access(&access) },
            place: Some(place.clone()),
            access: Some(access),
            rule,
            method,
            path_and_query: query.append_to(&path(target)?),
            content_type: None,
            body: Vec::new(),
            object: place.words(),
        })
    }

    async fn get(&self, object: ObjectRef) -> Result<Value, ApiError> {
        let request = Request::get(self.place(Reference::object(&object)?).await?);
        let rule = self.check(&request)?;
        let Request { place, access, .. } = request;
        let sight = self.sight(&place, &access);
        let target = place.object();
        let call = self.call(&place, access, Some(rule), Method::GET, &target, &Query::default())?;
        let mut answer = self.json(&call).await?;
        clean(&mut answer, sight);
        Ok(answer)
    }

    async fn list(
        &self,
        what: Selection,
        limit: Option<u32>,
        continue_token: Option<String>,
    ) -> Result<Page, ApiError> {
        let (request, mut query) = self.selection(&what, Verb::List).await?;
        let most = self.meter.limits().page;
        let limit = limit.filter(|n| *n > 0).map_or(most, |n| n.min(most));
        query.set("limit", limit);
        if let Some(token) = continue_token {
            query.set("continue", ContinueToken::parse(token)?);
        }
        let rule = self.check(&request)?;
        let Request { place, access, .. } = request;
        let sight = self.sight(&place, &access);
        let target = place.collection();
        let call = self.call(&place, access, Some(rule), Method::GET, &target, &query)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let list = self.page(&call, limit, |item| typed(item, &place.served, sight)).await?;
        let metadata =
            |field: &str| list.metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let token = metadata("continue");
        Ok(Page {
            continue_token: (!token.is_empty()).then_some(token),
            resource_version: metadata("resourceVersion"),
            items: list.items,
        })
    }

    /// What list and watch share: the request, and the query with its selectors.
    pub(super) async fn selection(&self, what: &Selection, verb: Verb) -> Result<(Request, Query), ApiError> {
        let selectors = Selectors::parse(what)?;
        let place = self.place(Reference::selection(what)?).await?;
        let request = Request::select(place, verb, &selectors);
        let mut query = Query::default();
        if let Some(labels) = selectors.labels {
            query.set("labelSelector", labels);
        }
        if let Some(fields) = selectors.fields {
            query.set("fieldSelector", fields);
        }
        Ok((request, query))
    }

    async fn discover(&self, group: String) -> Result<Vec<ServedKind>, ApiError> {
        self.discovery.group(self, &Group::parse(group)?).await
    }
}

/// Makes an item of a list what a guest sees of it, with the kind and version that lists leave out.
pub(super) fn typed(item: &mut Value, served: &Served, sight: Sight) {
    if let Some(object) = item.as_object_mut() {
        object.entry("apiVersion").or_insert_with(|| served.api_version().into());
        object.entry("kind").or_insert_with(|| served.kind.as_str().into());
    }
    clean(item, sight);
}

#[async_trait]
impl KubeApi for Broker {
    async fn get(&self, object: ObjectRef) -> Result<Value, ApiError> {
        self.inner.get(object).await
    }

    async fn list(
        &self,
        what: Selection,
        limit: Option<u32>,
        continue_token: Option<String>,
    ) -> Result<Page, ApiError> {
        self.inner.list(what, limit, continue_token).await
    }

    async fn create(&self, object: ObjectRef, body: Value, options: WriteOptions) -> Result<Value, ApiError> {
        self.inner.create(object, body, options).await
    }

    async fn apply(&self, object: ObjectRef, body: Value, options: WriteOptions) -> Result<Value, ApiError> {
        self.inner.apply(object, body, options).await
    }

    async fn patch(
        &self,
        object: ObjectRef,
        kind: PatchKind,
        body: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        self.inner.patch(object, kind, body, options).await
    }

    async fn delete(&self, object: ObjectRef, options: DeleteOptions) -> Result<(), ApiError> {
        self.inner.delete(object, options).await
    }

    async fn watch(&self, what: Selection, resource_version: String) -> Result<EventStream, ApiError> {
        super::watch::open(&self.inner, what, resource_version).await
    }

    async fn can_i(&self, questions: Vec<AccessQuestion>) -> Result<Vec<Verdict>, ApiError> {
        self.inner.can_i(questions).await
    }

    async fn whoami(&self) -> Result<Identity, ApiError> {
        self.inner.whoami().await
    }

    async fn discover(&self, group: String) -> Result<Vec<ServedKind>, ApiError> {
        self.inner.discover(group).await
    }

    async fn log(
        &self,
        namespace: Option<String>,
        pod: String,
        options: LogOptions,
    ) -> Result<ByteStream, ApiError> {
        self.inner.log(namespace, pod, options).await
    }

    async fn exec(
        &self,
        pod: PodRef,
        command: Vec<String>,
        options: SessionOptions,
    ) -> Result<Session, ApiError> {
        self.inner.exec(pod, command, options).await
    }

    async fn attach(&self, pod: PodRef, options: SessionOptions) -> Result<Session, ApiError> {
        self.inner.attach(pod, options).await
    }

    async fn port_forward(&self, pod: PodRef, ports: Vec<PortPair>) -> Result<PortForward, ApiError> {
        self.inner.port_forward(pod, ports).await
    }

    async fn pod_http(&self, request: PodRequest) -> Result<PodResponse, ApiError> {
        self.inner.pod_http(request).await
    }
}
