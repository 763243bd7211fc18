//! Verified files, by digest.
//!
//! ```text
//! data/store/format                 1
//! data/store/v1/SHA256.wasm         components
//! data/store/v1/SHA256.toml         manifests, as signed
//! data/store/v1/SHA256.json         command trees, as signed
//! data/compiled/COMPAT/SHA256.cwasm native code, compiled on this machine from SHA256.wasm
//! ```
//!
//! A file's name is its digest, which is checked on every read, so a component is compiled from the bytes that were
//! verified even if the file was changed since. Native code cannot be checked like that, so its folder must be kf's own and
//! it is only ever compiled on this machine.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use kf_core::Digest;
use kf_core::format::FormatError;
use kf_core::names::NameError;
use kf_home::Home;
use kf_home::files;
use kf_home::trusted::OwnPath;

use crate::error::{Error, Result};
use crate::parts::{Part, PartKind};
use crate::trust::Fetched;

const FORMAT: u64 = 1;

/// The store of one [`Home`].
#[derive(Clone, Debug)]
pub struct Store {
    blobs: OwnPath,
    compiled: OwnPath,
}

impl Store {
    /// Opens the store, and creates it if missing. One that a newer kf wrote is not touched ([`FormatError::Newer`]).
    pub fn open(home: &Home) -> Result<Self> {
        let dir = home.store();
        let path = dir.at("format");
        match path.read(64)? {
            None => path.write(format!("{FORMAT}\n").as_bytes())?,
            Some(bytes) => check_format(&path, &bytes)?,
        }
        let blobs = dir.at("v1");
        blobs.make()?;
        Ok(Self { blobs, compiled: home.compiled() })
    }

    /// Stores what was fetched. Storing it again has no effect.
    pub fn put(&self, fetched: &Fetched) -> Result<()> {
        fetched.files().try_for_each(|(part, bytes)| self.put_part(part, bytes))
    }

    /// Reads the bytes of a part and checks their digest.
    pub fn read(&self, kind: PartKind, sha256: Digest) -> Result<Vec<u8>> {
        let path = self.path(kind, sha256);
        let what = kind.noun();
        let bytes = path.read(kind.max_bytes())?.ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("the {what} {} is missing from the store", path.display()),
            )
        })?;
        let found = Digest::of(&bytes);
        if found != sha256 {
            return Err(Error::Tampered { what, expected: sha256, found });
        }
        Ok(bytes)
    }

    /// Stores native code compiled from component `sha256`; `compat` names the engine and settings it was compiled for.
    ///
    /// Returns its path relative to the folder of compiled code, for the receipt.
    pub fn put_compiled(&self, compat: &str, sha256: Digest, code: &[u8]) -> Result<String> {
        let relative = compiled_name(compat, sha256)?;
        self.compiled.at(&relative).write(code)?;
        Ok(relative)
    }

    /// Removes every blob and all native code for which `keep` is false, and the remains of interrupted writes. Returns
    /// the number of bytes freed.
    ///
    /// Nothing younger than `age` is removed: another process may have stored a command and not yet written its
    /// receipt. A day is enough.
    pub fn sweep(&self, keep: &dyn Fn(Digest) -> bool, age: Duration) -> Result<u64> {
        let mut freed = sweep_dir(&self.blobs, keep, age)?;
        for engine in self.compiled.names()? {
            let dir = self.compiled.at(engine);
            if dir.is_dir() {
                dir.make()?;
                freed += sweep_dir(&dir, keep, age)?;
            }
        }
        Ok(freed)
    }

    fn put_part(&self, part: Part, bytes: &[u8]) -> Result<()> {
        let found = Digest::of(bytes);
        if found != part.sha256 {
            return Err(Error::Tampered { what: part.kind.noun(), expected: part.sha256, found });
        }
        let path = self.path(part.kind, part.sha256);
        // Unless it is stored and intact, it is written again: the file there may be damaged or planted.
        match path.read(bytes.len() as u64) {
            // Reset its age, so that no sweep removes it before the receipt names it.
            Ok(Some(stored)) if stored == bytes => files::touch(&path),
            Ok(_) | Err(kf_home::Error::Format(_)) => path.write(bytes),
            Err(error) => Err(error),
        }?;
        Ok(())
    }

    fn path(&self, kind: PartKind, sha256: Digest) -> OwnPath {
        self.blobs.at(format!("{sha256}.{}", kind.extension()))
    }
}

/// Opens the native code for `sha256` and `compat`, if it was compiled. It does not open the store, because it is the
/// one lookup when a command starts.
///
/// The open file is what gets mapped: its path could refer to another file later.
pub fn open_compiled(home: &Home, compat: &str, sha256: Digest) -> Result<Option<File>> {
    Ok(home.compiled().at(compiled_name(compat, sha256)?).open()?)
}

fn compiled_name(compat: &str, sha256: Digest) -> Result<String> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if compat.is_empty() || compat.len() > 100 || !compat.bytes().all(is_allowed) {
        let why = "only letters, digits, - and _";
        return Err(NameError { kind: "compatibility key", value: compat.to_owned(), why }.into());
    }
    Ok(format!("{compat}/{sha256}.cwasm"))
}

fn check_format(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = path.display().to_string();
    let text = std::str::from_utf8(bytes).map_err(|e| Error::invalid(&what, e))?;
    let found: u64 = text.trim().parse().map_err(|e| Error::invalid(&what, e))?;
    match found {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(FormatError::Newer { what, found, supported: FORMAT }.into()),
        _ => Err(Error::invalid(what, "invalid format 0")),
    }
}

fn sweep_dir(dir: &Path, keep: &dyn Fn(Digest) -> bool, age: Duration) -> Result<u64> {
    let mut freed = 0;
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let digest = name.split('.').next().and_then(|stem| Digest::parse(stem).ok());
        let unwanted = digest.map_or(name.starts_with(".tmp-"), |digest| !keep(digest));
        let old = meta.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|elapsed| elapsed >= age);
        if unwanted && old && meta.is_file() {
            fs_err::remove_file(entry.path()).map_err(|e| Error::writing(dir, e))?;
            freed += meta.len();
        }
    }
    Ok(freed)
}
