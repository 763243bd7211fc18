//! Finds the newest mirror of a registry.
//!
//! Any mirror with a valid state would do, but the newest one has the latest fixes. So before a refresh the roots and the
//! timestamp of each are fetched, all at the same time. They are verified, so a mirror cannot come first by a false claim,
//! and a slow mirror does not delay the others: it keeps its place in the order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sigstore_tuf::{TrustedMetadataSet, UpdaterConfig};

use super::Options;
use super::state::State;
use crate::registries::Registry;
use crate::transport::{Deadline, Transport, Url};

/// How long to wait for the others once one has answered.
const GRACE: Duration = Duration::from_secs(2);

/// The versions of root and timestamp, which order two states.
type Versions = (u64, u64);

/// The URLs of a registry, newest state first. Equal ones keep their order.
pub(super) fn by_freshness<'a>(
    registry: &'a Registry,
    state: Option<&State>,
    options: &Options,
) -> Vec<&'a Url> {
    let mut urls: Vec<(usize, &Url)> = registry.urls.iter().enumerate().collect();
    if urls.len() > 1 {
        let root = state.and_then(State::root).unwrap_or(&registry.root);
        let found = collect(&query(registry, root, options), urls.len(), options.refresh_limit);
        urls.sort_by_key(|(at, _)| {
            std::cmp::Reverse(found.iter().find(|(of, _)| of == at).map(|(_, found)| *found))
        });
    }
    urls.into_iter().map(|(_, url)| url).collect()
}

fn query(registry: &Registry, root: &[u8], options: &Options) -> Receiver<(usize, Option<Versions>)> {
    let (sender, receiver) = channel();
    for (at, url) in registry.urls.iter().enumerate() {
        let transport = Transport::new(url, Deadline::after(options.refresh_limit), Arc::new(|_| {}));
        let (sender, root, now) = (sender.clone(), root.to_vec(), options.now);
        // If no thread can be started, its state stays unknown.
        let _not_started = std::thread::Builder::new().name("mirror".to_owned()).spawn(move || {
            let _too_late = sender.send((at, versions(&transport, &root, now)));
        });
    }
    receiver
}

/// The answers, once all mirrors have answered or the time is up.
fn collect(
    answers: &Receiver<(usize, Option<Versions>)>,
    expected: usize,
    limit: Duration,
) -> Vec<(usize, Versions)> {
    let mut found = Vec::new();
    let begun = Instant::now();
    let mut until = limit;
    for _ in 0..expected {
        let Ok((at, versions)) = answers.recv_timeout(until.saturating_sub(begun.elapsed())) else { break };
        if let Some(versions) = versions {
            found.push((at, versions));
            until = until.min(begun.elapsed().saturating_add(GRACE));
        }
    }
    found
}

/// The versions of a mirror, if its state is valid.
fn versions(transport: &Transport, root: &[u8], now: Timestamp) -> Option<Versions> {
    let limits = UpdaterConfig::default();
    let get = |file: &str, max| transport.get(&format!("metadata/{file}"), max).ok().flatten();
    let mut trusted = TrustedMetadataSet::from_root(root).ok()?;
    for _ in 0..limits.max_root_rotations {
        let next = trusted.root().version.checked_add(1)?;
        let Some(bytes) = get(&format!("{next}.root.json"), limits.root_max_length) else { break };
        trusted.update_root(&bytes).ok()?;
    }
    trusted.update_timestamp(&get("timestamp.json", limits.timestamp_max_length)?, now).ok()?;
    Some((trusted.root().version, trusted.timestamp()?.version))
}
