//! Turning reviewed text and built components into a signed registry.
//!
//! Nobody needs every key. What is new is *staged* without any, *signed* role by role on whoever's machine, and
//! *assembled* where the online keys are:
//!
//! ```text
//! reviewed text ─┐                ┌─ sign root, targets ── each admin ─┐
//! components ────┼─ stage ── folder                                    ├─ assemble ── published
//! published ─────┘                └─ sign author-X ─────── each author ┘  + snapshot, timestamp
//! ```
//!
//! [`stage()`] writes a folder of plain files, which can travel by pull request, mail or USB stick; [`Staging`] says
//! what is in it. [`sign()`] adds one signature. [`assemble()`] trusts nothing of that: it checks every signature and
//! every version again, signs snapshot and timestamp, and publishes. With nothing staged it renews those two.
//! [`build()`] does all three with a [`KeyRing`], for tests and first steps.
//!
//! What is published is a TUF repository of plain files. Publishing adds to it and takes nothing away:
//!
//! * files are named by digest (targets) or by version (metadata) and never change;
//! * each is written aside and renamed;
//! * `timestamp.json`, the only file that is replaced, makes the rest visible and comes last. A new root, which clients
//!   see by itself, comes just before it, or after it where the published state does not hold under the new root.
//!
//! So a reader sees the old registry or the new one at every moment, and a publication that is broken off can be
//! repeated.
//!
//! A *gate* decides about each new version, when it is staged and when it is assembled: the name is its owner's, the
//! version is newer than all before, and whatever else the caller's [`Gate`] demands (a known ABI, rights within the
//! ceiling).

mod assemble;
mod build;
mod changes;
mod current;
mod keys;
mod metadata;
mod release;
mod role;
mod stage;
mod staging;

pub use assemble::{AssembleInput, Built, Publication, assemble};
pub use build::{BuildInput, build};
pub use changes::Change;
pub use keys::{Holders, KeyRing, PublicKeys, SigningKey};
pub use release::{Describe, Gate, Published, Submission};
pub use role::RoleName;
pub use stage::{StageInput, Staged, stage};
pub use staging::{Review, Signers, Staging, sign};
