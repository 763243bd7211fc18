//! The command line again, with one thing changed: a hint is complete enough to be typed.

use kf_plugin_sdk::manifest::{Amount, Devices, quoted};

use crate::JobFlags;

/// How a command would be typed again.
pub trait Spelling {
    /// With another runtime.
    fn with_runtime(&self, runtime: &str) -> String;
    /// Under a name that is probably free.
    fn under_a_new_name(&self) -> String;
}

impl JobFlags {
    /// The flags as they would be typed, with another runtime if one is given.
    pub fn words(&self, runtime: Option<&str>) -> Vec<String> {
        let mut words = Vec::new();
        let gpu = self.gpu.as_ref().map(Devices::to_string);
        let mut option = |name: &str, value: &str| words.extend([format!("--{name}"), quoted(value)]);
        let given = [
            ("runtime", runtime.or(self.runtime.as_deref())),
            ("image", self.image.as_deref()),
            ("from-dir", self.from_dir.as_ref().map(|directory| directory.path())),
            ("cpu", self.cpu.as_ref().map(Amount::as_str)),
            ("memory", self.memory.as_ref().map(Amount::as_str)),
            ("gpu", gpu.as_deref()),
            ("queue", self.queue.as_deref()),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).for_each(|(n, v)| option(n, v));
        if let Some(nodes) = self.nodes {
            option("nodes", &nodes.to_string());
        }
        self.env.iter().for_each(|variable| option("env", &variable.to_string()));
        self.set.iter().for_each(|assignment| option("set", assignment.text()));
        words
    }

    /// `-- COMMAND…`, if there is one.
    pub fn command_words(&self) -> Vec<String> {
        if self.command.is_empty() {
            return Vec::new();
        }
        std::iter::once("--".to_owned()).chain(self.command.iter().map(|word| quoted(word))).collect()
    }
}
