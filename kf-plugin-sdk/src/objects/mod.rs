//! Objects of the cluster, by verb.
//!
//! [`Api`] is a kind and a place to look for it; the verbs are its methods. It speaks in
//! [`Object`]s, documents that keep every field they came with, or, with the feature `typed`, in
//! the structs of `k8s-openapi`. Custom resources are best kept as documents: their fields move
//! between versions, and what a struct does not know it loses.

mod api;
mod document;
mod mirror;
mod reflector;
#[cfg(feature = "typed")]
mod typed;
mod watch;

pub(crate) use api::PAGE;
pub use api::{Api, Listed, Objects};
pub use document::{Condition, Object};
pub use mirror::Mirror;
pub use reflector::{Change, Reflector};
#[cfg(feature = "typed")]
pub use typed::Typed;
pub use watch::Watch;

use serde_json::Value;

use crate::error::Result;

/// What an [`Api`] speaks in.
pub trait Document: Sized {
    fn from_value(value: Value) -> Result<Self>;
    fn to_value(&self) -> Result<Value>;
}
