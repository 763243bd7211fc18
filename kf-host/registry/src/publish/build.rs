//! Stage, sign and assemble in one step, with all keys.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;

use super::approval::{approve, content};
use super::assemble::{AssembleInput, Built, assemble};
use super::keys::KeyRing;
use super::release::{Artifacts, Describe, Gate};
use super::role::RoleName;
use super::stage::{StageInput, stage};
use super::staging::Staging;
use crate::error::{Error, Result};
use crate::source::Source;

/// The input of a build.
pub struct BuildInput<'a> {
    /// The reviewed text, `registry-index/`.
    pub source: &'a Path,
    /// One folder for each command to publish, with the command's name, `plugin.wasm` and `plugin.toml`.
    pub artifacts: &'a Path,
    /// The folder of the published registry, to which new files are added.
    pub published: &'a Path,
    pub keys: &'a KeyRing,
    /// The first root as users have pinned it, if it is neither in the reviewed text nor signed with the keys.
    pub pinned_root: Option<&'a [u8]>,
    /// Whether the admins approve rights that grow.
    pub approve_grants: bool,
    pub now: Timestamp,
    pub describe: &'a dyn Describe,
    pub gate: &'a dyn Gate,
}

/// Builds or extends a published registry with all keys, for tests and to get started.
pub fn build(input: &BuildInput<'_>) -> Result<Built> {
    let Source { registry, roots, .. } = Source::read(input.source)?;
    let keys = input.keys.public();
    let folder = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(0o700))
        .tempdir()
        .map_err(|e| Error::writing(&std::env::temp_dir(), e))?;
    let staging = folder.path().join("staging");
    let staged = stage(&StageInput {
        source: input.source,
        artifacts: Some(Artifacts::Below(input.artifacts)),
        published: input.published,
        staging: &staging,
        only: None,
        keys: Some(&keys),
        pinned_root: input.pinned_root,
        now: input.now,
        describe: input.describe,
        gate: input.gate,
    })?;
    let opened = Staging::open(&staging)?;
    for role in &staged.roles {
        for key in input.keys.of(role) {
            opened.sign(role, key)?;
        }
        if let (RoleName::Author(_), true) = (role, input.approve_grants) {
            for key in &input.keys.targets {
                approve(&staging, role, content(&opened, role)?, key)?;
            }
        }
    }
    let built = assemble(&AssembleInput {
        staging: Some(&staging),
        published: input.published,
        pinned_root: input.pinned_root.or(roots.get(&1).map(Vec::as_slice)),
        keys: Some(&keys),
        online: &[&input.keys.snapshot, &input.keys.timestamp],
        expiry: registry.expiry,
        now: input.now,
        gate: input.gate,
    })?;
    Ok(Built { plugins: staged.plugins, ..built })
}
