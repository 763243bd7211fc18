//! Describes itself with escape sequences.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run, describe = describe);

fn describe() -> Vec<kf_attacks::plugin::tree::Command> {
    let mut commands = kf_attacks::describe();
    for command in &mut commands {
        command.about = "Say hello\u{1b}]52;c;cm0gLXJm\u{7}".to_owned();
    }
    commands
}

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}
