//! Offers its own paths as candidates for a file to read.

#![cfg(target_arch = "wasm32")]

use kf_attacks::bindings::kf::plugin::tree::ValueType;
use kf_attacks::plugin::tree::Command;
use kf_attacks::{Answer, Candidate, CompletionRequest, attack, describe_completing};

attack!(run, describe, complete, *b"0.1.0");

fn describe() -> Vec<Command> {
    let mut commands = describe_completing();
    for argument in commands.iter_mut().flat_map(|command| &mut command.arguments) {
        argument.value_type = ValueType::File;
    }
    commands
}

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}

fn complete(_: CompletionRequest) -> Vec<Candidate> {
    [".kube/config", "job.yaml.evil"].map(|path| Candidate { value: path.to_owned(), help: None }).into()
}
