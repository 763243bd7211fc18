//! Needs more memory than allowed before its first instruction.

#![cfg(target_arch = "wasm32")]

use std::sync::{Mutex, PoisonError};

use kf_attacks::{Answer, attack};

attack!(run);

static HOARD: Mutex<[u8; 40 << 20]> = Mutex::new([0; 40 << 20]);

fn run(arguments: Vec<String>) -> Answer {
    let hoard = HOARD.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(hoard.get(arguments.len()).copied().unwrap_or_default())
}
