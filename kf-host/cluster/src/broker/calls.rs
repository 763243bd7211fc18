//! The verbs: from a guest's words to calls.

use async_trait::async_trait;
use http::Method;
use kf_core::api::{
    AccessQuestion, ApiError, ByteStream, DeleteOptions, ErrorCode, EventStream, Identity, Kind, KubeApi,
    LogOptions, ObjectRef, Page, PatchKind, PodRef, PodRequest, PodResponse, PortForward, PortPair, Reach,
    Selection, ServedKind, Session, SessionOptions, Verdict, WriteOptions,
};
use kf_core::grants::{Access, Verb, Want};
use kf_core::kinds::Served;
use kf_core::names::{ContinueToken, Group, KindName, Namespace, ObjectName, Resource, Subresource, Version};
use kf_core::selectors::{FieldSelector, LabelSelector};
use kf_core::url::{Query, Target, path};
use serde_json::Value;

use super::redact::{Sight, clean};
use super::wire::{About, Call};
use super::{Broker, Inner};

/// A kind found and placed, perhaps with a name.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) served: Served,
    /// Absent for cluster-scoped kinds and all namespaces.
    pub(super) namespace: Option<Namespace>,
    pub(super) name: Option<ObjectName>,
    pub(super) subresource: Option<Subresource>,
}

impl Place {
    pub(super) fn access(&self, inner: &Inner, verb: Verb) -> Access {
        Access {
            verb,
            group: self.served.group.clone(),
            resource: Resource { plural: self.served.plural.clone(), subresource: self.subresource.clone() },
            namespace: self.namespace.clone().or_else(|| self.own_namespace()),
            name: self.name.clone(),
            environment: inner.namespace.clone(),
            want: Want::Plain,
        }
    }

    /// The API server's authorizer takes a namespace object for part of itself, so that a role in
    /// the namespace can show it.
    fn own_namespace(&self) -> Option<Namespace> {
        let is_namespace = self.served.group.is_core() && self.served.plural.as_str() == "namespaces";
        self.name.as_ref().filter(|_| is_namespace).and_then(|name| Namespace::parse(name.as_str()).ok())
    }

    /// The object, or the document below it.
    pub(super) fn object(&self) -> Target {
        Target { name: self.name.clone(), subresource: self.subresource.clone(), ..self.collection() }
    }

    pub(super) fn collection(&self) -> Target {
        Target {
            group: self.served.group.clone(),
            version: self.served.version.clone(),
            plural: self.served.plural.clone(),
            namespace: self.namespace.clone(),
            name: None,
            subresource: None,
        }
    }

    /// `trainjob mnist in team-a`, `pods in team-a`, `nodes`.
    pub(super) fn words(&self) -> String {
        let mut words = match &self.name {
            Some(name) => format!("{} {name}", self.served.kind.as_str().to_ascii_lowercase()),
            None => self.served.plural.to_string(),
        };
        if let Some(namespace) = &self.namespace {
            words.push_str(&format!(" in {namespace}"));
        }
        words
    }

    pub(super) fn is_secret(&self) -> bool {
        self.served.group.is_core() && self.served.plural.as_str() == "secrets"
    }

    /// What a guest sees of the objects, by the grant to read them.
    pub(super) fn sight(&self, inner: &Inner, read: &Access) -> Sight {
        if self.is_secret() && !inner.also(read, Want::Data) { Sight::WithoutData } else { Sight::Whole }
    }
}

impl Inner {
    /// Finds the kind and the namespace. `version` is the body's, where the reference has none.
    pub(super) async fn place(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        reach: Reach,
        version: Option<&str>,
    ) -> Result<Place, ApiError> {
        let group = Group::parse(kind.group.as_str())?;
        let name = KindName::parse(kind.kind.as_str())?;
        let version = kind.version.as_deref().or(version).map(Version::parse).transpose()?;
        let given = namespace.map(Namespace::parse).transpose()?;
        let served =
            self.discovery.resolve(self, &group, version.as_ref(), &name).await?.ok_or_else(|| {
                let version = version.as_ref().map(|v| format!(" in {v}")).unwrap_or_default();
                let group = if group.is_core() { String::new() } else { format!(".{group}") };
                ApiError::new(
                    ErrorCode::NotFound,
                    format!("the cluster does not serve {name}{group}{version}"),
                )
                .hint("ask its administrator, or kf command list --available")
            })?;
        let namespace = match (served.namespaced, reach) {
            (false, _) | (true, Reach::AllNamespaces) => None,
            (true, Reach::Namespaced) => Some(given.unwrap_or_else(|| self.namespace.clone())),
        };
        Ok(Place { served, namespace, name: None, subresource: None })
    }

    pub(super) async fn object(&self, object: &ObjectRef, version: Option<&str>) -> Result<Place, ApiError> {
        let name = ObjectName::parse(object.name.as_str())?;
        let subresource = object.subresource.as_deref().map(document).transpose()?;
        let place = self.place(&object.kind, object.namespace.as_deref(), Reach::Namespaced, version).await?;
        Ok(Place { name: Some(name), subresource, ..place })
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
        let place = self.object(&object, None).await?;
        let access = place.access(self, Verb::Get);
        let rule = self.check(&access)?;
        let sight = place.sight(self, &access);
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
        let (place, access, mut query) = self.selection(&what, Verb::List).await?;
        let most = self.meter.limits().page;
        query.set("limit", limit.filter(|n| *n > 0).map_or(most, |n| n.min(most)));
        if let Some(token) = continue_token {
            query.set("continue", ContinueToken::parse(token)?);
        }
        let rule = self.check(&access)?;
        let sight = place.sight(self, &access);
        let target = place.collection();
        let call = self.call(&place, access, Some(rule), Method::GET, &target, &query)?;
        let mut answer = self.json(&call).await?;
        let items = match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let metadata = |field: &str| {
            let text = answer.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let token = metadata("continue");
        Ok(Page {
            items: items.into_iter().map(|item| typed(item, &place.served, sight)).collect(),
            continue_token: (!token.is_empty()).then_some(token),
            resource_version: metadata("resourceVersion"),
        })
    }

    /// What list and watch share: the place, the access, the selectors.
    pub(super) async fn selection(
        &self,
        what: &Selection,
        verb: Verb,
    ) -> Result<(Place, Access, Query), ApiError> {
        let labels =
            what.label_selector.as_deref().filter(|s| !s.is_empty()).map(LabelSelector::parse).transpose()?;
        let fields =
            what.field_selector.as_deref().filter(|s| !s.is_empty()).map(FieldSelector::parse).transpose()?;
        let place = self.place(&what.kind, what.namespace.as_deref(), what.reach, None).await?;
        let mut access = place.access(self, verb);
        // The authorizer takes a selected name for the request's, and so does the grant.
        access.name = fields
            .as_ref()
            .and_then(FieldSelector::selected_name)
            .and_then(|name| ObjectName::parse(name).ok());
        let mut query = Query::default();
        if let Some(labels) = labels {
            query.set("labelSelector", labels);
        }
        if let Some(fields) = fields {
            query.set("fieldSelector", fields);
        }
        Ok((place, access, query))
    }

    async fn discover(&self, group: String) -> Result<Vec<ServedKind>, ApiError> {
        self.discovery.group(self, &Group::parse(group)?).await
    }
}

/// A subresource that is a document. The others are streams, hand out credentials, or lead to
/// somewhere that no grant speaks of.
fn document(subresource: &str) -> Result<Subresource, ApiError> {
    const OTHERS: [&str; 8] =
        ["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "token"];
    if OTHERS.contains(&subresource) {
        return Err(ApiError::invalid(format!("the subresource {subresource} is no document")));
    }
    Ok(Subresource::parse(subresource)?)
}

/// An item of a list with the kind and version that lists leave out.
pub(super) fn typed(mut item: Value, served: &Served, sight: Sight) -> Value {
    if let Some(object) = item.as_object_mut() {
        object.entry("apiVersion").or_insert_with(|| served.api_version().into());
        object.entry("kind").or_insert_with(|| served.kind.as_str().into());
    }
    clean(&mut item, sight);
    item
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
