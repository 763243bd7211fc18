//! Reads `~/.netrc`, where curl, git and uv find passwords too.
//!
//! The crates for this format are not used: they need a crate with a licence that kf does not allow, or have been without
//! a maintainer for years, and their errors repeat the word that they could not read, which may be part of a password.
//!
//! `default` is ignored. Its password would go to every registry and to every mirror of one.

use secrecy::SecretString;

/// A user name and a password.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: SecretString,
}

/// The error for a file that is not in the format. It has no word of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in the format of netrc")]
pub(crate) struct NotNetrc;

/// The first complete login for a host; none if the file has none.
pub(crate) fn find(text: &str, host: &str) -> Result<Option<Login>, NotNetrc> {
    let mut words = Words(text);
    let mut current: Option<Candidate> = None;
    while let Some(word) = words.next()? {
        match word.as_str() {
            "machine" | "default" | "macdef" => {
                if let Some(login) = current.take().and_then(Candidate::complete) {
                    return Ok(Some(login));
                }
                match word.as_str() {
                    "machine" => {
                        let is_it = words.value()?.eq_ignore_ascii_case(host);
                        current = Some(Candidate { is_it, ..Candidate::default() });
                    }
                    "macdef" => words.skip_macro(),
                    _ => current = Some(Candidate::default()),
                }
            }
            "login" | "user" | "password" | "account" => {
                let value = words.value()?;
                let current = current.as_mut().ok_or(NotNetrc)?;
                match word.as_str() {
                    "password" => current.password = Some(value.into()),
                    "account" => {}
                    _ => current.user = Some(value),
                }
            }
            _ => return Err(NotNetrc),
        }
    }
    Ok(current.and_then(Candidate::complete))
}

#[derive(Default)]
struct Candidate {
    is_it: bool,
    user: Option<String>,
    password: Option<SecretString>,
}

impl Candidate {
    fn complete(self) -> Option<Login> {
        Some(Login { user: self.user?, password: self.password? }).filter(|_| self.is_it)
    }
}

/// Words between spaces. In double quotes, `\"` and `\\` are escapes. `#` begins a comment where a keyword could be.
struct Words<'a>(&'a str);

impl Words<'_> {
    /// The next keyword.
    fn next(&mut self) -> Result<Option<String>, NotNetrc> {
        loop {
            self.0 = self.0.trim_start();
            match self.0.strip_prefix('#') {
                Some(comment) => self.0 = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None if self.0.is_empty() => return Ok(None),
                None => return self.word().map(Some),
            }
        }
    }

    /// The value after a keyword.
    fn value(&mut self) -> Result<String, NotNetrc> {
        self.0 = self.0.trim_start();
        if self.0.is_empty() { Err(NotNetrc) } else { self.word() }
    }

    fn word(&mut self) -> Result<String, NotNetrc> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            let (word, rest) = self.0.split_at(self.0.find(char::is_whitespace).unwrap_or(self.0.len()));
            self.0 = rest;
            return Ok(word.to_owned());
        };
        let mut word = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => word.push(chars.next().ok_or(NotNetrc)?),
                Some(other) => word.push(other),
                None => return Err(NotNetrc),
            }
        }
        self.0 = chars.as_str();
        Ok(word)
    }

    /// Skips a macro, which ends at an empty line.
    fn skip_macro(&mut self) {
        let mut skipped = 0;
        // The first line has the macro's name.
        for (at, line) in self.0.split_inclusive('\n').enumerate() {
            skipped += line.len();
            if at > 0 && line.trim().is_empty() {
                break;
            }
        }
        self.0 = self.0.get(skipped..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn found(text: &str, host: &str) -> Option<(String, String)> {
        let login = find(text, host).unwrap()?;
        Some((login.user, login.password.expose_secret().to_owned()))
    }

    fn login(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn login_of_host_is_found_in_any_layout() {
        let text = "# mine\nmachine other.example login x password y\n\nmachine Registry.Example\n\tpassword \"p w\\\"d\"\n\
                    \taccount a\n\tlogin dana\nmachine last.example user u password #not-a-comment";
        assert_eq!(found(text, "registry.example"), login("dana", "p w\"d"));
        assert_eq!(found(text, "other.example"), login("x", "y"));
        assert_eq!(found(text, "last.example"), login("u", "#not-a-comment"));
        assert_eq!(found(text, "example"), None);
        assert_eq!(found("", "registry.example"), None);
    }

    #[test]
    fn default_entry_and_incomplete_login_are_ignored() {
        assert_eq!(found("default login x password y", "registry.example"), None);
        assert_eq!(
            found("machine a.example login x\nmachine a.example login z password y", "a.example"),
            login("z", "y")
        );
        assert_eq!(found("machine a.example password y", "a.example"), None);
    }

    #[test]
    fn macro_is_skipped() {
        let text = "macdef init\ncd /pub\nmachine evil\n\nmachine a.example login x password y\n";
        assert_eq!(found(text, "a.example"), login("x", "y"));
        assert_eq!(
            found("machine a.example login x password y\nmacdef init\nls", "a.example"),
            login("x", "y")
        );
    }

    #[test]
    fn error_repeats_no_word_of_file() {
        for text in [
            "machine",
            "login x",
            "machine a login",
            "hunter2",
            "machine a password \"hunter2",
            "machine a hunter2 x",
        ] {
            let error = find(text, "b").err().unwrap_or_else(|| panic!("{text} was accepted"));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
