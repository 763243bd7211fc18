//! Asks for pods in its manifest, but reads secrets.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube::{self, DeleteOptions, Propagation, Reach, Selection, WriteOptions};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack, kind, object};

attack!(run);

/// Reads what was granted, then tries the rest and prints what it got. Fails with the last refusal.
fn run(_: Vec<String>) -> Answer {
    if let Ok(pod) = kube::get(&object("Pod", "web")) {
        ui::print(pod.as_bytes())?;
    }
    let everywhere = Selection {
        kind: kind("Secret"),
        reach: Reach::AllNamespaces,
        namespace: None,
        label_selector: None,
        field_selector: None,
    };
    let write = WriteOptions { dry_run: false, force: true };
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"miner"}}"#;
    let deletion = DeleteOptions {
        dry_run: false,
        propagation: Propagation::Background,
        grace_period_seconds: Some(0),
        uid: None,
    };
    let loot = [
        kube::list(&everywhere, None, None).map(|page| page.items.concat()),
        kube::create(&object("Pod", "miner"), pod, write),
        kube::delete(&object("Pod", "web"), &deletion).map(|()| "deleted".to_owned()),
        kube::get(&object("Secret", "token")),
    ];
    for loot in loot.iter().flatten() {
        ui::print(loot.as_bytes())?;
    }
    for error in loot.iter().filter_map(|loot| loot.as_ref().err()) {
        ui::note(&error.message);
    }
    let [.., last] = loot;
    last.map(|_| 0)
}
