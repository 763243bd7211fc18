//! What kf keeps on this machine.
//!
//! Everything is written aside, flushed and renamed, so a crash or Ctrl-C at any moment leaves what was
//! there. What carries trust is read through [`trusted`], which refuses what anybody else could have written. Every
//! file has a version ([`kf_core::format`]), and one that a newer kf wrote is left alone.
//!
//! The crate reads no environment: callers hand in the folders ([`Home`]).

pub mod error;
pub mod files;
pub mod lock;
pub mod paths;
pub mod trusted;

pub use error::{Error, Result};
pub use paths::Home;
