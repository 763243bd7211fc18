//! Words of a command line that is shown for the user to type.

use std::borrow::Cow;
use std::path::Path;

/// The text as one word of a shell: in quotes if it needs them.
pub fn word(text: &str) -> Cow<'_, str> {
    // A word with a NUL cannot be typed.
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}

/// The path as one word that is not taken for a flag.
pub fn path(path: &Path) -> String {
    let text = path.display().to_string();
    match text.strip_prefix('-') {
        Some(rest) => word(&format!("./-{rest}")).into_owned(),
        None => word(&text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_word_has_no_quotes() {
        for plain in ["train", "lab/train@1.2.0-rc.1", "@core", "file:///srv/kf", "/home/ada/.kube/config"] {
            assert_eq!(word(plain), plain);
        }
    }

    #[test]
    fn word_that_a_shell_would_change_is_quoted() {
        for (text, quoted) in [
            ("", "''"),
            ("/home/ada l/$(id)", "'/home/ada l/$(id)'"),
            ("it's", "\"it's\""),
            ("train@>=1, <2", "'train@>=1, <2'"),
            ("~", "'~'"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }

    #[test]
    fn path_that_begins_with_dash_is_no_flag() {
        assert_eq!(path(Path::new("-rf")), "./-rf");
        assert_eq!(path(Path::new("- x")), "'./- x'");
        assert_eq!(path(Path::new("a/-b")), "a/-b");
    }

    proptest! {
        #[test]
        fn quoted_words_are_read_back(words in proptest::collection::vec("[^\0]*", 0..4)) {
            let line = words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(shlex::split(&line), Some(words));
        }
    }
}
