//! Progress and warnings.

/// Shows progress and warnings. Called from any thread.
pub trait Reporter: Send + Sync {
    /// Starts a step that may take a while: `compiling train`. Dropping the returned value ends it.
    fn begin(&self, label: &str) -> Box<dyn Step>;

    /// Shows a warning of one line.
    fn warn(&self, text: &str);
}

/// A step in progress.
pub trait Step: Send + Sync {
    /// Updates the label and the number of bytes received.
    fn set(&self, label: &str, done: u64);
}

/// Discards everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullReporter;

impl Reporter for NullReporter {
    fn begin(&self, _: &str) -> Box<dyn Step> {
        Box::new(Self)
    }

    fn warn(&self, _: &str) {}
}

impl Step for NullReporter {
    fn set(&self, _: &str, _: u64) {}
}
