//! Resolves kinds to the resources that serve them.
//!
//! A guest names kinds; the host alone determines their plural, scope and version, so that no string of a guest
//! becomes a path. Kubernetes' built-in kinds need no call; every other group is requested once per run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kf_core::api::{ApiError, ServedKind};
use kf_core::kinds::{Served, built_in};
use kf_core::names::{Group, KindName, NameError, Plural, Version};
use serde_json::Value;
use tokio::sync::OnceCell;

/// Fetches discovery documents: for a path under `/api` or `/apis` its document, or `None` if it is not served.
pub(crate) trait Fetch {
    async fn document(&self, path: DiscoveryPath) -> Result<Option<Value>, ApiError>;
}

/// The documents that discovery reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DiscoveryPath {
    Group(Group),
    GroupVersion(Group, Version),
}

impl DiscoveryPath {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Group(group) if group.is_core() => "/api".to_owned(),
            Self::Group(group) => format!("/apis/{group}"),
            Self::GroupVersion(group, version) if group.is_core() => format!("/api/{version}"),
            Self::GroupVersion(group, version) => format!("/apis/{group}/{version}"),
        }
    }
}

/// An entry of an `APIResourceList`.
#[derive(Clone, Debug)]
struct ServedResource {
    served: ServedKind,
    /// Such as `localqueue`; may be empty.
    singular: String,
}

/// A document, once it was fetched; `None` if it is not served.
type Document = Arc<OnceCell<Option<Arc<Parsed>>>>;

/// The maximum number of kinds per document, and in the cache. The core API has about 60.
const MAX_KINDS: usize = 1_000;
const MAX_CACHED_KINDS: usize = 10_000;

/// The maximum number of cached documents.
const MAX_DOCUMENTS: usize = 500;

/// The maximum number of versions per group.
const MAX_VERSIONS: usize = 50;

/// The content of one document: the versions of a group, or the kinds of a version.
#[derive(Debug, Default)]
struct Parsed {
    /// Preferred first.
    versions: Vec<Version>,
    resources: Vec<ServedResource>,
}

/// The documents fetched in this run.
#[derive(Debug, Default)]
pub struct Discovery {
    documents: Mutex<HashMap<DiscoveryPath, Document>>,
    /// When and why fetching a document failed.
    failures: Mutex<HashMap<DiscoveryPath, (Instant, ApiError)>>,
    /// The number of cached kinds.
    kinds: AtomicUsize,
}

impl Discovery {
    /// The resource of a kind, in the given or else the preferred version; `None` if the cluster does not serve it. A
    /// version that cannot be fetched is skipped if another one has the kind.
    pub(crate) async fn resolve<F: Fetch>(
        &self,
        fetch: &F,
        group: &Group,
        version: Option<&Version>,
        kind: &KindName,
    ) -> Result<Option<Served>, ApiError> {
        if let Some(served) = built_in(group, version, kind) {
            return Ok(Some(served));
        }
        let versions = match version {
            Some(version) => vec![version.clone()],
            None => self.versions(fetch, group).await?,
        };
        let mut failure = None;
        for version in versions {
            let kinds = match self.resources(fetch, group, &version).await {
                Ok(kinds) => kinds,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            let by_kind = || kinds.iter().find(|resource| resource.served.kind == kind.as_str());
            // In an aggregated API several resources can share the kind of their response. Then the singular
            // distinguishes them.
            let by_singular =
                || kinds.iter().find(|resource| resource.singular.eq_ignore_ascii_case(kind.as_str()));
            if let Some(found) = by_kind().or_else(by_singular) {
                return Ok(parsed(&found.served).ok());
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// All kinds of a group, preferred version first.
    pub(crate) async fn group<F: Fetch>(
        &self,
        fetch: &F,
        group: &Group,
    ) -> Result<Vec<ServedKind>, ApiError> {
        let mut all = Vec::new();
        for version in self.versions(fetch, group).await? {
            let resources = self.resources(fetch, group, &version).await?;
            all.extend(resources.into_iter().map(|resource| resource.served));
        }
        Ok(all)
    }

    /// The served versions, preferred first; empty if the group is not served.
    async fn versions<F: Fetch>(&self, fetch: &F, group: &Group) -> Result<Vec<Version>, ApiError> {
        if group.is_core() {
            return Ok(Version::parse("v1").into_iter().collect());
        }
        let document = self.document(fetch, DiscoveryPath::Group(group.clone())).await?;
        Ok(document.map(|parsed_document| parsed_document.versions.clone()).unwrap_or_default())
    }

    async fn resources<F: Fetch>(
        &self,
        fetch: &F,
        group: &Group,
        version: &Version,
    ) -> Result<Vec<ServedResource>, ApiError> {
        let path = DiscoveryPath::GroupVersion(group.clone(), version.clone());
        let document = self.document(fetch, path).await?;
        Ok(document.map(|parsed_document| parsed_document.resources.clone()).unwrap_or_default())
    }

    /// Concurrent callers of one document share a call; callers of different documents do not wait for each other. The
    /// cache is bounded.
    async fn document<F: Fetch>(
        &self,
        fetch: &F,
        path: DiscoveryPath,
    ) -> Result<Option<Arc<Parsed>>, ApiError> {
        let document = {
            let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
            match documents.get(&path) {
                Some(document) => Arc::clone(document),
                None if documents.len() >= MAX_DOCUMENTS => Document::default(),
                None => Arc::clone(documents.entry(path.clone()).or_default()),
            }
        };
        let asked = Instant::now();
        let read = async || {
            // A caller that waited for a failed call does not repeat it.
            if let Some(error) = self.failure_since(&path, asked) {
                return Err(error);
            }
            let document =
                fetch.document(path.clone()).await.inspect_err(|error| self.remember_failure(&path, error));
            let parsed_document = document?.map(|document| Parsed::of(&path, &document));
            let kinds = parsed_document.as_ref().map_or(0, |parsed_document| parsed_document.resources.len());
            if self.kinds.fetch_add(kinds, Ordering::Relaxed) + kinds > MAX_CACHED_KINDS {
                self.kinds.fetch_sub(kinds, Ordering::Relaxed);
                self.documents.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
            }
            Ok(parsed_document.map(Arc::new))
        };
        document.get_or_try_init(read).await.cloned()
    }

    fn failure_since(&self, path: &DiscoveryPath, asked: Instant) -> Option<ApiError> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(path).filter(|(at, _)| *at >= asked).map(|(_, error)| error.clone())
    }

    fn remember_failure(&self, path: &DiscoveryPath, error: &ApiError) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_DOCUMENTS || failures.contains_key(path) {
            failures.insert(path.clone(), (Instant::now(), error.clone()));
        }
    }
}

impl Parsed {
    fn of(path: &DiscoveryPath, document: &Value) -> Self {
        match path {
            DiscoveryPath::Group(_) => Self { versions: versions(document), ..Self::default() },
            DiscoveryPath::GroupVersion(group, version) => {
                Self { resources: resources(group, version, document), ..Self::default() }
            }
        }
    }
}

fn versions(document: &Value) -> Vec<Version> {
    let named = |value: &Value| {
        value.get("version").and_then(Value::as_str).and_then(|text| Version::parse(text).ok())
    };
    let preferred = document.get("preferredVersion").and_then(named);
    let served = document.get("versions").and_then(Value::as_array).into_iter().flatten().filter_map(named);
    let mut versions: Vec<Version> = preferred.into_iter().collect();
    for version in served.take(MAX_VERSIONS) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

/// The kinds with valid names. The server's strings become part of paths, so they are validated too.
fn resources(group: &Group, version: &Version, document: &Value) -> Vec<ServedResource> {
    let resources = document.get("resources").and_then(Value::as_array).into_iter().flatten();
    let resources = resources.filter_map(|resource| {
        let served = served_kind(group, version, resource)?;
        parsed(&served).ok()?;
        let singular = resource.get("singularName").and_then(Value::as_str).unwrap_or_default();
        // It is only compared with the name of a kind, which is short.
        let singular = if singular.len() > MAX_NAME_BYTES { "" } else { singular };
        Some(ServedResource { served, singular: singular.to_owned() })
    });
    resources.take(MAX_KINDS).collect()
}

/// The maximum length of a singular, verb or short name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The maximum number of verbs of a kind; Kubernetes has ten.
const MAX_VERBS: usize = 32;

/// The maximum number of short names of a kind. Few have more than one.
const MAX_SHORT_NAMES: usize = 8;

/// One entry of an `APIResourceList`; subresources are skipped.
fn served_kind(group: &Group, version: &Version, resource: &Value) -> Option<ServedKind> {
    let text = |field: &str| resource.get(field).and_then(Value::as_str);
    let plural = text("name").filter(|name| !name.contains('/'))?;
    let texts = |field: &str, max: usize| -> Vec<String> {
        let texts = resource.get(field).and_then(Value::as_array).into_iter().flatten();
        let short = texts.filter_map(Value::as_str).filter(|text| text.len() <= MAX_NAME_BYTES);
        short.take(max).map(str::to_owned).collect()
    };
    Some(ServedKind {
        group: group.to_string(),
        version: version.to_string(),
        kind: text("kind")?.to_owned(),
        plural: plural.to_owned(),
        namespaced: resource.get("namespaced")?.as_bool()?,
        verbs: texts("verbs", MAX_VERBS),
        short_names: texts("shortNames", MAX_SHORT_NAMES),
    })
}

fn parsed(served: &ServedKind) -> Result<Served, NameError> {
    Ok(Served {
        group: Group::parse(served.group.as_str())?,
        version: Version::parse(served.version.as_str())?,
        kind: KindName::parse(served.kind.as_str())?,
        plural: Plural::parse(served.plural.as_str())?,
        namespaced: served.namespaced,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use kf_core::api::ErrorCode;
    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Canned(StdMutex<Vec<String>>);

    impl Fetch for Canned {
        async fn document(&self, path: DiscoveryPath) -> Result<Option<Value>, ApiError> {
            let path = path.path();
            self.0.lock().unwrap().push(path.clone());
            Ok(match path.as_str() {
                "/apis/trainer.kubeflow.org" => Some(json!({
                    "preferredVersion": {"version": "v2"},
                    "versions": [{"version": "v1"}, {"version": "v2"}],
                })),
                "/apis/trainer.kubeflow.org/v1" => Some(json!({"resources": [
                    {"name": "oldjobs", "kind": "OldJob", "namespaced": true, "verbs": ["get"]},
                ]})),
                "/apis/trainer.kubeflow.org/v2" => Some(json!({"resources": [
                    {"name": "trainjobs", "kind": "TrainJob", "namespaced": true, "verbs": ["get", "create"],
                     "shortNames": ["tj"]},
                    {"name": "trainjobs/status", "kind": "TrainJob", "namespaced": true, "verbs": ["get"]},
                    {"name": "pods/../secrets", "kind": "Trick", "namespaced": true, "verbs": ["get"]},
                    {"name": "..", "kind": "Climber", "namespaced": true, "verbs": ["get"]},
                ]})),
                "/apis/visibility.example" => Some(json!({"versions": [{"version": "v1"}]})),
                "/apis/visibility.example/v1" => Some(json!({"resources": [
                    {"name": "clusterqueues", "singularName": "clusterqueue", "kind": "Summary",
                     "namespaced": false, "verbs": []},
                    {"name": "localqueues", "singularName": "localqueue", "kind": "Summary",
                     "namespaced": true, "verbs": []},
                ]})),
                _ => None,
            })
        }
    }

    async fn resolve(
        discovery: &Discovery,
        fetch: &Canned,
        group: &str,
        version: Option<&str>,
        kind: &str,
    ) -> Option<Served> {
        let version = version.map(|v| Version::parse(v).unwrap());
        let (group, kind) = (Group::parse(group).unwrap(), KindName::parse(kind).unwrap());
        discovery.resolve(fetch, &group, version.as_ref(), &kind).await.unwrap()
    }

    #[tokio::test]
    async fn built_in_kind_needs_no_call() {
        let (discovery, fetch) = (Discovery::default(), Canned::default());
        let pod = resolve(&discovery, &fetch, "", None, "Pod").await.unwrap();
        assert_eq!((pod.plural.as_str(), pod.api_version().as_str()), ("pods", "v1"));
        assert!(fetch.0.lock().unwrap().is_empty());
        assert!(resolve(&discovery, &fetch, "", Some("v9"), "Pod").await.is_none());
    }

    #[tokio::test]
    async fn group_is_fetched_once_and_preferred_version_is_used() {
        let (discovery, fetch) = (Discovery::default(), Canned::default());
        for _ in 0..3 {
            let job = resolve(&discovery, &fetch, "trainer.kubeflow.org", None, "TrainJob").await.unwrap();
            assert_eq!(job.api_version(), "trainer.kubeflow.org/v2");
            assert!(job.namespaced);
        }
        assert_eq!(*fetch.0.lock().unwrap(), ["/apis/trainer.kubeflow.org", "/apis/trainer.kubeflow.org/v2"]);
        let old = resolve(&discovery, &fetch, "trainer.kubeflow.org", None, "OldJob").await.unwrap();
        assert_eq!(old.version.as_str(), "v1");
    }

    /// A server with one version unavailable.
    struct Broken(AtomicUsize);

    impl Fetch for Broken {
        async fn document(&self, path: DiscoveryPath) -> Result<Option<Value>, ApiError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            match path.path().as_str() {
                "/apis/mixed.example" => {
                    Ok(Some(json!({"versions": [{"version": "v2"}, {"version": "v1"}]})))
                }
                "/apis/mixed.example/v1" => Ok(Some(json!({"resources": [
                    {"name": "things", "kind": "Thing", "namespaced": true, "verbs": []},
                ]}))),
                _ => Err(ApiError::new(ErrorCode::Unreachable, "away")),
            }
        }
    }

    #[tokio::test]
    async fn unavailable_version_does_not_hide_others() {
        let (discovery, fetch) = (Discovery::default(), Broken(AtomicUsize::new(0)));
        let group = Group::parse("mixed.example").unwrap();
        let resolve =
            async |kind: &str| discovery.resolve(&fetch, &group, None, &KindName::parse(kind).unwrap()).await;
        assert_eq!(resolve("Thing").await.unwrap().unwrap().version.as_str(), "v1");
        // It may be in the unavailable version.
        assert_eq!(resolve("Other").await.unwrap_err().code, ErrorCode::Unreachable);
    }

    #[tokio::test]
    async fn kinds_of_unavailable_group_share_one_call() {
        let (discovery, fetch) = (Discovery::default(), Broken(AtomicUsize::new(0)));
        let group = Group::parse("away.example").unwrap();
        let kinds = ["A", "B", "C", "D"].map(|kind| KindName::parse(kind).unwrap());
        let asked = kinds.iter().map(|kind| discovery.resolve(&fetch, &group, None, kind));
        for answer in futures_util::future::join_all(asked).await {
            assert_eq!(answer.unwrap_err().code, ErrorCode::Unreachable);
        }
        assert_eq!(fetch.0.load(Ordering::Relaxed), 1);
        // The group may be available again by now.
        discovery.resolve(&fetch, &group, None, &kinds[0]).await.unwrap_err();
        assert_eq!(fetch.0.load(Ordering::Relaxed), 2);
    }

    /// Serves any document, with more kinds than the limit.
    struct Endless(AtomicUsize);

    impl Fetch for Endless {
        async fn document(&self, _: DiscoveryPath) -> Result<Option<Value>, ApiError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let kind = |n| {
                json!({"name": format!("a{n}"), "kind": format!("A{n}"), "namespaced": true,
                       "singularName": "x".repeat(1000), "verbs": vec!["y".repeat(1000); 100],
                       "shortNames": ["z".repeat(1000)]})
            };
            Ok(Some(
                json!({"versions": [{"version": "v1"}], "resources": (0..1_200).map(kind).collect::<Vec<_>>()}),
            ))
        }
    }

    #[tokio::test]
    async fn cache_of_endless_documents_is_bounded() {
        let (discovery, fetch) = (Discovery::default(), Endless(AtomicUsize::new(0)));
        for n in 0..30 {
            let group = Group::parse(format!("g{n}.example").as_str()).unwrap();
            let kinds = discovery.group(&fetch, &group).await.unwrap();
            assert_eq!(kinds.len(), MAX_KINDS);
            assert!(kinds.iter().all(|kind| kind.verbs.is_empty() && kind.short_names.is_empty()));
        }
        let documents = discovery.documents.lock().unwrap();
        let kinds = documents.values().filter_map(|document| document.get().cloned().flatten());
        assert_eq!(
            kinds.map(|parsed_document| parsed_document.resources.len()).sum::<usize>(),
            MAX_CACHED_KINDS
        );
        assert_eq!(fetch.0.load(Ordering::Relaxed), 60);
    }

    #[tokio::test]
    async fn resources_of_one_kind_are_distinguished_by_singular() {
        let (discovery, fetch) = (Discovery::default(), Canned::default());
        let queue = resolve(&discovery, &fetch, "visibility.example", None, "LocalQueue").await.unwrap();
        assert_eq!((queue.plural.as_str(), queue.namespaced), ("localqueues", true));
        assert!(resolve(&discovery, &fetch, "visibility.example", None, "Queue").await.is_none());
    }

    #[tokio::test]
    async fn short_names_come_from_server() {
        let (discovery, fetch) = (Discovery::default(), Canned::default());
        let group = Group::parse("trainer.kubeflow.org").unwrap();
        let kinds = discovery.group(&fetch, &group).await.unwrap();
        let short = |kind: &str| kinds.iter().find(|served| served.kind == kind).unwrap().short_names.clone();
        assert_eq!((short("TrainJob"), short("OldJob")), (vec!["tj".to_owned()], vec![]));
    }

    #[tokio::test]
    async fn unserved_or_invalid_kind_is_not_found() {
        let (discovery, fetch) = (Discovery::default(), Canned::default());
        for (group, kind) in
            [("absent.example", "X"), ("trainer.kubeflow.org", "Trick"), ("trainer.kubeflow.org", "Climber")]
        {
            assert!(resolve(&discovery, &fetch, group, None, kind).await.is_none(), "{kind}");
        }
    }
}
