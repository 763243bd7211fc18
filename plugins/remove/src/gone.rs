//! Waiting until a component is gone.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::Component;
use serde_json::Value;

const PAUSE: Duration = Duration::from_millis(500);

/// Deleted in the foreground, it stays until its pods have ended. A later one of the same name is
/// not waited for.
pub(crate) fn until_gone(kf: &Kf, component: &Component, limit: Duration) -> Result<()> {
    let start = kf.now();
    let progress = kf.progress(&format!("waiting for {component} to end"));
    let api = kf.api(component.kind.kind());
    loop {
        let now = api.find(&component.name)?;
        let Some(now) = now.filter(|now| now.uid() == component.object.uid()) else { return Ok(()) };
        let waited = start.age(kf.now());
        let pods = component.pods(kf)?.len();
        let what = if pods > 0 { format!("{pods} of its pods are ending") } else { held(&now) };
        if waited >= limit {
            let message = format!("{component} is still there after {}: {what}", short_duration(waited));
            return Err(Error::timed_out(message).hint(format!("kf status {component}")));
        }
        progress.say(&format!("waiting for {component} to end: {what}, {}", short_duration(waited)));
        kf.sleep(PAUSE);
    }
}

/// Who has yet to let go of it.
fn held(object: &Object) -> String {
    let finalizers: Vec<_> = object
        .list("/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .filter(|finalizer| *finalizer != "foregroundDeletion")
        .collect();
    if finalizers.is_empty() {
        "what it made is being deleted".to_owned()
    } else {
        format!("finalizer {} holds it", finalizers.join(", "))
    }
}
