//! Converts a guest's description to [`kf_core::tree`].

use kf_core::tree::{
    Argument, ArgumentKind, Command, CommandTree, Completion, Example, PossibleValue, TreeError, ValueType,
};

use super::wit::tree as wit;

/// The validated tree.
pub(crate) fn tree(commands: Vec<wit::Command>) -> Result<CommandTree, TreeError> {
    CommandTree::new(commands.into_iter().map(command).collect())
}

fn command(command: wit::Command) -> Command {
    let example = |example: wit::Example| Example { command: example.command, about: example.about };
    Command {
        path: command.path,
        about: command.about,
        long_about: command.long_about,
        examples: command.examples.into_iter().map(example).collect(),
        arguments: command.arguments.into_iter().map(argument).collect(),
        subcommand_required: command.subcommand_required,
        hidden: command.hidden,
    }
}

fn argument(argument: wit::Argument) -> Argument {
    let value = |value: wit::PossibleValue| PossibleValue { name: value.name, help: value.help };
    Argument {
        id: argument.id,
        kind: match argument.kind {
            wit::ArgumentKind::Positional => ArgumentKind::Positional,
            wit::ArgumentKind::Option => ArgumentKind::Option,
            wit::ArgumentKind::Flag => ArgumentKind::Flag,
            wit::ArgumentKind::Count => ArgumentKind::Count,
        },
        long: argument.long,
        short: argument.short,
        value_name: argument.value_name,
        value_type: match argument.value_type {
            wit::ValueType::Text => ValueType::Text,
            wit::ValueType::Integer => ValueType::Integer,
            wit::ValueType::Number => ValueType::Number,
            wit::ValueType::Boolean => ValueType::Boolean,
            wit::ValueType::Duration => ValueType::Duration,
            wit::ValueType::File => ValueType::File,
            wit::ValueType::Directory => ValueType::Directory,
            wit::ValueType::NameOrFile => ValueType::NameOrFile,
        },
        required: argument.required,
        repeated: argument.repeated,
        last: argument.last,
        default: argument.default,
        env: argument.env,
        possible_values: argument.possible_values.into_iter().map(value).collect(),
        help: argument.help,
        long_help: argument.long_help,
        heading: argument.heading,
        hidden: argument.hidden,
        conflicts_with: argument.conflicts_with,
        requires: argument.requires,
        completion: match argument.completion {
            wit::Completion::None => Completion::None,
            wit::Completion::Objects(kind) => Completion::Objects(kind),
            wit::Completion::Files => Completion::Files,
            wit::Completion::Dynamic => Completion::Dynamic,
        },
    }
}
