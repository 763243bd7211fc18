//! Listens on a port of its own choice, where the user may expect another service.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, Port};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    sessions::open_port_forward(None, "web", &[Port { local: 5432, remote: 80 }])?;
    Ok(0)
}
