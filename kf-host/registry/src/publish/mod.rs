//! Publishing reviewed text and built components as a signed registry.
//!
//! No one needs all keys. Changes are *staged* without any key, *signed* role by role on the machines of their
//! signers, and *assembled* where the online keys are:
//!
//! ```text
//! reviewed text ─┐                ┌─ sign root, targets ── each admin ─┐
//! components ────┼─ stage ── folder                                    ├─ assemble ── published
//! published ─────┘                └─ sign author-X ─────── each author ┘  + snapshot, timestamp
//! ```
//!
//! [`stage()`] writes a folder of plain files, which can be sent by pull request, mail or USB stick; [`Staging`]
//! describes it. [`sign()`] adds one signature. [`assemble()`] does not trust the folder: it checks every signature and
//! every version again, signs snapshot and timestamp, and publishes. With nothing staged it renews those two.
//! [`build()`] does all three with a [`KeyRing`], for tests and to get started.
//!
//! No kept crate does this. `sigstore-tuf` verifies and does not sign. `tough` signs, but wants all keys of a role at once, and
//! gives targets in folders other file names than the clients of other implementations expect. The tools in Python need Python.
//! So the types, the canonical JSON and the verification are those of `sigstore-tuf`, and what is added here is small: which
//! version comes next, one detached signature at a time, and the order in which files are written.
//!
//! The result is a TUF repository of plain files. Publishing adds files and removes none:
//!
//! * files are named by digest (targets) or by version (metadata) and never change;
//! * each is written to a temporary file and renamed;
//! * `timestamp.json`, the only file that is replaced, makes the rest visible and is written last. A new root, which
//!   clients see at once, is written just before it, or after it if the published state is not valid under the new root.
//!
//! So at every moment a reader sees either the old registry or the new one, and an interrupted publication can be
//! repeated.
//!
//! Each new version passes a *gate*, when it is staged and when it is assembled: the author owns the name, the version is
//! higher than all published ones, and the caller's [`Gate`] accepts it (a supported ABI, rights within the ceiling).

mod admins;
mod approval;
mod assemble;
mod build;
mod changes;
mod current;
pub mod key_file;
mod keys;
mod metadata;
mod release;
mod role;
mod root_draft;
mod stage;
mod staging;
pub mod verify;

pub use approval::approve;
pub use assemble::{AssembleInput, Built, Examined, Grown, NewVersion, Publication, assemble, examine};
pub use build::{BuildInput, build};
pub use changes::Change;
pub use key_file::{EncryptedKey, KeyFile};
pub(crate) use keys::is_public_key;
pub use keys::{Holders, KeyRing, PublicKeys, SigningKey};
pub(crate) use release::stored;
pub use release::{Artifacts, Describe, Details, Gate, Published, Submission};
pub use role::RoleName;
pub use root_draft::{FirstRoot, PublicKey, RootDraft, TopRole};
pub use stage::{StageInput, Staged, stage};
pub use staging::{Review, Signers, Staging, sign};
