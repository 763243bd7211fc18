//! Keeps two ports of the pod `server` open forever: one is served, the other is not.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, Port};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let ports = [Port { local: 0, remote: 8080 }, Port { local: 0, remote: 9 }];
    let forward = sessions::open_port_forward(None, "server", &ports)?;
    for port in forward.ports() {
        ui::print(format!("{}\n", port.local).as_bytes())?;
    }
    forward.finish()?;
    Ok(0)
}
