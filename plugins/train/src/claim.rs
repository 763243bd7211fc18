//! Local code on a volume claim, for more than a ConfigMap holds.
//!
//! The files become one archive. Its digest names the directory on the volume, so changed code gets
//! another directory, and existing code is not uploaded again. [`loader`](crate::loader) uploads it.

use kf_plugin_sdk::prelude::*;
use kf_training_job::{Volume, files, training_pod};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};

use crate::loader::{Loader, Upload};

const CLAIM: &str = "PersistentVolumeClaim";

/// The directory on the volume that kf writes to.
const CODE_DIR: &str = "kf-code";

/// The limit of the archive, which is kept in memory during the upload.
const MAX_BYTES: u64 = 64 << 20;

pub(crate) struct ClaimCode {
    claim: String,
    archive: Archive,
    loader: Loader,
    /// The number of nodes that will read it.
    nodes: i64,
}

/// A reproducible archive: the same files give the same bytes.
#[derive(Debug)]
pub(crate) struct Archive {
    /// The name of the directory on the volume.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
    files: usize,
    content: u64,
}

impl ClaimCode {
    pub(crate) fn read(
        kf: &Kf,
        directory: &DirectoryArg,
        claim: &str,
        job: &Object,
        runtime: Option<&Object>,
    ) -> Result<Self> {
        let loader = Loader::of(job, runtime.and_then(training_pod))?;
        let of_runtime = runtime.and_then(|runtime| runtime.int("/spec/mlPolicy/numNodes"));
        let nodes = job.int("/spec/trainer/numNodes").or(of_runtime).unwrap_or(1);
        let archive = Archive::pack(kf, directory, job.name())?;
        Ok(Self { claim: claim.to_owned(), archive, loader, nodes })
    }

    pub(crate) fn summary(&self, directory: &DirectoryArg) -> String {
        files::summary(directory, self.archive.files, self.archive.content)
    }

    /// Checks that the claim exists and that the loader can be created.
    pub(crate) fn check(&self, kf: &Kf) -> Result<()> {
        let claim = &self.claim;
        match kf.api(CLAIM).find(claim) {
            Ok(None) => return Err(missing(kf, claim)),
            Ok(Some(found)) => self.check_claim(kf, &found)?,
            // The claim cannot be read; a problem with it shows up in the loader's pod.
            Err(error) if error.is(ErrorCode::Forbidden) => {}
            Err(error) => return Err(error),
        }
        self.loader.check(kf, claim)
    }

    fn check_claim(&self, kf: &Kf, claim: &Object) -> Result<()> {
        let name = claim.name();
        if claim.str("/metadata/deletionTimestamp").is_some() || claim.str("/status/phase") == Some("Lost") {
            return Err(Error::failed(format!(
                "volume claim {name} is being deleted, or its volume is lost"
            )));
        }
        let modes = claim.list("/spec/accessModes");
        let shared = modes.iter().any(|mode| mode.as_str().is_some_and(|mode| mode.ends_with("Many")));
        if self.nodes > 1 && !shared {
            kf.warn(format!(
                "volume claim {name} can be mounted on one node at a time, but {} nodes need the code",
                self.nodes
            ));
        }
        Ok(())
    }

    /// Uploads the code to the claim through a temporary pod.
    pub(crate) fn load(&self, kf: &Kf) -> Result<()> {
        let (claim, archive) = (&self.claim, &self.archive);
        let upload = self.loader.load(kf, claim, CODE_DIR, archive)?;
        let done = if upload == Upload::New { "uploaded" } else { "already uploaded" };
        kf.note(format!(
            "code {done} to {CODE_DIR}/{} on volume claim {claim}; it is kept when the job is deleted",
            archive.name
        ));
        Ok(())
    }

    pub(crate) fn volume(&self) -> Volume {
        let claim = json!({ "claimName": self.claim });
        Volume {
            source: Map::from_iter([("persistentVolumeClaim".to_owned(), claim)]),
            sub_path: Some(format!("{CODE_DIR}/{}", self.archive.name)),
        }
    }
}

fn missing(kf: &Kf, claim: &str) -> Error {
    let message = format!("no volume claim `{claim}` in {}", kf.namespace());
    // Only for a hint, so a failure to list is ignored.
    let available = kf.api(CLAIM).list().unwrap_or_default();
    let names: Vec<_> = available.iter().map(Object::name).collect();
    match names.first() {
        None => Error::not_found(message).hint("ask an owner of the namespace for a volume claim"),
        Some(first) => Error::not_found(format!("{message}; available: {}", names.join(", ")))
            .hint(kf.command_line().set("--pvc", first)),
    }
}

impl Archive {
    fn pack(kf: &Kf, directory: &DirectoryArg, job: &str) -> Result<Self> {
        let found = files::list(kf, directory)?;
        let measured: u64 = found.iter().map(|file| file.size).sum();
        check_size(directory, measured)?;
        let mut archive = tar::Builder::new(Vec::new());
        let (count, mut content) = (found.len(), 0);
        for file in found {
            let bytes = directory.read(kf, &file.path)?;
            // A file may have grown since its size was read.
            content += bytes.len() as u64;
            check_size(directory, content)?;
            let mut header = tar::Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(bytes.len() as u64);
            header.set_mode(if file.executable { 0o755 } else { 0o644 });
            archive.append_data(&mut header, &file.path, bytes.as_slice()).map_err(|error| {
                Error::invalid(format!("cannot archive {}/{}: {error}", directory, file.path))
            })?;
        }
        let bytes = archive
            .into_inner()
            .map_err(|error| Error::failed(format!("cannot archive {directory}: {error}")))?;
        let digest = Sha256::digest(&bytes);
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{job}-code-{}", sha256.chars().take(12).collect::<String>());
        Ok(Self { name, bytes, sha256, files: count, content })
    }
}

fn check_size(directory: &DirectoryArg, bytes: u64) -> Result<()> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{directory} is too large: {}, at most {} can be uploaded to a volume",
        files::size(bytes),
        files::size(MAX_BYTES)
    ))
    .hint(
        "keep only code in it: copy data to the volume yourself, or build an image and pass it with --image",
    ))
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn pack(files: &[(&str, &str)]) -> Result<Archive> {
        let host = FakeHost::new("team-a");
        for (path, text) in files {
            host.file(&format!("src/{path}"), text);
        }
        Archive::pack(&host.kf(), &"src".parse().unwrap(), "mnist")
    }

    #[test]
    fn archive_has_paths_modes_and_contents_but_no_owner_or_time() {
        let long = format!("{}/deep.py", "directory".repeat(20));
        let archive = pack(&[("run.sh", "echo"), (&long, "x = 1"), (".env", "TOKEN=1")]).unwrap();
        let mut found: Vec<_> = tar::Archive::new(archive.bytes.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
                assert_eq!(owner, (0, 0, 0));
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), entry.size())
            })
            .collect();
        found.sort();
        assert_eq!(found, [(long, 0o644, 5), ("run.sh".to_owned(), 0o755, 4)]);
    }

    #[test]
    fn directory_name_depends_on_code_only() {
        let one = pack(&[("train.py", "1")]).unwrap();
        assert_eq!(one.name, pack(&[("train.py", "1")]).unwrap().name);
        assert_ne!(one.name, pack(&[("train.py", "2")]).unwrap().name);
        assert_ne!(one.name, pack(&[("other.py", "1")]).unwrap().name);
        assert_eq!(one.name, format!("mnist-code-{}", &one.sha256[..12]));
    }

    #[test]
    fn code_over_limit_is_refused() {
        let large = "x".repeat((64 << 20) + 1);
        let error = pack(&[("data.bin", &large)]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert!(
            error.message.starts_with("src is too large: 64.0 MiB, at most 64.0 MiB"),
            "{}",
            error.message
        );
    }
}
