//! Shows the progress and warnings of other crates.

use kf_command::reporter::{Reporter, Step};

use super::{Progress, Ui};

impl Reporter for Ui {
    fn begin(&self, label: &str) -> Box<dyn Step> {
        Box::new(self.progress(label, None))
    }

    fn warn(&self, text: &str) {
        Self::warn(self, text);
    }
}

impl Step for Progress {
    fn set(&self, label: &str, done: u64) {
        Self::set(self, label, done);
    }
}
