//! The vocabulary of kf: names, rules and the decision, and the traits that connect the other packages.
//!
//! Everything here is pure: bytes and facts in, a value or a verdict out. There is no I/O, no async
//! runtime, no TLS and no clock, so that the decisions can be tested with properties, and the SDK's tests
//! use the same code as the host.

pub mod abi;
pub mod api;
pub mod body;
pub mod digest;
pub mod exit;
pub mod failure;
pub mod format;
pub mod grants;
pub mod json;
pub mod kinds;
pub mod manifest;
pub mod names;
pub mod nearest;
pub mod no_proxy;
pub mod ownership;
pub mod permissions;
pub mod pod_http;
pub mod request;
pub mod selection;
pub mod selectors;
pub mod shell;
pub mod size;
pub mod terminal;
pub mod text;
pub mod tree;
pub mod ui;
pub mod url;

pub use digest::Digest;
pub use exit::Kind;
pub use failure::Failure;
pub use names::{AuthorId, CollectionName, CommandGroup, PluginName, RegistryId};
pub use permissions::Permissions;
