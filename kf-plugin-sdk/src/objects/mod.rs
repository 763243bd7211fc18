//! Reading and writing objects of the cluster.
//!
//! [`Api`] is a client for one kind, with a method for each verb. Objects are [`Object`]s, documents that keep all
//! their fields, or, with the feature `typed`, structs of `k8s-openapi`. Documents suit custom resources best: their
//! fields change between versions, and a struct drops the fields that it does not know.

mod api;
mod document;
mod mirror;
mod reflector;
#[cfg(feature = "typed")]
mod typed;
mod watch;

pub(crate) use api::PAGE_SIZE;
pub use api::{Api, Listed, Objects};
pub use document::{Condition, Object};
pub use mirror::Mirror;
pub use reflector::{Change, Reflector};
#[cfg(feature = "typed")]
pub use typed::Typed;
pub use watch::Watch;

use serde_json::Value;

use crate::error::Result;

/// The type of the objects of an [`Api`].
pub trait Document: Sized {
    /// Converts from a JSON document.
    fn from_value(value: Value) -> Result<Self>;
    /// Converts to a JSON document.
    fn to_value(&self) -> Result<Value>;
}
