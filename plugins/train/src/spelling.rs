//! The command line again, with one thing changed: a hint is complete enough to be typed.

use crate::Train;

impl Train {
    /// The same under a name that is probably free.
    pub(crate) fn under_a_new_name(&self) -> String {
        self.spell(&format!("{}-2", self.name), self.runtime.as_deref())
    }

    /// The same with another runtime.
    pub(crate) fn with_runtime(&self, runtime: &str) -> String {
        self.spell(&self.name, Some(runtime))
    }

    fn spell(&self, name: &str, runtime: Option<&str>) -> String {
        let mut words = vec!["kf".to_owned(), "train".to_owned(), name.to_owned()];
        words.extend(self.file.iter().map(|file| quoted(file.path())));
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), quoted(value)]);
        if let Some(runtime) = runtime {
            option("--runtime", runtime);
        }
        if let Some(nodes) = self.nodes {
            option("--nodes", &nodes.to_string());
        }
        if let Some(image) = &self.image {
            option("--image", image);
        }
        self.env.iter().for_each(|pair| option("--env", pair));
        self.set.iter().for_each(|pair| option("--set", pair));
        words.extend(self.wait.then(|| "--wait".to_owned()));
        words.extend(self.logs.then(|| "--logs".to_owned()));
        if !self.command.is_empty() {
            words.push("--".to_owned());
            words.extend(self.command.iter().map(|word| quoted(word)));
        }
        words.join(" ")
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_command_line_is_kept() {
        let train = Train {
            name: "mnist".into(),
            file: Some("my job.yaml".parse().unwrap()),
            nodes: Some(2),
            env: vec!["A=it's".into()],
            logs: true,
            command: vec!["python".into(), "-c".into(), "print(1)".into()],
            ..Train::default()
        };
        assert_eq!(
            train.under_a_new_name(),
            r"kf train mnist-2 'my job.yaml' --nodes 2 --env 'A=it'\''s' --logs -- python -c 'print(1)'"
        );
    }
}
