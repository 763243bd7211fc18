//! The command line again, with one thing changed: a hint is complete enough to be typed.

use kf_plugin_sdk::manifest::{Amount, quoted};

use crate::Serve;

impl Serve {
    /// The same with a format that is served, if there is one to name.
    pub(crate) fn with_format(&self, known: &[String]) -> String {
        self.spell(known.first().map(String::as_str).or(Some("FORMAT")), self.runtime.as_deref(), false)
    }

    /// The same with another runtime.
    pub(crate) fn with_runtime(&self, runtime: &str) -> String {
        self.spell(self.format.as_deref(), Some(runtime), false)
    }

    /// The same, taking over what other tools have set.
    pub(crate) fn with_force(&self) -> String {
        self.spell(self.format.as_deref(), self.runtime.as_deref(), true)
    }

    fn spell(&self, format: Option<&str>, runtime: Option<&str>, force: bool) -> String {
        let mut words = vec!["kf".to_owned(), "serve".to_owned()];
        words.extend(self.name.clone());
        words.extend(self.file.iter().map(|file| quoted(file.path())));
        let options = [
            ("--image", self.image.as_deref()),
            ("--model", self.model.as_deref()),
            ("--format", format),
            ("--runtime", runtime),
            ("--cpu", self.cpu.as_ref().map(Amount::as_str)),
            ("--memory", self.memory.as_ref().map(Amount::as_str)),
            ("--request", self.request.as_deref()),
            ("--request-path", self.request_path.as_deref()),
        ];
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), quoted(value)]);
        for (name, value) in options {
            if let Some(value) = value {
                option(name, value);
            }
        }
        self.port.iter().for_each(|port| option("--port", &port.to_string()));
        self.gpu.iter().for_each(|devices| option("--gpu", &devices.to_string()));
        if let Some(replicas) = self.replicas {
            option("--replicas", &format!("{}:{}", replicas.min, replicas.max));
        }
        self.env.iter().for_each(|one| option("--env", &one.to_string()));
        self.set.iter().for_each(|one| option("--set", one.text()));
        for (name, given) in [
            ("--rollback", self.rollback),
            ("--as-is", self.as_is),
            ("--force-conflicts", force),
            ("--wait", self.wait),
        ] {
            words.extend(given.then(|| name.to_owned()));
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_kept() {
        let serve = Serve {
            name: Some("iris".into()),
            model: Some("pvc://m/iris".into()),
            env: vec!["A=it's".parse().unwrap()],
            set: vec!["spec.predictor.timeout=60".parse().unwrap()],
            wait: true,
            ..Serve::default()
        };
        assert_eq!(
            serve.with_format(&["sklearn".into()]),
            r"kf serve iris --model pvc://m/iris --format sklearn --env 'A=it'\''s' --set spec.predictor.timeout=60 --wait"
        );
        assert!(serve.with_force().ends_with("--force-conflicts --wait"));
    }
}
