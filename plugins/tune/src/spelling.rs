//! The command line again, with one thing changed.

use kf_plugin_sdk::manifest::quoted;
use kf_training_job::Spelling;

use crate::Tune;
use crate::search::Algorithm;

impl Spelling for Tune {
    fn with_runtime(&self, runtime: &str) -> String {
        self.spell(&self.name, Some(runtime))
    }

    fn under_a_new_name(&self) -> String {
        self.spell(&format!("{}-2", self.name), None)
    }
}

impl Tune {
    fn spell(&self, name: &str, runtime: Option<&str>) -> String {
        let mut words = vec!["kf".to_owned(), "tune".to_owned(), name.to_owned()];
        words.extend(self.file.iter().map(|file| quoted(file.path())));
        let mut option = |name: &str, value: &str| words.extend([format!("--{name}"), quoted(value)]);
        self.param.iter().for_each(|pair| option("param", pair));
        if let Some(objective) = &self.objective {
            option("objective", objective);
        }
        let numbers =
            [("max-trials", self.max_trials), ("parallel", self.parallel), ("max-failed", self.max_failed)];
        for (name, number) in numbers {
            number.into_iter().for_each(|number| option(name, &number.to_string()));
        }
        if self.algorithm != Algorithm::default() {
            option("algorithm", self.algorithm.name());
        }
        if self.seed != 0 {
            option("seed", &self.seed.to_string());
        }
        if let Some(take) = self.take {
            option("take", take.name());
        }
        if let Some(goal) = self.goal {
            option("goal", &goal.to_string());
        }
        let flags = [("--minimize", self.minimize), ("--maximize", self.maximize), ("--watch", self.watch)];
        words.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()));
        words.extend(self.job.words(runtime));
        words.extend(self.job.command_words());
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_whole_command_line_is_kept() {
        let line = "tune lr --param lr=0.1,0.2 --objective loss --max-trials 6 --seed 3 --minimize --runtime torch \
                    --env 'LR=${lr}' -- train";
        let words = line.replace('\'', "");
        let tune = Tune::parse_from(words.split_whitespace());
        assert_eq!(
            tune.under_a_new_name(),
            format!(
                "kf {}",
                line.replace("tune lr", "tune lr-2").split_whitespace().collect::<Vec<_>>().join(" ")
            )
        );
    }
}
