//! The loop of a controller: changes queue objects, which are reconciled one by one.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::log;

/// The delay after a failure, and before a watch is restarted.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An object's namespace and name.
pub(super) type Key = (String, String);

/// One reconciliation of an object. Returns after which time to repeat it without a change.
pub(super) type Reconcile<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Duration>, kube::Error>> + Send + 'a>>;

/// A controller for the objects of a kind.
pub(super) struct Controller {
    client: Client,
    kind: ApiResource,
    due: UnboundedSender<Key>,
    keys: UnboundedReceiver<Key>,
    with_deleted: bool,
}

impl Controller {
    pub(super) fn new(client: Client, kind: ApiResource) -> Self {
        let (due, keys) = unbounded_channel();
        let controller = Self { client, kind, due, keys, with_deleted: false };
        let own_kind = controller.kind.clone();
        controller.watches(own_kind, |object| vec![key(object)])
    }

    /// Also reconciles objects that are being deleted.
    pub(super) fn with_deleted(self) -> Self {
        Self { with_deleted: true, ..self }
    }

    /// Queues objects when one of another kind changes.
    pub(super) fn watches(
        self,
        kind: ApiResource,
        keys: impl Fn(&DynamicObject) -> Vec<Key> + Send + Sync + 'static,
    ) -> Self {
        let (client, due) = (self.client.clone(), self.due.clone());
        tokio::spawn(async move {
            loop {
                let enqueue = |object: &DynamicObject| {
                    for key in keys(object) {
                        let _ = due.send(key);
                    }
                };
                if let Err(error) = changes(&client, &kind, enqueue).await {
                    log(&format!("{}: {error}", kind.plural));
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        });
        self
    }

    /// The same for objects with the same name, or with the name in a label.
    pub(super) fn watches_named(self, kind: ApiResource, label: Option<&'static str>) -> Self {
        self.watches(kind, move |object| {
            let name = match label {
                Some(label) => object.labels().get(label).cloned(),
                None => Some(object.name_any()),
            };
            name.map(|name| (object.namespace().unwrap_or_default(), name)).into_iter().collect()
        })
    }

    pub(super) async fn run(mut self, reconcile: for<'a> fn(&'a Client, &'a DynamicObject) -> Reconcile<'a>) {
        while let Some(first) = self.keys.recv().await {
            // Duplicate keys are merged.
            let mut due = BTreeSet::from([first]);
            while let Ok(key) = self.keys.try_recv() {
                due.insert(key);
            }
            for key in due {
                let requeue_after = match self.reconcile(&key, reconcile).await {
                    Ok(after) => after,
                    Err(error) => {
                        log(&format!("{}/{}: {error}", key.0, key.1));
                        Some(RETRY_AFTER)
                    }
                };
                if let Some(after) = requeue_after {
                    let later = self.due.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        let _ = later.send(key);
                    });
                }
            }
        }
    }

    async fn reconcile(
        &self,
        (namespace, name): &Key,
        reconcile: for<'a> fn(&'a Client, &'a DynamicObject) -> Reconcile<'a>,
    ) -> Result<Option<Duration>, kube::Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &self.kind);
        match api.get_opt(name).await? {
            Some(object) if self.with_deleted || object.metadata.deletion_timestamp.is_none() => {
                reconcile(&self.client, &object).await
            }
            _ => Ok(None),
        }
    }
}

/// Calls `each` for every existing object, and then for every change, until the watch ends.
pub(super) async fn changes(
    client: &Client,
    kind: &ApiResource,
    mut each: impl FnMut(&DynamicObject),
) -> Result<(), kube::Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    let list = api.list(&ListParams::default()).await?;
    list.items.iter().for_each(&mut each);
    let version = list.metadata.resource_version.unwrap_or_default();
    let mut events = Box::pin(api.watch(&WatchParams::default(), &version).await?);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                each(&object)
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(_) => break,
        }
    }
    Ok(())
}

pub(super) fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}
