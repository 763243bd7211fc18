//! Names of what is in a cluster, for the shell.

use kf_cluster::connection::Connection;
use kf_core::api::{self, KubeApi as _, Reach, Selection};
use serde_json::Value;

use super::{ClusterRun, block_on, settings, timeouts};
use crate::app::App;
use crate::error::Result;

impl ClusterRun {
    /// The names of objects of a kind, if the command may list them: the first page of them.
    pub fn names(&self, group: &str, kind: &str) -> Result<Vec<String>> {
        let what = Selection {
            kind: api::Kind { group: group.to_owned(), version: None, kind: kind.to_owned() },
            reach: Reach::Namespaced,
            namespace: None,
            label_selector: None,
            field_selector: None,
        };
        let page = block_on(self.broker.list(what, None, None))??;
        let name = |object: &Value| Some(object.pointer("/metadata/name")?.as_str()?.to_owned());
        Ok(page.items.iter().filter_map(name).collect())
    }
}

/// The namespaces the user may list.
pub fn namespaces(app: &App) -> Result<Vec<String>> {
    let connection = Connection::new(settings(app)?, timeouts(app));
    Ok(block_on(kf_cluster::namespaces::list(&connection))??)
}
