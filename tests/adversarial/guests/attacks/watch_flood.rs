//! Opens watches up to the limit and never reads them.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube::{self, Reach, Selection};
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::{Answer, attack, kind};

attack!(run);

/// 1 if a watch over the limit could be opened, else 0.
fn run(_: Vec<String>) -> Answer {
    let pods = Selection {
        kind: kind("Pod"),
        reach: Reach::Namespaced,
        namespace: None,
        label_selector: None,
        field_selector: None,
    };
    let mut open = Vec::new();
    loop {
        match kube::open_watch(&pods, "1") {
            Ok(watch) => open.push(watch),
            Err(error) if error.code == ErrorCode::Budget => break,
            Err(error) => return Err(error),
        }
    }
    // Closing one makes room for exactly one.
    open.pop();
    open.extend(kube::open_watch(&pods, "1"));
    Ok(u8::from(kube::open_watch(&pods, "1").is_ok()))
}
