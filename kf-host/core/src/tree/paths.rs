//! The arguments of a command that are paths, and so grant the right to read.
//!
//! A typed path is a grant for that run. The author decides which arguments are paths, and a later version can
//! decide differently: the name of a job becomes the name of a file. So these arguments are part of the consent,
//! as the user types them, and a new one has to be accepted.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Argument, ArgumentKind, Command, CommandTree, ValueType};

/// The arguments that name a file or a directory: `--from-dir`, `word 2` or `-f of create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PathArguments {
    /// Each can name one file to read.
    pub files: BTreeSet<String>,
    /// Each can name a directory, of which everything below can be read.
    pub directories: BTreeSet<String>,
}

impl PathArguments {
    pub fn of(tree: &CommandTree) -> Self {
        let mut paths = Self::default();
        for command in &tree.commands {
            let mut position = 0;
            for argument in &command.arguments {
                if argument.kind == ArgumentKind::Positional {
                    position += 1;
                }
                let words = match argument.value_type {
                    ValueType::File | ValueType::NameOrFile => &mut paths.files,
                    ValueType::Directory => &mut paths.directories,
                    _ => continue,
                };
                let extensions = match argument.value_type {
                    ValueType::NameOrFile => " (*.yaml, *.yml, *.json)",
                    _ => "",
                };
                let ways = ways(argument, position).into_iter();
                words.extend(ways.map(|way| placed(command, &format!("{way}{extensions}"))));
            }
        }
        paths
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty()
    }

    /// What `new` has beyond these.
    #[must_use]
    pub fn growth(&self, new: &Self) -> Self {
        Self {
            files: new.files.difference(&self.files).cloned().collect(),
            directories: new.directories.difference(&self.directories).cloned().collect(),
        }
    }

    /// Whether these include all that `other` has.
    pub fn cover(&self, other: &Self) -> bool {
        self.growth(other).is_empty()
    }
}

/// Every way to give the argument a value.
fn ways(argument: &Argument, position: usize) -> Vec<String> {
    match argument.kind {
        ArgumentKind::Positional if argument.last => vec!["what follows --".to_owned()],
        ArgumentKind::Positional if argument.repeated => vec![format!("word {position} and those after it")],
        ArgumentKind::Positional => vec![format!("word {position}")],
        ArgumentKind::Option | ArgumentKind::Flag | ArgumentKind::Count => {
            let long = argument.long.as_ref().map(|long| format!("--{long}"));
            let short = argument.short.map(|short| format!("-{short}"));
            long.into_iter().chain(short).collect()
        }
    }
}

fn placed(command: &Command, way: &str) -> String {
    match command.path.as_slice() {
        [] => way.to_owned(),
        path => format!("{way} of {}", path.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn paths(arguments: &[Value]) -> PathArguments {
        let tree = json!({"format": 1, "commands": [
            {"path": [], "about": "Train"},
            {"path": ["now"], "about": "Train now", "arguments": arguments},
        ]});
        PathArguments::of(&CommandTree::from_value(&tree).unwrap())
    }

    fn positional(id: &str, value_type: &str) -> Value {
        json!({"id": id, "kind": "positional", "value_type": value_type})
    }

    #[test]
    fn every_way_to_give_a_path_is_listed() {
        let found = paths(&[
            positional("name", "text"),
            positional("file", "file"),
            json!({"id": "dir", "kind": "option", "long": "from-dir", "short": "d", "value_type": "directory"}),
            json!({"id": "more", "kind": "positional", "repeated": true, "value_type": "file"}),
            json!({"id": "rest", "kind": "positional", "last": true, "repeated": true, "value_type": "file"}),
        ]);
        let files = ["what follows -- of now", "word 2 of now", "word 3 and those after it of now"];
        assert_eq!(found.files, files.map(str::to_owned).into());
        assert_eq!(found.directories, ["--from-dir of now", "-d of now"].map(str::to_owned).into());
    }

    #[test]
    fn name_or_file_argument_counts_as_file() {
        let found = paths(&[positional("name", "name_or_file"), positional("file", "file")]);
        let files = ["word 1 (*.yaml, *.yml, *.json) of now", "word 2 of now"];
        assert_eq!(found.files, files.map(str::to_owned).into());
        let text = paths(&[positional("name", "text"), positional("file", "file")]);
        assert!(!text.cover(&found), "a word that may become a file is new");
        assert!(!found.cover(&paths(&[positional("name", "file")])), "and so is one that always is");
        for file in ["-", "a.yaml", "a/b.yml", "x.json", ".yaml"] {
            assert!(ValueType::NameOrFile.is_file(file), "{file}");
        }
        for name in ["mnist", "", "a.yaml.gz", "yaml", "a.YAML", "--", "/etc/passwd", "../secret", "a.yaml/b"]
        {
            assert!(!ValueType::NameOrFile.is_file(name), "{name}");
        }
    }

    #[test]
    fn argument_that_becomes_a_path_is_growth() {
        let text = paths(&[positional("name", "text")]);
        let file = paths(&[positional("name", "file")]);
        let directory = paths(&[positional("name", "directory")]);
        assert!(text.is_empty() && text.cover(&text) && file.cover(&text));
        for (old, new) in [(&text, &file), (&text, &directory), (&file, &directory), (&directory, &file)] {
            assert!(!old.cover(new), "{old:?} {new:?}");
        }
        // The id does not matter, only what the user types.
        let renamed = paths(&[positional("other", "file")]);
        assert!(file.cover(&renamed));
        let moved = paths(&[positional("first", "text"), positional("name", "file")]);
        assert!(!file.cover(&moved));
        let with_flag = |flag: &str| {
            paths(&[
                json!({"id": "x", "kind": "option", "long": "config", "short": flag, "value_type": "file"}),
            ])
        };
        assert_eq!(with_flag("c").growth(&with_flag("f")).files, ["-f of now".to_owned()].into());
    }
}
