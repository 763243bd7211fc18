//! Follows the deletion of a namespace.
//!
//! The cluster deletes the contents of the namespace, then the namespace. An object with a finalizer waits for
//! the controller that set it, which the namespace's conditions report. kf only shows this: removing a finalizer
//! would skip its cleanup.

use std::time::Duration;

use kf_plugin_sdk::namespaces;
use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

/// The time between two reads if a watch is not allowed or reports nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Waits until this namespace, not another of its name, is deleted. Shows what blocks the deletion.
pub(crate) fn wait_until_deleted(kf: &Kf, namespace: &Object, limit: Duration) -> Result<()> {
    let name = namespace.name();
    let start = kf.now();
    let progress = kf.progress(&format!("deleting {name}"));
    let watch = watch(kf, name);
    let mut reported = Vec::new();
    loop {
        let Some(now) = namespaces::api(kf).find(name)?.filter(|now| now.uid() == namespace.uid()) else {
            return Ok(());
        };
        let remains = namespaces::remains(&now);
        let waited = start.age(kf.now());
        let what = remains.first().map(|first| format!(": {first}")).unwrap_or_default();
        progress.say(&format!("deleting {name}, {}{what}", short_duration(waited)));
        let held: Vec<_> = remains.iter().filter(|line| line.contains("finalizer")).cloned().collect();
        for line in held.iter().filter(|line| !reported.contains(*line)) {
            kf.note(format!("{name} is waiting for {line}"));
        }
        reported = held;
        if waited >= limit {
            let what = if remains.is_empty() { String::new() } else { format!(": {}", remains.join("; ")) };
            let message = format!("{name} still exists after {}{what}", short_duration(waited));
            return Err(Error::timed_out(message).hint(format!("kf delete {name}")));
        }
        let pause = kf.after(POLL_INTERVAL);
        match &watch {
            Some(watch) => {
                let changes = watch.subscribe();
                if kf.wait(&[&changes, &pause]).contains(&0) {
                    // If the watch ended or expired, polling continues.
                    if !matches!(watch.next(), Ok(events) if !events.is_empty()) {
                        kf.wait(&[&pause]);
                    }
                }
            }
            None => {
                kf.wait(&[&pause]);
            }
        }
    }
}

fn watch(kf: &Kf, name: &str) -> Option<Watch> {
    let (_, watch) = namespaces::api(kf).fields(format!("metadata.name={name}")).list_and_watch().ok()?;
    Some(watch)
}
