//! What is told while something takes its time.

/// Whoever shows what happens. Told from any thread.
pub trait Reporter: Send + Sync {
    /// Something that may take a while begins: `compiling train`. It goes on until what is returned is
    /// dropped.
    fn begin(&self, label: &str) -> Box<dyn Step>;

    /// One line that a person should not miss.
    fn warn(&self, text: &str);
}

/// Something that goes on.
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
