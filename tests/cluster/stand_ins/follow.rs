//! The loop of a controller: whatever changes makes its object due, and one pass after another is made.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::say;

/// After a failure, and before a watch is opened anew.
const AGAIN: Duration = Duration::from_secs(1);

/// An object's namespace and name.
pub(super) type Key = (String, String);

/// One pass over an object; an answer says when to look again without a change.
pub(super) type Pass<'a> = Pin<Box<dyn Future<Output = Result<Option<Duration>, kube::Error>> + Send + 'a>>;

/// A kind whose objects a controller makes passes over.
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
        let itself = controller.kind.clone();
        controller.also(itself, |object| vec![key(object)])
    }

    /// Makes passes over what is being deleted as well.
    pub(super) fn with_deleted(self) -> Self {
        Self { with_deleted: true, ..self }
    }

    /// Makes objects due when one of another kind changes.
    pub(super) fn also(
        self,
        kind: ApiResource,
        keys: impl Fn(&DynamicObject) -> Vec<Key> + Send + Sync + 'static,
    ) -> Self {
        let (client, due) = (self.client.clone(), self.due.clone());
        tokio::spawn(async move {
            loop {
                let each = |object: &DynamicObject| {
                    for key in keys(object) {
                        let _ = due.send(key);
                    }
                };
                if let Err(error) = changes(&client, &kind, each).await {
                    say(&format!("{}: {error}", kind.plural));
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        self
    }

    /// The same of objects that carry the name in a label, or have it.
    pub(super) fn also_named(self, kind: ApiResource, label: Option<&'static str>) -> Self {
        self.also(kind, move |object| {
            let name = match label {
                Some(label) => object.labels().get(label).cloned(),
                None => Some(object.name_any()),
            };
            name.map(|name| (object.namespace().unwrap_or_default(), name)).into_iter().collect()
        })
    }

    pub(super) async fn run(mut self, pass: for<'a> fn(&'a Client, &'a DynamicObject) -> Pass<'a>) {
        while let Some(first) = self.keys.recv().await {
            // What is due several times is due once.
            let mut due = BTreeSet::from([first]);
            while let Ok(key) = self.keys.try_recv() {
                due.insert(key);
            }
            for key in due {
                let again = match self.pass(&key, pass).await {
                    Ok(again) => again,
                    Err(error) => {
                        say(&format!("{}/{}: {error}", key.0, key.1));
                        Some(AGAIN)
                    }
                };
                if let Some(after) = again {
                    let later = self.due.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        let _ = later.send(key);
                    });
                }
            }
        }
    }

    async fn pass(
        &self,
        (namespace, name): &Key,
        pass: for<'a> fn(&'a Client, &'a DynamicObject) -> Pass<'a>,
    ) -> Result<Option<Duration>, kube::Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &self.kind);
        match api.get_opt(name).await? {
            Some(object) if self.with_deleted || object.metadata.deletion_timestamp.is_none() => {
                pass(&self.client, &object).await
            }
            _ => Ok(None),
        }
    }
}

/// Calls for every object that is there, and then for every one that changes, until the watch ends.
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
