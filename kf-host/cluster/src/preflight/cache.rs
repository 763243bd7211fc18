//! Positive answers of the last minute, on disk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kf_core::format::Format;
use kf_home::trusted::OwnPath;
use serde::{Deserialize, Serialize};

/// How long an answer is valid, in seconds.
const MAX_AGE_SECONDS: i64 = 60;

/// The version of the file format; a file of another version is ignored.
const FORMAT: u64 = 1;

/// The maximum size of the file, in bytes.
const MAX_BYTES: u64 = 4 << 20;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    /// Digests of questions, and when each was answered, in seconds since 1970.
    yes: BTreeMap<String, i64>,
}

/// The cached answers, and their file.
#[derive(Debug)]
pub(super) struct Cache {
    path: Option<OwnPath>,
    now: i64,
    yes: BTreeMap<String, i64>,
    changed: bool,
}

impl Cache {
    pub(super) fn load(path: Option<&OwnPath>, now: Timestamp) -> Self {
        let now = now.as_second();
        let mut yes = path.and_then(read).unwrap_or_default();
        // Drop stale answers, and those that a wrong clock dated in the future.
        yes.retain(|_, at| (now - MAX_AGE_SECONDS..=now).contains(at));
        Self { path: path.cloned(), now, yes, changed: false }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.yes.contains_key(key)
    }

    pub(super) fn remember(&mut self, key: String) {
        self.changed |= !self.yes.contains_key(&key);
        self.yes.entry(key).or_insert(self.now);
    }

    /// A failure to write is ignored: it only costs the next run some requests.
    pub(super) fn save(&self) {
        let Some(path) = self.path.as_ref().filter(|_| self.changed) else { return };
        let file = File { format: Format, yes: self.yes.clone() };
        let _lost = path.write_json(&file);
    }
}

fn read(path: &OwnPath) -> Option<BTreeMap<String, i64>> {
    let file: File = path.read_json(MAX_BYTES, FORMAT).ok()??;
    Some(file.yes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn answer_is_valid_for_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let path = OwnPath::new(dir.path().join("new")).at("preflight.json");
        let mut cache = Cache::load(Some(&path), at(1000));
        cache.remember("k".into());
        cache.save();
        for (second, known) in [(1000, true), (1060, true), (1061, false), (999, false)] {
            assert_eq!(Cache::load(Some(&path), at(second)).has("k"), known, "{second}");
        }
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn cached_answer_is_not_renewed_by_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = OwnPath::new(dir.path()).at("preflight.json");
        for second in [1000, 1050] {
            let mut cache = Cache::load(Some(&path), at(second));
            cache.remember("k".into());
            cache.save();
        }
        assert!(!Cache::load(Some(&path), at(1070)).has("k"));
    }

    #[test]
    fn invalid_file_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = OwnPath::new(dir.path()).at("preflight.json");
        for text in ["", "{", r#"{"format":2,"yes":{"k":1000}}"#, r#"{"format":1,"yes":{"k":1000},"x":1}"#] {
            fs_err::write(&path, text).unwrap();
            assert!(!Cache::load(Some(&path), at(1000)).has("k"), "{text}");
        }
    }

    /// A user who can write it could answer for the cluster.
    #[test]
    fn file_writable_by_others_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = || OwnPath::new(dir.path().join("cache")).at("rights.json");
        let mut cache = Cache::load(Some(&path()), at(1000));
        cache.remember("k".into());
        cache.save();
        let mode = |path: &std::path::Path, mode| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (loose, proper, of) in
            [(0o666, 0o600, path()), (0o777, 0o700, OwnPath::new(dir.path().join("cache")))]
        {
            assert!(Cache::load(Some(&path()), at(1000)).has("k"));
            mode(&of, loose);
            assert!(!Cache::load(Some(&path()), at(1000)).has("k"), "{loose:o}");
            mode(&of, proper);
        }
    }
}
