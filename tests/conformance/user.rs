//! A user of a repository. Each call acts like a new process, which knows only its folder.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_registry::Result;
use serde_json::Value;

use crate::client::{self, Conformance};
use crate::repository::{Repository, now};

pub struct User {
    folder: tempfile::TempDir,
    metadata_url: String,
    target_url: String,
}

impl User {
    /// Trusts the first root of a repository.
    pub fn new(repository: &Repository) -> Self {
        Self::trusting(repository, &repository.versions("root")[0])
    }

    /// Trusts these bytes as the root of a repository.
    pub fn trusting(repository: &Repository, root: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("root");
        fs_err::write(&file, root).unwrap();
        fs_err::create_dir(folder.path().join("targets")).unwrap();
        let user = Self {
            metadata_url: format!("{}/metadata/", repository.url),
            target_url: format!("{}/targets/", repository.url),
            folder,
        };
        client::init(&user.metadata(), &file).unwrap();
        user
    }

    fn metadata(&self) -> PathBuf {
        self.folder.path().join("metadata")
    }

    pub fn refresh(&self) -> Result<()> {
        self.refresh_at(now())
    }

    pub fn refresh_at(&self, now: Timestamp) -> Result<()> {
        self.open()?.refresh(now)
    }

    fn open(&self) -> Result<Conformance> {
        Conformance::open(&self.metadata(), &self.metadata_url, Some(&self.target_url))
    }

    pub fn download(&self, target: &str) -> Result<()> {
        self.download_all(&[target])
    }

    /// Refreshes, and downloads the targets in this order until one fails.
    pub fn download_all(&self, targets: &[&str]) -> Result<()> {
        let mut client = self.open()?;
        client.refresh(now())?;
        targets.iter().try_for_each(|target| client.download(target, &self.targets(), now()))
    }

    fn targets(&self) -> PathBuf {
        self.folder.path().join("targets")
    }

    /// The contents of all downloaded targets, in the order of their names.
    pub fn downloads(&self) -> Vec<Vec<u8>> {
        files(&self.targets()).iter().map(|path| fs_err::read(path).unwrap()).collect()
    }

    /// What is trusted as a role.
    pub fn trusted(&self, role: &str) -> Option<Vec<u8>> {
        fs_err::read(self.metadata().join(format!("{role}.json"))).ok()
    }

    /// The trusted version of a role; 0 if there is none.
    pub fn version(&self, role: &str) -> u64 {
        self.trusted(role).map_or(0, |bytes| version(&bytes))
    }

    /// The trusted versions of root, timestamp, snapshot and targets.
    pub fn versions(&self) -> [u64; 4] {
        ["root", "timestamp", "snapshot", "targets"].map(|role| self.version(role))
    }

    /// The number of trusted roles.
    pub fn roles(&self) -> usize {
        files(&self.metadata()).iter().filter(|path| path.extension().is_some_and(|e| e == "json")).count()
    }
}

fn version(bytes: &[u8]) -> u64 {
    let file: Value = serde_json::from_slice(bytes).unwrap();
    file["signed"]["version"].as_u64().unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Asserts that verification failed, with these words.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kf_core::Kind::Untrusted, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}
