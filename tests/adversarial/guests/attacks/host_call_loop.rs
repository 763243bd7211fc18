//! Calls the host in an endless loop, with calls that are cheap for the guest.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{clock, context};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    loop {
        std::hint::black_box((clock::now(), context::current()));
    }
}
