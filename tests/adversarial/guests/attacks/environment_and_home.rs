//! Reads environment variables, arguments, the working directory, directories and stdin.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};
use wasip2::cli::{environment, stdin};
use wasip2::filesystem::preopens;

attack!(run);

/// Prints everything it finds.
fn run(_: Vec<String>) -> Answer {
    for (name, value) in environment::get_environment() {
        ui::print(format!("variable {name}={value}\n").as_bytes())?;
    }
    for argument in environment::get_arguments() {
        ui::print(format!("argument {argument}\n").as_bytes())?;
    }
    if let Some(folder) = environment::initial_cwd() {
        ui::print(format!("working directory {folder}\n").as_bytes())?;
    }
    for (_, name) in preopens::get_directories() {
        ui::print(format!("folder {name}\n").as_bytes())?;
    }
    if let Ok(bytes) = stdin::get_stdin().blocking_read(100) {
        ui::print(format!("stdin {bytes:?}\n").as_bytes())?;
    }
    Ok(0)
}
