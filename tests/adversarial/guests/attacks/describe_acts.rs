//! Calls the cluster while it describes itself.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube;
use kf_attacks::{Answer, attack, object};

attack!(run, describe = describe);

fn describe() -> Vec<kf_attacks::plugin::tree::Command> {
    let _ = kube::get(&object("Secret", "token"));
    kf_attacks::describe()
}

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}
