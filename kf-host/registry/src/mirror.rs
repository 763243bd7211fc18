//! Copies of a registry: mirrors, and folders for sites without a network.
//!
//! A copy has the same layout as the registry itself, so it can be added with its URL, and is trusted as little: clients
//! verify it from their pinned root. It holds no keys and gets no more rights by being a copy. It has
//!
//! * all metadata, as it was signed: every root, timestamp, snapshot, targets, and every author's role;
//! * the index, with owners, ceilings, yanks and blocks;
//! * the files of the chosen releases. The others are still listed, and fetching one is [`Error::NotMirrored`].
//!
//! Blocked releases are not copied: no one can run them.
//!
//! Files are named by digest or version and never change, except for `timestamp.json`, which makes the rest visible and is
//! written last. So a reader of a mirror that is being updated sees the old state or the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::{Digest, PluginName, RegistryId};
use kf_home::files;
use semver::{Version, VersionReq};
use sigstore_tuf::UpdaterConfig;

use crate::error::{Error, Result};
use crate::index::{Listed, Release, Want};
use crate::parts::Part;
use crate::publish::stored;
use crate::registries::Registry;
use crate::store::Store;
use crate::trust::{Metadata, Session, signed_version};

const TIMESTAMP: &str = "timestamp.json";

/// Which releases are copied.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// All.
    All,
    /// All releases of these commands.
    Names(&'a BTreeSet<PluginName>),
    /// Only these.
    Releases(&'a BTreeMap<PluginName, BTreeSet<Version>>),
}

/// What a copy has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub registry: RegistryId,
    /// Of the oldest root in the copy, for `--root-sha256`.
    pub root_sha256: Digest,
    /// The releases whose files are in it.
    pub releases: BTreeMap<PluginName, BTreeSet<Version>>,
    /// When the first of its roles expires.
    pub expires: Timestamp,
    /// The number and the size of the files that were written. The others were there.
    pub files: usize,
    pub bytes: u64,
}

/// Copies the verified state of a registry into the folder `to`, or updates an earlier copy there.
///
/// Files of releases are taken from `store` if it has them, and fetched otherwise. An interrupted copy can be repeated.
///
/// # Errors
///
/// A chosen command or release does not exist, or is blocked; the folder has another registry or a newer state.
pub fn copy(session: &mut Session, choice: Choice<'_>, store: Option<&Store>, to: &Path) -> Result<Copied> {
    match choice {
        Choice::All => session.load_all()?,
        Choice::Names(names) => session.load(names)?,
        Choice::Releases(releases) => session.load(releases.keys())?,
    }
    session.load_shards()?;
    let session = &*session;
    let releases = choose(session, choice)?;
    let metadata = session.metadata()?;
    check_earlier(to, &metadata)?;
    let mut copied = Copied {
        registry: session.view().registry.clone(),
        root_sha256: metadata
            .roots
            .first()
            .map(|(_, root)| Digest::of(root))
            .unwrap_or_else(|| Digest::of(b"")),
        releases: BTreeMap::new(),
        expires: session.view().expires,
        files: 0,
        bytes: 0,
    };
    let mut write = |path: &Path, bytes: &[u8]| {
        copied.files += 1;
        copied.bytes += bytes.len() as u64;
        write(path, bytes)
    };
    for (name, listed, release) in &releases {
        for part in release.parts.iter() {
            let path = to.join(target(&part.kind.path(name, &release.version), part.sha256));
            if !has_bytes(&path, part)? {
                write(&path, &bytes_of(session, store, name, listed, release, part)?)?;
            }
        }
    }
    let lists = session.lists()?.into_iter();
    let mut last: Vec<_> = lists.map(|(path, sha256, bytes)| (target(&path, sha256), bytes)).collect();
    let Metadata { roots, roles, timestamp } = metadata;
    // A new root is seen at once, so everything that it signs for is there before.
    let files = roles.into_iter().chain(roots).chain([(TIMESTAMP.to_owned(), timestamp)]);
    last.extend(files.map(|(file, bytes)| (Path::new("metadata").join(file), bytes)));
    for (path, bytes) in last {
        let path = to.join(path);
        if files::read_regular_file(&path, bytes.len() as u64).ok().flatten().as_ref() != Some(&bytes) {
            write(&path, &bytes)?;
        }
    }
    for (name, _, release) in releases {
        copied.releases.entry(name.clone()).or_default().insert(release.version.clone());
    }
    Ok(copied)
}

/// The same for a new copy: `to` must be missing or empty, and is complete or stays empty.
///
/// Files are written to a hidden folder in `to`, which may be another disk, and renamed.
pub fn copy_new(
    session: &mut Session,
    choice: Choice<'_>,
    store: Option<&Store>,
    to: &Path,
) -> Result<Copied> {
    if !is_empty(to)? {
        return Err(Error::NotEmpty(to.to_owned()));
    }
    let is_new = !to.exists();
    fs_err::create_dir_all(to).map_err(|e| Error::writing(to, e))?;
    let copied = copy_aside(session, choice, store, to);
    if copied.is_err() && is_new {
        let _not_empty = fs_err::remove_dir(to);
    }
    copied
}

fn copy_aside(session: &mut Session, choice: Choice<'_>, store: Option<&Store>, to: &Path) -> Result<Copied> {
    let aside =
        tempfile::Builder::new().prefix(".tmp-copy-").tempdir_in(to).map_err(|e| Error::writing(to, e))?;
    let copied = copy(session, choice, store, aside.path())?;
    // Without metadata it is not a registry, so that is last.
    for folder in ["targets", "metadata"] {
        let path = to.join(folder);
        fs_err::rename(aside.path().join(folder), &path).map_err(|e| Error::writing(&path, e))?;
    }
    Ok(copied)
}

/// Whether the folder is a copy of the registry: it has the root that the registry was pinned with.
pub fn is_copy_of(folder: &Path, registry: &Registry) -> Result<bool> {
    let file = format!("metadata/{}.root.json", registry.root_version()?);
    let max = UpdaterConfig::default().root_max_length;
    Ok(files::read_below(folder, Path::new(&file), max)?.as_ref() == Some(&registry.root))
}

/// Whether the folder has the files of a release. Their digests are checked when they are fetched.
pub fn has_release(folder: &Path, name: &PluginName, release: &Release) -> bool {
    release.parts.iter().all(|part| {
        let path = folder.join(target(&part.kind.path(name, &release.version), part.sha256));
        path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == part.length)
    })
}

type Chosen<'a> = (&'a PluginName, &'a Listed, &'a Release);

fn choose<'a>(session: &'a Session, choice: Choice<'_>) -> Result<Vec<Chosen<'a>>> {
    let view = session.view();
    // Reports a name, a version or a command that cannot be copied.
    let check = |name: &PluginName, want: &Want| view.resolve(name, want, &|_| true).map(drop);
    match choice {
        Choice::All => {}
        Choice::Names(names) => names.iter().try_for_each(|name| match view.plugins.get(name) {
            // All of its releases may be yanked, or none is published yet.
            Some(listed) if listed.problem.is_none() => Ok(()),
            _ => check(name, &Want::Newest(VersionReq::STAR)),
        })?,
        Choice::Releases(releases) => {
            for (name, versions) in releases {
                versions.iter().try_for_each(|version| check(name, &Want::Exact(version.clone())))?;
            }
        }
    }
    let is_chosen = |name: &PluginName, version: &Version| match choice {
        Choice::All => true,
        Choice::Names(names) => names.contains(name),
        Choice::Releases(releases) => releases.get(name).is_some_and(|versions| versions.contains(version)),
    };
    let all = view
        .plugins
        .iter()
        .flat_map(|(name, listed)| listed.releases.values().map(move |release| (name, listed, release)));
    Ok(all
        .filter(|(name, _, release)| release.blocked.is_none() && is_chosen(name, &release.version))
        .collect())
}

fn bytes_of(
    session: &Session,
    store: Option<&Store>,
    name: &PluginName,
    listed: &Listed,
    release: &Release,
    part: Part,
) -> Result<Vec<u8>> {
    match store.map(|store| store.read(part.kind, part.sha256)) {
        Some(Ok(bytes)) if bytes.len() as u64 == part.length => Ok(bytes),
        _ => session.fetch_file(&listed.entry.owner, name, &release.version, part),
    }
}

/// Refuses a folder with another registry, or with a newer state of this one.
fn check_earlier(to: &Path, metadata: &Metadata) -> Result<()> {
    for (file, bytes) in &metadata.roots {
        let path = to.join("metadata").join(file);
        let max = UpdaterConfig::default().root_max_length;
        if files::read_regular_file(&path, max)?.is_some_and(|found| found != *bytes) {
            return Err(Error::OtherRegistry(to.to_owned()));
        }
    }
    let version = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(signed_version);
    let path = to.join("metadata").join(TIMESTAMP);
    let found = files::read_regular_file(&path, UpdaterConfig::default().timestamp_max_length)?;
    match found.as_deref().and_then(version) {
        Some(found) if Some(found) > version(&metadata.timestamp) => {
            Err(Error::NewerCopy { folder: to.to_owned(), timestamp: found })
        }
        _ => Ok(()),
    }
}

/// The path of a target, below the folder of the registry.
fn target(path: &str, sha256: Digest) -> PathBuf {
    Path::new("targets").join(stored(path, sha256))
}

fn has_bytes(path: &Path, part: Part) -> Result<bool> {
    match files::read_regular_file(path, part.length) {
        Ok(found) => Ok(found.is_some_and(|bytes| Digest::of(&bytes) == part.sha256)),
        // A damaged file that is too long.
        Err(kf_home::Error::Format(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    }
    Ok(files::write_atomic(path, bytes, false)?)
}

/// Whether a folder is missing or empty, apart from what an interrupted copy or the file system left in it.
fn is_empty(folder: &Path) -> Result<bool> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e.into()),
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(".tmp-copy-") && name != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}
