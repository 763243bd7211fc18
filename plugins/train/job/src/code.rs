//! Local code that goes with a job.
//!
//! The files become an immutable ConfigMap. Its name holds a digest of what is in it, so a changed
//! directory is another ConfigMap, and a job never finds other code than it was made with. The job
//! owns it: it goes when the job goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kf_plugin_sdk::border::DeleteOptions;
use kf_plugin_sdk::{DirectoryArg, Error, ErrorCode, FileEntry, Kf, Object, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::files;
use crate::mount::Volume;
use crate::train_job;

/// What a ConfigMap may hold, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Each file is named twice, in the ConfigMap and in the job.
const MAX_FILES: usize = 1_000;

/// The files of a directory.
#[derive(Clone, Debug)]
pub struct Code {
    /// The ConfigMap's name.
    name: String,
    files: Vec<CodeFile>,
}

#[derive(Clone, Debug)]
struct CodeFile {
    key: String,
    path: String,
    executable: bool,
    content: Vec<u8>,
}

impl Code {
    /// Reads a directory for a job, or for the jobs of an experiment, of this name. If it is too
    /// large, `instead` says what can be done.
    pub fn read(kf: &Kf, directory: &DirectoryArg, job: &str, instead: &str) -> Result<Self> {
        let found = files::list(kf, directory)?;
        check_size(directory, &found).map_err(|error| error.hint(instead))?;
        let mut files = Vec::new();
        for (number, file) in found.into_iter().enumerate() {
            let content = directory.read(kf, &file.path)?;
            let key = key(number, &file.path);
            files.push(CodeFile { key, path: file.path, executable: file.executable, content });
        }
        // A file may have grown since it was measured.
        let total: usize = files.iter().map(|file| file.content.len()).sum();
        if total as u64 > MAX_BYTES {
            return Err(too_large(directory, total as u64, None).hint(instead));
        }
        Ok(Self { name: format!("{job}-code-{}", digest(&files)), files })
    }

    /// The ConfigMap's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds, as `3 files of src (2 KiB)`.
    pub fn summary(&self, directory: &DirectoryArg) -> String {
        let bytes: usize = self.files.iter().map(|file| file.content.len()).sum();
        files::summary(directory, self.files.len(), bytes as u64)
    }

    /// Lets the server check the ConfigMap, storing nothing.
    pub fn check(&self, kf: &Kf) -> Result<()> {
        kf.api("ConfigMap").check_apply(&self.config_map(), false).map(drop)
    }

    /// Stores the ConfigMap. Where it exists already nothing changes.
    pub fn store(&self, kf: &Kf) -> Result<Stored> {
        let (maps, map) = (kf.api("ConfigMap"), self.config_map());
        let created = match maps.create(&map) {
            Err(error) if error.is(ErrorCode::Conflict) => maps.apply(&map).map(|_| None),
            created => created.map(Some),
        }?;
        let created = created.and_then(|map| map.uid().map(str::to_owned));
        Ok(Stored { name: self.name.clone(), created })
    }

    /// Lets these jobs own the ConfigMap: it goes when the last of them goes.
    pub fn own<'a>(&self, kf: &Kf, jobs: impl IntoIterator<Item = &'a Object>) -> Result<()> {
        let owner = |job: &Object| {
            Some(json!({
                "apiVersion": job.str("/apiVersion")?, "kind": job.kind(), "name": job.name(), "uid": job.uid()?,
            }))
        };
        let owners: Vec<_> = jobs.into_iter().filter_map(owner).collect();
        let patch = json!({ "metadata": { "ownerReferences": owners } });
        kf.api("ConfigMap").merge(&self.name, &patch).map(drop)
    }

    /// The volume that lays the files out as they were.
    pub fn volume(&self) -> Volume {
        let item = |file: &CodeFile| {
            let mode = if file.executable { 0o555 } else { 0o444 };
            json!({ "key": file.key, "path": file.path, "mode": mode })
        };
        let items: Vec<_> = self.files.iter().map(item).collect();
        let map = json!({ "name": self.name, "items": items });
        Volume { source: Map::from_iter([("configMap".to_owned(), map)]), sub_path: None }
    }

    fn config_map(&self) -> Object {
        let data: Map<String, Value> =
            self.files.iter().map(|file| (file.key.clone(), STANDARD.encode(&file.content).into())).collect();
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": self.name, "labels": { "app.kubernetes.io/managed-by": "kf" } },
            "immutable": true,
            "binaryData": data,
        })
        .into()
    }
}

/// Code that is in the cluster.
#[derive(Debug)]
pub struct Stored {
    name: String,
    /// The uid of the ConfigMap, if this run created it.
    created: Option<String>,
}

impl Stored {
    /// Deletes the ConfigMap after the job of this name was refused, if this run created it. Where the job may exist
    /// all the same, as after a timeout, the code stays: without it the job would never start.
    pub fn discard(&self, kf: &Kf, job: &str, refusal: &Error) {
        let Some(uid) = &self.created else { return };
        let is_refused = match refusal.code {
            ErrorCode::Unreachable | ErrorCode::TimedOut => false,
            // A webhook that does not answer, or the API server itself.
            ErrorCode::Internal => matches!(kf.api(train_job()).find(job), Ok(None)),
            _ => true,
        };
        if !is_refused {
            return;
        }
        let this_one = DeleteOptions { uid: Some(uid.clone()), ..DeleteOptions::default() };
        match kf.api("ConfigMap").delete_with(&self.name, &this_one) {
            Err(error) if !error.is(ErrorCode::NotFound) => {
                kf.warn(format!("the code in config map {} was not deleted: {error}", self.name));
            }
            _ => {}
        }
    }
}

fn check_size(directory: &DirectoryArg, files: &[FileEntry]) -> Result<()> {
    if files.len() > MAX_FILES {
        return Err(Error::invalid(format!(
            "{directory} holds {} files, and {MAX_FILES} at most can be taken along",
            files.len()
        )));
    }
    let total: u64 = files.iter().map(|file| file.size).sum();
    if total <= MAX_BYTES {
        return Ok(());
    }
    Err(too_large(directory, total, files.iter().max_by_key(|file| file.size)))
}

fn too_large(directory: &DirectoryArg, total: u64, largest: Option<&FileEntry>) -> Error {
    let largest = largest
        .map(|file| format!("; the largest is {} ({})", file.path, files::size(file.size)))
        .unwrap_or_default();
    Error::invalid(format!(
        "{directory} holds {}, and 1 MiB at most can be taken along{largest}",
        files::size(total)
    ))
}

/// A key a ConfigMap takes: of a path only the last name, and of that only plain letters.
fn key(number: usize, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || "-_.".contains(letter) => letter,
        _ => '_',
    };
    let name: String = name.chars().take(100).map(plain).collect();
    format!("{number:03}-{name}")
}

/// Twelve hexadecimal digits of the digest of all paths, modes and contents.
fn digest(files: &[CodeFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update((file.path.len() as u64).to_le_bytes());
        hash.update(&file.path);
        hash.update([u8::from(file.executable)]);
        hash.update((file.content.len() as u64).to_le_bytes());
        hash.update(&file.content);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Code> {
        let host = FakeHost::new("team-a");
        for (path, text) in files {
            host.file(&format!("src/{path}"), text);
        }
        Code::read(&host.kf(), &"src".parse().unwrap(), "mnist", "build an image")
    }

    #[test]
    fn the_name_changes_with_the_content_and_with_nothing_else() {
        let first = read(&[("train.py", "1"), ("a/b.py", "2")]).unwrap();
        assert_eq!(first.name(), read(&[("a/b.py", "2"), ("train.py", "1")]).unwrap().name());
        for other in [
            &[("train.py", "1"), ("a/b.py", "3")],
            &[("train.py", "1"), ("a/c.py", "2")],
            &[("train.py1", ""), ("a/b.py", "2")],
        ] {
            assert_ne!(first.name(), read(other).unwrap().name(), "{other:?}");
        }
        assert!(first.name().starts_with("mnist-code-"));
    }

    #[test]
    fn paths_and_modes_are_kept() {
        let code = read(&[("pkg/über uns.py", "1"), ("run.sh", "2")]).unwrap();
        let items = json!([
            { "key": "000-_ber_uns.py", "path": "pkg/über uns.py", "mode": 0o444 },
            { "key": "001-run.sh", "path": "run.sh", "mode": 0o555 },
        ]);
        assert_eq!(code.volume().source["configMap"]["items"], items);
        let data = code.config_map();
        assert_eq!(data.str("/binaryData/001-run.sh"), Some("Mg=="));
        assert_eq!(data.bool("/immutable"), Some(true));
    }

    #[test]
    fn secrets_and_junk_stay_here() {
        let all = [
            ("train.py", "1"),
            (".env", "TOKEN=1"),
            (".git/config", "x"),
            ("a/__pycache__/a.pyc", "x"),
            ("b.pyc", "x"),
            ("venv/lib/x.py", "x"),
        ];
        assert_eq!(read(&all).unwrap().name(), read(&all[..1]).unwrap().name());
        assert_eq!(read(&all[1..]).unwrap_err().message, "src holds no code; hidden files are left out");
    }

    #[test]
    fn more_than_a_config_map_holds_is_refused_before_anything_is_read() {
        let large = "x".repeat(1 << 20);
        let error = read(&[("data.bin", &large), ("train.py", "1")]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        let expected =
            "src holds 1.0 MiB, and 1 MiB at most can be taken along; the largest is data.bin (1.0 MiB)";
        assert_eq!(error.message, expected);
        assert_eq!(error.hint.as_deref(), Some("build an image"));
        assert!(read(&[("data.bin", &large)]).is_ok(), "exactly 1 MiB fits");
        let many: Vec<_> = (0..1001).map(|number| format!("{number}.py")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert!(read(&many).unwrap_err().message.starts_with("src holds 1001 files"));
    }
}
