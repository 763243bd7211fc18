use super::super::{Argument, ArgumentKind, Command, CommandTree, Completion, PossibleValue, ValueType};
use super::TreeError;

fn command(path: &[&str], arguments: Vec<Argument>) -> Command {
    Command {
        path: path.iter().map(ToString::to_string).collect(),
        about: "Say hello".to_owned(),
        long_about: None,
        examples: Vec::new(),
        arguments,
        subcommand_required: false,
        hidden: false,
    }
}

fn argument(id: &str, kind: ArgumentKind) -> Argument {
    let named = kind != ArgumentKind::Positional;
    Argument {
        id: id.to_owned(),
        kind,
        long: named.then(|| id.to_owned()),
        short: None,
        value_name: None,
        value_type: ValueType::Text,
        required: false,
        repeated: false,
        last: false,
        default: None,
        env: None,
        possible_values: Vec::new(),
        help: String::new(),
        long_help: None,
        heading: None,
        hidden: false,
        conflicts_with: Vec::new(),
        requires: Vec::new(),
        completion: Completion::None,
    }
}

fn positional(id: &str) -> Argument {
    argument(id, ArgumentKind::Positional)
}

fn refusal(commands: Vec<Command>) -> String {
    CommandTree::new(commands).unwrap_err().to_string()
}

fn refusal_of(arguments: Vec<Argument>) -> String {
    refusal(vec![command(&[], arguments)])
}

#[test]
fn tree_parses_back_from_its_file() {
    let mut name = positional("name");
    name.required = true;
    let mut file = argument("file", ArgumentKind::Option);
    (file.short, file.value_type, file.completion) = (Some('f'), ValueType::File, Completion::Files);
    let mut kind = argument("job", ArgumentKind::Option);
    kind.completion = Completion::Objects("trainer.kubeflow.org/TrainJob".to_owned());
    let tree =
        CommandTree::new(vec![command(&[], vec![name, file, kind]), command(&["list"], vec![])]).unwrap();
    assert!(tree.reads_files());
    assert_eq!(CommandTree::from_json(&tree.to_json()).unwrap(), tree);
}

#[test]
fn path_with_listed_values_is_refused() {
    for value_type in [ValueType::File, ValueType::Directory, ValueType::NameOrFile] {
        let mut file = argument("file", ArgumentKind::Option);
        file.value_type = value_type;
        file.possible_values = vec![PossibleValue { name: ".kube/config".to_owned(), help: None }];
        let refused = refusal_of(vec![file]);
        assert!(refused.contains("`file`") && refused.contains("is a path but lists values"), "{refused}");
    }
}

#[test]
fn file_uses_snake_case() {
    let mut job = argument("job", ArgumentKind::Option);
    job.completion = Completion::Objects("/Pod".to_owned());
    let json: serde_json::Value =
        serde_json::from_slice(&CommandTree::new(vec![command(&[], vec![job])]).unwrap().to_json()).unwrap();
    assert_eq!(json["format"], 1);
    let job = &json["commands"][0]["arguments"][0];
    assert_eq!(job["kind"], "option");
    assert_eq!(job["value_type"], "text");
    assert_eq!(job["completion"]["objects"], "/Pod");
}

#[test]
fn unknown_field_or_format_is_refused() {
    let unknown = br#"{"format":1,"commands":[{"path":[],"about":"","shell":"rm"}]}"#;
    assert!(matches!(CommandTree::from_json(unknown), Err(TreeError::Json(_))));
    let format = br#"{"format":2,"commands":[{"path":[],"about":""}]}"#;
    assert_eq!(CommandTree::from_json(format), Err(TreeError::Format(2)));
    assert_eq!(CommandTree::from_json(br#"{"format":1,"commands":[]}"#), Err(TreeError::Empty));
}

#[test]
fn tree_with_wrong_order_or_duplicates_is_refused() {
    assert!(refusal(vec![command(&["list"], vec![])]).contains("not the command itself"));
    let orphan = vec![command(&[], vec![]), command(&["a", "b"], vec![]), command(&["a"], vec![])];
    assert!(refusal(orphan).contains("before its parent"));
    let twice = vec![command(&[], vec![]), command(&["a"], vec![]), command(&["a"], vec![])];
    assert!(refusal(twice).contains("twice"));
    let mut childless = command(&[], vec![]);
    childless.subcommand_required = true;
    assert!(refusal(vec![childless]).contains("has none"));
}

#[test]
fn subcommand_with_invalid_name_is_refused() {
    for name in ["", "-x", "A", "a b", "a/b", "..", "help", "a\u{1b}[2J"] {
        assert!(
            refusal(vec![command(&[], vec![]), command(&[name], vec![])]).contains("has the invalid name"),
            "{name:?}"
        );
    }
}

#[test]
fn arguments_with_the_same_name_are_refused() {
    let a = argument("a", ArgumentKind::Flag);
    assert!(refusal_of(vec![a.clone(), a.clone()]).contains("two arguments"));
    let mut b = argument("b", ArgumentKind::Flag);
    b.long = Some("a".to_owned());
    assert!(refusal_of(vec![a, b]).contains("shares the name `--a`"));
    assert!(refusal_of(vec![argument("help", ArgumentKind::Flag)]).contains("reserved by kf"));
}

#[test]
fn reference_to_unknown_argument_is_refused() {
    let mut a = argument("a", ArgumentKind::Flag);
    a.conflicts_with = vec!["b".to_owned()];
    assert!(refusal_of(vec![a]).contains("unknown argument `b`"));
}

#[test]
fn unnamed_option_or_named_positional_is_refused() {
    let mut option = argument("a", ArgumentKind::Option);
    option.long = None;
    assert!(refusal_of(vec![option]).contains("neither"));
    let mut position = positional("a");
    position.long = Some("a".to_owned());
    assert!(refusal_of(vec![position]).contains("positional but has a name"));
}

#[test]
fn ambiguous_positional_arguments_are_refused() {
    let mut many = positional("many");
    many.repeated = true;
    assert!(refusal_of(vec![many.clone(), positional("b")]).contains("takes several words"));
    let mut required = positional("b");
    required.required = true;
    assert!(
        refusal_of(vec![positional("a"), required.clone()])
            .contains("required argument after an optional one")
    );
    let mut last = positional("rest");
    (last.last, last.repeated) = (true, true);
    assert!(refusal_of(vec![last.clone(), positional("b")]).contains("after the one for `--`"));
    assert!(CommandTree::new(vec![command(&[], vec![required, many, last])]).is_ok());
}

#[test]
fn control_or_invisible_character_in_help_is_refused() {
    for hidden in
        ["\u{1b}]52;c;aGk=\u{7}", "a\u{200b}b", "a\u{ad}b", "a\u{2028}b", "a\u{e0041}b", "a\u{202e}b"]
    {
        let mut loud = command(&[], vec![]);
        loud.about = hidden.to_owned();
        assert!(refusal(vec![loud]).contains("control or invisible character"), "{hidden:?}");
        let mut argument = positional("a");
        argument.long_help = Some(hidden.to_owned());
        let refusal = refusal(vec![command(&[], vec![argument])]);
        assert!(refusal.contains("control or invisible character"), "{hidden:?}");
    }
    let mut argument = positional("a");
    argument.long_help = Some("two\nlines\tare fine".to_owned());
    assert!(CommandTree::new(vec![command(&[], vec![argument])]).is_ok());
}

#[test]
fn oversized_tree_is_refused() {
    let many = (0..400).map(|i| positional(&format!("a{i}"))).collect();
    assert!(refusal_of(many).contains("at most 200"));
    let commands = std::iter::once(command(&[], vec![]))
        .chain((0..400).map(|i| command(&[&format!("c{i}")], vec![])))
        .collect();
    assert!(refusal(commands).contains("at most 300"));
    let mut long = command(&[], vec![]);
    long.about = "x".repeat(500);
    assert!(refusal(vec![long]).contains("longer than"));
}
