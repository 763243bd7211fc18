//! The command tree matches the clap struct.

use std::path::PathBuf;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::{Argument, ArgumentKind, CommandNode, ValueType, describe};

/// Train a model
///
/// From a file or a runtime.
#[derive(clap::Parser, Describe)]
#[kf(example("train mnist mnist.yaml", "train what the file says"))]
struct Train {
    /// The job
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    name: String,
    /// What to train
    file: Option<FileArg>,
    /// A picture of it
    #[arg(long, value_hint = clap::ValueHint::FilePath)]
    picture: Option<PathBuf>,
    /// Machines
    #[arg(long, default_value_t = 1, env = "KF_NODES", help_heading = "Execution")]
    nodes: u16,
    /// A variable
    #[arg(long = "env", short = 'e', value_name = "K=V")]
    variables: Vec<String>,
    /// Give up after
    #[arg(long, conflicts_with = "follow")]
    timeout: Option<Span>,
    /// Stay
    #[arg(long)]
    follow: bool,
    #[arg(short, action = clap::ArgAction::Count, hide = true)]
    verbose: u8,
    /// How much
    #[arg(long)]
    detail: Option<Detail>,
    /// What to run
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Clone, clap::ValueEnum)]
enum Detail {
    /// The names
    Few,
    All,
}

#[derive(clap::Parser, Describe)]
#[command(about = "Look after notebooks")]
struct Notebooks {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Args, Describe)]
struct Shared {
    /// Which
    #[arg(long)]
    #[kf(complete = dynamic)]
    image: Option<String>,
}

#[derive(clap::Subcommand, Describe)]
enum Verb {
    /// Start it
    #[kf(example("notebook start-one alice", "start alice's"))]
    StartOne {
        /// Its name
        #[kf(complete = objects("kubeflow.org/Notebook"))]
        name: String,
    },
    /// List them
    #[command(name = "ls", hide = true)]
    List,
    /// Reach it
    #[kf(example("notebook http-proxy", "show its address"))]
    HTTPProxy,
}

#[expect(clippy::unwrap_used, reason = "a missing argument fails the test")]
fn argument<'a>(node: &'a CommandNode, id: &str) -> &'a Argument {
    node.arguments.iter().find(|argument| argument.id == id).unwrap()
}

#[test]
fn struct_becomes_one_command() {
    let tree = describe::<Train>();
    let [train] = &tree[..] else { panic!("one command, not {}", tree.len()) };
    assert_eq!((train.about.as_str(), train.path.len()), ("Train a model", 0));
    assert!(train.long_about.as_deref().unwrap().ends_with("From a file or a runtime."));
    assert_eq!(train.examples[0].command, "train mnist mnist.yaml");
    let ids: Vec<_> = train.arguments.iter().map(|argument| argument.id.as_str()).collect();
    let expected = [
        "name",
        "file",
        "picture",
        "nodes",
        "variables",
        "timeout",
        "follow",
        "verbose",
        "detail",
        "command",
    ];
    assert_eq!(ids, expected, "help and version are kf's own");
}

#[test]
fn value_types_follow_argument_types() {
    let tree = describe::<Train>();
    let value_type = |id| argument(&tree[0], id).value_type;
    assert_eq!(value_type("name"), ValueType::Text);
    assert_eq!(value_type("file"), ValueType::File);
    assert_eq!(value_type("picture"), ValueType::File);
    assert_eq!(value_type("nodes"), ValueType::Integer);
    assert_eq!(value_type("timeout"), ValueType::Duration);
    assert_eq!(value_type("follow"), ValueType::Boolean);
}

#[test]
fn arguments_keep_their_attributes() {
    let tree = describe::<Train>();
    let train = &tree[0];
    let name = argument(train, "name");
    assert!(name.required && name.kind == ArgumentKind::Positional);
    assert_eq!(name.completion, Completion::Objects("trainer.kubeflow.org/TrainJob".into()));
    assert_eq!(argument(train, "file").completion, Completion::Files);
    assert!(!argument(train, "file").required);
    let nodes = argument(train, "nodes");
    assert_eq!(nodes.default.as_deref(), Some("1"));
    assert_eq!(nodes.env.as_deref(), Some("KF_NODES"));
    assert_eq!(nodes.heading.as_deref(), Some("Execution"));
    let variables = argument(train, "variables");
    assert!(variables.repeated && variables.kind == ArgumentKind::Option);
    assert_eq!((variables.short, variables.value_name.as_deref()), (Some('e'), Some("K=V")));
    assert_eq!(argument(train, "timeout").conflicts_with, ["follow"]);
    assert_eq!(argument(train, "follow").kind, ArgumentKind::Flag);
    assert!(argument(train, "follow").possible_values.is_empty());
    let verbose = argument(train, "verbose");
    assert!(verbose.kind == ArgumentKind::Count && verbose.hidden && verbose.default.is_none());
    let detail = &argument(train, "detail").possible_values;
    assert_eq!((detail[0].name.as_str(), detail[0].help.as_deref()), ("few", Some("The names")));
    let command = argument(train, "command");
    assert!(command.last && command.repeated && !command.required);
}

#[test]
fn subcommands_follow_their_parent() {
    let tree = describe::<Notebooks>();
    let paths: Vec<_> = tree.iter().map(|node| node.path.join(" ")).collect();
    assert_eq!(paths, ["", "start-one", "ls", "http-proxy"], "as clap names them");
    assert!(tree[0].subcommand_required);
    assert_eq!(argument(&tree[0], "image").completion, Completion::Dynamic);
    assert_eq!(tree[1].examples.len(), 1);
    assert_eq!(argument(&tree[1], "name").completion, Completion::Objects("kubeflow.org/Notebook".into()));
    assert!(tree[2].hidden);
    assert_eq!(tree[3].examples.len(), 1);
}

/// A private command in a native build, as in the README.
mod private {
    #![deny(dead_code)]

    use kf_plugin_sdk::prelude::*;

    /// Say hello
    #[derive(clap::Parser, Describe)]
    struct Hello {
        /// Name to greet
        #[arg(default_value = "world")]
        #[kf(complete = objects("Pod"))]
        name: String,
    }

    #[kf_plugin_sdk::main]
    fn run(hello: Hello, kf: &Kf) -> Result<Exit> {
        kf.print_line(hello.name)?;
        Ok(Exit::OK)
    }

    pub(super) fn tree() -> Vec<kf_plugin_sdk::CommandNode> {
        kf_plugin_sdk::describe::<Hello>()
    }
}

#[test]
fn core_kind_is_named_with_or_without_a_slash() {
    let tree = private::tree();
    let completions = tree.iter().flat_map(|node| &node.arguments).map(|argument| &argument.completion);
    assert_eq!(completions.collect::<Vec<_>>(), [&Completion::Objects("/Pod".into())]);
}
