use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;

use serde_json::Value;

use super::{Document, Object, Watch};
use crate::all_namespaces::Lists;
#[cfg(target_arch = "wasm32")]
use crate::border::Host;
use crate::border::{DeleteOptions, HostHandle, Kind, ObjectRef, Page, PatchKind, Selection, WriteOptions};
use crate::error::{Error, ErrorCode, Optional, Result};

/// How the API server answers a dry run that a webhook with side effects would see.
const NO_DRY_RUN: &str = "does not support dry run";

/// How many objects a page of a list is asked to hold.
pub(crate) const PAGE: u32 = 250;

/// How often a list is restarted after its continue token expired.
const MAX_RESTARTS: u32 = 3;

/// A kind of object and where to look for it; the verbs are its methods.
#[derive(Clone)]
pub struct Api<T = Object> {
    host: HostHandle,
    selection: Selection,
    /// Where its lists come from, if not from the cluster.
    lists: Option<Rc<Lists>>,
    speaks: PhantomData<fn() -> T>,
}

impl<T: Document> Api<T> {
    pub(crate) fn new(host: HostHandle, kind: Kind) -> Self {
        let selection = Selection { kind, everywhere: false, namespace: None, labels: None, fields: None };
        Self::of(host, selection)
    }

    /// Of this selection.
    pub(crate) fn of(host: HostHandle, selection: Selection) -> Self {
        Self { host, selection, lists: None, speaks: PhantomData }
    }

    /// In this namespace, whose objects are a part of these lists.
    pub(crate) fn within(mut self, namespace: &str, lists: &Rc<Lists>) -> Self {
        self.selection.namespace = Some(namespace.to_owned());
        self.lists = Some(Rc::clone(lists));
        self
    }

    /// In this namespace instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.selection.namespace = Some(namespace.into());
        self.lists = None;
        self
    }

    /// In every namespace; needs a grant with scope `cluster`.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.selection.everywhere = true;
        self.selection.namespace = None;
        self.lists = None;
        self
    }

    /// Only objects with these labels, such as `app=web,tier!=cache`.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.selection.labels = Some(selector.into());
        self
    }

    /// Only objects with these fields, such as `status.phase=Running`.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.selection.fields = Some(selector.into());
        self
    }

    /// The object of this name.
    pub fn get(&self, name: &str) -> Result<T> {
        T::from_value(self.host.get(&self.reference(name))?)
    }

    /// The object of this name, if there is one.
    pub fn find(&self, name: &str) -> Result<Option<T>> {
        self.get(name).optional()
    }

    /// Every selected object, all pages together.
    pub fn list(&self) -> Result<Vec<T>> {
        self.whole().map(|(objects, _)| objects)
    }

    /// Every selected object, and where a watch takes over. All pages are of one state of the cluster: where that is
    /// forgotten between two pages, the list is restarted.
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

    /// The selected objects one by one; pages are fetched as they are needed. [`ErrorCode::Expired`] means that the
    /// server has forgotten the pages that are left.
    pub fn iter(&self) -> Objects<'_, T> {
        Objects { api: self, items: VecDeque::new(), next: Some(None), resource_version: String::new() }
    }

    /// The selected objects now, and a watch that takes over from there.
    pub fn list_and_watch(&self) -> Result<(Vec<T>, Watch<T>)> {
        let (objects, version) = self.whole()?;
        let watch = self.watch(&version)?;
        Ok((objects, watch))
    }

    /// The changes after a resource version.
    pub fn watch(&self, resource_version: &str) -> Result<Watch<T>> {
        Ok(Watch::new(self.host.open_watch(&self.selection, resource_version)?))
    }

    /// Makes a new object; a `conflict` if there is one of that name.
    pub fn create(&self, object: &T) -> Result<T> {
        self.create_with(object, WriteOptions::default())
    }

    /// Makes a new object, with options.
    pub fn create_with(&self, object: &T, options: WriteOptions) -> Result<T> {
        let (reference, body) = self.body(object)?;
        T::from_value(self.host.create(&reference, &body, options)?)
    }

    /// Server-side apply: the named fields become so, the others stay.
    pub fn apply(&self, object: &T) -> Result<T> {
        self.apply_with(object, WriteOptions::default())
    }

    /// Server-side apply, with options.
    pub fn apply_with(&self, object: &T, options: WriteOptions) -> Result<T> {
        let (reference, body) = self.body(object)?;
        T::from_value(self.host.apply(&reference, &body, options)?)
    }

    /// Lets the server check an apply, storing nothing: what the object would become. None where a webhook of
    /// the cluster supports no dry run. The check is a courtesy then, and the apply itself will tell; but in a
    /// run with `--dry-run` it is an error, for nothing else tells what would happen.
    pub fn check_apply(&self, object: &T, force: bool) -> Result<Option<T>> {
        self.checked(self.apply_with(object, WriteOptions { force, ..WriteOptions::CHECK_ONLY }))
    }

    /// The same for a new object.
    pub fn check_create(&self, object: &T) -> Result<Option<T>> {
        self.checked(self.create_with(object, WriteOptions::CHECK_ONLY))
    }

    fn checked(&self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Err(error) if !error.message.contains(NO_DRY_RUN) => Err(error),
            Err(error) if self.host.context().dry_run => Err(Error::unsupported(error.message)),
            answer => Ok(answer.ok()),
        }
    }

    /// Merges a document into an object ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)).
    pub fn merge(&self, name: &str, patch: &Value) -> Result<T> {
        self.patch(name, PatchKind::Merge, patch, WriteOptions::default())
    }

    /// Changes an object by a patch.
    pub fn patch(&self, name: &str, kind: PatchKind, patch: &Value, options: WriteOptions) -> Result<T> {
        T::from_value(self.host.patch(&self.reference(name), kind, patch, options)?)
    }

    /// A document below an object, such as `scale` or `pendingworkloads`.
    pub fn get_below(&self, name: &str, subresource: &str) -> Result<Object> {
        Object::from_value(self.host.get(&self.below(name, subresource))?)
    }

    /// Changes a document below an object by a patch.
    pub fn patch_below(
        &self,
        name: &str,
        subresource: &str,
        kind: PatchKind,
        patch: &Value,
    ) -> Result<Object> {
        let target = self.below(name, subresource);
        Object::from_value(self.host.patch(&target, kind, patch, WriteOptions::default())?)
    }

    /// Deletes an object; what it owns goes in the background.
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

/// All objects of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    pub items: Vec<Object>,
    /// Where a watch takes over.
    pub resource_version: String,
}

/// The objects of a list, fetched page by page.
pub struct Objects<'a, T> {
    api: &'a Api<T>,
    items: VecDeque<Value>,
    /// The token of the next page; the first has none.
    next: Option<Option<String>>,
    resource_version: String,
}

impl<T> Objects<'_, T> {
    /// Where a watch takes over, once every page has been read.
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
                None => self.api.host.list(&self.api.selection, Some(PAGE), token.as_deref()),
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
