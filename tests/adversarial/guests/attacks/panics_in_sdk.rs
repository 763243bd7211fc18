//! Panics in a command written with the SDK.

#![cfg(target_arch = "wasm32")]

use kf_plugin_sdk::prelude::*;

/// Attack the host
#[derive(clap::Parser, Describe)]
struct Panics {}

#[kf_plugin_sdk::main]
#[expect(clippy::panic, reason = "that is the attack")]
fn main(_: Panics, _: &Kf) -> Result<Exit> {
    panic!("the index is {}", 7);
}
