//! Text in a page.

use std::fmt;

use kf_core::text;
use serde::Serialize;

/// Text without control, bidirectional or invisible characters: they are replaced with visible escapes. Templates and
/// the search index get text only in this type. HTML is escaped by the templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Text(String);

impl Text {
    /// In one line.
    pub fn line(text: impl fmt::Display) -> Self {
        Self(text::escaped(&text.to_string(), &[]))
    }

    /// With its line ends.
    pub fn lines(text: impl fmt::Display) -> Self {
        Self(text::escaped(&text.to_string(), &['\n']))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_are_shown_as_escapes() {
        assert_eq!(Text::line("a\u{202e}b\n\u{1b}[2Jc").as_str(), "a\\u{202e}b\\u{a}\\u{1b}[2Jc");
        assert_eq!(Text::lines("a\n\u{200b}b").as_str(), "a\n\\u{200b}b");
    }
}
