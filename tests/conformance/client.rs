//! The client protocol of the TUF conformance suite over kf's own trust code.
//!
//! Everything that is verified lies in a folder by role, such as `timestamp.json`. `root_history` beside it has the roots
//! that were followed, and `trusted-root` the one that the client was initialised with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use kf_core::RegistryId;
use kf_registry::Result;
use kf_registry::transport::Url;
use kf_registry::trust::{Client, Locations};

/// The time for all files of a run.
const LIMIT: Duration = Duration::from_secs(60);
/// The file with the root that everything is verified from.
const TRUSTED: &str = "trusted-root";

/// A client and where it keeps what it verified.
pub struct Conformance {
    client: Client,
    metadata: PathBuf,
}

/// Keeps the trusted root. It is verified when it is used.
pub fn init(metadata: &Path, root: &Path) -> Result<()> {
    fs_err::create_dir_all(metadata)?;
    let root = fs_err::read(root)?;
    Ok(fs_err::write(metadata.join(TRUSTED), root)?)
}

impl Conformance {
    /// A client that knows what the folder `metadata` has.
    pub fn open(metadata: &Path, metadata_url: &str, target_url: Option<&str>) -> Result<Self> {
        let id = RegistryId::parse("conformance")?;
        let root = fs_err::read(metadata.join(TRUSTED))?;
        let mut files = BTreeMap::new();
        for (folder, prefix) in [(metadata.to_owned(), ""), (metadata.join("root_history"), "root_history/")]
        {
            for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".json") {
                    files.insert(format!("{prefix}{name}"), fs_err::read(entry.path())?);
                }
            }
        }
        let metadata_url = Url::parse(metadata_url)?;
        let target_url = target_url.map(Url::parse).transpose()?;
        let at = Locations { metadata: &metadata_url, targets: target_url.as_ref().unwrap_or(&metadata_url) };
        let client = Client::of_repository(&id, &root, files, at, LIMIT)?;
        Ok(Self { client, metadata: metadata.to_owned() })
    }

    /// Refreshes the metadata.
    pub fn refresh(&mut self, now: Timestamp) -> Result<()> {
        let refreshed = self.client.refresh(now);
        self.keep()?;
        refreshed
    }

    /// Fetches a target into the folder `to`, unless it is there already.
    pub fn download(&mut self, target: &str, to: &Path, now: Timestamp) -> Result<()> {
        let path = to.join(encoded(target));
        if let Ok(bytes) = fs_err::read(&path) {
            self.client.add_cached_target(target, bytes);
        }
        let found = self.client.target(target, now);
        self.keep()?;
        write_changed(&path, &found?)
    }

    /// Writes what was verified so far.
    fn keep(&self) -> Result<()> {
        for (name, bytes) in self.client.files() {
            if name.starts_with("targets/") {
                continue;
            }
            let path = self.metadata.join(name);
            fs_err::create_dir_all(path.parent().unwrap_or(&self.metadata))?;
            write_changed(&path, &bytes)?;
        }
        Ok(())
    }
}

/// Writes a file unless it has this content.
fn write_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs_err::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    Ok(fs_err::write(path, bytes)?)
}

/// A file name for any target's path.
fn encoded(target: &str) -> String {
    let mut name = String::new();
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}
