//! Extracts the command tree from clap.

use std::any::TypeId;
use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ValueHint};

use crate::args::{DirectoryArg, FileArg, NameOrFile, Span};
use crate::tree::{Argument, ArgumentKind, CommandNode, Completion, Example, PossibleValue, ValueType};

/// Examples and completion sources, which clap cannot express.
///
/// Derived with `#[derive(Describe)]` next to clap's derive:
///
/// ```
/// use kf_plugin_sdk::prelude::*;
///
/// /// Stop a training job
/// #[derive(clap::Parser, Describe)]
/// #[kf(example("stop mnist", "stop the job and keep its pods' logs"))]
/// struct Stop {
///     /// The job
///     #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
///     name: String,
/// }
/// let tree = kf_plugin_sdk::describe::<Stop>();
/// assert_eq!(tree[0].arguments[0].completion, Completion::Objects("trainer.kubeflow.org/TrainJob".into()));
/// ```
pub trait Describe {
    fn describe(notes: &mut Notes);
}

/// The examples and completion sources of a command and its subcommands.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    examples: Vec<Example>,
    completions: BTreeMap<String, Completion>,
    subcommands: BTreeMap<String, Notes>,
}

impl Notes {
    /// Adds a usage example; `command` is the words after `kf`.
    pub fn example(&mut self, command: &str, about: &str) {
        self.examples.push(Example { command: command.into(), about: about.into() });
    }

    /// Sets the completion source of an argument.
    pub fn complete(&mut self, argument: &str, from: Completion) {
        self.completions.insert(argument.into(), from);
    }

    /// Returns the notes of a subcommand.
    pub fn subcommand(&mut self, name: &str) -> &mut Self {
        self.subcommands.entry(name.into()).or_default()
    }
}

/// Returns the command tree of an argument struct.
pub fn describe<A: clap::CommandFactory + Describe>() -> Vec<CommandNode> {
    let mut notes = Notes::default();
    A::describe(&mut notes);
    let mut command = A::command();
    command.build();
    let mut tree = Vec::new();
    walk(&command, &[], &notes, &mut tree);
    tree
}

fn walk(command: &clap::Command, path: &[String], notes: &Notes, tree: &mut Vec<CommandNode>) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    tree.push(CommandNode {
        path: path.to_vec(),
        long_about: command.get_long_about().map(ToString::to_string).filter(|long| *long != about),
        about,
        examples: notes.examples.clone(),
        arguments: command
            .get_arguments()
            .filter(|argument| !is_builtin(argument))
            .map(|argument| self::argument(command, argument, notes))
            .collect(),
        subcommand_required: command.is_subcommand_required_set(),
        hidden: command.is_hide_set(),
    });
    let nothing = Notes::default();
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        let mut path = path.to_vec();
        path.push(child.get_name().to_owned());
        walk(child, &path, notes.subcommands.get(child.get_name()).unwrap_or(&nothing), tree);
    }
}

/// Returns whether it is `--help` or `--version`, which kf provides.
fn is_builtin(argument: &Arg) -> bool {
    matches!(
        argument.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

fn argument(command: &clap::Command, argument: &Arg, notes: &Notes) -> Argument {
    let id = argument.get_id().as_str();
    let kind = match argument.get_action() {
        ArgAction::Count => ArgumentKind::Count,
        ArgAction::SetTrue | ArgAction::SetFalse => ArgumentKind::Flag,
        _ if argument.is_positional() => ArgumentKind::Positional,
        _ => ArgumentKind::Option,
    };
    let takes_value = matches!(kind, ArgumentKind::Positional | ArgumentKind::Option);
    let several = argument.get_num_args().is_some_and(|count| count.max_values() > 1);
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let value_type = if takes_value { value_type(argument) } else { ValueType::Boolean };
    let completion = match notes.completions.get(id) {
        Some(completion) => completion.clone(),
        None if matches!(value_type, ValueType::File | ValueType::Directory) => Completion::Files,
        None => Completion::None,
    };
    Argument {
        id: id.to_owned(),
        kind,
        long: argument.get_long().map(str::to_owned),
        short: argument.get_short(),
        value_name: argument
            .get_value_names()
            .filter(|_| takes_value)
            .and_then(|names| names.first())
            .map(ToString::to_string),
        value_type,
        required: argument.is_required_set(),
        repeated: takes_value && (several || matches!(argument.get_action(), ArgAction::Append)),
        last: argument.is_last_set(),
        default: argument
            .get_default_values()
            .first()
            .filter(|_| takes_value)
            .map(|value| value.to_string_lossy().into_owned()),
        env: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
        possible_values: possible_values(argument, takes_value),
        long_help: argument.get_long_help().map(ToString::to_string).filter(|long| *long != help),
        help,
        heading: argument.get_help_heading().map(str::to_owned),
        hidden: argument.is_hide_set(),
        conflicts_with: command
            .get_arg_conflicts_with(argument)
            .into_iter()
            .map(|other| other.get_id().as_str().to_owned())
            .collect(),
        requires: Vec::new(),
        completion,
    }
}

fn possible_values(argument: &Arg, takes_value: bool) -> Vec<PossibleValue> {
    if !takes_value {
        return Vec::new();
    }
    argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| PossibleValue {
            name: value.get_name().to_owned(),
            help: value.get_help().map(ToString::to_string),
        })
        .collect()
}

fn value_type(argument: &Arg) -> ValueType {
    match argument.get_value_hint() {
        ValueHint::FilePath => return ValueType::File,
        ValueHint::DirPath => return ValueType::Directory,
        _ => {}
    }
    let parsed = argument.get_value_parser().type_id();
    let is = |candidates: &[TypeId]| candidates.iter().any(|candidate| parsed == *candidate);
    if is(&[TypeId::of::<DirectoryArg>()]) {
        ValueType::Directory
    } else if is(&[TypeId::of::<FileArg>()]) {
        ValueType::File
    } else if is(&[TypeId::of::<NameOrFile>()]) {
        ValueType::NameOrFile
    } else if is(&[TypeId::of::<Span>()]) {
        ValueType::Duration
    } else if is(&[
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i8>(),
        TypeId::of::<i16>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<isize>(),
    ]) {
        ValueType::Integer
    } else if is(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) {
        ValueType::Number
    } else if is(&[TypeId::of::<bool>()]) {
        ValueType::Boolean
    } else {
        ValueType::Text
    }
}
