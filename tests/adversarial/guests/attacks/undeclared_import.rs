//! Uses the cluster without asking for it in its manifest.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube;
use kf_attacks::{Answer, attack, object};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    kube::get(&object("Secret", "token"))?;
    Ok(0)
}
