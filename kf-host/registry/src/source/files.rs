//! The files of the reviewed text, with changes that are not written yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kf_home::files;

use crate::error::{Error, Result};

/// The largest file of the reviewed text.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The files below a folder. A change is visible at once, and on disk after [`Files::write`].
#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    changed: BTreeMap<PathBuf, String>,
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), changed: BTreeMap::new() }
    }

    /// The file's path, for messages.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The text of a file below the folder, if there is one.
    pub(crate) fn read(&self, file: &str) -> Result<Option<String>> {
        if let Some(text) = self.changed.get(Path::new(file)) {
            return Ok(Some(text.clone()));
        }
        let path = self.path(file);
        let Some(bytes) = files::read_bounded(&path, MAX_FILE_BYTES)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|e| Error::invalid(path.display().to_string(), e))
    }

    pub(crate) fn change(&mut self, file: &str, text: String) {
        self.changed.insert(file.into(), text);
    }

    /// The names of the files in a subfolder with this extension, sorted; none if it does not exist.
    pub(crate) fn names(&self, folder: &str, extension: &str) -> Result<BTreeSet<String>> {
        let has_extension = |path: &Path| path.extension().is_some_and(|found| found == extension);
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let changed = self.changed.keys().filter(|path| path.parent() == Some(Path::new(folder)));
        let mut names: BTreeSet<String> =
            changed.filter(|path| has_extension(path)).filter_map(|path| name(path)).collect();
        let entries = match fs_err::read_dir(self.path(folder)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            Err(e) => return Err(e.into()),
        };
        for entry in entries {
            let path = entry?.path();
            if has_extension(&path) {
                let invalid = || Error::Publish(format!("invalid file name {}", path.display()));
                names.insert(name(&path).ok_or_else(invalid)?);
            }
        }
        Ok(names)
    }

    /// Writes every change. Each file is replaced atomically.
    pub(crate) fn write(&self) -> Result<()> {
        for (file, text) in &self.changed {
            let path = self.dir.join(file);
            if let Some(folder) = path.parent() {
                fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
            }
            files::write_atomic(&path, text.as_bytes(), false)?;
        }
        Ok(())
    }
}
