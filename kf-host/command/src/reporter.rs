//! What is told while something takes its time.

/// Whoever shows what happens. Told from any thread.
pub trait Reporter: Send + Sync {
    /// Starts a step that may take a while: `compiling train`. Dropping the returned value ends it.
    fn begin(&self, label: &str) -> Box<dyn Step>;

    /// One line that a person should not miss.
    fn warn(&self, text: &str);
}

/// A step in progress.
pub trait Step: Send + Sync {
    /// What is being done now, and how far it is.
    fn set(&self, label: &str, done: u64);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mute;

impl Reporter for Mute {
    fn begin(&self, _: &str) -> Box<dyn Step> {
        Box::new(Self)
    }

    fn warn(&self, _: &str) {}
}

impl Step for Mute {
    fn set(&self, _: &str, _: u64) {}
}
