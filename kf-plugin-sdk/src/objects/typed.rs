use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Document;
use crate::abi::Kind;
use crate::error::Result;

/// A struct of `k8s-openapi`: a built-in kind with typed fields.
pub trait Typed: Resource + Metadata + Serialize + DeserializeOwned {
    /// Returns its kind, in the version of the struct.
    fn resource_kind() -> Kind {
        Kind::new(Self::GROUP, Self::KIND).version(Self::VERSION)
    }
}

impl<T: Resource + Metadata + Serialize + DeserializeOwned> Typed for T {}

impl<T: Typed> Document for T {
    fn from_value(value: Value) -> Result<Self> {
        Ok(serde_json::from_value(value)?)
    }

    fn to_value(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}
