//! Finds the newest mirror of a registry, and what is wrong with the others.
//!
//! Any mirror with a valid state would do, but the newest one has the latest fixes. So before a refresh the roots and the
//! timestamp of each are fetched, all at the same time. They are verified, so a mirror cannot come first by a false claim,
//! and a slow mirror does not delay the others: it keeps its place in the order.
//!
//! A mirror that is behind, does not answer or serves something invalid is reported, because no one else may notice: the
//! refresh succeeds without it. What was found is kept in the cache, for lists.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kf_core::RegistryId;
use kf_core::format::Format;
use kf_home::Home;
use kf_home::trusted::OwnPath;
use serde::{Deserialize, Serialize};
use sigstore_tuf::{TrustedMetadataSet, UpdaterConfig};

use super::state::State;
use super::{Options, from_failure, from_tuf};
use crate::error::{Error, Result};
use crate::index::signed_at;
use crate::registries::Registry;
use crate::transport::{Deadline, Transport, Url};

/// How long to wait for the others once one has answered.
const GRACE: Duration = Duration::from_secs(2);

const FORMAT: u64 = 1;
const MAX_BYTES: u64 = 1024 * 1024;

/// An address of a registry, as it was found at a refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    pub url: String,
    pub state: MirrorState,
    /// Why it is not current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When its timestamp was signed, if it is valid and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirrorState {
    /// It has the newest state.
    Current,
    /// Its state is older than that of another mirror, or expired.
    Stale,
    /// It did not answer, or only to others.
    Unreachable,
    /// Its signatures or digests are not valid.
    Invalid,
    /// It did not answer before the others were used.
    Slow,
}

impl MirrorState {
    /// As in lists and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Invalid => "invalid",
            Self::Slow => "slow",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    mirrors: Vec<Mirror>,
}

/// What the last refresh found about a registry's addresses; nothing if it has only one or was never refreshed.
pub fn last_found(home: &Home, id: &RegistryId) -> Vec<Mirror> {
    let file = path(home, id).read_json::<File>(MAX_BYTES, FORMAT).ok().flatten();
    file.map(|file| file.mirrors).unwrap_or_default()
}

fn path(home: &Home, id: &RegistryId) -> OwnPath {
    home.cache.at("mirrors").at(format!("{id}.json"))
}

/// Keeps what was found. It is only shown, so a cache that cannot be written is no error.
pub(super) fn keep(home: &Home, id: &RegistryId, mirrors: &[Mirror]) {
    if !mirrors.is_empty() {
        let _only_shown = path(home, id).write_json(&File { format: Format, mirrors: mirrors.to_vec() });
    }
}

/// The versions of root and timestamp, which order two states.
pub(super) type Versions = (u64, u64);

/// The valid state of a mirror.
#[derive(Clone, Copy, Debug)]
struct Found {
    versions: Versions,
    signed: Option<Timestamp>,
}

/// The addresses of a registry in the order to try them.
pub(super) struct Order<'a> {
    registry: &'a Registry,
    found: Vec<(usize, Result<Found>)>,
}

impl<'a> Order<'a> {
    /// Asks all addresses, if there are several.
    pub(super) fn ask(registry: &'a Registry, state: Option<&State>, options: &Options) -> Self {
        let mut found = Vec::new();
        if registry.urls.len() > 1 {
            let root = state.and_then(State::root).unwrap_or(&registry.root);
            found = collect(&query(registry, root, options), registry.urls.len(), options.refresh_limit);
        }
        Self { registry, found }
    }

    /// Newest state first. Equal ones keep their order.
    pub(super) fn urls(&self) -> Vec<&'a Url> {
        let mut urls: Vec<(usize, &Url)> = self.registry.urls.iter().enumerate().collect();
        urls.sort_by_key(|(at, _)| std::cmp::Reverse(self.valid(*at).map(|found| found.versions)));
        urls.into_iter().map(|(_, url)| url).collect()
    }

    /// What was found about each address, if there are several. `used` has the state with these versions, and `failed` were
    /// tried without success.
    pub(super) fn mirrors(&self, used: &Url, versions: Versions, failed: &[(&Url, Error)]) -> Vec<Mirror> {
        if self.registry.urls.len() < 2 {
            return Vec::new();
        }
        let mirror = |(at, url): (usize, &Url)| {
            let (state, why) = match failed.iter().find(|(of, _)| *of == url) {
                _ if url == used => (MirrorState::Current, None),
                Some((_, error)) => failure(error),
                None => self.judge(at, versions),
            };
            let signed = self.valid(at).and_then(|found| found.signed);
            Mirror { url: url.to_string(), state, why, signed }
        };
        self.registry.urls.iter().enumerate().map(mirror).collect()
    }

    fn judge(&self, at: usize, newest: Versions) -> (MirrorState, Option<String>) {
        match self.found.iter().find(|(of, _)| *of == at) {
            None => (MirrorState::Slow, Some("it did not answer in time".into())),
            Some((_, Err(error))) => failure(error),
            Some((_, Ok(found))) if found.versions < newest => {
                let since = match found.signed {
                    Some(signed) => format!("it was last updated at {signed}"),
                    None => format!("it has version {} of {}", found.versions.1, newest.1),
                };
                (MirrorState::Stale, Some(since))
            }
            Some((_, Ok(_))) => (MirrorState::Current, None),
        }
    }

    fn valid(&self, at: usize) -> Option<Found> {
        self.found.iter().find(|(of, _)| *of == at)?.1.as_ref().ok().copied()
    }
}

fn failure(error: &Error) -> (MirrorState, Option<String>) {
    let (state, why) = match error {
        Error::Metadata { fault, .. } if fault.is_age() => (MirrorState::Stale, fault.to_string()),
        Error::Metadata { fault, .. } => (MirrorState::Invalid, fault.to_string()),
        Error::Untrusted { reason, .. } => (MirrorState::Invalid, reason.clone()),
        Error::Unreachable { reason, .. }
        | Error::TimedOut { reason, .. }
        | Error::UntrustedServer { reason, .. }
        | Error::Unauthenticated { reason, .. }
        | Error::AccessDenied { reason, .. } => (MirrorState::Unreachable, reason.clone()),
        error => (MirrorState::Unreachable, error.to_string()),
    };
    (state, Some(why))
}

fn query(registry: &Registry, root: &[u8], options: &Options) -> Receiver<(usize, Result<Found>)> {
    let (sender, receiver) = channel();
    for (at, url) in registry.urls.iter().enumerate() {
        let (sender, root, now) = (sender.clone(), root.to_vec(), options.now);
        let (url, limit) = (url.clone(), options.refresh_limit);
        let (id, access) = (registry.id.clone(), registry.access.clone());
        // If no thread can be started, its state stays unknown.
        let _not_started = std::thread::Builder::new().name("mirror".to_owned()).spawn(move || {
            let found = Transport::new(&url, &access, Deadline::after(limit), Arc::new(|_| {}))
                .and_then(|transport| find(&transport, &id, &root, now));
            let _too_late = sender.send((at, found));
        });
    }
    receiver
}

/// The answers, once all mirrors have answered or the time is up.
fn collect(
    answers: &Receiver<(usize, Result<Found>)>,
    expected: usize,
    limit: Duration,
) -> Vec<(usize, Result<Found>)> {
    let mut found = Vec::new();
    let begun = Instant::now();
    let mut until = limit;
    for _ in 0..expected {
        let Ok((at, answer)) = answers.recv_timeout(until.saturating_sub(begun.elapsed())) else { break };
        if answer.is_ok() {
            until = until.min(begun.elapsed().saturating_add(GRACE));
        }
        found.push((at, answer));
    }
    found
}

/// The state of a mirror, if it is valid.
fn find(transport: &Transport, id: &RegistryId, root: &[u8], now: Timestamp) -> Result<Found> {
    let limits = UpdaterConfig::default();
    let get = |file: &str, max| {
        transport.get(&format!("metadata/{file}"), max).map_err(|failure| from_failure(id, &failure))
    };
    let invalid = |error| from_tuf(id, &error);
    let missing =
        |file: &str| Error::Unreachable { registry: id.clone(), reason: format!("it has no {file}") };
    let mut trusted = TrustedMetadataSet::from_root(root).map_err(invalid)?;
    for _ in 0..limits.max_root_rotations {
        let next = trusted.root().version.saturating_add(1);
        let Some(bytes) = get(&format!("{next}.root.json"), limits.root_max_length)? else { break };
        trusted.update_root(&bytes).map_err(invalid)?;
    }
    let timestamp =
        get("timestamp.json", limits.timestamp_max_length)?.ok_or_else(|| missing("timestamp.json"))?;
    trusted.update_timestamp(&timestamp, now).map_err(invalid)?;
    let timestamp = trusted.timestamp().ok_or_else(|| missing("timestamp.json"))?;
    let signed = signed_at(&timestamp.extra);
    Ok(Found { versions: (trusted.root().version, timestamp.version), signed })
}
