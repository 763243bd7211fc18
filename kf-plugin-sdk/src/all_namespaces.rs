//! All namespaces in one run.
//!
//! A list over all namespaces is one call for each kind, however many namespaces there are. [`Kf::all_namespaces`]
//! makes these calls and returns a [`Kf`] for each namespace that serves its lists from the results, so a command
//! can run the same code for one namespace or all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use crate::abi::{HostHandle, Selection};
use crate::error::Result;
use crate::kf::Kf;
use crate::objects::{Api, Object};
use crate::ui::{Cell, Column, TableRow, ToCell as _};

/// The objects of a selection, by namespace.
type Parts = BTreeMap<String, Vec<Value>>;

/// Lists over all namespaces, each fetched once.
#[derive(Default)]
pub(crate) struct Lists {
    known: RefCell<Vec<(Selection, Result<Parts>)>>,
}

impl Lists {
    /// Returns the items of a list that are in the selection's namespace.
    pub(crate) fn part(&self, host: &HostHandle, selection: &Selection) -> Result<Vec<Value>> {
        let namespace = selection.namespace.as_deref().unwrap_or_default();
        let everywhere = Selection { everywhere: true, namespace: None, ..selection.clone() };
        if !self.has(&everywhere) {
            self.put(everywhere.clone(), Api::of(host.clone(), everywhere.clone()).list());
        }
        let known = self.known.borrow();
        match known.iter().find(|(selection, _)| *selection == everywhere) {
            Some((_, Ok(parts))) => Ok(parts.get(namespace).cloned().unwrap_or_default()),
            Some((_, Err(error))) => Err(error.clone()),
            None => Ok(Vec::new()),
        }
    }

    fn has(&self, everywhere: &Selection) -> bool {
        self.known.borrow().iter().any(|(selection, _)| selection == everywhere)
    }

    fn put(&self, everywhere: Selection, objects: Result<Vec<Object>>) {
        self.known.borrow_mut().push((everywhere, objects.map(by_namespace)));
    }

    fn namespaces(&self) -> BTreeSet<String> {
        let known = self.known.borrow();
        known
            .iter()
            .filter_map(|(_, parts)| parts.as_ref().ok())
            .flat_map(|parts| parts.keys().cloned())
            .collect()
    }
}

fn by_namespace(objects: Vec<Object>) -> Parts {
    let mut parts = Parts::new();
    for object in objects {
        let namespace = object.namespace().unwrap_or_default().to_owned();
        parts.entry(namespace).or_default().push(object.into_value());
    }
    parts
}

impl Kf {
    /// Returns a `Kf` for each namespace that has any of these objects, sorted by name. Lists are served from lists
    /// over all namespaces, each fetched once; all other calls go to the namespace. Watches are not supported.
    ///
    /// The lists need rules with `scope = "cluster"`. An error of the first list is returned; errors of the others
    /// are returned when they are used.
    pub fn all_namespaces(&self, selections: &[Api]) -> Result<Vec<Self>> {
        let everywhere: Vec<_> = selections.iter().cloned().map(Api::everywhere).collect();
        let lists = Lists::default();
        for (index, (api, listed)) in everywhere.iter().zip(self.list_selections(&everywhere)).enumerate() {
            match listed {
                Err(error) if index == 0 => return Err(error),
                listed => lists.put(api.selection(), listed.map(|listed| listed.items)),
            }
        }
        let lists = Rc::new(lists);
        let namespaces = lists.namespaces().into_iter();
        Ok(namespaces.map(|namespace| self.scoped(namespace, Rc::clone(&lists))).collect())
    }
}

/// A row of a table over all namespaces, with a `NAMESPACE` column in front.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InNamespace<T> {
    pub namespace: String,
    #[serde(flatten)]
    pub row: T,
}

impl<T> InNamespace<T> {
    /// Creates a row for the namespace of this `Kf`.
    pub fn of(kf: &Kf, row: T) -> Self {
        Self { namespace: kf.namespace(), row }
    }
}

impl<T: TableRow> TableRow for InNamespace<T> {
    fn columns() -> Vec<Column> {
        std::iter::once(Column::new("NAMESPACE")).chain(T::columns()).collect()
    }

    fn cells(&self) -> Vec<Cell> {
        std::iter::once(self.namespace.to_cell()).chain(self.row.cells()).collect()
    }

    fn row_name(&self) -> String {
        self.row.row_name()
    }
}
