//! Takes the place of the `jsonpath-rust` that kube depends on.
//!
//! kube evaluates a JSONPath in one place: for the `gcp` auth provider of a kubeconfig, which Kubernetes
//! removed in 1.26 and which kf refuses before kube sees it. The real crate brings a regular expression engine
//! and its Unicode tables, a twentieth of the whole program and of the time it takes to start. Here every
//! query is an error, so if a provider ever got this far it would not authenticate.

use serde_json::Value;

/// The answer to every query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kf does not evaluate JSONPath")]
pub struct Unsupported;

/// What kube imports.
pub trait JsonPath {
    /// # Errors
    ///
    /// Always.
    fn query(&self, path: &str) -> Result<Vec<&Value>, Unsupported>;
}

impl JsonPath for Value {
    fn query(&self, _path: &str) -> Result<Vec<&Value>, Unsupported> {
        Err(Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_refused() {
        assert_eq!(serde_json::json!({ "token": "secret" }).query("$.token"), Err(Unsupported));
    }
}
