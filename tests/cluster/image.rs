//! Writes container images as OCI archives, without a registry.
//!
//! Images that are used together go into one archive, so that the node imports them in one step. The archives are
//! reproducible.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err as fs;
use kf_toolchains::cache;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::error::{ClusterError, Result};

/// An image; most have one layer.
pub(crate) struct Image {
    /// The full name, with a tag other than `latest`, which would be pulled.
    pub(crate) name: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    /// The numeric user, for pods that require another one than root.
    user: Option<&'static str>,
    search_path: &'static str,
    environment: Vec<String>,
    layers: Vec<Builder<Vec<u8>>>,
}

impl Image {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            user: None,
            search_path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            environment: Vec::new(),
            layers: Vec::new(),
        }
    }

    pub(crate) fn entrypoint(mut self, program: &str) -> Self {
        self.entrypoint = vec![program.to_owned()];
        self
    }

    pub(crate) fn user(mut self, user: &'static str) -> Self {
        self.user = Some(user);
        self
    }

    pub(crate) fn search_path(mut self, path: &'static str) -> Self {
        self.search_path = path;
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Starts a new layer.
    pub(crate) fn in_new_layer(mut self) -> Self {
        self.layers.push(Builder::new(Vec::new()));
        self
    }

    /// Adds the contents of a directory.
    pub(crate) fn with_tree(mut self, at: &str, from: &Path) -> Result<Self> {
        self.add_tree(at, from)?;
        Ok(self)
    }

    fn add_tree(&mut self, at: &str, from: &Path) -> Result<()> {
        let mut entries = fs::read_dir(from)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (path, at) = (entry.path(), format!("{at}/{name}"));
            let metadata = entry.metadata()?;
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_symlink() {
                let target = fs::read_link(&path)?;
                self.add(&at, EntryType::Symlink, 0o777, target.to_str(), &[])?;
            } else if metadata.is_dir() {
                self.add(&at, EntryType::Directory, mode, None, &[])?;
                self.add_tree(&at, &path)?;
            } else {
                self.add(&at, EntryType::Regular, mode, None, &fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    /// Adds an executable file.
    pub(crate) fn with_program(mut self, at: &str, from: &Path) -> Result<Self> {
        let content = fs::read(from)?;
        self.add(at, EntryType::Regular, 0o755, None, &content)?;
        Ok(self)
    }

    pub(crate) fn with_script(mut self, at: &str, content: &str) -> Result<Self> {
        self.add(at, EntryType::Regular, 0o755, None, content.as_bytes())?;
        Ok(self)
    }

    pub(crate) fn with_text(mut self, at: &str, content: &str) -> Result<Self> {
        self.add(at, EntryType::Regular, 0o644, None, content.as_bytes())?;
        Ok(self)
    }

    pub(crate) fn with_directory(mut self, at: &str, mode: u32) -> Result<Self> {
        self.add(at, EntryType::Directory, mode, None, &[])?;
        Ok(self)
    }

    pub(crate) fn with_link(mut self, at: &str, target: &str) -> Result<Self> {
        self.add(at, EntryType::Symlink, 0o777, Some(target), &[])?;
        Ok(self)
    }

    fn add(
        &mut self,
        at: &str,
        kind: EntryType,
        mode: u32,
        target: Option<&str>,
        content: &[u8],
    ) -> Result<()> {
        let mut header = header(kind, mode, content.len());
        if let Some(target) = target {
            header.set_link_name(target)?;
        }
        if self.layers.is_empty() {
            self.layers.push(Builder::new(Vec::new()));
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.append_data(&mut header, at.trim_start_matches('/'), content)?;
        }
        Ok(())
    }
}

/// Writes an archive of all `images`; `what` names it in errors.
pub(crate) fn write_archive(images: Vec<Image>, to: impl Write, what: &Path) -> Result<()> {
    let mut archive = Builder::new(to);
    let mut written = BTreeSet::new();
    let mut index = Vec::new();
    for image in images {
        let layers =
            image.layers.into_iter().map(Builder::into_inner).collect::<std::io::Result<Vec<_>>>()?;
        let digests: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
        let mut environment = vec![format!("PATH={}", image.search_path)];
        environment.extend(image.environment);
        let configuration = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": image.user.unwrap_or_default(),
                "Env": environment,
                "Entrypoint": image.entrypoint,
                "Cmd": image.command,
            },
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": vec![json!({"created": "1970-01-01T00:00:00Z", "created_by": "kf-tests"}); layers.len()],
        });
        let configuration = bytes(&configuration, what)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &configuration),
            "layers": layers
                .iter()
                .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer))
                .collect::<Vec<_>>(),
        });
        let manifest = bytes(&manifest, what)?;
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("platform".to_owned(), json!({"architecture": architecture(), "os": "linux"}));
            entry.insert("annotations".to_owned(), json!({"io.containerd.image.name": image.name}));
        }
        index.push(entry);
        for blob in layers.iter().chain([&configuration, &manifest]) {
            let digest = cache::digest_of(blob);
            if written.insert(digest.clone()) {
                append(&mut archive, &format!("blobs/sha256/{digest}"), blob)?;
            }
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": index,
    });
    append(&mut archive, "index.json", &bytes(&index, what)?)?;
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append<W: Write>(archive: &mut Builder<W>, at: &str, content: &[u8]) -> Result<()> {
    archive.append_data(&mut header(EntryType::Regular, 0o644, content.len()), at, content)?;
    Ok(())
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest_of(content), "size": content.len()})
}

fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", cache::digest_of(content))
}

fn bytes(value: &Value, path: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| ClusterError::malformed(path, error))
}

/// The machine's architecture, in the names of Go and OCI.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
