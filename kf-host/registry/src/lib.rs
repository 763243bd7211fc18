//! Registries: which commands exist, who signed them, and which of them are installed.
//!
//! A registry is a folder of plain files, served by any web server, object store or USB stick. Its location
//! is not trusted. The only thing trusted is the *root*: a small file that names keys, pinned when the
//! registry is added. Every other byte is verified by signatures from there, as specified by
//! [The Update Framework](https://theupdateframework.io) (TUF):
//!
//! ```text
//! root ── the keys of each role                          2 of 3 admins, offline
//!  ├─ timestamp ── the current snapshot                  online, short-lived
//!  ├─ snapshot ─── the version of every targets file     online
//!  └─ targets ──── index/plugins.json and the owners     2 of 3 admins, offline
//!      └─ author-X ── plugins/NAME/VERSION/*             the author's own key
//! ```
//!
//! A large registry is [split] by name, so that targets and its index do not grow with it.
//!
//! So a mirror cannot change a command, withhold a fix after the timestamp has expired, or serve an old
//! version again; an author cannot publish under another author's name; and stolen online keys cannot forge
//! a release.
//!
//! The crate has two halves. [`publish`] makes such a folder from reviewed text and built components. The
//! rest is the user's side: [`registries`] (pinned roots), [`access`] (private registries), [`trust`] (refresh and fetch), [`index`]
//! (resolving versions), [`yank`] (versions that are not chosen any more), [`store`] (files by digest), [`receipt`] (installed commands and the user's
//! consent), [`previous`] (versions to go back to), [`replacement`] (replacements), [`built_in`] (built-in
//! commands), [`catalogue`] (lists of all commands) and [`mirror`] (copies of a registry).
//!
//! The crate knows neither Kubernetes nor WebAssembly: permission rules are JSON to it, and components are
//! bytes. Callers pass the home and the current time. The only environment variables it reads are for connections:
//! `HTTPS_PROXY` and similar proxy variables, `SSL_CERT_FILE` and `SSL_CERT_DIR`, and for private registries ([`access`])
//! `KF_REGISTRY_ID_TOKEN`, `NETRC` and `HOME`.

pub mod access;
pub mod built_in;
pub mod catalogue;
pub mod error;
pub mod index;
pub mod mirror;
mod netrc;
pub mod parts;
pub mod previous;
mod proxy;
pub mod publish;
pub mod receipt;
pub mod registries;
pub mod replacement;
pub mod source;
pub mod split;
pub mod store;
pub mod transport;
pub mod trust;
pub mod yank;

pub use error::{Error, Result};

/// The largest component that is published or fetched.
pub const MAX_WASM_BYTES: u64 = 32 * 1024 * 1024;
/// The largest `command.json`.
pub const MAX_COMMANDS_BYTES: u64 = 1024 * 1024;
/// The largest `index/plugins.json`.
pub const MAX_INDEX_BYTES: u64 = 8 * 1024 * 1024;
