//! The command line that the user typed, for hints that repeat it.
//!
//! A hint such as `kf train mnist --runtime torch --wait` is the typed line with one flag changed. The words come from kf
//! as typed, including kf's own flags, and keep their order and spelling. Rebuilding the line from parsed arguments would
//! lose every flag that is not handled explicitly.

use std::fmt;
use std::iter::Peekable;

use clap::{Arg, Command};

/// kf's own flags with a value: long, and short if there is one. They can precede the command.
const KF_OPTIONS: [(&str, Option<&str>); 6] = [
    ("--namespace", Some("-n")),
    ("--context", None),
    ("--kubeconfig", None),
    ("--request-timeout", None),
    ("--output", Some("-o")),
    ("--color", None),
];

/// The flags that select the cluster and namespace.
const TARGET: [&str; 3] = ["--namespace", "--context", "--kubeconfig"];

/// kf's own commands, which do not use a cluster.
const KF_COMMANDS: [&str; 3] = ["command", "registry", "completion"];

/// A command line of kf. It displays as a line to type, quoted for a shell.
///
/// [`Kf::command_line`](crate::Kf::command_line) returns the one that the user typed. Each change keeps all other words.
#[derive(Clone, Debug)]
pub struct CommandLine {
    tokens: Vec<Token>,
    /// The innermost command on the line, whose flags these are.
    command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// The name of the command, or of a subcommand.
    Command(String),
    Flags(Flags),
    Positional(String),
    /// `--`
    Escape,
    /// An argument after `--`; see [`Arg::last`].
    Last(String),
}

/// One word of flags: `--long`, or several short ones as in `-it`. The value belongs to the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flags {
    flags: Vec<Flag>,
    value: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Flag {
    /// As typed, with its dashes.
    name: String,
    /// Identifies the flag by either its long or its short name.
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// `--flag value`
    Word(String),
    /// `--flag=value`
    Equals(String),
    /// `-fvalue`
    Attached(String),
}

impl CommandLine {
    /// Parses the words after `kf`. `tree` is the clap command, without kf's flags.
    pub(crate) fn new(words: Vec<String>, mut tree: Command) -> Self {
        tree.build();
        let mut tokens = Vec::new();
        // None before the name of the command.
        let mut command: Option<&Command> = None;
        let mut is_positional = false;
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let token = match word.strip_prefix('-') {
                Some("-") => {
                    let has_last = command.is_some_and(|it| it.get_positionals().any(Arg::is_last_set));
                    let token = if has_last { Token::Last } else { Token::Positional };
                    tokens.push(Token::Escape);
                    tokens.extend(words.by_ref().map(token));
                    break;
                }
                Some(flags) if !flags.is_empty() && !is_number(command, flags) => {
                    Token::Flags(Flags::parse(command, &word, &mut words))
                }
                _ => {
                    let below = match command {
                        None => Some(&tree),
                        Some(command) => command.find_subcommand(&word).filter(|_| !is_positional),
                    };
                    match below {
                        Some(below) => {
                            command = Some(below);
                            Token::Command(word)
                        }
                        None => {
                            is_positional = true;
                            Token::Positional(word)
                        }
                    }
                }
            };
            tokens.push(token);
        }
        let command = command.unwrap_or(&tree).clone();
        Self { tokens, command }
    }

    /// Adds a flag without a value, such as `--wait`, or an argument, unless it is present.
    #[must_use]
    pub fn with(mut self, word: &str) -> Self {
        let token = if is_flag(word) {
            let key = key(Some(&self.command), word).0;
            if self.has(&key) {
                return self;
            }
            Token::Flags(Flags { flags: vec![Flag { name: word.to_owned(), key }], value: None })
        } else {
            let token = Token::Positional(word.to_owned());
            if self.tokens.contains(&token) {
                return self;
            }
            token
        };
        self.insert(token);
        self
    }

    /// Sets the value of a flag, replacing the typed value or adding the flag. If the flag is repeated, the first gets the
    /// value and the others are removed.
    #[must_use]
    pub fn set(mut self, flag: &str, value: &str) -> Self {
        let (key, _) = key(Some(&self.command), flag);
        let mut is_set = false;
        for token in &mut self.tokens {
            let Token::Flags(flags) = token else { continue };
            if !is_set && flags.flags.last().is_some_and(|flag| flag.key == key) {
                flags.set_value(value);
                is_set = true;
            } else {
                flags.remove(&key);
            }
        }
        self.drop_empty();
        if !is_set {
            let mut flags = Flags { flags: vec![Flag { name: flag.to_owned(), key }], value: None };
            flags.set_value(value);
            self.insert(Token::Flags(flags));
        }
        self
    }

    /// Removes all occurrences of a flag with its value, or of an argument.
    #[must_use]
    pub fn without(mut self, word: &str) -> Self {
        if !is_flag(word) {
            self.tokens.retain(|token| !matches!(token, Token::Positional(argument) if argument == word));
            return self;
        }
        let (key, _) = key(Some(&self.command), word);
        for token in &mut self.tokens {
            if let Token::Flags(flags) = token {
                flags.remove(&key);
            }
        }
        self.drop_empty();
        self
    }

    /// Replaces a typed argument, or the first argument if it was not typed.
    #[must_use]
    pub fn replace(mut self, typed: &str, argument: &str) -> Self {
        let mut positions: Vec<&mut String> = self
            .tokens
            .iter_mut()
            .filter_map(|token| if let Token::Positional(word) = token { Some(word) } else { None })
            .collect();
        let place = positions.iter().position(|word| *word == typed).unwrap_or_default();
        match positions.get_mut(place) {
            Some(word) => argument.clone_into(word),
            None => return self.with(argument),
        }
        self
    }

    /// Replaces the words after `--`.
    #[must_use]
    pub fn with_last(mut self, words: &[&str]) -> Self {
        if let Some(place) = self.escape() {
            self.tokens.truncate(place);
        }
        self.tokens.push(Token::Escape);
        self.tokens.extend(words.iter().map(|word| Token::Last((*word).to_owned())));
        self
    }

    /// Adds the `-n`, `--context` and `--kubeconfig` of this line to another command of kf, such as `kf status mnist`,
    /// unless it has them. Other text is returned unchanged.
    pub(crate) fn retarget(&self, text: &str) -> String {
        let Some(rest) = text.strip_prefix("kf ") else { return text.to_owned() };
        let other = Self::new(rest.split_whitespace().map(str::to_owned).collect(), Command::new("kf"));
        let is_kf_own =
            |token: &Token| matches!(token, Token::Command(name) if KF_COMMANDS.contains(&name.as_str()));
        if other.tokens.iter().any(is_kf_own) {
            return text.to_owned();
        }
        let mut line = "kf".to_owned();
        for key in TARGET.into_iter().filter(|key| !other.has(key)) {
            let typed = self.tokens.iter().rev().find_map(|token| match token {
                Token::Flags(flags) => flags.alone(key),
                _ => None,
            });
            for word in typed.iter().flat_map(Flags::words) {
                line.push(' ');
                line.push_str(&quoted(&word));
            }
        }
        format!("{line} {rest}")
    }

    fn has(&self, key: &str) -> bool {
        self.tokens.iter().any(|token| match token {
            Token::Flags(flags) => flags.flags.iter().any(|flag| flag.key == key),
            _ => false,
        })
    }

    fn escape(&self) -> Option<usize> {
        self.tokens.iter().position(|token| *token == Token::Escape)
    }

    /// Inserts kf's own options first, and everything else before `--`.
    fn insert(&mut self, token: Token) {
        let is_kf_own = |flag: &Flag| KF_OPTIONS.iter().any(|(long, _)| flag.key == *long);
        let place = match &token {
            Token::Flags(flags) if flags.flags.iter().any(is_kf_own) => 0,
            _ => self.escape().unwrap_or(self.tokens.len()),
        };
        self.tokens.insert(place, token);
    }

    fn drop_empty(&mut self) {
        self.tokens.retain(|token| !matches!(token, Token::Flags(flags) if flags.flags.is_empty()));
    }

    fn words(&self) -> Vec<String> {
        self.tokens.iter().flat_map(Token::words).collect()
    }
}

/// Formats the line, beginning with `kf`, quoted for a POSIX shell.
impl fmt::Display for CommandLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("kf")?;
        self.words().iter().try_for_each(|word| write!(formatter, " {}", quoted(word)))
    }
}

/// For [`Error::hint`](crate::Error::hint).
impl From<CommandLine> for String {
    fn from(line: CommandLine) -> Self {
        line.to_string()
    }
}

impl Token {
    fn words(&self) -> Vec<String> {
        match self {
            Self::Command(word) | Self::Positional(word) | Self::Last(word) => vec![word.clone()],
            Self::Escape => vec!["--".to_owned()],
            Self::Flags(flags) => flags.words(),
        }
    }
}

impl Flags {
    /// Parses a word, and the next one if it is the value.
    fn parse(
        command: Option<&Command>,
        word: &str,
        words: &mut Peekable<impl Iterator<Item = String>>,
    ) -> Self {
        let mut next_word = || words.next_if(|word| word != "--").map(Value::Word);
        if word.starts_with("--") {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(Value::Equals(value.to_owned()))),
                None => (word, None),
            };
            let (key, takes_value) = key(command, name);
            let value = value.or_else(|| takes_value.then(&mut next_word).flatten());
            return Self { flags: vec![Flag { name: name.to_owned(), key }], value };
        }
        let mut letters = word.strip_prefix('-').unwrap_or(word).chars();
        let mut flags = Vec::new();
        let mut value = None;
        while let Some(letter) = letters.next() {
            let name = format!("-{letter}");
            let (key, takes_value) = key(command, &name);
            flags.push(Flag { name, key });
            let rest = letters.as_str();
            if let Some(rest) = rest.strip_prefix('=') {
                value = Some(Value::Equals(rest.to_owned()));
                break;
            }
            if takes_value {
                value = if rest.is_empty() { next_word() } else { Some(Value::Attached(rest.to_owned())) };
                break;
            }
        }
        Self { flags, value }
    }

    fn words(&self) -> Vec<String> {
        let mut word = String::new();
        for flag in &self.flags {
            let letter = flag.name.strip_prefix('-').unwrap_or(&flag.name);
            word.push_str(if word.is_empty() { &flag.name } else { letter });
        }
        match &self.value {
            None => vec![word],
            Some(Value::Word(value)) => vec![word, value.clone()],
            Some(Value::Equals(value)) => vec![format!("{word}={value}")],
            Some(Value::Attached(value)) => vec![format!("{word}{value}")],
        }
    }

    /// Sets the value in the typed form, unless it would be parsed differently.
    fn set_value(&mut self, value: &str) {
        let text = value.to_owned();
        self.value = Some(match &self.value {
            Some(Value::Equals(_)) => Value::Equals(text),
            Some(Value::Attached(_)) if !value.is_empty() && !value.starts_with('=') => Value::Attached(text),
            None | Some(Value::Word(_)) if !value.starts_with('-') => Value::Word(text),
            _ => Value::Equals(text),
        });
    }

    fn remove(&mut self, key: &str) {
        if self.flags.last().is_some_and(|flag| flag.key == key) {
            self.value = None;
        }
        self.flags.retain(|flag| flag.key != key);
    }

    /// Returns the last flag with its value, if it has this key.
    fn alone(&self, key: &str) -> Option<Self> {
        let last = self.flags.last().filter(|flag| flag.key == key)?;
        Some(Self { flags: vec![last.clone()], value: self.value.clone() })
    }
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1
}

/// Returns whether a word is a negative number, as no flag is that digit; `flags` is the word without its dash.
fn is_number(command: Option<&Command>, flags: &str) -> bool {
    let mut letters = flags.chars();
    let is_known =
        |letter| command.is_some_and(|it| it.get_arguments().any(|arg| arg.get_short() == Some(letter)));
    letters.next().is_some_and(|letter| letter.is_ascii_digit() && !is_known(letter))
}

/// Returns the key of a flag, and whether it takes a value.
fn key(command: Option<&Command>, name: &str) -> (String, bool) {
    let is_named = |arg: &&Arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => {
            arg.get_short().is_some_and(|short| name.strip_prefix('-') == Some(short.to_string().as_str()))
        }
    };
    if let Some(arg) = command.and_then(|command| command.get_arguments().find(is_named)) {
        let key = arg.get_long().map_or_else(|| name.to_owned(), |long| format!("--{long}"));
        return (key, arg.get_action().takes_values());
    }
    match KF_OPTIONS.iter().find(|(long, short)| name == *long || Some(name) == *short) {
        Some((long, _)) => ((*long).to_owned(), true),
        None => (name.to_owned(), false),
    }
}

fn quoted(word: &str) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    // zsh expands a word that begins with `=`.
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(is_safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
