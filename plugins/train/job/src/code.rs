//! Uploads local code as a ConfigMap.
//!
//! The ConfigMap is immutable and its name contains a digest of the files, so a changed directory becomes
//! another ConfigMap, and a job always runs the code it was created with. The job owns it, so it is deleted
//! with the job.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kf_plugin_sdk::abi::DeleteOptions;
use kf_plugin_sdk::{DirectoryArg, Error, ErrorCode, FileEntry, Kf, Object, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::files;
use crate::mount::Volume;
use crate::train_job;

/// The limit of Kubernetes for the data of a ConfigMap.
const MAX_BYTES: u64 = 1 << 20;
/// Each file adds an entry to the ConfigMap and another to the job.
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
    /// Reads a directory for the job or experiment of this name. `too_large_hint` is the hint of the error
    /// for a directory that is too large.
    pub fn read(kf: &Kf, directory: &DirectoryArg, job: &str, too_large_hint: &str) -> Result<Self> {
        let found = files::list(kf, directory)?;
        check_size(directory, &found).map_err(|error| error.hint(too_large_hint))?;
        let mut files = Vec::new();
        for (number, file) in found.into_iter().enumerate() {
            let content = directory.read(kf, &file.path)?;
            let key = key(number, &file.path);
            files.push(CodeFile { key, path: file.path, executable: file.executable, content });
        }
        // A file may have grown since its size was read.
        let total: usize = files.iter().map(|file| file.content.len()).sum();
        if total as u64 > MAX_BYTES {
            return Err(too_large(directory, total as u64, None).hint(too_large_hint));
        }
        Ok(Self { name: format!("{job}-code-{}", digest(&files)), files })
    }

    /// The ConfigMap's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its contents, such as `3 files from src (2 KiB)`.
    pub fn summary(&self, directory: &DirectoryArg) -> String {
        let bytes: usize = self.files.iter().map(|file| file.content.len()).sum();
        files::summary(directory, self.files.len(), bytes as u64)
    }

    /// Validates the ConfigMap on the server, without storing it.
    pub fn check(&self, kf: &Kf) -> Result<()> {
        kf.api("ConfigMap").check_apply(&self.config_map(), false).map(drop)
    }

    /// Creates the ConfigMap, unless it exists.
    pub fn store(&self, kf: &Kf) -> Result<Stored> {
        let (maps, map) = (kf.api("ConfigMap"), self.config_map());
        let created = match maps.create(&map) {
            Err(error) if error.is(ErrorCode::Conflict) => maps.apply(&map).map(|_| None),
            created => created.map(Some),
        }?;
        let created = created.and_then(|map| map.uid().map(str::to_owned));
        Ok(Stored { name: self.name.clone(), created })
    }

    /// Makes these jobs owners of the ConfigMap, so it is deleted with the last of them.
    pub fn set_owners<'a>(&self, kf: &Kf, jobs: impl IntoIterator<Item = &'a Object>) -> Result<()> {
        let owner = |job: &Object| {
            Some(json!({
                "apiVersion": job.str("/apiVersion")?, "kind": job.kind(), "name": job.name(), "uid": job.uid()?,
            }))
        };
        let owners: Vec<_> = jobs.into_iter().filter_map(owner).collect();
        let patch = json!({ "metadata": { "ownerReferences": owners } });
        kf.api("ConfigMap").merge(&self.name, &patch).map(drop)
    }

    /// A volume with the files under their original paths.
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

/// The ConfigMap in the cluster.
#[derive(Debug)]
pub struct Stored {
    name: String,
    /// The uid of the ConfigMap, if this run created it.
    created: Option<String>,
}

impl Stored {
    /// Deletes the ConfigMap after the job of this name was refused, if this run created it. If the job may still
    /// exist, as after a timeout, the ConfigMap is kept: without it the job would never start.
    pub fn discard(&self, kf: &Kf, job: &str, refusal: &Error) {
        let Some(uid) = &self.created else { return };
        let is_refused = match refusal.code {
            ErrorCode::Unreachable | ErrorCode::TimedOut => false,
            // A webhook or the API server itself failed.
            ErrorCode::Internal => matches!(kf.api(train_job()).find(job), Ok(None)),
            _ => true,
        };
        if !is_refused {
            return;
        }
        let options = DeleteOptions { uid: Some(uid.clone()), ..DeleteOptions::default() };
        match kf.api("ConfigMap").delete_with(&self.name, &options) {
            Err(error) if !error.is(ErrorCode::NotFound) => {
                kf.warn(format!("cannot delete the code in ConfigMap {}: {error}", self.name));
            }
            _ => {}
        }
    }
}

fn check_size(directory: &DirectoryArg, files: &[FileEntry]) -> Result<()> {
    if files.len() > MAX_FILES {
        return Err(Error::invalid(format!(
            "{directory} has too many files: {}, at most {MAX_FILES}",
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
        .map(|file| format!("; largest file: {} ({})", file.path, files::size(file.size)))
        .unwrap_or_default();
    Error::invalid(format!("{directory} is too large: {}, at most 1 MiB{largest}", files::size(total)))
}

/// A valid key for a path: the file name with other characters replaced.
fn key(number: usize, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let valid = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || "-_.".contains(letter) => letter,
        _ => '_',
    };
    let name: String = name.chars().take(100).map(valid).collect();
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
    fn name_depends_on_content_only() {
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
    fn secrets_and_caches_are_skipped() {
        let all = [
            ("train.py", "1"),
            (".env", "TOKEN=1"),
            (".git/config", "x"),
            ("a/__pycache__/a.pyc", "x"),
            ("b.pyc", "x"),
            ("venv/lib/x.py", "x"),
        ];
        assert_eq!(read(&all).unwrap().name(), read(&all[..1]).unwrap().name());
        assert_eq!(read(&all[1..]).unwrap_err().message, "no code in src; hidden files are skipped");
    }

    #[test]
    fn code_over_config_map_limit_is_refused() {
        let large = "x".repeat(1 << 20);
        let error = read(&[("data.bin", &large), ("train.py", "1")]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        let expected = "src is too large: 1.0 MiB, at most 1 MiB; largest file: data.bin (1.0 MiB)";
        assert_eq!(error.message, expected);
        assert_eq!(error.hint.as_deref(), Some("build an image"));
        assert!(read(&[("data.bin", &large)]).is_ok(), "exactly 1 MiB fits");
        let many: Vec<_> = (0..1001).map(|number| format!("{number}.py")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert!(read(&many).unwrap_err().message.starts_with("src has too many files: 1001"));
    }
}
