//! The audit log: a line of JSON for every call before it is sent and after it returns, and for every refusal.
//!
//! The file is append-only, with one write per line, so that several runs can share it. A call whose line cannot be
//! written is not sent.
//!
//! A command must not be able to displace lines by producing others. A run has budgets for what it can log, and logs
//! are only rotated at the start of a run. A log that is too large, or was last written in another month, is then
//! renamed and a new one is started; the oldest is removed once there are more than [`MAX_KEPT_LOGS`].

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kf_core::grants::Layer;
use kf_home::lock::try_lock;
use kf_home::trusted::{self, OwnPath};
use serde::Serialize;
use tracing::{Level, Span, field};

/// The size of a log, in bytes, from which the next run starts a new one.
const MAX_BYTES: u64 = 16 << 20;

/// The number of rotated logs to keep.
const MAX_KEPT_LOGS: usize = 24;

/// The stage of a call.
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

/// What a call into a pod does, beyond its resource. It contains neither the data that is sent nor the query of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Detail {
    Exec {
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        command: Vec<String>,
        stdin: bool,
        tty: bool,
    },
    Attach {
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        stdin: bool,
        tty: bool,
    },
    /// The pod's ports.
    Ports(Vec<u16>),
    Http {
        port: u16,
        method: String,
        path: String,
    },
}

/// One line. Absent fields are omitted.
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
    /// Not in the line of a response.
    #[serde(flatten)]
    pub detail: Option<&'a Detail>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    pub decision: &'static str,
    /// The manifest's rule, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The layer that refused the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// The HTTP status; absent without a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// Whether [`Entry::span`] is recorded.
pub fn is_traced() -> bool {
    tracing::enabled!(Level::INFO)
}

impl Entry<'_> {
    /// A span with the fields of the line, except those that all lines of a run share. The status is recorded when there
    /// is a response.
    pub fn span(&self) -> Span {
        let Self { verb, group, resource, namespace, name, decision, rule, .. } = *self;
        let layer = self.layer.map(Layer::as_str);
        let status = field::Empty;
        tracing::info_span!("call", verb, group, resource, namespace, name, decision, rule, layer, status)
    }
}

/// The version of the line format.
pub const FORMAT: u32 = 1;

/// An open audit log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: Mutex<File>,
}

impl AuditLog {
    /// Opens or creates the log in kf's state folder, and rotates it if it is due.
    pub fn in_state(state: &OwnPath) -> kf_home::Result<Self> {
        let path = state.at("audit.jsonl");
        let mut file = path.append()?;
        // If rotation fails, the log keeps growing, which is not a reason to fail the run.
        if let Ok(true) = rotate(state, &path, &file, Timestamp::now()) {
            file = path.append()?;
        }
        Ok(Self::new(path.into(), file))
    }

    /// Opens or creates a log at a path that the user set. It is not rotated. Like kf's own it must be a regular file that
    /// only its owner can read.
    pub fn named(path: &Path) -> kf_home::Result<Self> {
        Ok(Self::new(path.to_owned(), trusted::append_to(path)?))
    }

    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        Self { path, file: Mutex::new(file) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, entry: &Entry<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().map_err(|_| io::Error::other("an earlier write failed"))?;
        file.write_all(&line)
    }
}

/// Renames the log if it is due. Returns whether it has to be opened again.
fn rotate(state: &OwnPath, path: &OwnPath, file: &File, now: Timestamp) -> kf_home::Result<bool> {
    if !is_due(file, now)? {
        return Ok(false);
    }
    let lock = state.at("audit.lock").open_lock()?;
    // Another run is rotating it, or already has.
    if try_lock(&lock).is_err() || !is_due(&path.append()?, now)? {
        return Ok(true);
    }
    let kept = state.at(format!("audit-{}.jsonl", now.strftime("%Y%m%dT%H%M%SZ")));
    if kept.exists() {
        return Ok(false);
    }
    fs_err::rename(path, &kept)?;
    let mut names = state.names()?;
    names.retain(|name| name.starts_with("audit-") && name.ends_with(".jsonl"));
    if let Some(oldest) = names.first().filter(|_| names.len() > MAX_KEPT_LOGS) {
        fs_err::remove_file(state.at(oldest))?;
    }
    Ok(true)
}

fn is_due(file: &File, now: Timestamp) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let written = Timestamp::try_from(metadata.modified()?).unwrap_or(now);
    Ok(metadata.len() > MAX_BYTES || (metadata.len() > 0 && month(written) < month(now)))
}

fn month(time: Timestamp) -> (i16, i8) {
    let date = time.to_zoned(TimeZone::UTC);
    (date.year(), date.month())
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
            detail: None,
            dry_run: false,
            decision: "allowed",
            rule: Some(1),
            layer: None,
            status: None,
            note: None,
        }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    /// A log of a given size and modification time.
    fn log(state: &OwnPath, bytes: u64, written: &str) {
        let file = state.at("audit.jsonl").append().unwrap();
        file.set_len(bytes).unwrap();
        file.set_modified(at(written).into()).unwrap();
    }

    fn rotated(state: &OwnPath, now: &str) -> bool {
        let path = state.at("audit.jsonl");
        rotate(state, &path, &path.append().unwrap(), at(now)).unwrap()
    }

    fn kept(state: &OwnPath) -> Vec<String> {
        let names = state.names().unwrap();
        names.into_iter().filter(|name| name.starts_with("audit-")).collect()
    }

    #[test]
    fn lines_are_appended_to_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for _ in 0..2 {
            AuditLog::named(&path).unwrap().write(&entry()).unwrap();
        }
        let text = fs_err::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["name"], "web\n0");
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn write_to_full_disk_is_an_error() {
        let full = fs_err::OpenOptions::new().append(true).open("/dev/full").unwrap();
        assert!(AuditLog::new("/dev/full".into(), full.into_parts().0).write(&entry()).is_err());
    }

    #[test]
    fn log_that_is_not_private_regular_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let state = || OwnPath::new(dir.path().join("state"));
        drop(AuditLog::in_state(&state()).unwrap());
        let path = dir.path().join("state/audit.jsonl");
        for loose in [0o606, 0o644, 0o666] {
            mode(&path, loose);
            assert!(AuditLog::in_state(&state()).is_err(), "{loose:o}");
            assert!(AuditLog::named(&path).is_err(), "{loose:o}");
        }
        fs_err::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(AuditLog::in_state(&state()).is_err());
        assert!(!dir.path().join("elsewhere").exists());
        for other in ["/dev/null", "/dev/full", "/dev/stdout", "/proc/self/fd/1"] {
            assert!(AuditLog::named(Path::new(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn log_is_rotated_by_size_and_month() {
        let dir = tempfile::tempdir().unwrap();
        let state = OwnPath::new(dir.path().join("state"));
        log(&state, MAX_BYTES, "2026-11-01T00:00:00Z");
        assert!(!rotated(&state, "2026-11-30T23:59:59Z"));
        assert!(rotated(&state, "2026-12-01T00:00:00Z"), "another month");
        assert!(!rotated(&state, "2027-01-01T00:00:00Z"), "empty log");
        log(&state, MAX_BYTES + 1, "2027-01-01T00:00:00Z");
        assert!(rotated(&state, "2027-01-01T00:00:01Z"), "it has grown");
        log(&state, 1, "2027-02-01T00:00:00Z");
        assert!(!rotated(&state, "2027-01-31T00:00:00Z"), "clock set back");
        assert_eq!(kept(&state), ["audit-20261201T000000Z.jsonl", "audit-20270101T000001Z.jsonl"]);
    }

    /// No matter how much a run writes, the next one removes at most one file.
    #[test]
    fn run_removes_at_most_one_old_log() {
        let dir = tempfile::tempdir().unwrap();
        let state = OwnPath::new(dir.path().join("state"));
        for second in 10..50 {
            log(&state, 100 * MAX_BYTES, "2026-11-01T00:00:00Z");
            let before = kept(&state);
            assert!(rotated(&state, &format!("2026-11-01T00:00:{second}Z")));
            let after = kept(&state);
            let removed: Vec<_> = before.iter().filter(|name| !after.contains(name)).collect();
            assert_eq!(
                removed,
                before.iter().take(usize::from(before.len() == MAX_KEPT_LOGS)).collect::<Vec<_>>()
            );
        }
        assert_eq!(kept(&state).len(), MAX_KEPT_LOGS);
        // Two rotations within a second: the first file is not overwritten.
        log(&state, 100 * MAX_BYTES, "2026-11-01T00:00:00Z");
        assert!(!rotated(&state, "2026-11-01T00:00:49Z"));
    }

    #[test]
    fn line_has_detail_of_call_into_pod() {
        let line = |detail: &Detail| {
            let line = serde_json::to_value(Entry { detail: Some(detail), ..entry() }).unwrap();
            assert_eq!(line["command"], "train");
            line
        };
        let exec = Detail::Exec {
            container: Some("main".into()),
            command: vec!["sh".into(), "-c".into(), "id".into()],
            stdin: true,
            tty: false,
        };
        let expected = serde_json::json!({
            "container": "main", "command": ["sh", "-c", "id"], "stdin": true, "tty": false,
        });
        assert_eq!(line(&exec)["exec"], expected);
        assert_eq!(line(&Detail::Ports(vec![80, 443]))["ports"], serde_json::json!([80, 443]));
        let http = Detail::Http { port: 8888, method: "POST".into(), path: "/api".into() };
        let expected = serde_json::json!({"port": 8888, "method": "POST", "path": "/api"});
        assert_eq!(line(&http)["http"], expected);
    }
}
