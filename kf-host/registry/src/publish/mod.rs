//! Turning reviewed text and built components into a signed registry.
//!
//! The output is a TUF repository of plain files. A build adds to what is published and takes nothing away:
//!
//! * files are named by digest (targets) or by version (metadata) and never change;
//! * each is written aside and renamed;
//! * `timestamp.json`, the only file that is replaced, comes last.
//!
//! So a reader sees the old registry or the new one at every moment of a build, and a build that is broken off
//! has published nothing.
//!
//! Before anything is signed, a *gate* decides about each new version: the name is its owner's, the version is
//! newer than all before, and whatever else the caller's [`Gate`] demands (a known ABI, rights within the
//! ceiling).

mod before;
mod build;
mod keys;
mod metadata;

pub use build::{BuildInput, Built, Gate, Published, Submission, build};
pub use keys::{KeyRing, SigningKey};
pub use metadata::{sign, sign_more};
