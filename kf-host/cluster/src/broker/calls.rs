//! The read verbs, and the [`KubeApi`] of a [`Broker`].

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

use super::redact::{Visibility, clean};
use super::wire::{About, Call};
use super::{Broker, Inner};
use crate::connection::ErrorDetail;

impl Inner {
    /// Resolves the kind of a reference to a resource, and the reference to its place.
    pub(super) async fn place(&self, reference: Reference) -> Result<Place, ApiError> {
        let (version, kind) = (reference.version.as_ref(), &reference.kind);
        let served = self.discovery.resolve(self, &reference.group, version, kind).await?;
        let served = served.ok_or_else(|| reference.not_served())?;
        Ok(reference.place(served, &self.namespace))
    }

    /// What a guest sees of the objects that it reads.
    pub(super) fn visibility(&self, place: &Place, read: &Access) -> Visibility {
        if place.hides_data(&self.grants, read) { Visibility::WithoutData } else { Visibility::Full }
    }

    /// How much of the server's messages about an object the command gets: as much as it sees of the object.
    pub(super) fn error_detail(&self, place: &Place) -> ErrorDetail {
        match self.visibility_by_any_verb(place) {
            Visibility::Full => ErrorDetail::All,
            Visibility::WithoutData => ErrorDetail::Reason,
            Visibility::Identity if place.is_secret() => ErrorDetail::Reason,
            Visibility::Identity => ErrorDetail::Fields,
        }
    }

    /// What the grant shows of the object by any verb.
    pub(super) fn visibility_by_any_verb(&self, place: &Place) -> Visibility {
        match place.is_shown(&self.grants) {
            false => Visibility::Identity,
            true if place.is_secret_without_data(&self.grants) => Visibility::WithoutData,
            true => Visibility::Full,
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
        let visibility = self.visibility(&place, &access);
        let target = place.object();
        let call = self.call(&place, access, Some(rule), Method::GET, &target, &Query::default())?;
        let mut answer = self.json(&call).await?;
        clean(&mut answer, visibility);
        Ok(answer)
    }

    async fn list(
        &self,
        what: Selection,
        limit: Option<u32>,
        continue_token: Option<String>,
    ) -> Result<Page, ApiError> {
        let (request, mut query) = self.selection(&what, Verb::List).await?;
        let max = self.meter.limits().page;
        let limit = limit.filter(|n| *n > 0).map_or(max, |n| n.min(max));
        query.set("limit", limit);
        if let Some(token) = continue_token {
            query.set("continue", ContinueToken::parse(token)?);
        }
        let rule = self.check(&request)?;
        let Request { place, access, .. } = request;
        let visibility = self.visibility(&place, &access);
        let target = place.collection();
        let call = self.call(&place, access, Some(rule), Method::GET, &target, &query)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let list = self.page(&call, limit, |item| prepare_item(item, &place.served, visibility)).await?;
        let metadata =
            |field: &str| list.metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let token = metadata("continue");
        Ok(Page {
            continue_token: (!token.is_empty()).then_some(token),
            resource_version: metadata("resourceVersion"),
            items: list.items,
        })
    }

    /// The request of a list or watch, and its query with the selectors.
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

/// Redacts an item for a guest, and adds the kind and version that lists omit.
pub(super) fn prepare_item(item: &mut Value, served: &Served, visibility: Visibility) {
    if let Some(object) = item.as_object_mut() {
        object.entry("apiVersion").or_insert_with(|| served.api_version().into());
        object.entry("kind").or_insert_with(|| served.kind.as_str().into());
    }
    clean(item, visibility);
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
