//! Quotes a trial's command for Katib.
//!
//! To redirect the output of a trial to a file, Katib joins the command and its arguments with spaces and runs the line
//! with `sh -c`: a word with a space becomes two, and the shell interprets quotes. Only a command that begins with
//! `sh -c` is not changed, so the words are quoted into one.
//!
//! Katib inserts the values of parameters into JSON without escaping them, which breaks some values.

use kf_plugin_sdk::{Error, ErrorCode, Kf, Object, Result};
use serde_json::{Value, json};

use crate::space::{Parameter, Space};

const COMMAND: &str = "/spec/trainer/command";
const ARGUMENTS: &str = "/spec/trainer/args";

/// Quotes a training job's command as one line for a shell. Returns false if the job has no command: then that of the
/// image or the runtime runs, which is not known here.
pub(crate) fn quote_command(job: &mut Object) -> bool {
    let words = |pointer: &str| -> Vec<String> {
        let words = job.list(pointer).iter().filter_map(Value::as_str);
        words.map(quoted).collect()
    };
    let command = words(COMMAND);
    if command.is_empty() {
        return false;
    }
    // One command for the outer shell, so the output of all of it is redirected.
    let line = command.into_iter().chain(words(ARGUMENTS)).collect::<Vec<_>>().join(" ");
    job.set(COMMAND, json!(["sh", "-c", line]));
    if let Some(trainer) = job.at("/spec/trainer").cloned() {
        let mut trainer = trainer;
        if let Some(fields) = trainer.as_object_mut() {
            fields.remove("args");
        }
        job.set("/spec/trainer", trainer);
    }
    true
}

/// Refuses values that Katib would change.
pub(crate) fn check_values(kf: &Kf, parameters: &[Parameter], is_quoted: bool) -> Result<()> {
    let is_lost =
        |letter: char| matches!(letter, '"' | '\\') || letter.is_control() || (is_quoted && letter == '\'');
    for parameter in parameters {
        let Space::Choices(choices) = &parameter.space else { continue };
        if let Some(value) = choices.iter().find(|value| value.chars().any(is_lost)) {
            let message =
                format!("Katib cannot pass the value {value:?} of --param {} to a trial", parameter.name);
            let line = kf.command_line().set("--engine", "trainer");
            return Err(Error::new(ErrorCode::Unsupported, message).hint(line));
        }
    }
    Ok(())
}

fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(trainer: Value) -> Option<Value> {
        let mut job = Object::from(json!({ "spec": { "trainer": trainer } }));
        let is_quoted = quote_command(&mut job);
        assert_eq!(is_quoted, job.at(COMMAND).is_some());
        assert!(!is_quoted || job.at(ARGUMENTS).is_none());
        job.at(COMMAND).cloned()
    }

    #[test]
    fn command_is_quoted_as_one_shell_line() {
        let python = json!({ "command": ["python3", "-c", "print(\"loss=1 2\")", "${trialParameters.lr}"] });
        assert_eq!(
            line(python),
            Some(json!(["sh", "-c", "python3 -c 'print(\"loss=1 2\")' '${trialParameters.lr}'"]))
        );
        let with_arguments = json!({ "command": ["train"], "args": ["--note", "it's", ""], "numNodes": 2 });
        assert_eq!(line(with_arguments), Some(json!(["sh", "-c", r"train --note 'it'\''s' ''"])));
        let shell = json!({ "command": ["sh", "-c", "echo a; echo loss=2"] });
        assert_eq!(line(shell), Some(json!(["sh", "-c", "sh -c 'echo a; echo loss=2'"])));
        assert_eq!(line(json!({ "args": ["--lr=${trialParameters.lr}"] })), None);
    }

    #[test]
    fn real_shell_restores_the_words() {
        let words = [
            "a b",
            "it's",
            "",
            "$HOME",
            "`id`",
            "x;y",
            "*",
            "\\",
            "\"q\"",
            "--lr=${trialParameters.lr}",
            "ä",
        ];
        let text = words.map(quoted).join(" ");
        let program = format!("for word in {text}; do printf '%s\\0' \"$word\"; done");
        let output = std::process::Command::new("sh").arg("-c").arg(program).output().unwrap();
        let back: Vec<_> = output.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        assert_eq!(back[..words.len()], words);
    }
}
