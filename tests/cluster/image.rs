//! Container images without a registry: OCI archives of one layer each, written here.
//!
//! All images of a cluster go into one archive, so that the node imports them in one step. The same
//! files always make the same bytes.

use std::io::Write;
use std::path::Path;

use aws_lc_rs::digest;
use fs_err as fs;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::cache::hexadecimal;
use super::error::{ClusterError, Result};

/// An image of one layer.
pub(crate) struct Image {
    /// Its full name with a tag other than `latest`, which would be pulled.
    pub(crate) name: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    /// The numeric user, where a pod demands one other than root.
    pub(crate) user: Option<&'static str>,
    layer: Builder<Vec<u8>>,
}

impl Image {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            user: None,
            layer: Builder::new(Vec::new()),
        }
    }

    pub(crate) fn entrypoint(mut self, program: &str) -> Self {
        self.entrypoint = vec![program.to_owned()];
        self
    }

    /// Adds an executable file.
    pub(crate) fn with_program(mut self, at: &str, from: &Path) -> Result<Self> {
        let content = fs::read(from)?;
        self.add(at, EntryType::Regular, 0o755, None, &content)?;
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
        self.layer.append_data(&mut header, at.trim_start_matches('/'), content)?;
        Ok(())
    }
}

/// Writes an archive of all `images` to `path`.
pub(crate) fn write_archive(images: Vec<Image>, path: &Path) -> Result<()> {
    let mut archive = Builder::new(fs::File::create(path)?);
    let mut index = Vec::new();
    for image in images {
        let layer = image.layer.into_inner()?;
        let layer_digest = digest_of(&layer);
        let configuration = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": image.user.unwrap_or_default(),
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": image.entrypoint,
                "Cmd": image.command,
            },
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "kf-tests"}],
        });
        let configuration = bytes(&configuration, path)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &configuration),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = bytes(&manifest, path)?;
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("platform".to_owned(), json!({"architecture": architecture(), "os": "linux"}));
            entry.insert("annotations".to_owned(), json!({"io.containerd.image.name": image.name}));
        }
        index.push(entry);
        for blob in [&layer, &configuration, &manifest] {
            append(&mut archive, &format!("blobs/sha256/{}", hex_digest(blob)), blob)?;
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": index,
    });
    append(&mut archive, "index.json", &bytes(&index, path)?)?;
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
    format!("sha256:{}", hex_digest(content))
}

fn hex_digest(content: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, content).as_ref())
}

fn bytes(value: &Value, path: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| ClusterError::malformed(path, error))
}

/// The machine's architecture as Go and OCI name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
