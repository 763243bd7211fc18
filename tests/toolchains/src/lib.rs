//! Builds what the host's Rust compiler does not: Kubernetes and the programs of its pods with Go, and
//! the guests with a Rust toolchain for WebAssembly.
//!
//! xtask starts these builds in parallel with the compilation of kf, so this package has few and small
//! dependencies: neither a Kubernetes client nor TLS.

#[cfg(feature = "bindings")]
pub mod bindings;
pub mod cache;
pub mod chromium;
pub mod command;
pub mod cross;
pub mod debian;
pub mod effort;
mod error;
pub mod go;
pub mod guests;
pub mod kubernetes;
pub mod locations;
pub mod optional;
pub mod packaging;
pub mod pods;
pub mod progress;
pub mod python;
pub mod remap;
pub mod skip;
pub mod upstream;

pub use error::{Error, Result};
pub use progress::Progress;
