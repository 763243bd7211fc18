//! A component from a local file, for its author. No registry vouches for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kf_core::failure::Context as _;
use kf_core::manifest::Manifest;
use kf_core::{Failure, Kind, Permissions, PluginName};
use kf_home::files;
use kf_registry::index::{Origin, Resolved};
use kf_registry::parts::{Part, PartKind, Parts, Program};
use kf_registry::trust::Fetched;

use crate::publish::describe;
use crate::reporter::Reporter;

/// The name in a component's manifest. The component itself is not read.
///
/// # Errors
///
/// There is no such component, or no valid manifest beside it.
pub fn name(path: &Path) -> Result<PluginName, Failure> {
    manifest(&canonical(path)?).map(|(manifest, _)| manifest.plugin.name)
}

/// Reads `x.wasm` and its manifest, and runs the component to get its command tree.
pub(crate) fn read(path: &Path, reporter: &dyn Reporter) -> Result<Fetched, Failure> {
    let path = canonical(path)?;
    let program = read_part(&path, PartKind::Component)?;
    let (manifest, text) = manifest(&path)?;
    let plugin = &manifest.plugin;
    let commands = describe(&plugin.name, &program, reporter).map_err(|reason| {
        Failure::untrusted(format!("cannot read the command tree of {}: {reason}", plugin.name))
    })?;
    let parts = vec![
        Part::of(PartKind::Component, &program),
        Part::of(PartKind::Manifest, &text),
        Part::of(PartKind::Commands, &commands),
    ];
    let parts = Parts::try_from(parts).context(Kind::Failed, || format!("cannot add {}", plugin.name))?;
    let resolved = Resolved {
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        abi: plugin.abi.clone(),
        summary: plugin.summary.clone(),
        origin: Origin::Local { path },
        ceiling: Permissions::default(),
        program: Program::Component,
        parts,
        yanked: None,
    };
    let files = BTreeMap::from([
        (PartKind::Component, program),
        (PartKind::Manifest, text),
        (PartKind::Commands, commands),
    ]);
    Ok(Fetched::new(resolved, files)?)
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    fs_err::canonicalize(path).context(Kind::Usage, || "cannot read the component".to_owned())
}

/// The manifest beside a component, `x.toml` or else `plugin.toml`, and its text.
fn manifest(path: &Path) -> Result<(Manifest, Vec<u8>), Failure> {
    let own = path.with_extension("toml");
    let beside = if own.exists() { own } else { path.with_file_name(PartKind::Manifest.file_name()) };
    if !beside.exists() {
        let own = own_name(path);
        return Err(Failure::usage(format!("no manifest found for {}", path.display()))
            .hint(format!("add plugin.toml or {own} to the same folder")));
    }
    let text = read_part(&beside, PartKind::Manifest)?;
    let manifest = Manifest::from_bytes(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", beside.display())).caused_by(error))?;
    Ok((manifest, text))
}

fn own_name(path: &Path) -> String {
    path.with_extension("toml").file_name().map(|name| name.display().to_string()).unwrap_or_default()
}

fn read_part(path: &Path, kind: PartKind) -> Result<Vec<u8>, Failure> {
    files::read_bounded(path, kind.max_bytes())?
        .ok_or_else(|| Failure::usage(format!("{} is missing", path.display())))
}
