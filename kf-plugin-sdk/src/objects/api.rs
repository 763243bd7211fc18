use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;

use serde_json::Value;

use super::{Document, Object, Watch};
#[cfg(target_arch = "wasm32")]
use crate::abi::Host;
use crate::abi::{DeleteOptions, HostHandle, Kind, ObjectRef, Page, PatchKind, Selection, WriteOptions};
use crate::all_namespaces::Lists;
use crate::error::{Error, ErrorCode, Optional, Result};

/// The error for a dry run if a webhook has side effects.
const DRY_RUN_UNSUPPORTED: &str = "does not support dry run";

/// The number of objects requested per page.
pub(crate) const PAGE_SIZE: u32 = 250;

/// The maximum number of times a list is restarted after its continue token expired.
const MAX_RESTARTS: u32 = 3;

/// A client for the objects of one kind, with a method for each verb.
#[derive(Clone)]
pub struct Api<T = Object> {
    host: HostHandle,
    selection: Selection,
    /// Serves lists, if they are not requested from the cluster.
    lists: Option<Rc<Lists>>,
    document: PhantomData<fn() -> T>,
}

impl<T: Document> Api<T> {
    pub(crate) fn new(host: HostHandle, kind: Kind) -> Self {
        let selection = Selection { kind, everywhere: false, namespace: None, labels: None, fields: None };
        Self::of(host, selection)
    }

    /// Creates a client for a selection.
    pub(crate) fn of(host: HostHandle, selection: Selection) -> Self {
        Self { host, selection, lists: None, document: PhantomData }
    }

    /// Selects a namespace whose objects are served from these lists.
    pub(crate) fn within(mut self, namespace: &str, lists: &Rc<Lists>) -> Self {
        self.selection.namespace = Some(namespace.to_owned());
        self.lists = Some(Rc::clone(lists));
        self
    }

    /// Selects a namespace, instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.selection.namespace = Some(namespace.into());
        self.lists = None;
        self
    }

    /// Selects all namespaces; needs a rule with `scope = "cluster"`.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.selection.everywhere = true;
        self.selection.namespace = None;
        self.lists = None;
        self
    }

    /// Selects by labels, such as `app=web,tier!=cache`.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.selection.labels = Some(selector.into());
        self
    }

    /// Selects by fields, such as `status.phase=Running`.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.selection.fields = Some(selector.into());
        self
    }

    /// Gets an object by name.
    pub fn get(&self, name: &str) -> Result<T> {
        T::from_value(self.host.get(&self.reference(name))?)
    }

    /// Gets an object by name, or `None` if it does not exist.
    pub fn find(&self, name: &str) -> Result<Option<T>> {
        self.get(name).optional()
    }

    /// Lists all selected objects.
    pub fn list(&self) -> Result<Vec<T>> {
        self.whole().map(|(objects, _)| objects)
    }

    /// Lists all selected objects and returns the version to watch from. All pages show one state of the cluster; if
    /// it expires between two pages, the list is restarted.
    fn whole(&self) -> Result<(Vec<T>, String)> {
        let mut restarts = 0;
        loop {
            let mut objects = self.iter();
            match objects.by_ref().collect::<Result<Vec<_>>>() {
                Ok(found) => return Ok((found, objects.resource_version)),
                Err(error) if error.is(ErrorCode::Expired) && restarts < MAX_RESTARTS => restarts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Iterates over the selected objects and fetches pages as needed. [`ErrorCode::Expired`] means that the continue
    /// token has expired.
    pub fn iter(&self) -> Objects<'_, T> {
        Objects { api: self, items: VecDeque::new(), next: Some(None), resource_version: String::new() }
    }

    /// Lists the selected objects and starts a watch from that state.
    pub fn list_and_watch(&self) -> Result<(Vec<T>, Watch<T>)> {
        let (objects, version) = self.whole()?;
        let watch = self.watch(&version)?;
        Ok((objects, watch))
    }

    /// Watches for changes after a resource version.
    pub fn watch(&self, resource_version: &str) -> Result<Watch<T>> {
        Ok(Watch::new(self.host.open_watch(&self.selection, resource_version)?))
    }

    /// Creates an object. Returns [`ErrorCode::Conflict`] if it already exists.
    pub fn create(&self, object: &T) -> Result<T> {
        self.create_with(object, WriteOptions::default())
    }

    /// Creates an object, with options.
    pub fn create_with(&self, object: &T, options: WriteOptions) -> Result<T> {
        let (reference, body) = self.body(object)?;
        T::from_value(self.host.create(&reference, &body, options)?)
    }

    /// Applies an object (server-side apply): sets its fields and keeps all others.
    pub fn apply(&self, object: &T) -> Result<T> {
        self.apply_with(object, WriteOptions::default())
    }

    /// Applies an object, with options.
    pub fn apply_with(&self, object: &T, options: WriteOptions) -> Result<T> {
        let (reference, body) = self.body(object)?;
        T::from_value(self.host.apply(&reference, &body, options)?)
    }

    /// Applies an object as a dry run and returns the result. Returns `None` if a webhook does not support dry runs, so
    /// that the real apply can follow; with `--dry-run` it is an error, as there is no other result to show.
    pub fn check_apply(&self, object: &T, force: bool) -> Result<Option<T>> {
        self.checked(self.apply_with(object, WriteOptions { force, ..WriteOptions::DRY_RUN }))
    }

    /// Creates an object as a dry run; see [`Self::check_apply`].
    pub fn check_create(&self, object: &T) -> Result<Option<T>> {
        self.checked(self.create_with(object, WriteOptions::DRY_RUN))
    }

    fn checked(&self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Err(error) if !error.message.contains(DRY_RUN_UNSUPPORTED) => Err(error),
            Err(error) if self.host.context().dry_run => Err(Error::unsupported(error.message)),
            answer => Ok(answer.ok()),
        }
    }

    /// Patches an object with a JSON merge patch ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)).
    pub fn merge(&self, name: &str, patch: &Value) -> Result<T> {
        self.patch(name, PatchKind::Merge, patch, WriteOptions::default())
    }

    /// Patches an object.
    pub fn patch(&self, name: &str, kind: PatchKind, patch: &Value, options: WriteOptions) -> Result<T> {
        T::from_value(self.host.patch(&self.reference(name), kind, patch, options)?)
    }

    /// Gets a subresource of an object, such as `scale` or `pendingworkloads`.
    pub fn get_subresource(&self, name: &str, subresource: &str) -> Result<Object> {
        Object::from_value(self.host.get(&self.below(name, subresource))?)
    }

    /// Patches a subresource of an object.
    pub fn patch_subresource(
        &self,
        name: &str,
        subresource: &str,
        kind: PatchKind,
        patch: &Value,
    ) -> Result<Object> {
        let target = self.below(name, subresource);
        Object::from_value(self.host.patch(&target, kind, patch, WriteOptions::default())?)
    }

    /// Deletes an object; its dependents are deleted in the background.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.delete_with(name, &DeleteOptions::default())
    }

    /// Deletes an object, with options.
    pub fn delete_with(&self, name: &str, options: &DeleteOptions) -> Result<()> {
        self.host.delete(&self.reference(name), options)
    }

    pub(crate) fn selection(&self) -> Selection {
        self.selection.clone()
    }

    pub(crate) fn reference(&self, name: &str) -> ObjectRef {
        ObjectRef {
            kind: self.selection.kind.clone(),
            namespace: self.selection.namespace.clone(),
            name: name.into(),
            subresource: None,
        }
    }

    fn below(&self, name: &str, subresource: &str) -> ObjectRef {
        ObjectRef { subresource: Some(subresource.into()), ..self.reference(name) }
    }

    fn body(&self, object: &T) -> Result<(ObjectRef, Value)> {
        let body = object.to_value()?;
        let name = body
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .ok_or_else(|| Error::invalid(format!("the {} has no name", self.selection.kind.kind)))?;
        Ok((self.reference(name), body))
    }
}

impl Api<Object> {
    pub(crate) fn listed(&self) -> Result<Listed> {
        self.whole().map(|(items, resource_version)| Listed { items, resource_version })
    }
}

/// A complete list of objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    pub items: Vec<Object>,
    /// The version to start a watch from.
    pub resource_version: String,
}

/// An iterator over the objects of a list, fetched page by page.
pub struct Objects<'a, T> {
    api: &'a Api<T>,
    items: VecDeque<Value>,
    /// The continue token of the next page; `Some(None)` for the first page.
    next: Option<Option<String>>,
    resource_version: String,
}

impl<T> Objects<'_, T> {
    /// Returns the version to start a watch from, after all pages have been read.
    pub fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl<T: Document> Iterator for Objects<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Some(T::from_value(item));
            }
            let token = self.next.take()?;
            let page = match &self.api.lists {
                Some(lists) => lists.part(&self.api.host, &self.api.selection).map(Page::whole),
                None => self.api.host.list(&self.api.selection, Some(PAGE_SIZE), token.as_deref()),
            };
            match page {
                Ok(page) => {
                    self.items = page.items.into();
                    self.next = page.next.map(Some);
                    self.resource_version = page.resource_version;
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
