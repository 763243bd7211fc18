//! Builds what no Rust compiler of the host makes: Kubernetes and the programs of its pods with Go,
//! the guests with a Rust for WebAssembly.
//!
//! xtask starts these builds at once, beside the compilation of kf, so this package has few and
//! light dependencies: neither a Kubernetes client nor TLS.

#[cfg(feature = "bindings")]
pub mod bindings;
pub mod cache;
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
