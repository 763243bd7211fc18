//! kf and Kubernetes: names, grants, the broker, preflight and streams.
//!
//! Nothing here knows wasm, the registry or the command line.

pub mod api;
pub mod grants;
