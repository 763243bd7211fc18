//! Following a namespace to its end.
//!
//! The cluster deletes what is in it and then the namespace; whatever has a finalizer waits for
//! the controller that put it there. The namespace's conditions say so. kf only passes it on:
//! removing a finalizer leaves behind what it was there to clean up.

use std::time::Duration;

use kf_plugin_sdk::namespaces;
use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

/// Between two looks, where a watch is not allowed or says nothing.
const PAUSE: Duration = Duration::from_secs(2);

/// Blocks until this very namespace is gone. What holds it is shown, and told when time is up.
pub(crate) fn until_gone(kf: &Kf, namespace: &Object, limit: Duration) -> Result<()> {
    let name = namespace.name();
    let start = kf.now();
    let progress = kf.progress(&format!("waiting for {name} to be gone"));
    let watch = watch(kf, name);
    let mut said = Vec::new();
    loop {
        let Some(now) = namespaces::api(kf).find(name)?.filter(|now| now.uid() == namespace.uid()) else {
            return Ok(());
        };
        let remains = namespaces::remains(&now);
        let waited = start.age(kf.now());
        let what = remains.first().map(|first| format!(": {first}")).unwrap_or_default();
        progress.say(&format!("waiting for {name} to be gone, {}{what}", short_duration(waited)));
        let held: Vec<_> = remains.iter().filter(|line| line.contains("finalizer")).cloned().collect();
        for line in held.iter().filter(|line| !said.contains(*line)) {
            kf.note(format!("{name} waits for {line}"));
        }
        said = held;
        if waited >= limit {
            let what = if remains.is_empty() { String::new() } else { format!(": {}", remains.join("; ")) };
            let message = format!("{name} is still there after {}{what}", short_duration(waited));
            return Err(Error::timed_out(message).hint(format!("kf delete {name}")));
        }
        let pause = kf.after(PAUSE);
        match &watch {
            Some(watch) => {
                let changes = watch.subscribe();
                if kf.wait(&[&changes, &pause]).contains(&0) {
                    // Ended or expired, it is no reason to stop: the next look will tell.
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
