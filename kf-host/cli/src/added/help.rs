//! The help of a command tree as data, from the same clap commands as `kf COMMAND --help`.

use clap::{Arg, Command};
use kf_core::PluginName;
use kf_core::tree::{self, CommandTree};
use kf_site::Text;
use kf_site::help::{Argument, Example, Help, Section, Value};

use super::clap_tree::{self, Frame, clap_id};

/// The help of a command and of its subcommands that are not hidden, in the order of the tree.
pub fn of(name: &PluginName, tree: &CommandTree) -> Vec<Help> {
    let frame = Frame { name: name.as_str(), footer: String::new() };
    let mut kf = Command::new("kf").subcommand(clap_tree::build(&frame, tree));
    kf.build();
    let Some(top) = kf.find_subcommand(name.as_str()) else { return Vec::new() };
    let shown = tree.commands.iter().filter(|node| is_shown(tree, &node.path));
    let help = |node: &tree::Command| {
        let command = node.path.iter().try_fold(top, |above, word| above.find_subcommand(word))?;
        Some(of_node(name, node, command))
    };
    shown.filter_map(help).collect()
}

/// Whether neither the command nor one above it is hidden.
fn is_shown(tree: &CommandTree, path: &[String]) -> bool {
    !tree.commands.iter().any(|node| node.hidden && path.starts_with(&node.path))
}

fn of_node(name: &PluginName, node: &tree::Command, command: &Command) -> Help {
    let words: Vec<&str> =
        ["kf", name.as_str()].into_iter().chain(node.path.iter().map(String::as_str)).collect();
    let usage = command.clone().render_usage().to_string();
    let example = |example: &tree::Example| Example {
        line: Text::line(format_args!("kf {}", example.command)),
        about: Text::line(&example.about),
    };
    Help {
        words: Text::line(words.join(" ")),
        about: Text::line(&node.about),
        long_about: node.long_about.as_deref().and_then(|long| rest_of(long, &node.about)),
        usage: Text::lines(usage.trim_start_matches("Usage:").trim()),
        examples: node.examples.iter().map(example).collect(),
        sections: sections(node, command),
    }
}

/// The long text without the short one, with which it usually begins.
fn rest_of(long: &str, about: &str) -> Option<Text> {
    let rest =
        long.strip_prefix(about).filter(|rest| rest.is_empty() || rest.starts_with('\n')).unwrap_or(long);
    let rest = rest.trim();
    (!rest.is_empty()).then(|| Text::lines(rest))
}

/// The arguments of the tree, not those of kf itself, under their headings in the order of the help.
fn sections(node: &tree::Command, command: &Command) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let shown = node.arguments.iter().filter(|argument| !argument.hidden);
    for argument in shown {
        let id = clap_id(argument);
        let Some(arg) = command.get_arguments().find(|arg| arg.get_id().as_str() == id) else { continue };
        let heading = match arg.get_help_heading() {
            Some(heading) => heading,
            None if arg.is_positional() => "Arguments",
            None => "Options",
        };
        let heading = Text::line(heading);
        let argument = of_argument(arg);
        match sections.iter_mut().find(|section| section.heading == heading) {
            Some(section) => section.arguments.push(argument),
            None => sections.push(Section { heading, arguments: vec![argument] }),
        }
    }
    sections
}

fn of_argument(arg: &Arg) -> Argument {
    let short = arg.get_short().filter(|_| arg.get_long().is_some()).map(|short| format!("-{short}, "));
    let about = arg.get_long_help().or(arg.get_help());
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    // A flag has a default that the help does not show.
    let default = (!defaults.is_empty() && arg.get_action().takes_values()).then(|| defaults.join(" "));
    let values = arg.get_possible_values().into_iter().filter(|_| arg.get_action().takes_values());
    Argument {
        spec: Text::line(format_args!("{}{arg}", short.unwrap_or_default())),
        about: Text::lines(about.map(ToString::to_string).unwrap_or_default()),
        default: default.map(Text::line),
        values: values
            .filter(|value| !value.is_hide_set())
            .map(|value| Value {
                name: Text::line(value.get_name()),
                about: value.get_help().map(Text::line),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn help(commands: serde_json::Value) -> Vec<Help> {
        let tree = CommandTree::new(serde_json::from_value(commands).unwrap()).unwrap();
        of(&PluginName::parse("train").unwrap(), &tree)
    }

    #[test]
    fn help_has_usage_and_options_of_the_parser() {
        let help = help(json!([
            { "path": [], "about": "Train a model", "long_about": "Train a model\n\nFrom a file.",
              "examples": [{ "command": "train mnist", "about": "from a runtime" }],
              "arguments": [
                { "id": "name", "kind": "positional", "required": true, "value_name": "NAME", "help": "Its name" },
                { "id": "epochs", "kind": "option", "long": "epochs", "short": "e", "value_name": "N",
                  "default": "12", "help": "How many" },
                { "id": "mode", "kind": "option", "long": "mode", "value_name": "MODE", "heading": "What",
                  "possible_values": [{ "name": "fast", "help": "at once" }, { "name": "slow" }] },
                { "id": "wait", "kind": "flag", "long": "wait" },
                { "id": "secret", "kind": "flag", "long": "secret", "hidden": true }] },
            { "path": ["pvc"], "about": "Train from a volume" },
            { "path": ["internal"], "about": "Not for users", "hidden": true },
            { "path": ["internal", "below"], "about": "Not for users" },
        ]));
        let words: Vec<&str> = help.iter().map(|help| help.words.as_str()).collect();
        assert_eq!(words, ["kf train", "kf train pvc"]);
        let first = &help[0];
        assert_eq!(first.usage.as_str(), "kf train [OPTIONS] <NAME> [COMMAND]");
        assert_eq!(first.long_about.as_ref().map(Text::as_str), Some("From a file."));
        assert_eq!(first.examples[0].line.as_str(), "kf train mnist");
        let sections: Vec<(&str, Vec<&str>)> = first
            .sections
            .iter()
            .map(|section| {
                let specs = section.arguments.iter().map(|argument| argument.spec.as_str()).collect();
                (section.heading.as_str(), specs)
            })
            .collect();
        assert_eq!(
            sections,
            [
                ("Arguments", vec!["<NAME>"]),
                ("Options", vec!["-e, --epochs <N>", "--wait"]),
                ("What", vec!["--mode <MODE>"]),
            ]
        );
        let epochs = &first.sections[1].arguments[0];
        assert_eq!(epochs.default.as_ref().map(Text::as_str), Some("12"));
        let values: Vec<&str> =
            first.sections[2].arguments[0].values.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(values, ["fast", "slow"]);
        assert!(
            first.sections[1].arguments[1].values.is_empty()
                && first.sections[1].arguments[1].default.is_none()
        );
    }
}
