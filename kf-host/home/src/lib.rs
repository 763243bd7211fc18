//! What kf keeps on this machine.
//!
//! Everything is written aside, flushed and renamed, so a crash or Ctrl-C at any moment leaves what was
//! there. Folders are kf's own (mode 0700): one that is a link, belongs to somebody else or is open to
//! others could swap what was verified, and is refused. Every file has a version
//! ([`kf_core::format`]), and one that a newer kf wrote is left alone.
//!
//! The crate reads no environment: callers hand in the folders ([`Home`]).

pub mod error;
pub mod files;
pub mod lock;
pub mod paths;

pub use error::{Error, Result};
pub use paths::Home;
