//! kf and Kubernetes: names, grants, the broker, preflight and streams.
//!
//! Nothing here knows wasm, the registry or the command line.

pub mod api;
pub mod audit;
pub mod broker;
pub mod connection;
mod digest;
pub mod discovery;
pub mod grants;
pub mod kubeconfig;
pub mod names;
pub mod namespaces;
pub mod preflight;
pub mod selectors;
mod streams;
pub mod url;
