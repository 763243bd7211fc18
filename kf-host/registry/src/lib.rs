//! The registry: which commands exist, who vouches for them, and which of them are installed.
//!
//! A registry is a folder of plain files that any web server, object store or USB stick can hand out.
//! Nothing about the place it came from is trusted. What is trusted is a *root*: a small file that names
//! keys, pinned when the registry is added. From there every byte is reached through signatures, as
//! [The Update Framework](https://theupdateframework.io) (TUF) lays down:
//!
//! ```text
//! root ── who signs for each role                        2 of 3 admins, offline
//!  ├─ timestamp ── the current snapshot                  online, short-lived
//!  ├─ snapshot ─── the version of every targets file     online
//!  └─ targets ──── index/plugins.json and who owns what  2 of 3 admins, offline
//!      └─ author-X ── plugins/NAME/VERSION/*             the author's own key
//! ```
//!
//! So a mirror cannot change a command, hold back a fix for longer than the timestamp lives, or serve
//! yesterday's bug; an author cannot publish under another author's name; and stolen online keys cannot
//! invent a release.
//!
//! The crate has two halves. [`publish`] turns reviewed text and built components into such a folder.
//! The rest is the user's side: [`registries`] (what is pinned), [`trust`] (refresh and fetch),
//! [`index`] (which version), [`store`] (bytes by digest), [`receipt`] (what is installed, and what was
//! agreed to), [`slot`] (which installed command answers to a name) and [`built_in`] (what kf carries inside).
//!
//! The crate knows neither Kubernetes nor WebAssembly: permission rules pass through it as JSON, and
//! commands as bytes. Callers hand in where things are kept and what time it is. The only variables it
//! heeds are those every network program does: `HTTPS_PROXY` and its kin, and `SSL_CERT_FILE`.

pub mod built_in;
pub mod error;
pub mod index;
pub mod parts;
pub mod publish;
pub mod receipt;
pub mod registries;
pub mod slot;
pub mod source;
pub mod store;
pub mod transport;
pub mod trust;

pub use error::{Error, Result};

/// The largest component that is published or fetched, in bytes.
pub const MAX_WASM: u64 = 32 * 1024 * 1024;
/// The largest `command.json`, in bytes.
pub const MAX_COMMANDS: u64 = 1024 * 1024;
/// The largest `index/plugins.json`, in bytes.
pub const MAX_INDEX: u64 = 8 * 1024 * 1024;
