//! The command line again, with one thing changed: a hint is complete enough to be typed.

use kf_plugin_sdk::manifest::quoted;
use kf_training_job::Spelling;

use crate::Train;

impl Spelling for Train {
    fn with_runtime(&self, runtime: &str) -> String {
        self.spell(self.own_name(), Some(runtime), None)
    }

    fn under_a_new_name(&self) -> String {
        self.spell(&format!("{}-2", self.own_name()), None, None)
    }
}

impl Train {
    /// With the code on this volume claim.
    pub(crate) fn with_claim(&self, claim: &str) -> String {
        self.spell(self.own_name(), None, Some(claim))
    }

    fn own_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn spell(&self, name: &str, runtime: Option<&str>, claim: Option<&str>) -> String {
        let mut words = vec!["kf".to_owned(), "train".to_owned(), name.to_owned()];
        words.extend(self.file.iter().map(|file| quoted(file.path())));
        words.extend(self.job.words(runtime));
        let claim = claim.or(self.pvc.as_deref());
        words.extend(claim.into_iter().flat_map(|claim| ["--pvc".to_owned(), quoted(claim)]));
        words.extend(self.generate_name.then(|| "--generate-name".to_owned()));
        words.extend(self.wait.then(|| "--wait".to_owned()));
        words.extend(self.logs.then(|| "--logs".to_owned()));
        words.extend(self.job.command_words());
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use kf_training_job::JobFlags;

    use super::*;

    #[test]
    fn the_whole_command_line_is_kept() {
        let train = Train {
            name: Some("mnist".into()),
            file: Some("my job.yaml".parse().unwrap()),
            job: JobFlags {
                nodes: Some(2),
                gpu: Some("1".parse().unwrap()),
                from_dir: Some("src".parse().unwrap()),
                env: vec!["A=it's".parse().unwrap()],
                command: vec!["python".into(), "-c".into(), "print(1)".into()],
                ..JobFlags::default()
            },
            logs: true,
            ..Train::default()
        };
        assert_eq!(
            train.under_a_new_name(),
            r"kf train mnist-2 'my job.yaml' --from-dir src --gpu 1 --nodes 2 --env 'A=it'\''s' --logs -- python -c 'print(1)'"
        );
        assert!(train.with_claim("data").contains(" --pvc data --logs -- python"));
        assert!(
            train.with_runtime("torch").starts_with("kf train mnist 'my job.yaml' --runtime torch --from")
        );
    }
}
