//! Builds clap commands from command trees, for parsing, help and completion.
//!
//! The command tree is recorded when the command is published and stored in the receipt, so no guest is
//! started. Argument ids are prefixed so that they cannot collide with kf's own flags in the same
//! clap command.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Args as _, Command, ValueHint};
use kf_core::tree::{self, Argument, ArgumentKind, CommandTree, ValueType};

use crate::args::RunArgs;

/// The clap id of an argument of a command tree.
pub fn clap_id(argument: &Argument) -> String {
    prefixed(&argument.id)
}

fn prefixed(id: &str) -> String {
    format!("arg:{id}")
}

/// The host's parts of a command's help.
pub struct Frame<'a> {
    pub name: &'a str,
    /// Where the command comes from and what it may do.
    pub footer: String,
}

/// The last step for each argument of a command tree.
pub type Finish<'a> = dyn Fn(&Argument, Arg) -> Arg + 'a;

/// The clap command of a whole tree, with the flags the host adds to every command.
pub fn build(frame: &Frame<'_>, tree: &CommandTree) -> Command {
    build_with(frame, tree, &|_, arg| arg)
}

pub fn build_with(frame: &Frame<'_>, tree: &CommandTree, finish: &Finish<'_>) -> Command {
    // First the host's flags: they set texts that the command tree's then replace.
    level(frame, RunArgs::augment_args(Command::new(frame.name.to_owned())), tree, &[], finish)
}

fn level(
    frame: &Frame<'_>,
    command: Command,
    tree: &CommandTree,
    path: &[String],
    finish: &Finish<'_>,
) -> Command {
    let mut command = command.disable_help_subcommand(true);
    let Some(node) = tree.commands.iter().find(|node| node.path == path) else {
        return command;
    };
    command = command
        .about(node.about.clone())
        .hide(node.hidden)
        .after_help(frame.footer.clone())
        .subcommand_required(node.subcommand_required)
        .arg_required_else_help(node.subcommand_required)
        .help_template(help_template(node));
    if let Some(long_about) = &node.long_about {
        command = command.long_about(long_about.clone());
    }
    let mut index = 0;
    for argument in &node.arguments {
        command = command.arg(finish(argument, clap_arg(argument, &mut index)));
    }
    let children = tree
        .commands
        .iter()
        .filter(|child| child.path.len() == path.len() + 1 && child.path.get(..path.len()) == Some(path));
    for child in children {
        let word = child.path.last().map(String::as_str).unwrap_or_default();
        command = command.subcommand(level(frame, Command::new(word.to_owned()), tree, &child.path, finish));
    }
    command
}

fn help_template(node: &tree::Command) -> String {
    let mut examples = String::new();
    if !node.examples.is_empty() {
        let width = node.examples.iter().map(|example| example.command.len()).max().unwrap_or(0);
        examples.push_str("Examples:\n");
        for example in &node.examples {
            // Braces are template syntax.
            let command = example.command.replace(['{', '}'], "");
            let about = example.about.replace(['{', '}'], "");
            let line = format!("  kf {command:width$}  {about}");
            examples.push_str(line.trim_end());
            examples.push('\n');
        }
        examples.push('\n');
    }
    format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{examples}{{all-args}}{{after-help}}")
}

fn clap_arg(argument: &Argument, next_index: &mut usize) -> Arg {
    let mut arg = Arg::new(clap_id(argument))
        .help(argument.help.clone())
        .hide(argument.hidden)
        .required(argument.required)
        .conflicts_with_all(argument.conflicts_with.iter().map(|id| prefixed(id)))
        .last(argument.last);
    for id in &argument.requires {
        arg = arg.requires(prefixed(id));
    }
    if let Some(long_help) = &argument.long_help {
        arg = arg.long_help(long_help.clone());
    }
    if let Some(heading) = &argument.heading {
        arg = arg.help_heading(heading.clone());
    }
    match argument.kind {
        ArgumentKind::Flag => named(arg.action(ArgAction::SetTrue), argument),
        ArgumentKind::Count => named(arg.action(ArgAction::Count), argument),
        ArgumentKind::Option => {
            let action = if argument.repeated { ArgAction::Append } else { ArgAction::Set };
            valued(named(arg, argument), argument).action(action)
        }
        ArgumentKind::Positional => {
            *next_index += 1;
            let arg = valued(arg, argument).index(*next_index);
            if argument.repeated {
                let least = usize::from(argument.required);
                arg.action(ArgAction::Append).num_args(least..).allow_hyphen_values(argument.last)
            } else {
                arg
            }
        }
    }
}

fn named(mut arg: Arg, argument: &Argument) -> Arg {
    if let Some(long) = &argument.long {
        arg = arg.long(long.clone());
    }
    if let Some(short) = argument.short {
        arg = arg.short(short);
    }
    arg
}

fn valued(mut arg: Arg, argument: &Argument) -> Arg {
    if let Some(name) = &argument.value_name {
        arg = arg.value_name(name.clone());
    }
    if let Some(default) = &argument.default {
        arg = arg.default_value(default.clone());
    }
    match argument.value_type {
        ValueType::Directory => arg = arg.value_hint(ValueHint::DirPath),
        ValueType::File => arg = arg.value_hint(ValueHint::FilePath),
        _ if argument.completion == tree::Completion::Files => arg = arg.value_hint(ValueHint::FilePath),
        _ => {}
    }
    if !argument.possible_values.is_empty() {
        let values = argument.possible_values.iter().map(|value| {
            let named = clap::builder::PossibleValue::new(value.name.clone());
            match &value.help {
                Some(help) => named.help(help.clone()),
                None => named,
            }
        });
        return arg.value_parser(PossibleValuesParser::new(values));
    }
    match argument.value_type {
        ValueType::Integer => arg.value_parser(checked::<i64>).allow_negative_numbers(true),
        ValueType::Number => arg.value_parser(checked::<f64>).allow_negative_numbers(true),
        ValueType::Boolean => arg.value_parser(PossibleValuesParser::new(["true", "false"])),
        ValueType::Text
        | ValueType::Duration
        | ValueType::File
        | ValueType::Directory
        | ValueType::NameOrFile => arg.value_parser(clap::builder::ValueParser::string()),
    }
}

/// Checks a value's type; the text itself is passed to the guest.
fn checked<T: std::str::FromStr>(text: &str) -> Result<String, T::Err> {
    text.parse::<T>().map(|_| text.to_owned())
}
