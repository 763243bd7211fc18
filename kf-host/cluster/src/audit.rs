//! The audit log: a line of JSON for every call before it leaves and after it returns, and for
//! every refusal.
//!
//! The file is only ever appended to, one write a line, so that several runs may share it. A
//! call whose line cannot be written is not made.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kf_core::grants::Layer;
use serde::Serialize;
use tracing::{Level, Span, field};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Allowed, about to be sent.
    Request,
    /// Answered, or failed without an answer.
    Response,
    /// Refused by kf; nothing was sent.
    Refused,
}

/// One line. Absent parts are left out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    pub format: u32,
    pub time: String,
    pub stage: Stage,
    pub command: &'a str,
    pub version: &'a str,
    pub digest: &'a str,
    pub server: &'a str,
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    pub decision: &'static str,
    /// The manifest's rule, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Who refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// The HTTP status; absent if there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Whether anybody listens to [`Entry::span`].
pub fn is_traced() -> bool {
    tracing::enabled!(Level::INFO)
}

impl Entry<'_> {
    /// A span with the fields of the line, except for those that every line of a run has. Its status is
    /// recorded when there is an answer.
    pub fn span(&self) -> Span {
        let Self { verb, group, resource, namespace, name, decision, rule, .. } = *self;
        let layer = self.layer.map(Layer::as_str);
        let status = field::Empty;
        tracing::info_span!("call", verb, group, resource, namespace, name, decision, rule, layer, status)
    }
}

/// The version of the lines' form.
pub const FORMAT: u32 = 1;

/// An open audit log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: Mutex<File>,
}

impl AuditLog {
    /// Opens or creates the file, readable by its owner alone.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, entry: &Entry<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().map_err(|_| io::Error::other("a writer failed before"))?;
        file.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            format: FORMAT,
            time: "2026-11-21T00:00:00Z".into(),
            stage: Stage::Request,
            command: "train",
            version: "1.4.0",
            digest: "5f1c",
            server: "https://lab",
            verb: "get",
            group: "",
            resource: "pods",
            namespace: Some("team-a"),
            name: Some("web\n0"),
            dry_run: false,
            decision: "allowed",
            rule: Some(1),
            layer: None,
            status: None,
        }
    }

    #[test]
    fn lines_are_appended_to_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for _ in 0..2 {
            AuditLog::open(&path).unwrap().write(&entry()).unwrap();
        }
        let text = fs_err::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["name"], "web\n0");
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let log = AuditLog::open(Path::new("/dev/full")).unwrap();
        assert!(log.write(&entry()).is_err());
    }
}
