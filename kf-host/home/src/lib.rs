//! kf's files on this machine.
//!
//! Files are written to a temporary file, flushed and renamed, so a crash or Ctrl-C leaves either the old or the new
//! file. Files that decide what kf trusts are read through [`trusted`], which refuses files that another user could have
//! written. Every file has a format version ([`kf_core::format`]); files from a newer kf are not changed.
//!
//! The crate does not read the environment: callers pass the folders ([`Home`]).

pub mod error;
pub mod files;
pub mod lock;
pub mod paths;
pub mod trusted;

pub use error::{Error, Result};
pub use paths::Home;
