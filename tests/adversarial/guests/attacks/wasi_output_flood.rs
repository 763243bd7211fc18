//! Prints through WASI in an endless loop, bypassing `ui.print`.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};
use wasip2::cli::stdout::get_stdout;

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let (stdout, zeroes) = (get_stdout(), vec![0; 4096]);
    loop {
        let _ = stdout.blocking_write_and_flush(&zeroes);
        let _ = stdout.blocking_write_zeroes_and_flush(4096);
    }
}
